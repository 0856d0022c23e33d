"""How the parts get their channels to the ledger: who makes the sockets, who passes them on.

Two ways, the same frames on both:

- Unix sockets in a runtime directory (0700), one a role, each with mode 0600
  (`listen_at`, `unix_connect`): for parts that run alone, and for commands.
- Under `doorward serve`: each child inherits ONE control socket from the supervisor, made
  by `control_pair`. Whenever the ledger or a child starts, and whenever a child asks
  (`take_asks`), the supervisor makes a fresh pair and passes one end to each
  (`hand_out`). The role travels with the ledger's end, so a child cannot choose it.

The ledger reads its control socket with `receive_channel`, a child gets a `Connect` by
`inherited_connect`. A child takes the newest channel that lies ready, and asks if there is
none; a channel that turns out to be dead is simply followed by the next ask.
"""

import array
import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from doorward.core.entry import Role
from doorward.errors import Misconfigured, Unavailable

type Connect = Callable[[], Awaitable[socket.socket]]

_ASK: Final = b"channel"
_GIVEN: Final = b"given"
_MAX_MESSAGE: Final = 64
_LONGEST_PATH: Final = 107  # sockaddr_un, unix(7)


def control_pair() -> tuple[socket.socket, socket.socket]:
    """Return the supervisor's end and the child's end; the child's must be inherited (`pass_fds`)."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    return ours, theirs


def hand_out(role: Role, *, ledger: socket.socket, child: socket.socket) -> bool:
    """Give a fresh channel to the ledger and to a child; False if one of them is gone or does not read."""
    ledger_end, child_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ledger_end, child_end:
        try:
            socket.send_fds(ledger, [role.encode()], [ledger_end.fileno()])
            socket.send_fds(child, [_GIVEN], [child_end.fileno()])
        except OSError:
            return False
    return True


def take_asks(child: socket.socket) -> int | None:
    """Return how often a child asked for a channel since the last look; None if it closed its end.

    For the supervisor's `add_reader` on its end of a child's control socket.
    """
    asks = 0
    while True:
        try:
            message = child.recv(_MAX_MESSAGE)
        except BlockingIOError:
            return asks
        except OSError:
            return None
        if not message:
            return None
        asks += 1


def receive_channel(control: socket.socket) -> tuple[Role, socket.socket] | None:
    """Return one (role, channel) from the ledger's control socket; None if nothing lies there.

    Raises Unavailable when the supervisor is gone.
    """
    received = _receive_fd(control)
    if received is None:
        return None
    message, channel = received
    return Role(message.decode()), channel


def inherited_connect(control: socket.socket) -> Connect:
    """Return what a child under the supervisor uses to get its next channel.

    Awaiting it raises Unavailable when the supervisor is gone.
    """
    control.setblocking(False)

    async def connect() -> socket.socket:
        newest: socket.socket | None = None
        while True:
            while (received := _receive_fd(control)) is not None:
                if newest is not None:
                    newest.close()
                newest = received[1]
            if newest is not None:
                return newest
            try:
                control.send(_ASK)
            except BlockingIOError:
                pass  # earlier asks are still unread
            except OSError as error:
                raise _supervisor_gone() from error
            await _readable(control)

    return connect


def unix_connect(path: Path) -> Connect:
    """Return what a part that runs alone, or a command, uses to reach the ledger's socket of its role."""

    async def connect() -> socket.socket:
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        channel.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(channel, str(path))
        except OSError as error:
            channel.close()
            raise Unavailable(
                f"no ledger answers at {path.name}", cause="ledger-away", hint="start `doorward ledger` or `serve`"
            ) from error
        return channel

    return connect


def socket_path(directory: Path, role: Role) -> Path:
    """Return where the ledger listens for one role."""
    return directory / f"{role}.sock"


def listen_at(directory: Path, role: Role) -> socket.socket:
    """Return a listening socket for one role; the caller holds the ledger's lock, so an old file is stale.

    Raises Misconfigured if others may enter the directory, or its path is too long.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.stat()
    if found.st_mode & 0o077 or found.st_uid != os.geteuid():
        raise Misconfigured(
            f"the runtime directory {directory} is open to others", hint="make it yours alone: chmod 700"
        )
    path = socket_path(directory, role)
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise Misconfigured(f"the path {path} is too long for a socket", hint="choose a shorter runtime directory")
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))  # nobody else can enter the directory meanwhile
        path.chmod(0o600)
        listener.listen(64)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _receive_fd(control: socket.socket) -> tuple[bytes, socket.socket] | None:
    while True:
        try:
            message, ancillary, flags, _ = control.recvmsg(
                _MAX_MESSAGE, socket.CMSG_SPACE(array.array("i").itemsize), socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return None
        except OSError as error:
            raise _supervisor_gone() from error
        fds = array.array("i")
        for _level, _type, content in ancillary:
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
        if not message:
            raise _supervisor_gone()
        if fds and not flags & socket.MSG_CTRUNC:
            return message, socket.socket(fileno=fds[0])


def _supervisor_gone() -> Unavailable:
    return Unavailable("the supervisor is gone", cause="supervisor-away", hint="start `doorward serve` again")


async def _readable(channel: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(channel.fileno(), ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(channel.fileno())
