"""Tables of a segment: one day of entries and the bodies beside them.

Documented for readers in docs/ledger.md. `entries.entry` is text so that `json_extract`
and Datasette read it; its UTF-8 bytes are the RFC 8785 bytes that `leaf` is the hash of.
Applied by store/migrate.py when a segment is opened for writing.
"""

from sqlite_utils import Database, Migrations

segment = Migrations("segment")


@segment(name="0001-entries-and-bodies")
def _entries_and_bodies(db: Database) -> None:
    for statement in (
        """CREATE TABLE entries (
            seq INTEGER PRIMARY KEY,
            time TEXT NOT NULL,
            kind TEXT NOT NULL,
            entry TEXT NOT NULL,
            leaf BLOB NOT NULL
        )""",
        """CREATE TABLE bodies (
            digest TEXT PRIMARY KEY,
            seq INTEGER NOT NULL REFERENCES entries(seq),
            name TEXT NOT NULL,
            salt BLOB NOT NULL,
            key_id TEXT,
            size INTEGER NOT NULL,
            zstd BLOB NOT NULL
        )""",
        # what the ledger reads back when it starts, without passing over a whole day
        "CREATE INDEX entries_of_holds ON entries(seq) WHERE kind >= 'hold.' AND kind < 'hold/'",
        "CREATE INDEX entries_of_seals ON entries(seq) WHERE kind = 'segment.sealed'",
    ):
        db.execute(statement)


@segment(name="0002-blocks")
def _blocks(db: Database) -> None:
    db.execute("CREATE INDEX entries_of_blocks ON entries(seq) WHERE kind >= 'principal.' AND kind < 'principal/'")
