"""Splits a stream of bytes into frames, for both ends of a channel.

An asyncio protocol: `received` gets each payload, and a `Refused` that it raises (or a
length above the limit) closes this channel and no other. Writing never waits; who writes
looks at `is_slow` and stops when the other end does not read.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import Callable
from typing import Final, cast

from doorward.errors import Refused
from doorward.ledger.frames import LENGTH, MAX_FRAME_BYTES

_SLOW_BYTES: Final = 4 * 1024 * 1024
_UCRED: Final = struct.Struct("3i")  # pid, uid, gid; unix(7), SO_PEERCRED

log = logging.getLogger(__name__)


class FrameStream(asyncio.Protocol):
    """One connected socket as a stream of frames."""

    def __init__(
        self,
        received: Callable[[bytes], None],
        closed: Callable[[], None],
        drained: Callable[[], None] | None = None,
    ) -> None:
        self._received = received
        self._closed = closed
        self._drained = drained
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self.is_slow = False  # the other end leaves more unread than it should

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport of a new connection."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_SLOW_BYTES)

    def data_received(self, data: bytes) -> None:
        """Hand on the frames that are complete."""
        if self._buffer:
            self._buffer += data
            whole = bytes(self._buffer) if self._is_complete() else b""
        else:
            whole = data
        start, end = 0, len(whole)
        try:
            while end - start >= LENGTH.size:
                (length,) = LENGTH.unpack_from(whole, start)
                if length > MAX_FRAME_BYTES:
                    raise Refused(f"a frame of {length} bytes", cause="frame-too-large")
                if end - start - LENGTH.size < length:
                    break
                start += LENGTH.size + length
                self._received(whole[start - length : start])
        except Refused as error:
            log.warning("closing a channel: %s", error)
            self.abort()
            return
        if whole:
            self._buffer = bytearray(whole[start:])

    def _is_complete(self) -> bool:
        """True if the buffer holds its first frame; saves copying a large one again and again."""
        if len(self._buffer) < LENGTH.size:
            return False
        length: int = LENGTH.unpack_from(self._buffer)[0]
        return length > MAX_FRAME_BYTES or len(self._buffer) - LENGTH.size >= length

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner, once."""
        self._transport = None
        self._buffer.clear()
        self._closed()

    def pause_writing(self) -> None:
        """Note that the other end does not read."""
        self.is_slow = True

    def resume_writing(self) -> None:
        """Note that it reads again."""
        self.is_slow = False
        if self._drained is not None:
            self._drained()

    def peer_uid(self) -> int | None:
        """Return the user at the other end, as the kernel noted it at the connect; None once it is closed."""
        if self._transport is None:
            return None
        channel = self._transport.get_extra_info("socket")
        _, uid, _ = _UCRED.unpack(channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        return int(uid)

    def send(self, data: bytes) -> None:
        """Send bytes of whole frames; nothing happens on a closed stream."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def stop_reading(self) -> None:
        """Take no more frames for now."""
        if self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def go_on_reading(self) -> None:
        """Take frames again."""
        if self._transport is not None and not self._transport.is_closing() and not self._transport.is_reading():
            self._transport.resume_reading()

    def close(self) -> None:
        """Close once everything is sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once; what was not sent is lost."""
        if self._transport is not None:
            self._transport.abort()
