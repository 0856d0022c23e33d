"""Masks in both directions, and stops echoes of the credential.

On the way in it makes the masked form of the request that hold and record may keep (the
target always gets the real one). On the way back it decodes, masks and checks the answer;
what cannot be cleared is withheld. Nothing reaches the agent that it did not mark cleared.
Where no mask touches the body it clears the head alone, and the body is cleared as it comes.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec
from mitmproxy import http
from mitmproxy.net.http import status_codes

from doorward.core.clearing import (
    NOT_RECORDED,
    MaskSet,
    clear_body,
    compile_masks,
    record_body,
    record_headers,
    record_query,
)
from doorward.core.plain_http import answer_headers
from doorward.core.policy import MaskRule
from doorward.core.redaction.content import decode_content, media_type
from doorward.core.redaction.echo import EchoGuard
from doorward.core.redaction.masks import Replacer
from doorward.core.redaction.names import mask_headers
from doorward.errors import TooLarge, Unclear, Withheld
from doorward.gateway.exchange import Exchange, Exchanges
from doorward.gateway.guard import answer_step, request_step
from doorward.gateway.stream import AnswerStream, may_stream, stated_length
from doorward.model import Target

_ECHO = b"doorward-echo-removed"
_MOST_COMPILED = 64  # sets of masks kept; a policy has few, and a reload starts anew
_WITHOUT_BODY = (204, 304)  # what a target sends behind such a head would be read as its next answer
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
        recorded: int,
    ) -> None:
        self.exchanges = exchanges
        self._replacer = replacer
        self._echoes = echoes
        self._answer_limit = answer_limit
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
        masks = self._masks(exchange)
        if may_stream(flow.request, answer, masks):
            flow.response = self._streamed(flow.request, answer, exchange, target, masks)

    @answer_step()
    def response(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Clear the target's answer, or withhold it. Our own refusals need no clearing."""
        if exchange.refusal is not None:
            return
        answer, target = flow.response, exchange.target
        if answer is None or target is None or exchange.intent is None:
            raise Withheld("there is no answer that could be cleared", cause="uncleared")
        if exchange.stream is not None:
            if not exchange.stream.ended:
                exchange.stream(b"")  # no piece ever came: the head ended the answer
            exchange.cleared = True
            return
        masks = self._masks(exchange)
        _check_status(answer.status_code, partial_allowed=masks.answer is None)
        decoded = _decoded(answer, self._answer_limit)
        content_type = answer.headers.get("content-type")
        cleared = clear_body(masks, decoded, content_type, self._replacer)
        headers, body = self._headers(answer, target, masks), cleared.body
        for guard in self._guards(exchange):
            headers = _clean_headers(guard, exchange, headers)
            body = _clean_body(guard, exchange, body)
        exchange.masked = cleared.masks
        exchange.answer_head = self._recorded_answer_head(answer, masks, headers)
        if target.record_bodies:
            # What was masked for the agent is masked for the record, unless an echo was cut out of it since.
            same = not masks.record_hides_more and body is cleared.body
            exchange.answer_body = body if same else record_body(masks, body, content_type, self._replacer)
        length: str | None = str(len(body))
        if flow.request.data.method == b"HEAD":
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

    def _streamed(
        self, request: http.Request, answer: http.Response, exchange: Exchange, target: Target, masks: MaskSet
    ) -> http.Response:
        """The cleared head, as an answer of its own: the layer towards the target still needs the original."""
        headers = self._headers(answer, target, masks)
        for guard in self._guards(exchange):
            headers = _clean_headers(guard, exchange, headers)
        exchange.answer_head = self._recorded_answer_head(answer, masks, headers)
        content_type = answer.headers.get("content-type")
        is_text = media_type(content_type).is_text
        length = stated_length(answer) if target.credential is None or not is_text else None

        def record(body: bytes, whole: bool) -> bytes:
            if whole:
                return record_body(masks, body, content_type, self._replacer)
            return NOT_RECORDED if body else b""  # a part of a document cannot be masked

        exchange.stream = AnswerStream(
            answer.status_code,
            guards=lambda: self._guards(exchange),
            replacement=_ECHO if is_text else None,
            holds_last=length is not None,
            keep=self._recorded if target.record_bodies else 0,
            record_whole=None if masks.record is None else record,
        )
        head = http.Response.make(answer.status_code)
        _replace(head, headers, b"", length=str(length) if length is not None else None, request_id=exchange.id)
        if length is None and request.is_http11:
            head.headers["Transfer-Encoding"] = "chunked"
        head.raw_content = None
        head.stream = exchange.stream
        return head

    def _headers(self, answer: http.Response, target: Target, masks: MaskSet) -> list[tuple[str, str]]:
        raw = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers.fields]
        headers = answer_headers(raw, target, masked=masks.answer is not None)
        return mask_headers(headers, masks.answer_headers, self._replacer)

    def _recorded_answer_head(self, answer: http.Response, masks: MaskSet, headers: Sequence[tuple[str, str]]) -> bytes:
        head = {"status": answer.status_code, "headers": record_headers(masks, headers, self._replacer)}
        return msgspec.json.encode(head)

    def _guards(self, exchange: Exchange) -> Sequence[EchoGuard]:
        """For the secret that went out, and for that of now."""
        if exchange.target is None or exchange.target.credential is None:
            return ()
        now = self._echoes[exchange.target.credential].echo_guard()
        sent = exchange.echo_guard
        return (now,) if sent is None or sent is now else (now, sent)


def _clean_body(guard: EchoGuard, exchange: Exchange, body: bytes) -> bytes:
    """Take the target's secret out of text; raises Withheld where it cannot be taken out."""
    cleaned = guard.clean(body, _ECHO)
    exchange.echoes += cleaned.hits
    if not cleaned.complete:
        raise _echo()
    return cleaned.data


def _clean_headers(guard: EchoGuard, exchange: Exchange, headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    # One look at all of them first: a secret in one of them stands in the whole as well.
    if not guard.found("\n".join(text for header in headers for text in header).encode("latin-1")):
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
