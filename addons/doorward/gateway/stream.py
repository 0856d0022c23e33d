"""The body of one answer on its way to the agent, piece by piece, while the target still sends.

For answers whose body no mask touches, and for those that are masked event by event. Each piece is
masked and searched for the target's secret before it leaves, and a copy up to a bound goes into the
record, part by part. `redact` makes it and clears the head; the layers in `mitm` feed it, and send what
it gives and nothing else.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from mitmproxy import http

from doorward.core.redaction.echo import Cleaned, EchoGuard
from doorward.core.redaction.echo_stream import EchoStream
from doorward.core.redaction.framing import StreamRedactor
from doorward.errors import DoorwardError, Withheld
from doorward.model import Mask

type Piece = tuple[int, int]  # milliseconds since the head, and bytes

_MOST_PIECES = 500  # of one part; an entry has 16 KiB
_BUFFERED = 64 << 10  # bytes: an answer that states no more is read whole, and recorded before it leaves
_WITHOUT_BODY = (204, 304)


class Copy:
    """What the record still lacks of one body, and when it came."""

    def __init__(self, keep: int) -> None:
        """`keep`: bytes for the record in all."""
        self.truncated = False  # no more is kept, though more came
        self.has_news = asyncio.Event()  # something is here that the record lacks
        self._room = keep
        self._begun_ns = time.monotonic_ns()
        self._data = bytearray()
        self._pieces: list[Piece] = []

    def begin(self) -> None:
        """The head leaves: times count from now."""
        self._begun_ns = time.monotonic_ns()

    def add(self, data: bytes) -> None:
        """Keep what there is room for."""
        if not data:
            return
        kept = data[: self._room]
        self.truncated = self.truncated or len(kept) < len(data)
        if not kept:
            return
        self._room -= len(kept)
        self._data += kept
        at_ms = (time.monotonic_ns() - self._begun_ns) // 1_000_000
        if self._pieces and (self._pieces[-1][0] == at_ms or len(self._pieces) == _MOST_PIECES):
            self._pieces[-1] = (self._pieces[-1][0], self._pieces[-1][1] + len(kept))
        else:
            self._pieces.append((at_ms, len(kept)))
        self.has_news.set()

    def close(self) -> None:
        """Keep no more."""
        self.truncated, self._room = True, 0

    def take(self) -> tuple[bytes, list[Piece]]:
        """All that the record lacks, and when how much of it came; it counts as recorded from now on."""
        taken = bytes(self._data), self._pieces
        self._data, self._pieces = bytearray(), []
        self.has_news.clear()
        return taken


class AnswerStream:
    """One body: called with each piece, and with `b""` once at the end, as mitmproxy does."""

    def __init__(
        self,
        status: int,
        *,
        guards: Callable[[], Sequence[EchoGuard]],
        replacement: bytes | None,
        holds_last: bool,
        keep: int,
        redactor: StreamRedactor | None = None,
        record_redactor: StreamRedactor | None = None,
        record_whole: Callable[[bytes, bool], bytes] | None = None,
    ) -> None:
        """`replacement` takes a secret's place; without one a secret ends the stream.

        `holds_last`: where the agent knows the length, its last byte is the end, and comes with the
        end. `keep`: bytes for the record. `redactor` masks what the agent gets; `record_redactor` what the record
        gets, where that is more. `record_whole`: where a mask for the record alone needs the whole body, what the
        record may hold of it, given the copy and whether it is the whole.
        """
        self.status = status
        self.begun = False  # the head went to the agent
        self.ended = False
        self.cut: DoorwardError | None = None  # why it must end now, though neither side ended it
        self.echoes = 0
        self.copy = Copy(keep)
        self.parts = 0  # that the record has
        self.writing = asyncio.Lock()  # one part after the other, and the outcome behind them
        self.over = asyncio.Event()  # its outcome is being written
        self.record_whole = record_whole
        self.moved_ns = time.monotonic_ns()  # when a piece came last
        self._redactor = redactor
        self._record_redactor = record_redactor
        self._record_echoes = EchoStream(replacement or b"")
        self._guards = guards
        self._replaces = replacement is not None
        self._echo_stream = EchoStream(replacement or b"")
        self.holds_last = holds_last
        self._last = b""

    @property
    def masks(self) -> tuple[Mask, ...]:
        """What was masked so far."""
        return self._redactor.masks if self._redactor is not None else ()

    def __call__(self, piece: bytes) -> list[bytes]:
        """What may go on to the agent now; raises Withheld where nothing more may.

        Where `cut` is set afterwards, what is given still goes on, and nothing after it.
        """
        self.moved_ns = time.monotonic_ns()
        if self.ended:
            return []
        guards = self._guards()
        masked = self._masked(piece)
        cleaned = self._echo_stream.feed(masked, guards) if masked else Cleaned(b"", 0, complete=True)
        self._check(cleaned)
        data = cleaned.data
        if not piece:
            rest = self._echo_stream.end(guards)
            self._check(rest)
            data += rest.data
        self.ended = not piece
        self._keep(piece, data, guards)
        leaving = self._last + data
        held = 1 if self.holds_last and piece and leaving else 0
        leaving, self._last = leaving[: len(leaving) - held], leaving[len(leaving) - held :]
        return [leaving] if leaving else []  # never b"": it would end a chunked body

    def _masked(self, piece: bytes) -> bytes:
        if self._redactor is None:
            return piece
        masked = b"".join(self._redactor.feed(piece) if piece else self._redactor.end())
        self.cut = self.cut or self._redactor.failed
        return masked

    def _keep(self, piece: bytes, cleaned: bytes, guards: Sequence[EchoGuard]) -> None:
        """A copy for the record: what the agent gets, or that with more masked."""
        if self._record_redactor is None:
            self.copy.add(cleaned)
            return
        if self.copy.truncated:
            return
        redactor, masked = self._record_redactor, b""
        with suppress(Withheld):  # `failed` has it
            masked = b"".join(redactor.feed(piece) if piece else redactor.end())
        found = self._record_echoes.feed(masked, guards) if masked else Cleaned(b"", 0, complete=True)
        rest = found if piece else self._record_echoes.end(guards)
        if not (found.complete and rest.complete):  # the agent's side ends the stream for it
            return
        self.copy.add(found.data if piece else found.data + rest.data)
        if redactor.failed is not None:  # the agent may see it, the record may not
            self.copy.close()

    def _check(self, cleaned: Cleaned) -> None:
        self.echoes += cleaned.hits
        if not cleaned.complete or (cleaned.hits and not self._replaces):
            raise Withheld(
                "the answer carries the target's own credential",
                cause="echo",
                hint="tell the operator: the target echoes secrets",
            )


def may_stream(request: http.Request, answer: http.Response) -> bool:
    """Whether the answer can go on piece by piece, if masks let it; any other is read whole, and cleared then."""
    if request.data.method == b"HEAD" or request.http_version == "HTTP/1.0":
        return False
    if not 200 <= answer.status_code <= 599 or answer.status_code in _WITHOUT_BODY:
        return False
    codings = [each.strip().lower() for each in answer.headers.get_all("content-encoding")]
    transfer = [each.strip().lower() for each in answer.headers.get_all("transfer-encoding")]
    if codings not in ([], ["identity"]) or transfer not in ([], ["chunked"]):
        return False
    length = stated_length(answer)
    return length is None or length > _BUFFERED


def stated_length(answer: http.Response) -> int | None:
    """The Content-Length, if the answer has one; the layers have refused malformed ones."""
    length = answer.headers.get("content-length")
    return int(length) if length is not None and length.isascii() and length.isdigit() else None
