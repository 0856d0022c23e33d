"""A secret in a file of mode 0600, read again when the file changes.

A change is seen by the file's identity, size and times, which costs one `stat` a request.
"""

from pathlib import Path

from doorward.credentials.secret import Secret, parse_secret
from doorward.private_files import FileMark, file_mark, read_private


class FileSecret:
    """Reads one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark: FileMark | None = None

    def changed(self) -> bool:
        """Whether `read` may now give another secret, or fail."""
        return self._mark is None or file_mark(self._path) != self._mark

    def read(self) -> Secret:
        """The secret; raises Misconfigured."""
        self._mark = None
        private = read_private(self._path, what="the secret")
        secret = parse_secret(private.content, where=str(self._path))
        self._mark = private.mark
        return secret
