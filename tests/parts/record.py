"""Reads a record from its files as an outsider would, while the ledger writes it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import zstandard

from doorward.model import Entry
from doorward.store.rows import EntryRow, entry_from_row


def read_entries(segments: Path) -> list[Entry]:
    """All entries, in order."""
    found = []
    for file in sorted(segments.glob("*.db")):
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)) as database:
            rows = database.execute("SELECT seq, time, kind, entry, leaf FROM entries ORDER BY seq")
            found += [entry_from_row(EntryRow(*row)) for row in rows]
    return found


def read_bodies(segments: Path) -> Iterator[bytes]:
    """All bodies, decompressed."""
    for file in sorted(segments.glob("*.db")):
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)) as database:
            for (packed,) in database.execute("SELECT zstd FROM bodies"):
                yield zstandard.ZstdDecompressor().decompress(packed, max_output_size=1 << 30)
