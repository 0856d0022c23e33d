"""Asks the policy, and computes the digest that an approval binds to."""

from collections.abc import Mapping
from typing import Protocol

from mitmproxy import http

from doorward.core.digest import action_digest
from doorward.core.policy import Policy, decide
from doorward.errors import DoorwardError, Refused, Unclear
from doorward.gateway.exchange import Exchange, Exchanges
from doorward.gateway.guard import request_step
from doorward.gateway.refuse import denied
from doorward.model import Verdict


class Generations(Protocol):
    """What may be known of a credential without seeing it."""

    def generation(self) -> str:
        """A name for the secret of now; changes when the secret does. Raises Unavailable."""


def reason_to_end(exchange: Exchange, policy: Policy) -> DoorwardError | None:
    """Why an exchange that goes on must end under a policy that is new; None where it would begin just so."""
    action, before = exchange.action, exchange.decision
    if action is None or before is None or policy.targets.get(action.target) != exchange.target:
        return _changed("the target changed while the answer streamed")
    decision = decide(policy, action.principal, action, exchange.body)
    if decision.verdict is Verdict.DENY:
        return denied(decision)
    if policy.mask_rules(decision.masks) != exchange.masks:
        return _changed("the policy changed while the answer streamed, and masks something else now")
    if decision.asks not in ((), before.asks):
        return _changed("the policy changed while the answer streamed, and asks for people now")
    return None


def _changed(message: str) -> Refused:
    return Refused(message, cause="policy-changed", hint="repeat the request to go on by the new policy")


class Authorize:
    """Sets `decision`, `masks`, `generation` and `digest` of the exchange."""

    def __init__(self, exchanges: Exchanges, key: bytes, credentials: Mapping[str, Generations]) -> None:
        self.exchanges = exchanges
        self._key = key
        self._credentials = credentials

    @request_step()
    def request(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Refuse what the policy denies; a hold waits for the next step."""
        action, policy, target = exchange.action, exchange.policy, exchange.target
        if action is None or policy is None or target is None:
            raise Unclear("the request was not read", cause="unread", hint="repeat the request")
        decision = decide(policy, action.principal, action, exchange.body)
        exchange.decision = decision
        exchange.masks = policy.mask_rules(decision.masks)
        if target.credential is not None:
            exchange.generation = self._credentials[target.credential].generation()
        exchange.digest = action_digest(self._key, action, credential=target.credential, generation=exchange.generation)
        if decision.verdict is Verdict.DENY:
            exchange.refused_rules = decision.rules
            raise denied(decision)
