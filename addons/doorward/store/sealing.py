"""Seals the segment of a day that is over: one file, read-only, with a digest.

The write-ahead log is folded in, the file made read-only and flushed; its SHA-256 then
goes into a `segment.sealed` entry, which the ledger writes. Runs in a thread beside the
writer, on the finished file's own connection. Can be repeated: a crash between seal and
entry only means that the digest is taken again at the next start.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from doorward.store.database import Database
from doorward.store.segments import SEALS, Segments


@dataclass(frozen=True, slots=True)
class Seal:
    """What the entry says of a sealed file."""

    segment: str
    digest: str  # SHA-256 of the file, hex
    size: int
    first: int | None  # sequence numbers; None in a file without entries
    last: int | None


def unsealed(segments: Segments) -> list[str]:
    """Return the finished segments that no entry has sealed yet, oldest first."""
    told = {entry.fields["segment"] for entry in segments.entries(where=SEALS)}
    return [path.name for path in segments.paths[:-1] if path.name not in told]


def seal(segments: Segments, name: str) -> Seal:
    """Seal one finished segment; raises Unavailable while somebody reads it."""
    path = segments.directory / name
    database = segments.finished.get(name)
    if database is not None:
        database.finish()
        del segments.finished[name]
        path.chmod(0o400)
        _sync(path)
    reader = Database.reader(path)
    try:
        ((first, last),) = reader.rows("SELECT min(seq), max(seq) FROM entries")
    finally:
        reader.close()
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Seal(name, digest, path.stat().st_size, first, last)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
