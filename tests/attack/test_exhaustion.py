"""Peers that wait, drip or flood to keep what the gateway has little of: time, memory, disk."""

import asyncio
import ssl
from collections.abc import AsyncIterator

import pytest

from tests.parts.gateway import Gateway, get
from tests.parts.http2 import Http2Agent
from tests.parts.policies import policy_for
from tests.parts.raw_target import RawTarget


@pytest.mark.parametrize(
    "said",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"],
    ids=["nothing", "half-a-head", "half-a-body"],
)
@pytest.mark.parametrize("version", ["http/1.1", "h2"])
async def test_a_target_that_never_answers_is_left_and_the_agent_is_told(
    gateway: Gateway, target: RawTarget, said: bytes, version: str
) -> None:
    gateway.chain.answer_s = 0.3
    target.answer = said
    if version == "h2":
        answer = await (await Http2Agent.tunnel(gateway)).ask()
    else:
        answer = await (await gateway.tunnel()).ask(get())
    assert answer.status == 502
    assert answer.problem["cause"] == "target-timeout"
    assert answer.problem["executed"] in ("unknown", "yes")
    await gateway.entry("request.outcome", cause="target-timeout", executed=answer.problem["executed"])


@pytest.fixture
async def deaf_target(target: RawTarget) -> AsyncIterator[int]:
    """The port of a listener that takes connections and speaks no TLS."""

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hear, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_a_handshake_that_never_ends_is_left_and_the_agent_is_told(
    gateway: Gateway, target: RawTarget, deaf_target: int
) -> None:
    policy = policy_for(target)
    policy["targets"]["billing"]["url"] = f"https://127.0.0.1:{deaf_target}"
    gateway.policy = gateway.read_policy(policy)
    gateway.chain.answer_s = 0.3
    answer = await (await gateway.tunnel()).ask(get())
    assert answer.problem["cause"] == "target-timeout"
    assert answer.problem["executed"] == "no"
    await gateway.entry("request.outcome", cause="target-timeout", executed="no")


async def test_an_answer_in_time_stops_the_clock(gateway: Gateway, target: RawTarget) -> None:
    gateway.chain.answer_s = 0.3
    agent = await gateway.tunnel()
    for _ in range(3):
        assert (await agent.ask(get())).status == 200
        await asyncio.sleep(0.2)
    assert target.connections == 1


async def test_what_is_pipelined_behind_a_held_request_does_not_fill_the_memory(
    gateway: Gateway, target: RawTarget
) -> None:
    gateway.chain.request_bytes = 1 << 20
    target.answer = b""
    agent = await gateway.tunnel()
    await agent.send(get())

    async def flood() -> None:
        for _ in range(1024):
            await agent.send(b"x" * 65536)
            await asyncio.sleep(0)

    with pytest.raises((ConnectionError, ssl.SSLError)):
        await flood()
    await gateway.entry("connection.refused", cause="pipeline-too-long")


async def test_a_pipeline_in_bounds_is_served(gateway: Gateway, target: RawTarget) -> None:
    agent = await gateway.tunnel()
    one = get("/v1/a", "Content-Length: 100000", method="POST") + b"x" * 100000
    await agent.send(one * 20)
    for _ in range(20):
        assert (await agent.read()).status == 200
