"""Masks in both directions, and stops echoes of the credential.

On the way in it makes the masked form of the request that hold and record may keep (the
target always gets the real one). On the way back it decodes, masks and checks the answer;
what cannot be cleared is withheld. Nothing reaches the agent that it did not mark cleared.
Where no mask touches the body, or where it is masked event by event, it clears the head alone, and the
body is cleared as it comes. A large body is cleared in steps, so that others are served meanwhile.
"""

import asyncio
import time
from collections.abc import Awaitable, Mapping, Sequence
from typing import Final, Protocol

import msgspec
from mitmproxy import http
from mitmproxy.net.http import status_codes

from doorward.core.clearing import (
    NOT_RECORDED,
    MaskSet,
    clear_body,
    clear_in_steps,
    compile_masks,
    record_body,
    record_headers,
    record_query,
)
from doorward.core.plain_http import answer_headers
from doorward.core.policy import MaskRule
from doorward.core.redaction.content import decode_content, media_type
from doorward.core.redaction.echo import EchoGuard
from doorward.core.redaction.echo_stream import EchoStream
from doorward.core.redaction.framing import StreamRedactor
from doorward.core.redaction.masks import Replacer
from doorward.core.redaction.names import mask_headers
from doorward.core.redaction.steps import Steps
from doorward.core.redaction.stream import framer_for
from doorward.core.redaction.walk import Redacted
from doorward.errors import TooLarge, Unclear, Withheld
from doorward.gateway.exchange import Exchange, Exchanges
from doorward.gateway.guard import answer_step, request_step
from doorward.gateway.stream import AnswerStream, may_stream, stated_length
from doorward.model import Target

_ECHO = b"doorward-echo-removed"
_MOST_COMPILED = 64  # sets of masks kept; a policy has few, and a reload starts anew
_WITHOUT_BODY = (204, 304)  # what a target sends behind such a head would be read as its next answer
_LARGE: Final = 256 << 10  # bytes of a body that is cleared in steps
_STEP_S: Final = 0.005  # of work, before others have their turn
_FRAMING = ("content-length", "content-encoding", "transfer-encoding")


class Echoes(Protocol):
    """The narrow side of a credential: it can find itself, and show nothing."""

    def echo_guard(self) -> EchoGuard:
        """A guard for the current and the last secret."""


class Redact:
    """Sets what the record may hold, and `cleared` once the answer may leave."""

    def __init__(
        self,
        exchanges: Exchanges,
        replacer: Replacer,
        echoes: Mapping[str, Echoes],
        *,
        answer_limit: int,
        event_limit: int,
        recorded: int,
    ) -> None:
        self.exchanges = exchanges
        self._replacer = replacer
        self._echoes = echoes
        self._answer_limit = answer_limit
        self._event_limit = event_limit  # bytes of one event of a stream that is masked
        self._recorded = recorded  # bytes of a body that the record keeps at most
        self._compiled: dict[Sequence[MaskRule], MaskSet] = {}

    @request_step()
    def request(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """The masked request, for the reviewer's page and for the record."""
        action, target = exchange.action, exchange.target
        if action is None or target is None or exchange.decision is None:
            raise Unclear("the request was not decided", cause="undecided", hint="repeat the request")
        masks = self._masks(exchange)
        query = record_query(masks, action.raw_query, [key for key, _ in action.query], self._replacer)
        head = {
            "method": action.verb,
            "url": action.target_url + action.raw_path + (f"?{query}" if query else ""),
            "headers": record_headers(masks, action.headers, self._replacer),
        }
        if target.credential is not None:
            exchange.echo_guard = self._echoes[target.credential].echo_guard()
        exchange.recorded_query = query
        exchange.recorded_head = msgspec.json.encode(head)
        if target.record_bodies:
            content_type = flow.request.headers.get("content-type")
            body = record_body(masks, exchange.body, content_type, self._replacer)
            exchange.recorded_body = body[: self._recorded]
            exchange.request_truncated = len(body) > self._recorded

    @answer_step()
    def responseheaders(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Note that the target answered; where no mask touches the body, clear the head, and let the body follow."""
        if exchange.refusal is None and exchange.sent:
            exchange.answered = True
        answer, target = flow.response, exchange.target
        if answer is None:
            return
        answer.stream = False
        if exchange.refusal is not None or exchange.intent is None or target is None:
            return
        if may_stream(flow.request, answer):
            masks = self._masks(exchange)
            content_type = answer.headers.get("content-type")
            redactor = None
            if masks.answer is not None:
                redactor = framer_for(content_type, masks.answer, self._replacer, self._event_limit)
            if masks.answer is None or (redactor is not None and answer.status_code != 206):
                stream = self._stream_of(answer, exchange, target, masks, redactor)
                flow.response = self._streamed(flow.request, answer, exchange, stream, target, masks)
                exchange.stream = stream

    @answer_step(deadline_s=60)
    def response(self, flow: http.HTTPFlow, exchange: Exchange) -> Awaitable[None] | None:
        """Clear the target's answer, or withhold it. Our own refusals need no clearing."""
        if exchange.refusal is not None:
            return None
        answer, target = flow.response, exchange.target
        if answer is None or target is None or exchange.intent is None:
            raise Withheld("there is no answer that could be cleared", cause="uncleared")
        if exchange.stream is not None:
            if not exchange.stream.ended:
                exchange.stream(b"")  # no piece ever came: the head ended the answer
            exchange.cleared = True
            return None
        masks = self._masks(exchange)
        _check_status(answer.status_code, partial_allowed=masks.answer is None)
        decoded = _decoded(answer, self._answer_limit)
        if len(decoded) > _LARGE:
            return self._clear_large(flow.request, answer, exchange, target, decoded)
        content_type = answer.headers.get("content-type")
        cleared = clear_body(masks, decoded, content_type, self._replacer)
        body = cleared.body
        for guard in self._guards(target, exchange.echo_guard):
            body = _clean_body(guard, exchange, body)
        self._release(flow.request, answer, exchange, target, cleared, body)
        return None

    async def _clear_large(
        self, request: http.Request, answer: http.Response, exchange: Exchange, target: Target, decoded: bytes
    ) -> None:
        """As for a small one, with turns for others in between."""
        masks, content_type = self._masks(exchange), answer.headers.get("content-type")
        cleared = await _in_turns(clear_in_steps(masks.answer, decoded, content_type, self._replacer))
        body = await _in_turns(_cleaned_in_steps(cleared.pieces, self._guards(target, exchange.echo_guard), exchange))
        same = not masks.record_hides_more
        redacted = Redacted(body if same else decoded, cleared.masks)
        self._release(request, answer, exchange, target, redacted, body)

    def _release(
        self,
        request: http.Request,
        answer: http.Response,
        exchange: Exchange,
        target: Target,
        cleared: Redacted,
        body: bytes,
    ) -> None:
        """Put what may leave in the place of the answer; `body` is `cleared` without echoes."""
        masks, content_type = self._masks(exchange), answer.headers.get("content-type")
        headers = self._headers(answer, target, masks)
        for guard in self._guards(target, exchange.echo_guard):
            headers = _clean_headers(guard, exchange, headers)
        exchange.masked = cleared.masks
        exchange.answer_head = self._recorded_answer_head(answer, masks, headers)
        if target.record_bodies:
            # What was masked for the agent is masked for the record, unless an echo was cut out of it since.
            same = not masks.record_hides_more and body is cleared.body
            exchange.answer_body = body if same else record_body(masks, body, content_type, self._replacer)
        length: str | None = str(len(body))
        if request.data.method == b"HEAD":
            # That of the original would tell how long the masked values are.
            stated = {name.lower(): value for name, value in headers}.get("content-length")
            length = stated if masks.answer is None else None
        _replace(answer, headers, body, length=length, request_id=exchange.id)
        exchange.cleared = True

    def _masks(self, exchange: Exchange) -> MaskSet:
        rules = tuple(exchange.masks)
        masks = self._compiled.get(rules)
        if masks is None:
            if len(self._compiled) >= _MOST_COMPILED:
                self._compiled.clear()
            masks = self._compiled[rules] = compile_masks(rules)
        return masks

    def _stream_of(
        self,
        answer: http.Response,
        exchange: Exchange,
        target: Target,
        masks: MaskSet,
        redactor: StreamRedactor | None,
    ) -> AnswerStream:
        """What clears the body of this answer as it comes."""
        content_type = answer.headers.get("content-type")
        is_text = media_type(content_type).is_text
        keeps_length = redactor is None and (target.credential is None or not is_text)

        def record(body: bytes, whole: bool) -> bytes:
            if whole:
                return record_body(masks, body, content_type, self._replacer)
            return NOT_RECORDED if body else b""  # a part of a document cannot be masked

        sent = exchange.echo_guard  # alone: one that refers to the exchange would keep it, with its bodies
        record_redactor = None
        if masks.record is not None and masks.record_hides_more:
            record_redactor = framer_for(content_type, masks.record, self._replacer, self._event_limit)
        return AnswerStream(
            answer.status_code,
            guards=lambda: self._guards(target, sent),
            replacement=_ECHO if is_text else None,
            holds_last=keeps_length and stated_length(answer) is not None,
            keep=self._recorded if target.record_bodies else 0,
            redactor=redactor,
            record_redactor=record_redactor,
            record_whole=record if masks.record_hides_more and record_redactor is None else None,
        )

    def _streamed(
        self,
        request: http.Request,
        answer: http.Response,
        exchange: Exchange,
        stream: AnswerStream,
        target: Target,
        masks: MaskSet,
    ) -> http.Response:
        """The cleared head, as an answer of its own: the layer towards the target still needs the original."""
        headers = self._headers(answer, target, masks)
        for guard in self._guards(target, exchange.echo_guard):
            headers = _clean_headers(guard, exchange, headers)
        exchange.answer_head = self._recorded_answer_head(answer, masks, headers)
        length = stated_length(answer) if stream.holds_last else None
        head = http.Response.make(answer.status_code)
        _replace(head, headers, b"", length=str(length) if length is not None else None, request_id=exchange.id)
        if length is None and request.is_http11:
            head.headers["Transfer-Encoding"] = "chunked"
        head.raw_content = None
        head.stream = stream
        return head

    def _headers(self, answer: http.Response, target: Target, masks: MaskSet) -> list[tuple[str, str]]:
        raw = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers.fields]
        headers = answer_headers(raw, target, masked=masks.answer is not None)
        return mask_headers(headers, masks.answer_headers, self._replacer)

    def _recorded_answer_head(self, answer: http.Response, masks: MaskSet, headers: Sequence[tuple[str, str]]) -> bytes:
        head = {"status": answer.status_code, "headers": record_headers(masks, headers, self._replacer)}
        return msgspec.json.encode(head)

    def _guards(self, target: Target, sent: EchoGuard | None) -> Sequence[EchoGuard]:
        """For the secret that went out, and for that of now."""
        if target.credential is None:
            return ()
        now = self._echoes[target.credential].echo_guard()
        return (now,) if sent is None or sent is now else (now, sent)


def _clean_body(guard: EchoGuard, exchange: Exchange, body: bytes) -> bytes:
    """Take the target's secret out of text; raises Withheld where it cannot be taken out."""
    cleaned = guard.clean(body, _ECHO)
    exchange.echoes += cleaned.hits
    if not cleaned.complete:
        raise _echo()
    return cleaned.data


async def _in_turns[T](steps: Steps[T]) -> T:
    """Do all steps, with turns for everybody else in between."""
    until = time.perf_counter() + _STEP_S
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: T = done.value
            return result
        if time.perf_counter() >= until:
            await asyncio.sleep(0)
            until = time.perf_counter() + _STEP_S


def _cleaned_in_steps(pieces: Sequence[bytes], guards: Sequence[EchoGuard], exchange: Exchange) -> Steps[bytes]:
    """What `_clean_body` makes of the whole, in steps: a cut goes through no secret."""
    if not guards:
        return b"".join(pieces)
    echoes, clean = EchoStream(_ECHO), bytearray()
    for piece in pieces:
        for at in range(0, len(piece), _LARGE):
            cleaned = echoes.feed(piece[at : at + _LARGE], guards)
            exchange.echoes += cleaned.hits
            if not cleaned.complete:
                raise _echo()
            clean += cleaned.data
            yield
    cleaned = echoes.end(guards)
    exchange.echoes += cleaned.hits
    if not cleaned.complete:
        raise _echo()
    clean += cleaned.data
    return bytes(clean)


def _clean_headers(guard: EchoGuard, exchange: Exchange, headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    # One look at all of them first: a secret in one of them stands in the whole as well.
    # Between two texts a byte that no header has, so that none goes on in the next.
    if not guard.found("\1".join(text for header in headers for text in header).encode("latin-1")):
        return list(headers)
    clean_headers = []
    for name, value in headers:
        clean = guard.clean(value.encode("latin-1"), _ECHO)
        exchange.echoes += clean.hits
        if not clean.complete or guard.found(name.encode("latin-1")):
            raise _echo()
        clean_headers.append((name, clean.data.decode("latin-1")))
    return clean_headers


def _echo() -> Withheld:
    return Withheld(
        "the answer carries the target's own credential",
        cause="echo",
        hint="tell the operator: the target echoes secrets",
    )


def _check_status(status: int, *, partial_allowed: bool) -> None:
    if not 200 <= status <= 599:
        raise Withheld(f"the target answered with status {status}", cause="status", hint="tell the target's owner")
    if status == 206 and not partial_allowed:
        raise Withheld("a part of an answer cannot be masked", cause="partial-answer", hint="ask for the whole")


def _decoded(answer: http.Response, limit: int) -> bytes:
    if [each.strip().lower() for each in answer.headers.get_all("transfer-encoding")] not in ([], ["chunked"]):
        raise Withheld("the answer has a transfer coding that is not read", cause="transfer-encoding")
    raw = answer.raw_content or b""
    codings = ", ".join(answer.headers.get_all("content-encoding"))
    try:
        return decode_content(raw, codings or None, limit) if raw else raw
    except TooLarge:
        raise Withheld(
            "the decoded answer is over limits.response_body",
            cause="response-too-large",
            hint="ask for less, page by page",
        ) from None


def _replace(
    answer: http.Response, headers: list[tuple[str, str]], body: bytes, *, length: str | None, request_id: str
) -> None:
    kept = [(name, value) for name, value in headers if name.lower() not in _FRAMING]
    if answer.status_code in _WITHOUT_BODY:
        body, length = b"", None
    if length is not None:
        kept.append(("Content-Length", length))
    kept.append(("Doorward-Request", request_id))
    answer.headers = http.Headers([(name.encode("latin-1"), value.encode("latin-1")) for name, value in kept])
    answer.reason = status_codes.RESPONSES.get(answer.status_code, "")  # the target's own is free text, and unmasked
    answer.raw_content = body
    answer.trailers = None
