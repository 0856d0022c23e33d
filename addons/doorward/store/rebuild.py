"""Makes the index again from the segments alone.

Called by `doorward ledger rebuild`, and by the ledger when it starts and finds the index
missing, damaged or behind. The new file is written beside the old one and put in its
place at the end; readers notice that the file is another one.
"""

from collections.abc import Callable
from itertools import batched
from pathlib import Path
from typing import Final

from doorward.errors import Misconfigured, Unavailable
from doorward.store.lock import writer_lock
from doorward.store.projection import Projection
from doorward.store.segments import Segments, read_entries, segment_paths

SEGMENTS: Final = "segments"
INDEX: Final = "index.db"
_BATCH: Final = 1000


def rebuild_index(path: Path, progress: Callable[[int], None] | None = None) -> int:
    """Make `path`/index.db again and return the number of entries; `progress` is told how far it is.

    Raises Unavailable while a ledger runs on `path`, or if a segment is damaged.
    """
    with writer_lock(path):
        Segments.open(path / SEGMENTS).close()  # recovers the last one, and sees that none is missing
        return _rebuild(path, progress)


def open_index(path: Path, last_seq: int) -> Projection:
    """Open the index for writing, up to date with the segments; the caller has the lock.

    Raises Misconfigured if the index knows entries that the segments lack: a segment was
    lost, or put back from a backup; only `rebuild_index` settles that, on purpose.
    """
    try:
        projection = Projection.open(path / INDEX)
    except Unavailable as error:
        if error.cause != "store-damaged":
            raise
        _rebuild(path, None)
        projection = Projection.open(path / INDEX)
    if projection.seq > last_seq:
        projection.close()
        raise Misconfigured(
            f"the index knows {projection.seq} entries, the segments hold {last_seq}: a segment is missing",
            cause="segment-missing",
            hint="put it back into segments/; if you restored a backup on purpose, run `doorward ledger rebuild`",
        )
    for entries in batched(read_entries(segment_paths(path / SEGMENTS), projection.seq), _BATCH):
        projection.project(entries)
    return projection


def _rebuild(path: Path, progress: Callable[[int], None] | None) -> int:
    new = path / f"{INDEX}.new"
    _remove(new)
    projection = Projection.open(new)
    try:
        for entries in batched(read_entries(segment_paths(path / SEGMENTS)), _BATCH):
            if entries[-1].seq != projection.seq + len(entries):
                raise Unavailable(
                    f"an entry after {projection.seq} is missing", cause="store-damaged", hint="use a backup"
                )
            projection.project(entries)
            if progress is not None:
                progress(projection.seq)
    finally:
        projection.close()  # folds its write-ahead log in
    _remove(path / INDEX)
    new.replace(path / INDEX)
    return projection.seq


def _remove(database: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
