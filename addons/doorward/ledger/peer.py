"""One channel at the ledger's end: its role, its requests on the way, its answers, its subscription.

The role comes from the socket, never from what the client says; `Hello` must agree with it.
A peer that does not read is no longer read from, and as a subscriber it loses entries and
is told so (`Gap`): it can make the ledger neither wait nor grow.
"""

from collections.abc import Callable, Mapping
from typing import Final

from doorward.core.entry import Role
from doorward.errors import DoorwardError, Refused
from doorward.ledger.frames import (
    VERSION,
    Frame,
    Gap,
    Hello,
    Requested,
    Welcome,
    format_error,
    format_frame,
    parse_from_client,
)
from doorward.ledger.framing import FrameStream

SUBSCRIPTIONS: Final[Mapping[Role, tuple[str, ...]]] = {Role.CONSOLE: ("hold.",), Role.WORKER: ("principal.",)}

_MAX_PENDING_BYTES: Final = 128 * 1024 * 1024


class Peer:
    """One client of the ledger."""

    def __init__(
        self,
        role: Role,
        *,
        requested: Callable[["Peer", Requested, int], None],
        closed: Callable[["Peer"], None],
    ) -> None:
        self.role = role
        self.stream = FrameStream(self._received, self._closed, self._drained)
        self.is_open = True
        self.is_subscribed = False
        self._greeted = False
        self._requested = requested
        self._when_closed = closed
        self._pending_bytes = 0
        self._missed = False
        self._out: list[bytes] = []

    def answer(self, frame: Frame) -> None:
        """Put a frame into the next flush."""
        self._out.append(format_frame(frame))

    def answer_formatted(self, frame: bytes) -> None:
        """Put a frame that is formatted already into the next flush."""
        self._out.append(frame)

    def fail(self, request_id: int, error: DoorwardError) -> None:
        """Answer with an error, in the next flush."""
        self.answer(format_error(request_id, error))

    def done(self, size: int) -> None:
        """Note that a request of so many bytes is answered or dropped."""
        self._pending_bytes -= size
        self._balance()

    def wants(self, kind: str) -> bool:
        """Whether the peer subscribed to entries of this kind."""
        return self.is_subscribed and kind.startswith(SUBSCRIPTIONS[self.role])

    def push(self, frame: bytes) -> None:
        """Send a committed entry that the peer wants, if it reads."""
        if self.stream.is_slow:
            self._missed = True
        else:
            self._out.append(frame)

    def flush(self) -> None:
        """Send what has come together."""
        if self._out:
            self.stream.send(b"".join(self._out))
            self._out.clear()
            self._balance()

    def _received(self, payload: bytes) -> None:
        frame = parse_from_client(payload)
        if isinstance(frame, Hello):
            if self._greeted or frame.role is not self.role or frame.version != VERSION:
                raise Refused(f"a hello that does not fit this channel of a {self.role}", cause="hello-refused")
            self._greeted = True
            self.stream.send(format_frame(Welcome()))
        elif not self._greeted:
            raise Refused("a request before the hello", cause="hello-missing")
        else:
            self._pending_bytes += len(payload)
            self._balance()
            self._requested(self, frame, len(payload))

    def _balance(self) -> None:
        if self.stream.is_slow or self._pending_bytes > _MAX_PENDING_BYTES:
            self.stream.stop_reading()
        else:
            self.stream.go_on_reading()

    def _drained(self) -> None:
        if self._missed:
            self._missed = False
            self.stream.send(format_frame(Gap()))
        self._balance()

    def _closed(self) -> None:
        self.is_open = False
        self.is_subscribed = False
        self._out.clear()
        self._when_closed(self)
