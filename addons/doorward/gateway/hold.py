"""Holds what the policy wants a person to decide, as long as a connection may wait.

Afterwards identity and policy are asked again: a token that expired or a newer deny wins,
and an approval counts only while the policy would still ask for just that. The approval is
used up by `record`, together with the intent.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from mitmproxy import connection, http

from doorward.core.characters import visible
from doorward.core.policy import Policy, decide
from doorward.errors import Conflict, Refused, Unauthenticated, Unavailable, Unclear
from doorward.gateway.blocks import Blocks
from doorward.gateway.exchange import Exchange, Exchanges
from doorward.gateway.guard import DEADLINE_S, request_step
from doorward.gateway.refuse import denied
from doorward.gateway.tunnels import Tunnels
from doorward.ledger.client import HoldAnswer, HoldRequest
from doorward.model import Hold as HeldAction
from doorward.model import HoldState, Json, Verdict
from doorward.oidc.verify import TokenVerifier


class HoldLedger(Protocol):
    """The part of the ledger that holds go through."""

    async def open_hold(self, request: HoldRequest) -> HoldAnswer:
        """Open, join, or report; raises Refused or Unavailable."""

    async def wait_hold(self, hold_id: str, timeout_s: float) -> HeldAction:
        """The hold once it is open no more, or as it stands at the end of the time."""


class Hold:
    """Sets `hold` of the exchange to an approved one, or refuses."""

    def __init__(
        self,
        exchanges: Exchanges,
        tunnels: Tunnels,
        ledger: HoldLedger,
        policy: Callable[[], Policy],
        verifier: TokenVerifier,
        blocks: Blocks,
        now: Callable[[], datetime],
        *,
        wait_s: int,
        repeat_s: int,
        open_per_principal: int,
        page: str,
    ) -> None:
        self.exchanges = exchanges
        self._tunnels = tunnels
        self._ledger = ledger
        self._policy = policy
        self._verifier = verifier
        self._blocks = blocks
        self._now = now
        self._wait_s = wait_s
        self._repeat_s = repeat_s
        self._open_per_principal = open_per_principal
        self._page = page  # where a person decides
        # The guard's deadline covers the wait as well.
        self.request = request_step(deadline_s=wait_s + DEADLINE_S)(Hold._request).__get__(self)

    async def _request(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        decision, action = exchange.decision, exchange.action
        if decision is None or action is None:
            raise Unclear("the request was not decided", cause="undecided", hint="repeat the request")
        if decision.verdict is not Verdict.HOLD:
            return
        exchange.refused_rules = decision.rules  # should it not go through
        answer = await self._ledger.open_hold(self._asked(exchange))
        exchange.hold = hold = answer.hold
        if answer.outcome == "repeated":
            raise Conflict(
                f"the approval of this very request was used by request {hold.used_by}, whatever became of it",
                cause="hold-used",
                hint=f"do not repeat it; the answer to that request says whether it was executed; "
                f"if it must happen again, wait {self._repeat_s} s for a new approval",
            )
        if hold.state is HoldState.OPEN:
            hold = exchange.hold = await self._wait(hold, flow.client_conn)
            self._blocks.check(action.principal)
        if hold.state is HoldState.OPEN:
            raise self._still_open(hold)
        if hold.state is not HoldState.APPROVED:
            raise _not_approved(hold)
        self._decide_again(flow, exchange)

    async def _wait(self, hold: HeldAction, client: connection.Client) -> HeldAction:
        """Wait for the people, but no longer than the agent itself does."""
        waiting = asyncio.ensure_future(self._ledger.wait_hold(hold.id, self._wait_s))
        try:
            while not waiting.done():
                await asyncio.wait({waiting}, timeout=1)
                if not client.connected:
                    raise Refused("the agent left while the request was held", cause="agent-left")
            return waiting.result()
        finally:
            waiting.cancel()

    def _decide_again(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Identity and policy of now; the approval counts only for just what they ask for now."""
        before, action, tunnel = exchange.decision, exchange.action, self._tunnels.get(flow.client_conn)
        assert before is not None
        assert action is not None
        if tunnel is not None:
            exchange.token = self._verifier.verify(tunnel.token, self._now())
        elif exchange.token is None or exchange.token.expires_at <= self._now():
            raise Unauthenticated("the token expired during the hold", cause="token-expired", hint="bring a new one")
        policy = self._policy()
        if policy.targets.get(action.target) != exchange.target:
            raise Refused("the target changed while the request was held", cause="target-changed", hint="repeat it")
        decision = decide(policy, action.principal, action, exchange.body)
        masks = policy.mask_rules(decision.masks)
        same = decision.asks in ((), before.asks) and masks == exchange.masks  # the masked form is made already
        exchange.policy, exchange.decision = policy, decision
        if decision.verdict is Verdict.DENY:
            exchange.refused_rules = decision.rules
            raise denied(decision)
        if not same:
            raise Unavailable(
                "the policy changed while the request was held, and asks for or masks something else now",
                cause="hold-changed",
                hint="repeat the same request to go on by the new policy",
            )

    def _asked(self, exchange: Exchange) -> HoldRequest:
        action, decision, token = exchange.action, exchange.decision, exchange.token
        assert action is not None
        assert decision is not None
        assert token is not None
        summary: dict[str, Json] = {
            "verb": action.verb,
            "path": action.raw_path,
            "query": exchange.recorded_query,
            "risk": decision.risk.name.lower(),
            "rules": list(decision.rules),
            "session": token.session,
            "label": exchange.label,
            "open_ended": action.open_ended,
        }
        return HoldRequest(
            digest=exchange.digest,
            principal=action.principal.name,
            owner=action.principal.owner,
            target=action.target,
            asks=decision.asks,
            request=exchange.id,
            summary=summary,
            repeat_s=self._repeat_s,
            open_per_principal=self._open_per_principal,
            bodies={"request_head": exchange.recorded_head, "request_body": exchange.recorded_body},
        )

    def _still_open(self, hold: HeldAction) -> Unavailable:
        where = f"{self._page}/{hold.id}" if self._page else "the console"
        return Unavailable(
            f"a person has to approve this request first; it is hold {hold.id}, to be decided at {where}",
            cause="held",
            hint="repeat the same request to go on waiting; it goes through once it is approved",
        )


def _not_approved(hold: HeldAction) -> Refused:
    last = hold.approvals[-1] if hold.approvals else None
    match hold.state:
        case HoldState.DENIED if last is not None:
            reason = visible(" ".join(last.reason.split()))  # agents' tools print it on terminals
            return Refused(f"{last.person} denied it: {reason}", cause="hold-denied", hint="do not repeat it")
        case HoldState.USED:
            return Conflict(
                f"the approval was used by request {hold.used_by}", cause="hold-used", hint="do not repeat it"
            )
        case HoldState.EXPIRED:
            return Refused("nobody decided in time", cause="hold-expired", hint="repeat the request to ask again")
        case _:
            return Refused("the hold was withdrawn", cause="hold-withdrawn", hint="repeat the request to ask again")
