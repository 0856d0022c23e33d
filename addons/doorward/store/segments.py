"""The segments: one SQLite file a UTC day, which hold the truth.

Appends rows durably to the file of their day, opens the next file after midnight, checks
when it opens that no file of the chain is missing, and reads entries and bodies back. What
an entry means is not its concern. One object per ledger process, which is the only writer;
`body` may be called from another thread. Sealing a finished day is in `sealing`.

After a crash SQLite recovers the last file by itself when it is opened. What it then holds
may include a last transaction that nobody was told of, never less than was acknowledged.
"""

import os
import re
from collections.abc import Collection, Generator, Iterable, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Final, Self

from doorward.errors import Misconfigured, Unavailable
from doorward.model import Entry
from doorward.store.bodies import PackedBody, unpack_body
from doorward.store.database import Database
from doorward.store.migrate import migrate
from doorward.store.migrations.segment import segment as segment_tables
from doorward.store.rows import BodyRow, EntryRow, entry_from_row, parse_time

_NAME: Final = re.compile(r"\d{4}-\d{2}-\d{2}\.db")
_CHECKPOINT_PAGES: Final = 2000
_PAGE: Final = 4096
_PAGES_A_COMMIT: Final = 5

HOLDS: Final = "kind >= 'hold.' AND kind < 'hold/'"  # as the partial indexes of migrations/segment.py say it
BLOCKS: Final = "kind >= 'principal.' AND kind < 'principal/'"
SEALS: Final = "kind = 'segment.sealed'"


class Segments:
    """All segments of one ledger; `last_seq` and `last_time` are those of the last durable entry."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.last_seq = 0
        self.last_time: datetime | None = None
        self.finished: dict[str, Database] = {}  # days that are over, still open for writing
        self.paths: tuple[Path, ...] = ()  # of files that have their tables, oldest first; replaced, never changed
        self._current: Database | None = None
        self._pages = 0  # written since the last checkpoint; an estimate

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Open what is there; raises Misconfigured if a segment is missing, Unavailable if one is damaged."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sync_directory(directory.parent)
        opened = cls(directory)
        try:
            opened._open_all()
        except BaseException:
            opened.close()
            raise
        return opened

    def _open_all(self) -> None:
        paths = segment_paths(self.directory)
        for path in paths:
            if _is_sealed(path):
                with closing(Database.reader(path)) as database:
                    self._follow(database)
            else:
                database = Database.writer(path, synchronous="FULL")
                self.finished[path.name] = database
                migrate(database, segment_tables)
                self._follow(database)
        self.paths = tuple(paths)
        if paths:
            self._current = self.finished.pop(paths[-1].name, None)

    def _follow(self, database: Database) -> None:
        """Check that this file goes on where the one before ended."""
        ((first, last),) = database.rows("SELECT min(seq), max(seq) FROM entries")
        if first is None:
            return
        if first != self.last_seq + 1:
            raise Misconfigured(
                f"{database.path.name} begins with entry {first}, expected {self.last_seq + 1}: a segment is missing",
                cause="segment-missing",
                hint="put the missing file back into segments/ from a backup",
            )
        (row,) = database.rows("SELECT seq, time, kind, entry, leaf FROM entries WHERE seq = ?", (last,))
        self.last_seq, self.last_time = last, entry_from_row(EntryRow(*row)).time

    def append(self, entries: Sequence[EntryRow], bodies: Sequence[BodyRow]) -> None:
        """Write rows of one day in one durable transaction; raises Unavailable, and then nothing was written."""
        name = f"{entries[0].time[:10]}.db"
        if self._current is None or self._current.path.name < name:
            self._turn_to(name)
        database = self._current
        assert database is not None
        with database.transaction():
            database.many("INSERT INTO entries (seq, time, kind, entry, leaf) VALUES (?, ?, ?, ?, ?)", entries)
            if bodies:
                database.many(
                    "INSERT INTO bodies (digest, seq, name, salt, key_id, size, zstd) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    bodies,
                )
        self.last_seq, self.last_time = entries[-1].seq, parse_time(entries[-1].time)
        written = sum(len(row.entry) for row in entries) + sum(len(row.zstd) for row in bodies)
        self._pages += _PAGES_A_COMMIT + written // _PAGE

    def _turn_to(self, name: str) -> None:
        """Begin the file of a new day; the one before waits in `finished` for its seal."""
        path = self.directory / name
        if path.exists() and _is_sealed(path):
            raise Misconfigured(
                f"{name} is sealed already", cause="segment-sealed", hint="check the clock and what was restored"
            )
        database = Database.writer(path, synchronous="FULL")
        try:
            migrate(database, segment_tables)
            _sync_directory(self.directory)
        except BaseException:
            database.close()
            raise
        if self._current is not None:
            self.finished[self._current.path.name] = self._current
        self._current, self._pages = database, 0
        self.paths = (*(known for known in self.paths if known != path), path)

    def verify_end(self) -> None:
        """Raise Unavailable unless the file ends with the last entry we know: to be called after a failed append."""
        if self._current is not None:
            ((last,),) = self._current.rows("SELECT max(seq) FROM entries")
            if last is not None and last != self.last_seq:
                raise Unavailable("the segment does not end where the ledger left it", cause="store-damaged")

    def wants_checkpoint(self) -> bool:
        """True once the write-ahead log has grown enough."""
        return self._pages >= _CHECKPOINT_PAGES

    def checkpoint(self) -> None:
        """Checkpoint the current segment, on the connection that commits."""
        self._pages = 0
        if self._current is not None:
            self._current.checkpoint()

    def entries(self, after: int = 0, where: str = "1") -> Generator[Entry]:
        """Return the entries above `after` in order; `where` is HOLDS, BLOCKS, SEALS, or nothing."""
        return read_entries(self.paths, after, where)

    def body(self, digest: str, names: Collection[str] | None = None) -> bytes | None:
        """Return the plain bytes of a body of one of these names, or None if no segment has it (any more)."""
        statement = "SELECT name, digest, salt, size, zstd FROM bodies WHERE digest = ?"
        for path in reversed(self.paths):
            with closing(Database.reader(path)) as database:
                rows = database.rows(statement, (digest,))
            if rows:
                name, *packed = rows[0]
                return unpack_body(PackedBody(*packed)) if names is None or name in names else None
        return None

    def bodies(self, digests: Collection[str], names: Collection[str] | None = None) -> dict[str, bytes]:
        """Return the plain bytes of those of the bodies that are there and bear one of these names, by digest."""
        found: dict[str, bytes] = {}
        missing = dict.fromkeys(digests)
        for path in reversed(self.paths):
            if not missing:
                break
            marks = ", ".join("?" * len(missing))
            statement = f"SELECT name, digest, salt, size, zstd FROM bodies WHERE digest IN ({marks})"  # noqa: S608 # question marks
            with closing(Database.reader(path)) as database:
                rows = database.rows(statement, tuple(missing))
            for name, *packed in rows:
                del missing[packed[0]]
                if names is None or name in names:
                    found[packed[0]] = unpack_body(PackedBody(*packed))
        return found

    def close(self) -> None:
        """Close all files; the write-ahead log of the current one is folded in by SQLite."""
        for database in (*self.finished.values(), *([self._current] if self._current else [])):
            database.close()
        self.finished.clear()
        self._current = None


def segment_paths(directory: Path) -> list[Path]:
    """Return the files of all segments, oldest first."""
    return sorted(path for path in directory.iterdir() if _NAME.fullmatch(path.name))


def read_entries(paths: Iterable[Path], after: int = 0, where: str = "1") -> Generator[Entry]:
    """Yield entries from the files alone, read-only; each is checked against its leaf hash."""
    statement = f"SELECT seq, time, kind, entry, leaf FROM entries WHERE seq > ? AND {where} ORDER BY seq"  # noqa: S608 # a constant of this module
    for path in paths:
        with closing(Database.reader(path)) as database:
            for row in database.each(statement, (after,)):
                yield entry_from_row(EntryRow(*row))


def _is_sealed(path: Path) -> bool:
    return not path.stat().st_mode & 0o222


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
