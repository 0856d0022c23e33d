"""Adds the credential on the wire; last in the chain, and refuses whatever was not decided and recorded.

Last although the story tells it before the masks: one list serves both directions, so no
addon behind it can see the secret, and the intent is written before bytes leave. The secret
never enters the flow: `wire` hands a copy of the head to the layer that writes it.
"""

from collections.abc import Mapping
from typing import Protocol
from weakref import WeakKeyDictionary

from mitmproxy import http

from doorward.errors import Unavailable, Withheld
from doorward.gateway.exchange import Exchange, Exchanges
from doorward.gateway.guard import answer_step, request_step
from doorward.gateway.refuse import refuse
from doorward.model import Hold, HoldState, Verdict


class WireHeader(Protocol):
    """The one side of a credential that gives it away; only this module calls it."""

    def wire_header(self, generation: str) -> tuple[str, str]:
        """Name and value; raises Unavailable where the secret is another by now."""


class Inject:
    """Arms decided and recorded requests; lets only cleared and recorded answers go."""

    def __init__(self, exchanges: Exchanges, credentials: Mapping[str, WireHeader]) -> None:
        self.exchanges = exchanges
        self._credentials = credentials
        self._armed: WeakKeyDictionary[http.HTTPFlow, tuple[tuple[str, str], ...]] = WeakKeyDictionary()

    @request_step()
    def request(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """The last look: allowed or approved, and recorded. Anything else ends here."""
        decision, target = exchange.decision, exchange.target
        decided = decision is not None and (
            decision.verdict is Verdict.ALLOW or (decision.verdict is Verdict.HOLD and _is_approved(exchange.hold))
        )
        if flow.response is not None or not decided or exchange.intent is None or target is None:
            raise Unavailable(
                "no decision stands for this request", cause="undecided", hint="tell the operator the request's id"
            )
        if target.credential is None:
            self._armed[flow] = ()
            return
        if exchange.generation is None:
            raise Unavailable("the credential is unknown", cause="credential-unknown", hint="tell the operator")
        self._armed[flow] = (self._credentials[target.credential].wire_header(exchange.generation),)

    @answer_step()
    def responseheaders(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """The last look at a head behind which the body streams: it does so only through what `redact` made for it."""
        streams = flow.response is not None and flow.response.stream
        if streams is not (exchange.stream or False) or (streams and (exchange.refusal or exchange.intent is None)):
            raise Withheld("the answer was not cleared", cause="uncleared", hint="tell the operator the request's id")

    @answer_step()
    def response(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """The last look on the way back: our own refusal, or an answer that was cleared and recorded."""
        if exchange.refusal is None and not (exchange.cleared and exchange.recorded):
            raise Withheld("the answer was not cleared", cause="uncleared", hint="tell the operator the request's id")
        if exchange.refusal is not None:  # anew: it may have come while the target's answer was on its way
            refuse(flow, exchange, exchange.refusal)

    def wire(self, flow: http.HTTPFlow) -> http.Request:
        """The head for the wire; raises KeyError for a flow that was not armed. Once only."""
        added = self._armed.pop(flow)
        self.exchanges.of(flow).sent = True
        request = flow.request
        fields = (*request.headers.fields, *((name.encode(), value.encode("latin-1")) for name, value in added))
        return http.Request(
            host=request.data.host,
            port=request.data.port,
            method=request.data.method,
            scheme=request.data.scheme,
            authority=request.data.authority,
            path=request.data.path,
            http_version=request.data.http_version,
            headers=http.Headers(fields),
            content=None,
            trailers=None,
            timestamp_start=request.timestamp_start,
            timestamp_end=request.timestamp_end,
        )


def _is_approved(hold: Hold | None) -> bool:
    return hold is not None and hold.state is HoldState.APPROVED
