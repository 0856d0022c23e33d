"""A secret in a file of mode 0600, read again when the file changes.

A change is seen by the file's identity, size and times. The steps of one request ask several
times; one look serves them all.
"""

import time
from pathlib import Path
from typing import Final

from doorward.credentials.secret import Secret, parse_secret
from doorward.private_files import FileMark, file_mark, read_private

LOOK_AGAIN_S: Final = 0.001


class FileSecret:
    """Reads one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark: FileMark | None = None
        self._looked_s = 0.0

    def changed(self) -> bool:
        """Whether `read` may now give another secret, or fail; as of a millisecond ago."""
        if self._mark is None:
            return True
        now_s = time.monotonic()
        if now_s - self._looked_s < LOOK_AGAIN_S:
            return False
        self._looked_s = now_s
        return file_mark(self._path) != self._mark

    def read(self) -> Secret:
        """The secret; raises Misconfigured."""
        self._mark = None
        private = read_private(self._path, what="the secret")
        secret = parse_secret(private.content, where=str(self._path))
        self._mark = private.mark
        return secret
