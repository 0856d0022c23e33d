"""Writes ahead, and writes after: the intent before anything is dialled, the outcome before the agent sees it.

What streams is written as it goes, part by part, within a stated time: a stream that the record cannot
follow is ended.
An approved hold is used up in the intent's own transaction. Refusals are entries too; those
of one cause from one place are counted (`refusals.py`).
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

import msgspec
from mitmproxy import http

from doorward.core.holds import asks_json
from doorward.errors import DoorwardError, TargetFailed, Unavailable, Unclear, Withheld
from doorward.gateway.exchange import Exchange, Exchanges
from doorward.gateway.guard import answer_step, request_step
from doorward.gateway.refusals import Refusals, fitting_rules
from doorward.gateway.refuse import refuse
from doorward.gateway.stream import AnswerStream, Piece
from doorward.ledger.client import Appended
from doorward.model import Json, Mask, NewEntry, Verdict

_log = logging.getLogger(__name__)
_MASK_ROWS_BYTES = 8 << 10  # an entry has 16 KiB
_TELL = "tell the operator the request's id"


class EntryLedger(Protocol):
    """The part of the ledger that entries go through."""

    async def append(self, *entries: NewEntry, timeout_s: float = 5) -> Appended:
        """Durable when it returns; raises Unavailable, or Refused where a state forbids it."""


class Record:
    """Sets `intent` and `recorded` of the exchange."""

    def __init__(
        self,
        exchanges: Exchanges,
        ledger: EntryLedger,
        refusals: Refusals,
        *,
        recorded: int,
        stream_lag_s: float,
        look_again: Callable[[http.HTTPFlow], None],
    ) -> None:
        """`look_again` is called for a stream that has to end, once `cut` says why."""
        self.exchanges = exchanges
        self._ledger = ledger
        self._refusals = refusals
        self._recorded = recorded
        self._stream_lag_s = stream_lag_s
        self._look_again = look_again

    @request_step()
    async def request(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """The intent; nothing has left yet, and nothing leaves unless this returns."""
        intent = self._intent(exchange)
        decision = exchange.decision
        if decision is None or decision.verdict is Verdict.DENY or (decision.asks and exchange.hold is None):
            raise Unavailable("nobody allowed this request", cause="undecided", hint=_TELL)
        if exchange.hold is None:
            appended = await self._ledger.append(intent)
        else:
            fields: dict[str, Json] = {"hold": exchange.hold.id, "request": exchange.id, "digest": exchange.digest}
            if decision.asks:
                fields["asks"] = asks_json(decision.asks)  # the ledger compares them with the hold's
            used = NewEntry("hold.used", fields)
            appended = await self._ledger.append(used, intent)
        exchange.intent = appended.seqs[-1]

    @answer_step()
    async def response(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """The outcome, or the refusal, before the agent gets it."""
        if exchange.refusal is None and not exchange.cleared:
            refuse(flow, exchange, Withheld("the answer was not cleared", cause="uncleared", hint=_TELL))
        await self._conclude(flow, exchange)

    @answer_step()
    async def http_connect_error(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """A refused CONNECT has no `response` hook."""
        await self._conclude(flow, exchange)

    @answer_step()
    async def error(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """The connection to agent or target failed, before or after the request was sent."""
        if exchange.refusal is None:
            exchange.refusal = TargetFailed("the connection failed", cause="connection-failed")
        await self._conclude(flow, exchange)

    async def follow(self, flow: http.HTTPFlow, exchange: Exchange, stream: AnswerStream) -> None:
        """Write what streams within the time that is promised, as long as it streams."""
        if stream.record_whole is not None:
            return  # only the whole can be masked for the record
        while not _is_over(exchange, stream):
            await stream.copy.has_news.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._stream_lag_s / 2):
                    await stream.over.wait()
            async with stream.writing:
                if _is_over(exchange, stream):
                    return  # the outcome takes the rest along
                try:
                    await self._ledger.append(self._part(exchange, stream), timeout_s=self._stream_lag_s / 2)
                except DoorwardError as error:
                    _log.error("request %s: a part of its answer could not be recorded: %s", exchange.id, error.cause)
                    stream.copy.close()  # whether the record has the part is not known
                    stream.cut = Unavailable(
                        f"the record could not follow within {self._stream_lag_s:g} s",
                        cause="record-late",
                        hint="repeat the request once the ledger is back",
                    )
                    self._look_again(flow)
                    return

    async def conclude_crashed(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """A layer raised: the connection is gone, the entry must not be."""
        exchange.refusal = Unavailable("a layer of the gateway failed", cause="gateway-error")
        try:
            await self._conclude(flow, exchange)
        except DoorwardError as error:
            _log.error("request %s crashed and its outcome could not be recorded: %s", exchange.id, error.cause)

    async def _conclude(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        if exchange.recorded:
            return
        stream = exchange.stream
        if exchange.intent is None:
            await self._refusals.record(flow, exchange)
        elif stream is None or not stream.begun:
            await self._ledger.append(self._outcome(flow, exchange))
        else:
            stream.over.set()  # whoever follows it has nothing more to wait for
            stream.copy.has_news.set()
            async with stream.writing:
                await self._ledger.append(*self._end_of_stream(exchange, stream))
        exchange.recorded = True

    def _intent(self, exchange: Exchange) -> NewEntry:
        action, decision, token, target = exchange.action, exchange.decision, exchange.token, exchange.target
        if action is None or decision is None or token is None or target is None or exchange.policy is None:
            raise Unclear("the request was not decided", cause="undecided", hint="repeat the request")
        return NewEntry(
            "request.intent",
            {
                "request": exchange.id,
                "principal": action.principal.name,
                "owner": action.principal.owner,
                "session": token.session,
                "token": token.token_id,
                "label": exchange.label,
                "target": action.target,
                "verb": action.verb,
                "risk": decision.risk.name.lower(),
                "open_ended": action.open_ended,
                "digest": exchange.digest,
                "policy": exchange.policy.digest,
                "rules": fitting_rules(decision.rules),
                "hold": exchange.hold.id if exchange.hold else None,
                "credential": target.credential,
                "generation": exchange.generation,
                "client": exchange.client,
                "sent_bytes": len(exchange.body),
                "truncated": exchange.request_truncated,
            },
            _bodies(request_head=exchange.recorded_head, request_body=exchange.recorded_body),
        )

    def _outcome(self, flow: http.HTTPFlow, exchange: Exchange) -> NewEntry:
        refusal = exchange.refusal
        told = refusal.status if refusal else flow.response.status_code if flow.response else None
        is_longer = len(exchange.answer_body) > self._recorded
        fields = self._outcome_fields(exchange, told, exchange.echoes, truncated=is_longer)
        if refusal is not None:  # what the target said is not cleared, so it is not kept
            return NewEntry("request.outcome", fields)
        body = exchange.answer_body[: self._recorded]
        return NewEntry("request.outcome", fields, _bodies(response_head=exchange.answer_head, response_body=body))

    def _end_of_stream(self, exchange: Exchange, stream: AnswerStream) -> list[NewEntry]:
        """The outcome of what streamed: the agent has its head, and of its body what was cleared so far."""
        rest, _ = kept = stream.copy.take()
        entries: list[NewEntry] = []
        bodies: dict[str, bytes] = {}
        if stream.record_whole is not None:
            rest = stream.record_whole(rest, stream.ended and not stream.copy.truncated)
        if stream.parts == 0:
            bodies = _bodies(response_head=exchange.answer_head, response_body=rest)
        elif rest:
            entries.append(self._part(exchange, stream, kept))
        echoes = exchange.echoes + stream.echoes
        fields = self._outcome_fields(exchange, stream.status, echoes, truncated=stream.copy.truncated)
        if stream.parts:
            fields["parts"] = stream.parts
        return [*entries, NewEntry("request.outcome", fields, bodies)]

    def _part(
        self, exchange: Exchange, stream: AnswerStream, taken: tuple[bytes, list[Piece]] | None = None
    ) -> NewEntry:
        data, pieces = taken if taken is not None else stream.copy.take()
        stream.parts += 1
        bodies = _bodies(part=data)
        if stream.parts == 1:
            bodies["response_head"] = exchange.answer_head
        fields: dict[str, Json] = {
            "request": exchange.id,
            "part": stream.parts,
            "status": stream.status,
            "pieces": [list(piece) for piece in pieces],
        }
        return NewEntry("stream.part", fields, bodies)

    def _outcome_fields(self, exchange: Exchange, told: int | None, echoes: int, *, truncated: bool) -> dict[str, Json]:
        fields: dict[str, Json] = {
            "request": exchange.id,
            "status": told,
            "executed": exchange.executed,
            "duration_ms": (time.monotonic_ns() - exchange.started_ns) // 1_000_000,
            "masks": _mask_rows(exchange.stream.masks if exchange.stream is not None else exchange.masked),
            "echo": echoes,
            "cause": exchange.refusal.cause if exchange.refusal else None,
            "truncated": truncated,
        }
        if exchange.target is not None and not exchange.target.record_bodies:
            fields["kept"] = False
        return fields


def _is_over(exchange: Exchange, stream: AnswerStream) -> bool:
    return stream.ended or stream.over.is_set() or exchange.recorded or exchange.refusal is not None


def _bodies(**named: bytes) -> dict[str, bytes]:
    return {name: body for name, body in named.items() if body}


def _mask_rows(masks: Sequence[Mask]) -> list[Json]:
    """The masks by rule and field, most frequent first, as many as an entry has room for; the rest as one."""
    counted: Counter[tuple[str, str, str]] = Counter()
    for mask in masks:
        counted[mask.rule, mask.path, mask.replacement] += mask.count
    rows: list[Json] = []
    room, rest = _MASK_ROWS_BYTES, 0
    for (rule, path, how), count in counted.most_common():
        row: Json = {"rule": rule, "path": path, "replacement": how, "count": count}
        room -= len(msgspec.json.encode(row)) + 1
        if room < 0 or rest:
            rest += count
        else:
            rows.append(row)
    if rest:
        rows.append({"rule": "", "path": "others", "replacement": "", "count": rest})
    return rows
