"""The record and the policy of now, while an answer streams: it outruns neither."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from doorward.errors import Unavailable
from tests.gateway.mitm.test_stream import both, chunk, events, parts, recorded
from tests.parts.gateway import Gateway
from tests.parts.policies import policy_for
from tests.parts.raw_target import RawTarget
from tests.parts.streaming import Streaming

__all__ = ["events"]


async def test_the_record_follows_while_it_streams(gateway: Gateway, events: RawTarget) -> None:
    streaming = await Streaming.begin(gateway, "http/1.1")
    said = [b"data: 1\n\n", b"data: 2\n\n"]
    for event in said:
        events.writers[0].write(chunk(event))
        assert await streaming.piece() == event
    part = await gateway.entry("stream.part", part=1)
    assert part.fields["status"] == 200
    pieces: Any = part.fields["pieces"]
    assert sum(size for _, size in pieces) == sum(map(len, said))
    assert all(0 <= at_ms < 5000 for at_ms, _ in pieces)
    assert not gateway.entries("request.outcome")
    events.writers[0].write(chunk(b"data: 3\n\n") + b"0\r\n\r\n")
    assert await streaming.rest() == b"data: 3\n\n"
    (outcome,) = gateway.entries("request.outcome")
    assert outcome.fields["parts"] == 2
    assert "bodies" not in outcome.fields
    assert await recorded(gateway, outcome) == b"data: 1\n\ndata: 2\n\ndata: 3\n\n"
    (first, last) = parts(gateway, outcome.fields["request"])
    assert (first.seq, last.seq + 1) == (part.seq, outcome.seq)
    assert json.loads(await recorded(gateway, outcome, "response_head"))["status"] == 200


async def test_an_idle_stream_writes_nothing(gateway: Gateway, events: RawTarget) -> None:
    streaming = await Streaming.begin(gateway, "http/1.1")
    await asyncio.sleep(1.2)
    assert not gateway.entries("stream.part")
    events.writers[0].write(b"0\r\n\r\n")
    assert await streaming.rest() == b""
    (outcome,) = gateway.entries("request.outcome")
    assert "parts" not in outcome.fields


@both
async def test_a_record_that_cannot_follow_ends_the_stream(
    gateway: Gateway, events: RawTarget, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    streaming = await Streaming.begin(gateway, version)
    append = gateway.client.append

    async def late(*entries: Any, **options: Any) -> Any:
        if entries[0].kind == "stream.part" and len(entries) == 1:
            raise Unavailable("the ledger is away", cause="ledger-away")
        return await append(*entries, **options)

    monkeypatch.setattr(gateway.client, "append", late)
    events.writers[0].write(chunk(b"data: 1\n\n"))
    assert await streaming.piece() == b"data: 1\n\n"
    assert await streaming.broken_off()
    outcome = await gateway.entry("request.outcome", cause="record-late")
    assert (outcome.fields["status"], outcome.fields["executed"]) == (200, "yes")


RELOADS: dict[str, Callable[[dict[str, Any]], object]] = {
    "a deny": lambda policy: policy["denies"].append({"name": "no events", "match": {"paths": ["/v1/events"]}}),
    "a role that is gone": lambda policy: [each.update(groups=["corp:others"]) for each in policy["bindings"]],
    "a mask": lambda policy: policy.update(masks=[{"name": "m", "match": {}, "fields": ["$.a"]}]),
    "a hold": lambda policy: policy["holds"].append(
        {
            "name": "ask",
            "match": {"paths": ["/v1/events"]},
            "approvers": {"groups": ["corp:owners"]},
            "expires": "1m",
        }
    ),
    "a target": lambda policy: policy["targets"]["billing"].update(cookies="pass"),
}


@both
@pytest.mark.parametrize("kind", RELOADS)
async def test_a_policy_that_would_not_let_it_begin_ends_the_stream(
    gateway: Gateway, events: RawTarget, version: str, kind: str
) -> None:
    streaming = await Streaming.begin(gateway, version)
    events.writers[0].write(chunk(b"data: 1\n\n"))
    assert await streaming.piece() == b"data: 1\n\n"
    policy = policy_for(events)
    del policy["masks"]
    gateway.chain.decide_again(gateway.read_policy(policy))
    events.writers[0].write(chunk(b"data: 2\n\n"))
    assert await streaming.piece() == b"data: 2\n\n"
    RELOADS[kind](policy)
    gateway.chain.decide_again(gateway.read_policy(policy))
    assert await streaming.broken_off()
    cause = "policy" if kind in ("a deny", "a role that is gone") else "policy-changed"
    outcome = await gateway.entry("request.outcome", cause=cause)
    assert outcome.fields["status"] == 200
