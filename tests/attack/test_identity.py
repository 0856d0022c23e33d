"""Tokens, tunnels, holds and approvals used for something that they are not for."""

import asyncio

import pytest

from doorward.core.entry import Role
from doorward.errors import DoorwardError
from doorward.model import NewEntry, Principal
from tests.parts.gateway import Agent, Gateway, get
from tests.parts.policies import policy_for
from tests.parts.raw_target import RawTarget

DELETE = get("/v1/a", method="DELETE")


async def approve(gateway: Gateway) -> None:
    """Bob approves the open hold, at the console's channel."""
    client = await gateway.ledger.client(Role.CONSOLE)
    (hold,) = [each for each in await client.holds() if each.state == "open"]
    bob = Principal("corp", "bob", ("corp:owners",), None)
    await client.decide_hold(hold.id, person=bob, verdict="approve", reason="asked for", digest=hold.digest)


async def held(agent: Agent, gateway: Gateway, request: bytes = DELETE) -> None:
    answer = await agent.ask(request)
    assert answer.problem["cause"] == "held", answer


async def test_an_approval_is_not_for_another_principal(gateway: Gateway, target: RawTarget) -> None:
    await held(await gateway.tunnel(), gateway)
    await approve(gateway)
    other = await gateway.tunnel(token=gateway.provider.token("agent-8"))
    await held(other, gateway)
    assert target.got == []


@pytest.mark.parametrize(
    "request_",
    [
        get("/v1/b", method="DELETE"),
        get("/v1/a?x=1", method="DELETE"),
        get("/v1/%61", method="DELETE"),
        get("/v1/a", "X-Extra: 1", method="DELETE"),
        get("/v1/a", "Content-Length: 2", method="DELETE") + b"{}",
        get("/v1/a", "Content-Type: text/plain", method="DELETE"),
        get("/v1/a", "If-Match: *", method="DELETE"),
    ],
)
async def test_an_approval_is_not_for_another_request(gateway: Gateway, target: RawTarget, request_: bytes) -> None:
    agent = await gateway.tunnel()
    await held(agent, gateway)
    await approve(gateway)
    await held(agent, gateway, request_)
    assert target.got == []
    assert (await agent.ask(DELETE)).status == 200


async def test_an_approval_is_not_for_the_target_that_a_reload_put_in_its_place(
    gateway: Gateway, target: RawTarget
) -> None:
    agent = await gateway.tunnel()
    await held(agent, gateway)
    await approve(gateway)
    async with RawTarget() as other:
        gateway.policy = gateway.read_policy(policy_for(other))
        await held(agent, gateway)
        assert other.got == target.got == []


async def test_an_approval_is_used_by_one_of_many(gateway: Gateway, target: RawTarget) -> None:
    agent = await gateway.tunnel()
    await held(agent, gateway)
    await approve(gateway)
    agents = [await gateway.tunnel() for _ in range(6)]
    answers = await asyncio.gather(*(each.ask(DELETE) for each in agents))
    assert sorted(answer.status for answer in answers) == [200, 409, 409, 409, 409, 409]
    assert len(target.got) == 1


async def test_an_approval_does_not_outlive_the_token_that_asked_for_it(gateway: Gateway, target: RawTarget) -> None:
    agent = await gateway.tunnel(token=gateway.provider.token(lifetime_s=1.5))
    await held(agent, gateway)
    await approve(gateway)
    await asyncio.sleep(0.6)
    answer = await agent.ask(DELETE)
    assert answer.problem["cause"] == "token-expired"
    assert target.got == []


async def test_a_refused_connect_leaves_nothing_for_the_next_request(gateway: Gateway, target: RawTarget) -> None:
    agent = await gateway.connect()
    token = gateway.authorization()
    answer = await agent.ask(b"CONNECT evil.internal:443 HTTP/1.1\r\nHost: evil.internal:443\r\n%s\r\n" % token)
    assert answer.status == 403
    answer = await agent.ask(b"GET http://billing.internal/v1/a HTTP/1.1\r\nHost: billing.internal\r\n\r\n")
    assert answer.status == 407
    assert target.connections == 0


async def test_a_token_inside_a_tunnel_is_not_the_tunnels(gateway: Gateway, target: RawTarget) -> None:
    stranger = await gateway.tunnel(token=gateway.provider.token("agent-8", groups=("strangers",)))
    line = gateway.authorization().decode().strip()
    assert (await stranger.ask(get("/v1/a", line))).status == 403
    assert target.connections == 0


@pytest.mark.parametrize(
    "entry",
    [
        NewEntry("hold.approved", {"hold": "h", "person": "corp:bob", "reason": "x", "digest": "d", "missing": []}),
        NewEntry("hold.denied", {"hold": "h", "person": "corp:bob", "groups": [], "reason": "x", "digest": "d"}),
        NewEntry("hold.expired", {"hold": "h"}),
        NewEntry("login.succeeded", {"person": "corp:bob"}),
        NewEntry("record.read", {"reader": "a", "why": "b", "digest": "d"}),
        NewEntry("segment.sealed", {}),
        NewEntry("principal.unblocked", {}),
    ],
    ids=lambda entry: entry.kind,
)
async def test_a_worker_that_was_taken_over_writes_no_word_of_a_person(gateway: Gateway, entry: NewEntry) -> None:
    with pytest.raises(DoorwardError) as refused:
        await gateway.client.append(entry)
    assert refused.value.cause == "kind-not-allowed"
    assert gateway.entries() == []


async def test_a_worker_that_was_taken_over_decides_no_hold(gateway: Gateway) -> None:
    await held(await gateway.tunnel(), gateway)
    (hold,) = await gateway.client.holds()
    bob = Principal("corp", "bob", ("corp:owners",), None)
    with pytest.raises(DoorwardError) as refused:
        await gateway.client.decide_hold(hold.id, person=bob, verdict="approve", reason="mine", digest=hold.digest)
    assert refused.value.cause == "kind-not-allowed"
    used = {"hold": hold.id, "request": "r", "digest": hold.digest}
    with pytest.raises(DoorwardError):
        await gateway.client.append(NewEntry("hold.used", used))
