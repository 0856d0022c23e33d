"""Files that hold secrets and keys: read only when nobody else can, written in one piece.

Permissions and durability, not content: what stands in the file is the callers' matter
(credentials, pki, the console's client secret). Nothing in here puts content in a message.
"""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from doorward.errors import Misconfigured

MAX_PRIVATE_BYTES: Final = 64 * 1024

type FileMark = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class PrivateFile:
    """What stood in a file, and the mark that tells whether it still is the same."""

    content: bytes = field(repr=False)
    mark: FileMark


def file_mark(path: Path) -> FileMark | None:
    """Which file stands at `path` and in which state, or None; a changed mark means: read it again."""
    try:
        return _mark(path.stat())
    except OSError:
        return None


def read_private(path: Path, *, what: str) -> PrivateFile:
    """Read a file of mode 0600 or 0400 that is ours or root's; raises Misconfigured naming `what` it is."""
    try:
        # O_NONBLOCK: a pipe in the file's place must not stop us. It changes nothing for a file.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise Misconfigured(
            f"cannot read {what}: {error.strerror}",
            cause="private-file-unreadable",
            where=str(path),
            hint="put the file there, of mode 0600, owned by the user who runs doorward",
        ) from None
    try:
        state = os.fstat(descriptor)
        _check(path, state, what)
        content = os.read(descriptor, MAX_PRIVATE_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > MAX_PRIVATE_BYTES:
        raise _wrong(path, what, f"is longer than {MAX_PRIVATE_BYTES} bytes", "is this the right file?")
    return PrivateFile(content, _mark(state))


def write_file(path: Path, content: bytes, *, mode: int = 0o600, replace: bool = True) -> None:
    """Write all or nothing, durably; without `replace` raises FileExistsError where a file stands already."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            draft.replace(path)
        else:
            os.link(draft, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
    _sync_folder(path.parent)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that is there, of mode 0600, once the block has ended well, and not at all before or otherwise.

    Raises Misconfigured where something stands at `path` already, or nothing can be written there.
    """
    draft = path.with_name(f".{path.name[:200]}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                if os.path.lexists(path):
                    raise FileExistsError(errno.EEXIST, "something stands there already")
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)  # unlike a rename it replaces nothing
        finally:
            draft.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise Misconfigured(
            f"cannot write a new file: {error.strerror}",
            cause="file-not-written",
            where=str(path),
            hint="name a file that is not there yet, in a folder that you may write to",
        ) from None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _mark(state: os.stat_result) -> FileMark:
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


def _check(path: Path, state: os.stat_result, what: str) -> None:
    if not stat.S_ISREG(state.st_mode):
        raise _wrong(path, what, "is no plain file", "put a file there, or a link to one")
    if state.st_uid not in (0, os.geteuid()):
        raise _wrong(path, what, f"belongs to the user {state.st_uid}", "give it to the user who runs doorward")
    if stat.S_IMODE(state.st_mode) not in (0o600, 0o400):
        raise _wrong(path, what, f"has the mode {stat.S_IMODE(state.st_mode):04o}, expected 0600", f"chmod 600 {path}")


def _wrong(path: Path, what: str, problem: str, hint: str) -> Misconfigured:
    return Misconfigured(f"{what} {problem}", cause="private-file-unsafe", where=str(path), hint=hint)
