"""Agents that try to fill the record, to break it by size, or to write into the terminal of who reads it."""

import base64
import re
from typing import Any

from tests.parts.gateway import Gateway, get
from tests.parts.policies import policy_for
from tests.parts.raw_target import RawTarget

LONG = "x" * 60


async def test_long_paths_and_queries_are_bodies_and_break_no_entry(gateway: Gateway, target: RawTarget) -> None:
    agent = await gateway.tunnel()
    for path in ("/v1/" + "a" * 30000, "/v1/a?q=" + "a" * 30000):
        assert (await agent.ask(get(path))).status == 200
        answer = await agent.ask(get(path, method="DELETE"))
        assert answer.problem["cause"] == "held"
    assert len(gateway.entries("hold.opened")) == 2
    assert len(target.got) == 2


def too_many_holds(policy: dict[str, Any]) -> None:
    policy["holds"] = [
        {
            "name": f"hold {number} {LONG}",
            "match": {"target": "billing", "methods": ["GET"]},
            "approvers": {"groups": ["corp:owners"], "count": 1},
            "expires": "15m",
        }
        for number in range(400)
    ]


def too_many_roles(policy: dict[str, Any]) -> None:
    for number in range(400):
        policy["roles"][f"role-{number}-{LONG[:40]}"] = policy["roles"]["reader"]
        policy["bindings"].append(
            {"role": f"role-{number}-{LONG[:40]}", "target": "billing", "groups": ["corp:agents"]}
        )


async def test_holds_that_no_entry_can_hold_let_nothing_through(gateway: Gateway, target: RawTarget) -> None:
    policy = policy_for(target)
    too_many_holds(policy)
    gateway.policy = gateway.read_policy(policy)
    agent = await gateway.tunnel()
    answer = await agent.ask(get())
    assert answer.problem["cause"] == "entry-too-large"
    assert answer.problem["executed"] == "no"
    assert target.connections == 0
    gateway.policy = gateway.read_policy(policy_for(target))
    assert (await agent.ask(get())).status == 200  # neither the ledger nor the connection is the worse for it


async def test_more_roles_than_an_entry_holds_are_named_as_far_as_there_is_room(
    gateway: Gateway, target: RawTarget
) -> None:
    policy = policy_for(target)
    too_many_roles(policy)
    gateway.policy = gateway.read_policy(policy)
    assert (await (await gateway.tunnel()).ask(get())).status == 200
    (intent,) = gateway.entries("request.intent")
    rules = intent.fields["rules"]
    assert isinstance(rules, list)
    assert any("role-0-" in str(rule) for rule in rules)
    told = re.fullmatch(r"and (\d+) more", str(rules[-1]))
    assert told is not None
    assert len(rules) - 1 + int(told[1]) == 401
    assert len(target.got) == 1


async def test_a_refusal_by_more_rules_than_an_entry_holds_is_still_recorded(
    gateway: Gateway, target: RawTarget
) -> None:
    policy = policy_for(target)
    policy["denies"] = [
        {"name": f"deny {number} {LONG}", "match": {"target": "billing", "methods": ["GET"]}} for number in range(400)
    ]
    gateway.policy = gateway.read_policy(policy)
    assert (await (await gateway.tunnel()).ask(get())).problem["cause"] == "policy"
    entry = await gateway.entry("request.refused", cause="policy")
    rules = entry.fields["rules"]
    assert isinstance(rules, list)
    assert rules[0] == f"deny deny 0 {LONG}"
    assert "more" in str(rules[-1])


async def test_a_flood_of_refusals_is_counted(gateway: Gateway, target: RawTarget) -> None:
    agent = await gateway.connect()
    token = gateway.authorization()
    for number in range(40):
        host = f"x{number}.internal".encode()
        await agent.ask(b"GET http://%s/ HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (host, host, token))
        other = b"GET http://billing.internal/v2/%d HTTP/1.1\r\nHost: billing.internal\r\n%s\r\n"
        assert (await agent.ask(other % (number, token))).status == 403
        noise = await gateway.connect()
        await noise.send(b"\x00%d\r\n\r\n" % number)
        await noise.closed()
    assert len(gateway.entries()) == 3
    await gateway.chain.refusals.write_counts()
    assert sorted(int(str(entry.fields["count"])) for entry in gateway.entries()) == [1, 1, 1, 39, 39, 39]


async def test_a_label_carries_no_control_characters_and_is_short(gateway: Gateway) -> None:
    label = "a\x1b[31m\x07\x7f" + "b" * 300
    userinfo = base64.b64encode(f"{label}:{gateway.provider.token()}".encode())
    agent = await gateway.connect()
    head = b"GET http://billing.internal/v1/a HTTP/1.1\r\nHost: billing.internal\r\n"
    assert (await agent.ask(head + b"Proxy-Authorization: Basic %s\r\n\r\n" % userinfo)).status == 200
    (intent,) = gateway.entries("request.intent")
    shown = str(intent.fields["label"])
    assert shown.isprintable()
    assert len(shown) <= 64


async def test_thousands_of_headers_are_one_request(gateway: Gateway, target: RawTarget) -> None:
    agent = await gateway.tunnel()
    lines = [f"x-{number}: a" for number in range(5000)]
    assert (await agent.ask(get("/v1/a", *lines))).status == 200
    assert (await agent.ask(get("/v1/a", *(lines * 2)))).status in (400, 413)
    assert len(target.got) == 1
