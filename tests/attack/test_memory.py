"""What a request leaves in memory: nothing that is large, though garbage is collected rarely."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator

import pytest
from mitmproxy import http
from mitmproxy.proxy.layers.http import HttpClient

from doorward.gateway.exchange import Exchange
from tests.parts.gateway import Agent, Gateway, get
from tests.parts.http2 import Http2Agent
from tests.parts.policies import policy_for
from tests.parts.raw_target import OK, RawTarget
from tests.parts.streaming import Streaming

_TIMES = 6


@pytest.fixture(autouse=True)
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def asked(gateway: Gateway) -> None:
    agent = await gateway.tunnel()
    assert (await agent.ask(get("/v1/a"))).status == 200
    agent.close()


async def asked_over_http2(gateway: Gateway) -> None:
    agent = await Http2Agent.tunnel(gateway)
    assert (await agent.ask("GET", "/v1/a")).status == 200
    agent.agent.close()


async def asked_in_clear(gateway: Gateway) -> None:
    agent = await gateway.connect()
    raw = get("http://billing.internal/v1/a", gateway.authorization().decode().strip())
    assert (await agent.ask(raw)).status == 200
    agent.close()


async def refused(gateway: Gateway) -> None:
    agent = await gateway.tunnel()
    assert (await agent.ask(get("/v2/a", "Content-Length: 3", method="POST") + b"abc")).status == 403
    agent.close()


async def left_in_a_body(gateway: Gateway) -> None:
    agent = await gateway.tunnel()
    await agent.send(get("/v1/a", "Content-Length: 3", method="POST") + b"a")
    agent.close()


async def left_in_a_body_over_http2(gateway: Gateway) -> None:
    agent = await Http2Agent.tunnel(gateway)
    await agent.pour(await agent.begin("POST", "/v1/a"), 1000)
    agent.agent.close()


async def streamed(gateway: Gateway) -> None:
    stream = await Streaming.begin(gateway, "http/1.1", "/v1/a")
    assert await stream.rest() == b"data: 1\n\n"
    assert isinstance(stream.agent, Agent)
    stream.agent.close()


@pytest.mark.parametrize(
    "ask",
    [
        asked,
        asked_over_http2,
        asked_in_clear,
        refused,
        left_in_a_body,
        left_in_a_body_over_http2,
        streamed,
    ],
)
async def test_no_body_outlives_its_request(
    gateway: Gateway, target: RawTarget, ask: Callable[[Gateway], Awaitable[None]]
) -> None:
    """A worker looks for cycles every few hundred requests: bodies in them would be gigabytes by then."""
    if ask is streamed:
        policy = policy_for(target)
        del policy["masks"]
        gateway.policy = gateway.read_policy(policy)
        target.answer = (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"9\r\ndata: 1\n\n\r\n0\r\n\r\n"
        )
    before = set(map(id, kept()))
    for _ in range(_TIMES):
        await ask(gateway)
    for _ in range(100):
        if not (left := [each for each in kept() if id(each) not in before]):
            break
        await asyncio.sleep(0.02)
    assert left == []


async def test_nor_does_an_answer_outlive_it_on_a_connection_that_stays(gateway: Gateway, target: RawTarget) -> None:
    def answers() -> list[http.Response]:
        return [each for each in gc.get_objects() if isinstance(each, http.Response) and each.raw_content]

    before = len(answers())
    agent = await Http2Agent.tunnel(gateway)
    for _ in range(_TIMES):
        assert (await agent.ask("GET", "/v1/a")).status == 200
    assert len(answers()) - before < _TIMES


async def test_closed_connections_to_targets_are_forgotten_while_the_agents_lasts(
    gateway: Gateway, target: RawTarget
) -> None:
    target.answer = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    for agent in (await gateway.tunnel(), await Http2Agent.tunnel(gateway)):
        for _ in range(_TIMES):
            answer = await (agent.ask(get("/v1/a")) if isinstance(agent, Agent) else agent.ask("GET", "/v1/a"))
            assert answer.status == 200
        gc.collect()
        assert len([each for each in gc.get_objects() if isinstance(each, HttpClient)]) <= 2
        (agent if isinstance(agent, Agent) else agent.agent).close()


async def test_nothing_is_left_of_attempts_to_reach_a_target(gateway: Gateway, target: RawTarget) -> None:
    target._server.close()
    agent = await Http2Agent.tunnel(gateway)
    for _ in range(_TIMES):
        answer = await agent.ask("GET", "/v1/a")
        assert (answer.problem["cause"], answer.problem["executed"]) == ("target-unreachable", "no")
    (connection,) = gateway.listener._open.values()
    assert list(connection.transports) == [connection.client]
    assert not connection._serving.routes
    gc.collect()
    assert len([each for each in gc.get_objects() if isinstance(each, HttpClient)]) <= 1


@pytest.mark.parametrize("version", ["http/1.1", "h2"])
async def test_who_leaves_a_stream_that_would_end_by_closing_crashes_nothing(
    gateway: Gateway, target: RawTarget, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its connection is closed for that, which is an end as well; it comes when the request is forgotten already."""
    policy = policy_for(target)
    del policy["masks"]
    gateway.policy = gateway.read_policy(policy)
    target.answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"
    stream = await Streaming.begin(gateway, version, "/v1/a")
    assert await stream.piece() == b"data: 1\n\n"
    (stream.agent if isinstance(stream.agent, Agent) else stream.agent.agent).close()
    outcome = await gateway.entry("request.outcome", cause="agent-left")
    for _ in range(200):
        if not gateway.listener._open:
            break
        await asyncio.sleep(0.01)
    assert outcome.fields["executed"] == "yes"
    assert len(gateway.entries("request.outcome")) == 1
    assert not [each for each in caplog.records if each.levelname == "ERROR"]


def kept() -> list[object]:
    """Flows and exchanges that are there, but for those of a CONNECT, which have no body."""
    flows = [each for each in gc.get_objects() if isinstance(each, http.HTTPFlow | Exchange)]
    return [each for each in flows if not _is_connect(each)]


def _is_connect(each: http.HTTPFlow | Exchange) -> bool:
    if isinstance(each, http.HTTPFlow):
        return each.request.data.method == b"CONNECT"
    return each.action is None and not each.body and each.refusal is None
