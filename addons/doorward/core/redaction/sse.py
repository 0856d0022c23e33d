"""Server-sent events (WHATWG HTML, 9.2.6), masked one by one.

An event leaves when the empty line behind it is there. The lines of its `data` are joined, as a client
joins them, and what they spell is cleared as one payload and written as `data` lines again. Of
the rest of an event only what clients use leaves: `event` and `id` if they are plain words, `retry`
if it is a number, comments as empty ones that still keep a connection open, unless masks of texts
have looked at them or every mask lets other types pass. The lines of an event end as the last of them
did. An event that is not complete at the end is dropped, as clients drop it. Made by `stream`.
"""

import re
from collections.abc import Iterator

from doorward.core.redaction.framing import BodyMasks, Payloads, StreamRedactor, too_large
from doorward.core.redaction.masks import Replacer
from doorward.errors import Withheld
from doorward.model import Mask

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"
_WORD = re.compile(rb"[A-Za-z0-9_.:/=+~-]{0,256}")  # no space, quote, bracket or @
_NUMBER = re.compile(rb"[0-9]{1,12}")


class Events(StreamRedactor):
    """One such stream; at most one event is held."""

    def __init__(self, masks: BodyMasks, replacer: Replacer, limit: int) -> None:
        self._payloads = Payloads(masks, replacer)
        self._others_pass = masks.others_pass
        self._limit = limit
        self._lines: list[bytes] = []  # of the event so far
        self._end = b""  # of the last of them
        self._held: list[bytes] = []  # of the line so far
        self._size = 0
        self._at_start = True
        self._after_cr = False  # a line feed now belongs to the line end before it

    @property
    def masks(self) -> tuple[Mask, ...]:
        """What was masked so far."""
        return self._payloads.masks

    def _fed(self, piece: bytes) -> Iterator[bytes]:
        if not piece:
            return
        at = 0
        if self._after_cr and piece.startswith(b"\n"):
            at = 1
            if self._lines:
                self._end = b"\r\n"
            else:
                yield b"\n"  # of the empty line that is out already
        for found in _LINE_END.finditer(piece, at):
            self._hold(piece[at : found.start()])
            at = found.end()
            yield self._ended(found[0])
        self._hold(piece[at:])
        self._after_cr = piece.endswith(b"\r")

    def _rest(self) -> Iterator[bytes]:
        return iter(())

    def _hold(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._limit:
            raise too_large(self._limit)
        if part:
            self._held.append(part)

    def _ended(self, end: bytes) -> bytes:
        """What leaves once the line that is held has ended."""
        line = b"".join(self._held)
        self._held.clear()
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BOM)
        if line:
            self._size += len(end)
            self._lines.append(line)
            self._end = end
            return b""
        lines, self._lines, self._size = self._lines, [], 0
        # All lines end as the last did, before which nothing is left out: a CR and a LF must not come together.
        return b"".join(line + self._end for line in self._event(lines)) + end

    def _event(self, lines: list[bytes]) -> Iterator[bytes]:
        fields = [_field(line) for line in lines]
        payload = b"\n".join(value for name, value in fields if name == b"data")
        has_data = False
        for name, value in fields:
            if name != b"data":
                yield from self._other(name, value)
            elif not has_data:
                has_data = True
                yield from (b"data: " + line for line in self._payloads.json_or_text(payload).split(b"\n"))

    def _other(self, name: bytes, value: bytes) -> Iterator[bytes]:
        """A line that is not data, or nothing where clients ignore it."""
        if not name:
            comment = self._payloads.text(value)
            yield b": " + comment if comment else b":"
        elif name in (b"event", b"id"):
            masked = self._payloads.text(value)
            value = value if masked is None else masked
            if not self._others_pass and not _WORD.fullmatch(value):
                raise Withheld(
                    "a mask applies to this stream, and a name in it may be more than a name",
                    cause="event-field",
                    hint="the target may use plain words for `event` and `id`; the operator may set other_types: pass",
                )
            yield name + b": " + value
        elif name == b"retry" and _NUMBER.fullmatch(value):
            yield b"retry: " + value


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name, value.removeprefix(b" ")
