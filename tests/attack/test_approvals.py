"""Approvals used for more, later, or by others than the person meant; floods of holds."""

import asyncio
import ssl
from typing import Any

import pytest

from doorward.core.entry import Role
from doorward.errors import DoorwardError
from doorward.model import Principal
from tests.attack.test_identity import DELETE, approve, held
from tests.parts.deployment import Deployment
from tests.parts.gateway import Gateway, get
from tests.parts.person import Person
from tests.parts.policies import policy_for
from tests.parts.provider import Provider
from tests.parts.raw_agent import read_answer, tls_tunnel
from tests.parts.raw_target import RawTarget
from tests.parts.target import Target


async def test_an_approval_that_expired_lets_nothing_through(gateway: Gateway, target: RawTarget) -> None:
    agent = await gateway.tunnel()
    await held(agent, gateway)
    await approve(gateway)
    gateway.ledger.later(minutes=16)
    assert (await agent.ask(DELETE)).status in (403, 409, 503)
    assert target.got == []


async def test_a_clock_that_steps_back_brings_no_approval_back(gateway: Gateway, target: RawTarget) -> None:
    agent = await gateway.tunnel()
    await held(agent, gateway)
    await approve(gateway)
    gateway.ledger.later(minutes=16)
    assert (await agent.ask(get())).status == 200  # an entry of the later time
    gateway.ledger.later(minutes=-15)
    assert (await agent.ask(DELETE)).status in (403, 409, 503)
    assert [each for each in target.got if each.startswith(b"DELETE")] == []


async def test_an_approval_is_used_once_across_a_restart_of_the_ledger(gateway: Gateway, target: RawTarget) -> None:
    agent = await gateway.tunnel()
    await held(agent, gateway)
    await approve(gateway)
    await gateway.ledger.restart()
    assert (await agent.ask(DELETE)).status == 200
    await gateway.ledger.restart()
    answer = await agent.ask(DELETE)
    assert (answer.status, answer.problem["cause"]) == (409, "hold-used")
    assert len(target.got) == 1


async def test_an_approval_that_was_used_in_vain_is_not_said_to_be_executed(
    gateway: Gateway, target: RawTarget
) -> None:
    agent = await gateway.tunnel()
    await held(agent, gateway)
    await approve(gateway)
    target._server.close()
    answer = await agent.ask(DELETE)
    assert (answer.problem["cause"], answer.problem["executed"]) == ("target-unreachable", "no")
    again = (await (await gateway.tunnel()).ask(DELETE)).problem
    assert again["cause"] == "hold-used"
    assert answer.problem["request"] in again["detail"]
    assert "executed" not in again["detail"]


@pytest.mark.parametrize(
    ("person", "groups"),
    [("alice", ("corp:owners",)), ("agent-7", ("corp:owners",)), ("bob", ()), ("bob", ("guests:owners", "owners"))],
    ids=["the-owner", "the-agent", "nobody", "groups-of-others"],
)
async def test_who_may_not_decide_opens_nothing(
    gateway: Gateway, target: RawTarget, person: str, groups: tuple[str, ...]
) -> None:
    agent = await gateway.tunnel(token=gateway.provider.token(owner="alice"))
    await held(agent, gateway)
    client = await gateway.ledger.client(Role.CONSOLE)
    (hold,) = await client.holds()
    decider = Principal("corp", person, groups, None)
    with pytest.raises(DoorwardError):
        await client.decide_hold(hold.id, person=decider, verdict="approve", reason="mine", digest=hold.digest)
    await held(agent, gateway)
    assert target.got == []


async def test_an_approval_of_another_digest_is_none(gateway: Gateway, target: RawTarget) -> None:
    """The person saw one request; what is sent to the ledger names another."""
    agent = await gateway.tunnel()
    await held(agent, gateway)
    await held(agent, gateway, get("/v1/b", method="DELETE"))
    client = await gateway.ledger.client(Role.CONSOLE)
    first, second = await client.holds()
    bob = Principal("corp", "bob", ("corp:owners",), None)
    for digest in (second.digest, "", "0" * 64, first.digest.upper()):
        with pytest.raises(DoorwardError):
            await client.decide_hold(first.id, person=bob, verdict="approve", reason="r", digest=digest)
    await held(agent, gateway)
    assert target.got == []


@pytest.mark.parametrize("change", ["deny", "role-gone", "second-hold"])
async def test_a_reload_during_the_hold_wins_over_the_yes(gateway: Gateway, target: RawTarget, change: str) -> None:
    agent = await gateway.tunnel()
    asking = asyncio.create_task(agent.ask(DELETE))
    await gateway.entry("hold.opened")
    policy: dict[str, Any] = policy_for(target)
    match change:
        case "deny":
            policy["denies"].append({"name": "freeze", "match": {"target": "billing", "methods": ["DELETE"]}})
        case "role-gone":
            policy["bindings"][1]["groups"] = ["corp:others"]
        case _:
            policy["holds"].append({**policy["holds"][0], "name": "another", "approvers": {"groups": ["corp:sre"]}})
    gateway.policy = gateway.read_policy(policy)
    await approve(gateway)
    answer = await asking
    assert answer.status in (403, 503)
    assert answer.problem["executed"] == "no"
    assert target.got == []


async def test_a_flood_of_holds_is_refused_and_fills_no_disk(gateway: Gateway, target: RawTarget) -> None:
    agents = [await gateway.tunnel() for _ in range(30)]
    answers = await asyncio.gather(
        *(each.ask(get(f"/v1/a{number}", method="DELETE")) for number, each in enumerate(agents))
    )
    assert sorted(answer.status for answer in answers) == [429] * 10 + [503] * 20
    again = [await agents[0].ask(get(f"/v1/b{number}", method="DELETE")) for number in range(50)]
    assert {answer.problem["cause"] for answer in again} == {"too-many-holds"}
    await gateway.chain.refusals.write_counts()
    assert len(gateway.entries("hold.opened")) == 20
    refused = [entry for entry in gateway.entries("request.refused") if entry.fields["cause"] == "too-many-holds"]
    assert len(refused) <= 3
    assert sum(int(str(entry.fields["count"])) for entry in refused) == 60
    other = await gateway.tunnel(token=gateway.provider.token("agent-8"))
    await held(other, gateway)  # whom the flood does not concern
    assert target.got == []


def test_one_approval_is_used_once_by_200_requests_at_once_on_two_workers(provider: Provider) -> None:
    with Target() as target:
        settings: dict[str, Any] = {"workers": 2, "hold": {"wait": "1s"}}
        with Deployment(provider, policy_for(target), console=True, **settings) as deployment:
            assert len(deployment.pids("gateway")) == 2
            tunnels: list[ssl.SSLSocket] = []
            try:
                tunnels = [tls_tunnel(deployment) for _ in range(200)]
                tunnels[0].sendall(DELETE)
                assert read_answer(tunnels[0]).startswith(b"HTTP/1.1 503")
                with Person(deployment, "bob", "owners") as bob:
                    assert bob.answer(bob.wait_for_hold()).status_code == 200
                for tunnel in tunnels:
                    tunnel.sendall(DELETE)
                answers = [read_answer(tunnel).split(b" ")[1] for tunnel in tunnels]
            finally:
                for tunnel in tunnels:
                    tunnel.close()
            assert sorted(answers) == [b"200"] + [b"409"] * 199
            assert [got.method for got in target.got] == ["DELETE"]
            assert len(deployment.entries("hold.used")) == 1
