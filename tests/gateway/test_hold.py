import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from mitmproxy import http

from doorward.core.entry import Role
from doorward.model import HoldState, Principal
from tests.parts.flows import client, flow_for, lead, problem, tunnelled
from tests.parts.gateway import Gateway
from tests.parts.policies import policy_for
from tests.parts.raw_target import RawTarget

OWNER = Principal("corp", "bob", ("corp:owners",))


async def decide(
    gateway: Gateway, verdict: Literal["approve", "deny"] = "approve", person: Principal = OWNER, reason: str = "fine"
) -> None:
    """Answer the one hold that is open."""
    console = await gateway.ledger.client(Role.CONSOLE)
    for _ in range(100):
        if found := await console.holds(HoldState.OPEN):
            await console.decide_hold(
                found[0].id, person=person, verdict=verdict, reason=reason, digest=found[0].digest
            )
            return
        await asyncio.sleep(0.01)
    raise AssertionError("no hold is open")


async def held(gateway: Gateway, flow: http.HTTPFlow, *then: Any) -> http.Request | None:
    """Lead a flow while others act."""
    leading = asyncio.ensure_future(lead(gateway, flow))
    await asyncio.gather(leading, *then)
    return leading.result()[0]


async def test_nobody_decides_in_time(gateway: Gateway) -> None:
    flow = flow_for(await tunnelled(gateway), "DELETE")
    assert await held(gateway, flow) is None
    refusal = problem(flow)
    assert (refusal["status"], refusal["cause"], refusal["executed"]) == (503, "held", "no")
    assert flow.response is not None
    assert flow.response.headers["Retry-After"]
    assert flow.response.headers["Doorward-Hold"] == refusal["hold"]
    assert "repeat the same request" in refusal["next"]
    (opened,) = gateway.entries("hold.opened")
    assert opened.fields["hold"] == refusal["hold"]
    await gateway.entry("request.refused", cause="held")


async def test_a_yes_lets_just_this_request_pass_once(gateway: Gateway) -> None:
    of = await tunnelled(gateway)
    flow = flow_for(of, "DELETE", "/v1/customers/1")
    assert await held(gateway, flow, decide(gateway)) is not None
    kinds = [kind for kind in gateway.ledger.kinds() if not kind.startswith("record")]
    assert kinds == ["hold.opened", "hold.approved", "hold.used", "request.intent", "request.outcome"]
    (intent,) = gateway.entries("request.intent")
    (used,) = gateway.entries("hold.used")
    assert intent.fields["hold"] == used.fields["hold"]
    assert intent.fields["digest"] == used.fields["digest"]
    again = flow_for(of, "DELETE", "/v1/customers/1")
    assert await held(gateway, again) is None
    assert (problem(again)["status"], problem(again)["cause"]) == (409, "hold-used")
    assert gateway.chain.exchanges.of(flow).id in problem(again)["detail"]
    other = flow_for(of, "DELETE", "/v1/customers/2")
    assert await held(gateway, other) is None
    assert problem(other)["cause"] == "held"


async def test_a_no_is_told_with_its_reason(gateway: Gateway) -> None:
    flow = flow_for(await tunnelled(gateway), "DELETE")
    assert await held(gateway, flow, decide(gateway, "deny", reason="not on a Friday")) is None
    refusal = problem(flow)
    assert (refusal["status"], refusal["cause"]) == (403, "hold-denied")
    assert refusal["detail"] == "corp:bob denied it: not on a Friday"


async def test_the_same_request_joins_and_goes_on_after_the_yes(gateway: Gateway) -> None:
    of = await tunnelled(gateway)
    first = flow_for(of, "DELETE")
    await held(gateway, first)
    second = flow_for(of, "DELETE")
    assert await held(gateway, second, decide(gateway)) is not None
    assert len(gateway.entries("hold.opened")) == 1


async def test_two_at_once_use_one_yes_once(gateway: Gateway) -> None:
    of = await tunnelled(gateway)
    flows = [flow_for(of, "DELETE") for _ in range(4)]
    sent = await asyncio.gather(*(lead(gateway, flow) for flow in flows), decide(gateway))
    assert sum(each is not None and each[0] is not None for each in sent) == 1
    assert len(gateway.entries("request.intent")) == 1


async def test_an_agent_that_left_is_waited_for_no_longer(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    of = await tunnelled(gateway)
    flow = flow_for(of, "DELETE")
    hold = gateway.chain.addons[5]
    monkeypatch.setattr(hold, "_wait_s", 30)
    of.timestamp_end = 1.0
    of.state = of.state.__class__.CLOSED
    assert await held(gateway, flow) is None
    assert problem(flow)["cause"] == "agent-left"


def changed(gateway: Gateway, target: RawTarget, **parts: Any) -> None:
    gateway.policy = gateway.read_policy(policy_for(target, **parts))


DELETE: dict[str, Any] = {
    "name": "delete",
    "match": {"target": "billing", "methods": ["DELETE"]},
    "approvers": {"groups": ["corp:owners"], "count": 1},
    "expires": "15m",
}
CHANGES: dict[str, tuple[str, dict[str, Any]]] = {
    "a deny": ("policy", {"denies": [{"name": "no", "match": {"target": "billing", "methods": ["DELETE"]}}]}),
    "no role": (
        "policy",
        {
            "bindings": [
                {"role": "reader", "target": "billing", "groups": ["corp:agents"]},
                {"role": "writer", "target": "billing", "groups": ["corp:others"]},
            ]
        },
    ),
    "other approvers": ("hold-changed", {"holds": [DELETE | {"approvers": {"groups": ["corp:board"], "count": 1}}]}),
    "more approvers": ("hold-changed", {"holds": [DELETE | {"approvers": {"groups": ["corp:owners"], "count": 2}}]}),
    "one more hold": ("hold-changed", {"holds": [DELETE, DELETE | {"name": "second"}]}),
    "another mask": (
        "hold-changed",
        {"masks": [{"name": "m", "match": {"target": "billing"}, "fields": ["$..name"]}]},
    ),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_policy_that_changed_meanwhile_wins(gateway: Gateway, target: RawTarget, change: str) -> None:
    cause, parts = CHANGES[change]
    flow = flow_for(await tunnelled(gateway), "DELETE")

    async def act() -> None:
        while not gateway.entries("hold.opened"):
            await asyncio.sleep(0.01)
        changed(gateway, target, **parts)
        await decide(gateway)

    assert await held(gateway, flow, act()) is None
    assert problem(flow)["cause"] == cause
    assert gateway.entries("hold.used") == []


async def test_a_policy_that_asks_no_more_lets_it_pass(gateway: Gateway, target: RawTarget) -> None:
    flow = flow_for(await tunnelled(gateway), "DELETE")

    async def act() -> None:
        while not gateway.entries("hold.opened"):
            await asyncio.sleep(0.01)
        policy = policy_for(target)
        del policy["holds"]
        gateway.policy = gateway.read_policy(policy)
        await decide(gateway)

    assert await held(gateway, flow, act()) is not None


async def test_a_target_that_changed_meanwhile_is_another(gateway: Gateway) -> None:
    flow = flow_for(await tunnelled(gateway), "DELETE")

    async def act() -> None:
        while not gateway.entries("hold.opened"):
            await asyncio.sleep(0.01)
        policy = policy_for(RawTarget())  # at another address
        gateway.policy = gateway.read_policy(policy)
        await decide(gateway)

    assert await held(gateway, flow, act()) is None
    assert problem(flow)["cause"] == "target-changed"


@pytest.mark.parametrize("tunnel", [True, False])
async def test_a_token_that_expired_meanwhile_ends_it(
    gateway: Gateway, tunnel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if tunnel:
        flow = flow_for(await tunnelled(gateway), "DELETE")
    else:
        token = ("Proxy-Authorization", f"Bearer {gateway.provider.token()}")
        flow = flow_for(
            client(),
            "DELETE",
            headers=[("Host", "billing.internal"), token],
            host="billing.internal",
            port=80,
            scheme="http",
        )
    later = datetime.now(UTC) + timedelta(hours=2)
    monkeypatch.setattr(gateway.chain.addons[5], "_now", lambda: later)
    assert await held(gateway, flow, decide(gateway)) is None
    assert (problem(flow)["status"], problem(flow)["cause"]) == (407, "token-expired")


async def test_open_holds_are_limited(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    of = await tunnelled(gateway)
    hold = gateway.chain.addons[5]
    monkeypatch.setattr(hold, "_open_per_principal", 2)
    monkeypatch.setattr(hold, "_wait_s", 0)
    statuses = []
    for number in range(3):
        flow = flow_for(of, "DELETE", f"/v1/customers/{number}")
        await lead(gateway, flow)
        statuses.append(problem(flow)["status"])
    assert statuses == [503, 503, 429]
