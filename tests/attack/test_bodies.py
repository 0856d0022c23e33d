"""Bodies that are sent though nobody wants them, that are broken, or that are many at once."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.ledger.conftest import RunningLedger
from tests.parts.gateway import Agent, Gateway, get
from tests.parts.http2 import Http2Agent
from tests.parts.policies import policy_for
from tests.parts.provider import Provider
from tests.parts.raw_target import RawTarget

MEBIBYTE = 1 << 20


async def sent_until_answered(agent: Agent, head: bytes, size: int) -> int:
    """Send a head, and a body of which the gateway needs nothing; how much of it went before the answer."""
    await agent.send(head)
    answered = asyncio.create_task(agent.read())
    sent = 0
    while sent < size and not answered.done():
        try:
            await agent.send(b"x" * 65536)
        except (ConnectionError, ssl.SSLError):
            break
        sent += 65536
        await asyncio.sleep(0)
    answer = await answered
    assert answer.status in (403, 407, 413), answer
    assert answer.headers["connection"] == "close"
    assert answer.problem["executed"] == "no"
    return sent


PLAIN = b"POST http://%s/v1/a HTTP/1.1\r\nHost: %s\r\n%sContent-Length: 16777216\r\n\r\n"


@pytest.mark.parametrize("kind", ["no-token", "bad-token", "unknown-host", "stranger"])
async def test_the_body_of_a_refused_head_is_not_waited_for(gateway: Gateway, target: RawTarget, kind: str) -> None:
    host, authorization = b"billing.internal", gateway.authorization()
    match kind:
        case "no-token":
            authorization = b""
        case "bad-token":
            authorization = gateway.authorization("garbage")
        case "unknown-host":
            host = b"elsewhere.internal"
        case _:
            authorization = gateway.authorization(gateway.provider.expired_token())
    agent = await gateway.connect()
    await agent.send(PLAIN % (host, host, authorization))
    answer = await agent.read()  # not a byte of the body was sent
    assert answer.status in (403, 407)
    assert answer.headers["connection"] == "close"
    await agent.closed()
    await gateway.entry("request.refused", cause=answer.problem["cause"], count=1)
    assert target.connections == 0


async def test_the_body_of_a_refused_head_fills_no_memory_and_the_answer_arrives(gateway: Gateway) -> None:
    agent = await gateway.connect()
    await sent_until_answered(agent, PLAIN % (b"x.internal", b"x.internal", gateway.authorization()), 64 * MEBIBYTE)


@pytest.mark.parametrize("framing", ["Content-Length: 99999999", "Transfer-Encoding: chunked"])
async def test_a_body_over_the_limit_is_answered_before_its_end(
    gateway: Gateway, target: RawTarget, framing: str
) -> None:
    gateway.chain.request_bytes = MEBIBYTE
    agent = await gateway.tunnel()
    chunk = b"ffffff0\r\n" if "chunked" in framing else b""
    sent = await sent_until_answered(agent, get("/v1/a", framing, method="POST") + chunk, 64 * MEBIBYTE)
    assert sent < 64 * MEBIBYTE
    assert target.got == []


async def test_what_is_sent_behind_a_refused_head_is_no_request(gateway: Gateway, target: RawTarget) -> None:
    agent = await gateway.connect()
    token = gateway.authorization()
    inner = b"GET http://billing.internal/v1/a HTTP/1.1\r\nHost: billing.internal\r\n%s\r\n" % token
    await agent.send(PLAIN % (b"x.internal", b"x.internal", token) + inner)
    assert (await agent.read()).status == 403
    assert await agent.closed() == b""
    assert target.connections == 0


BROKEN = {
    "not-hex": b"5\r\nhello\r\nzz\r\n",
    "no-line-end": b"5\r\nhelloX\r\n",
    "huge": b"f" * 30 + b"\r\n",
    "negative": b"-5\r\nhello\r\n",
    "later": b"5\r\nhello\r\n",
}


@pytest.mark.parametrize("kind", BROKEN)
async def test_a_broken_body_gets_a_page_of_ours(gateway: Gateway, target: RawTarget, kind: str) -> None:
    agent = await gateway.tunnel()
    await agent.send(get("/v1/a", "Transfer-Encoding: chunked", method="POST") + BROKEN[kind])
    if kind == "later":
        await asyncio.sleep(0.3)
        await agent.send(b"zz\r\n")
    answer = await agent.read()
    assert (answer.status, answer.problem["cause"], answer.problem["executed"]) == (400, "malformed-request", "no")
    assert answer.headers["connection"] == "close"
    assert await agent.closed() == b""
    await gateway.entry("request.refused", request=answer.problem["request"], principal="corp:agent-7")
    assert target.got == []


async def test_a_body_that_breaks_off_reaches_nobody(gateway: Gateway, target: RawTarget) -> None:
    agent = await gateway.tunnel()
    await agent.send(get("/v1/a", "Content-Length: 100", method="POST") + b"half")
    agent.close()
    await gateway.entry("request.refused", principal="corp:agent-7", executed="no")
    assert target.got == []


async def test_many_bodies_on_one_connection_of_http2_are_bounded(gateway: Gateway, target: RawTarget) -> None:
    gateway.chain.request_bytes, gateway.chain.bodies_bytes = 256 << 10, 4 * (256 << 10)
    agent = await Http2Agent.tunnel(gateway)
    streams = []
    for _ in range(20):  # each a little below the limit, none of them ended
        streams.append(await agent.begin("POST", "/v1/a"))
        await agent.pour(streams[-1], 200 << 10)
    statuses = [(await agent.read(stream)).status for stream in streams[5:]]
    assert set(statuses) == {429}
    assert target.got == []
    for stream in streams[:5]:
        agent.connection.end_stream(stream)
    await agent.flush()
    assert [(await agent.read(stream)).status for stream in streams[:5]] == [200] * 5
    await gateway.entry("request.refused", cause="too-much-at-once", principal="corp:agent-7")
    assert (await agent.ask()).status == 200


@pytest.fixture
async def narrow(
    tmp_path: Path,
    ledger: RunningLedger,  # the fixture
    provider: Provider,
    target: RawTarget,
) -> AsyncIterator[Gateway]:
    settings: dict[str, Any] = {"limits": {"request_body": "1MiB"}, "hold": {"wait": "2s"}}
    async with Gateway(tmp_path, ledger, provider, policy_for(target), **settings) as running:
        yield running


async def test_many_bodies_that_are_small_until_decoded_are_bounded(narrow: Gateway, target: RawTarget) -> None:
    """Held requests keep their bodies: some KiB on the wire, much more in memory."""
    bomb = gzip.compress(b"a" * 900_000)
    agent = await Http2Agent.tunnel(narrow)
    fields = [("content-encoding", "gzip"), ("content-length", str(len(bomb)))]
    streams = [await agent.send("DELETE", f"/v1/a{number}", body=bomb, fields=fields) for number in range(12)]
    causes = [(await agent.read(stream)).problem["cause"] for stream in streams]
    assert causes.count("held") == 4
    assert causes.count("too-much-at-once") == 8
    assert target.got == []
