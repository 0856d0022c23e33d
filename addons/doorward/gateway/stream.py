"""The body of one answer on its way to the agent, piece by piece, while the target still sends.

Only for answers whose body no mask touches. Each piece is searched for the target's secret
before it leaves, and a copy up to a bound stays for the record. `redact` makes it and clears
the head; the layers in `mitm` feed it, and send what it gives and nothing else.
"""

import time
from collections.abc import Callable, Sequence

from mitmproxy import http

from doorward.core.clearing import MaskSet
from doorward.core.redaction.echo import Cleaned, EchoGuard
from doorward.core.redaction.echo_stream import EchoStream
from doorward.errors import Withheld

_BUFFERED = 64 << 10  # bytes: an answer that states no more is read whole, and recorded before it leaves
_WITHOUT_BODY = (204, 304)


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
        record: Callable[[bytes, bool], bytes],
    ) -> None:
        """`replacement` takes a secret's place; without one a secret ends the stream.

        `holds_last`: where the agent knows the length, its last byte is the end, and comes with the
        end. `keep`: bytes for the record. `record`: see `recorded`.
        """
        self.status = status
        self.begun = False  # the head went to the agent
        self.ended = False
        self.truncated = False
        self.echoes = 0
        self.moved_ns = time.monotonic_ns()  # when a piece came last
        self._guards = guards
        self._replaces = replacement is not None
        self._echo_stream = EchoStream(replacement or b"")
        self._holds_last = holds_last
        self._last = b""
        self._keep = keep
        self._kept = bytearray()
        self._record = record

    def __call__(self, piece: bytes) -> list[bytes]:
        """What may go on to the agent now; raises Withheld where nothing more may."""
        self.moved_ns = time.monotonic_ns()
        if self.ended:
            return []
        guards = self._guards()
        cleaned = self._echo_stream.feed(piece, guards) if piece else self._echo_stream.end(guards)
        self._check(cleaned)
        self.ended = not piece
        room = self._keep - len(self._kept)
        self._kept += cleaned.data[:room]
        self.truncated = self.truncated or len(cleaned.data) > room
        leaving = self._last + cleaned.data
        held = 1 if self._holds_last and piece and leaving else 0
        leaving, self._last = leaving[: len(leaving) - held], leaving[len(leaving) - held :]
        return [leaving] if leaving else []  # never b"": it would end a chunked body

    def recorded(self) -> bytes:
        """What the record may hold of the body so far: `record` is told the copy, and whether it is the whole."""
        return self._record(bytes(self._kept), self.ended and not self.truncated)

    def _check(self, cleaned: Cleaned) -> None:
        self.echoes += cleaned.hits
        if not cleaned.complete or (cleaned.hits and not self._replaces):
            raise Withheld(
                "the answer carries the target's own credential",
                cause="echo",
                hint="tell the operator: the target echoes secrets",
            )


def may_stream(request: http.Request, answer: http.Response, masks: MaskSet) -> bool:
    """Whether the answer can go on piece by piece; any other is read whole, and cleared or withheld then."""
    if masks.answer is not None or request.data.method == b"HEAD" or request.http_version == "HTTP/1.0":
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
