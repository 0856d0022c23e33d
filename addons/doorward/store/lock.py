"""One writer at a time: an advisory lock on a file beside the segments.

The ledger holds it while it runs; `rebuild_index` takes it for itself. The kernel drops it
when the process ends, however it ends.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from doorward.errors import Unavailable


@contextmanager
def writer_lock(directory: Path) -> Iterator[None]:
    """Hold the lock of a ledger's directory; raises Unavailable if another process has it."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(directory / "ledger.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unavailable(
                f"another process writes the ledger in {directory}",
                cause="ledger-locked",
                hint="stop it first; only one ledger may write",
            ) from None
        yield
    finally:
        os.close(fd)
