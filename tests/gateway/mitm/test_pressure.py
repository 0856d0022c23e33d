"""An agent over HTTP/2 that does not read: its target waits, and nothing piles up in between."""

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mitmproxy.proxy.layers.http import _http2, _http_h2

from doorward.gateway.mitm import pressure
from tests.ledger.conftest import RunningLedger
from tests.parts.certificates import TestAuthority
from tests.parts.gateway import Gateway
from tests.parts.http2 import Http2Agent
from tests.parts.http2_target import Http2Answer, Http2Target
from tests.parts.policies import policy_for
from tests.parts.provider import Provider
from tests.parts.raw_target import RawTarget
from tests.parts.streaming import Streaming

BODY = b"x" * (16 << 20)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
MOST = 12 << 20  # buffers of the kernel, of both sockets' ends, and of ours


@pytest.fixture
async def http2_target(tmp_path: Path) -> AsyncIterator[Http2Target]:
    authority = TestAuthority(tmp_path)
    async with Http2Target(authority.pair("127.0.0.1"), authority.ca) as running:
        running.answer = lambda got: Http2Answer(
            ((b":status", b"200"), (b"content-type", b"text/plain")),
            BODY if got.value(b":path") == b"/v1/long" else b"short",
        )
        yield running


@pytest.fixture
async def http2_gateway(
    tmp_path: Path,
    ledger: RunningLedger,  # the fixture
    provider: Provider,
    http2_target: Http2Target,
) -> AsyncIterator[Gateway]:
    policy = policy_for(http2_target)
    policy["targets"]["billing"]["ca"] = str(http2_target.ca)
    del policy["masks"]
    async with Gateway(tmp_path, ledger, provider, policy) as running:
        yield running


def test_the_names_that_are_replaced_are_still_there() -> None:
    assert "stream_buffers" in vars(_http_h2.BufferedH2Connection(_http2.Http2Client.h2_conf))
    assert callable(_http_h2.BufferedH2Connection.acknowledge_received_data)
    for name in ("our_stream_id", "h2_conf", "_handle_event"):
        assert hasattr(_http2.Http2Client, name) or name in _http2.Http2Client.__annotations__


def waiting() -> int:
    """Bytes that wait in this process for agents that speak HTTP/2."""
    gc.collect()  # connections of tests before
    connections = [each for each in gc.get_objects() if isinstance(each, _http_h2.BufferedH2Connection)]
    return sum(len(each.data) for made in connections for buffer in made.stream_buffers.values() for each in buffer)


async def settle(amount: Any) -> int:
    """A figure once it stands still."""
    before = -1
    for _ in range(200):
        now: int = amount()
        if now == before:
            return now
        before = now
        await asyncio.sleep(0.1)
    raise AssertionError("it never stood still")


async def test_an_http2_target_gets_no_more_window_while_its_agent_does_not_read(
    http2_gateway: Gateway, http2_target: Http2Target
) -> None:
    agent = await Http2Agent.tunnel(http2_gateway)
    slow = Streaming(agent)
    await slow.ask("/v1/long")  # its window of 64 KiB fills, and is not opened
    left = await settle(lambda: min(http2_target.unsent.values(), default=0))
    assert left > len(BODY) - MOST
    assert waiting() < 3 * pressure.WINDOW
    # Another stream on the same connections goes on meanwhile, once the agent's own window lets it.
    agent.connection.increment_flow_control_window(1 << 20)
    await agent.flush()
    other = await agent.ask("GET", "/v1/short")
    assert other.body == b"short"
    assert await slow.rest() == BODY


async def test_an_http1_target_is_not_read_while_its_agent_does_not_read(gateway: Gateway, target: RawTarget) -> None:
    policy = policy_for(target)
    del policy["masks"]
    gateway.policy = gateway.read_policy(policy)
    target.answer = HEAD
    streaming = await Streaming.begin(gateway, "h2", "/v1/long")
    writer = target.writers[0]
    for at in range(0, len(BODY), 1 << 16):
        writer.write(b"10000\r\n" + BODY[at : at + (1 << 16)] + b"\r\n")
    writer.write(b"0\r\n\r\n")
    left = await settle(writer.transport.get_write_buffer_size)
    assert left > len(BODY) - MOST
    assert waiting() < 1 << 20
    assert await streaming.rest() == BODY


async def test_a_paused_stream_that_is_reset_lets_its_target_go(gateway: Gateway, target: RawTarget) -> None:
    policy = policy_for(target)
    del policy["masks"]
    gateway.policy = gateway.read_policy(policy)
    target.answer = HEAD + b"10000\r\n" + BODY[: 1 << 16] + b"\r\n"
    for _ in range(7):  # upstream opens five connections at a time
        streaming = await Streaming.begin(gateway, "h2", "/v1/long")
        assert isinstance(streaming.agent, Http2Agent)
        target.writers[-1].write((b"10000\r\n" + BODY[: 1 << 16] + b"\r\n") * 32)
        await settle(waiting)
        streaming.agent.connection.reset_stream(streaming.stream, 8)
        await streaming.agent.flush()
    for _ in range(200):
        if len(gateway.entries("request.outcome")) == 7:
            break
        await asyncio.sleep(0.05)
    assert {each.fields["cause"] for each in gateway.entries("request.outcome")} == {"agent-left"}
    assert waiting() == 0
