"""Agents that open connections and say little, slowly or nothing, to keep others out."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.ledger.conftest import RunningLedger
from tests.parts.gateway import Agent, Gateway, get
from tests.parts.http2 import Http2Agent
from tests.parts.policies import policy_for
from tests.parts.provider import Provider
from tests.parts.raw_target import RawTarget

LIMITS = {"head_wait": "1s", "connections": 30, "connections_per_principal": 10}


@pytest.fixture
async def narrow(
    tmp_path: Path,
    ledger: RunningLedger,  # the fixture
    provider: Provider,
    target: RawTarget,
) -> AsyncIterator[Gateway]:
    """A gateway with little room and little patience."""
    async with Gateway(tmp_path, ledger, provider, policy_for(target), limits=LIMITS) as running:
        yield running


def connect_head(gateway: Gateway) -> bytes:
    return b"CONNECT billing.internal:443 HTTP/1.1\r\nHost: billing.internal:443\r\n%s\r\n" % gateway.authorization()


async def drip(agent: Agent, raw: bytes) -> None:
    """A byte now and then, for longer than the gateway waits."""
    for byte in raw:
        await agent.send(bytes([byte]))
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("said", [b"", b"G", b"GET http://billing.internal/v1/a HTTP/1.1\r\nHost: b"])
async def test_a_fresh_connection_that_says_too_little_ends(narrow: Gateway, said: bytes) -> None:
    agent = await narrow.connect()
    await agent.send(said)
    await agent.closed()
    await narrow.entry("connection.refused", cause="too-slow", client="127.0.0.1")


async def test_a_head_that_drips_ends_however_often_a_byte_comes(narrow: Gateway, target: RawTarget) -> None:
    agent = await narrow.connect()
    with pytest.raises(ConnectionError):
        await drip(agent, connect_head(narrow))
    await narrow.entry("connection.refused", cause="too-slow")
    assert target.connections == 0


async def test_a_tunnel_without_a_handshake_ends(narrow: Gateway) -> None:
    agent = await narrow.connect()
    assert (await agent.ask(connect_head(narrow))).status == 200
    await agent.closed()
    await narrow.entry("connection.refused", cause="too-slow")


async def test_a_handshake_that_drips_ends(narrow: Gateway) -> None:
    agent = await narrow.connect()
    assert (await agent.ask(connect_head(narrow))).status == 200
    with pytest.raises(ConnectionError):
        await drip(agent, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100)
    await narrow.entry("connection.refused", cause="too-slow")


async def test_a_head_that_drips_in_a_tunnel_ends_with_a_page(narrow: Gateway, target: RawTarget) -> None:
    agent = await narrow.tunnel()
    assert (await agent.ask(get())).status == 200
    dripping = asyncio.create_task(drip(agent, get("/v1/" + "a" * 100)))
    answer = await agent.read()
    assert (answer.status, answer.problem["cause"]) == (408, "too-slow")
    assert answer.headers["connection"] == "close"
    dripping.cancel()
    assert len(target.got) == 1


async def test_a_head_of_http2_that_drips_ends(narrow: Gateway, target: RawTarget) -> None:
    agent = await Http2Agent.tunnel(narrow)
    assert (await agent.ask()).status == 200
    await agent.agent.send(b"\x00\x00\x40\x01\x05\x00\x00\x00\x03" + b"\x82")  # HEADERS of 64 bytes, one of them here
    await agent.agent.closed()
    await narrow.entry("connection.refused", cause="too-slow")


@pytest.mark.parametrize("version", ["http/1.1", "h2"])
async def test_a_tunnel_between_two_requests_may_be_idle(narrow: Gateway, version: str) -> None:
    agent = await (Http2Agent.tunnel(narrow) if version == "h2" else narrow.tunnel())
    await asyncio.sleep(1.5)
    for _ in range(2):
        assert (await (agent.ask() if isinstance(agent, Http2Agent) else agent.ask(get()))).status == 200
        await asyncio.sleep(1.2)


async def test_strangers_that_take_all_the_room_give_way_to_whoever_comes(narrow: Gateway, target: RawTarget) -> None:
    narrow.chain.admission.wait_s = 60  # none of them ends by itself
    strangers = [await narrow.connect() for _ in range(60)]
    for _ in range(3):
        assert (await (await narrow.tunnel()).ask(get())).status == 200
    await strangers[0].closed()
    await narrow.chain.refusals.write_counts()
    entries = narrow.entries("connection.refused")
    assert {entry.fields["cause"] for entry in entries} == {"too-many-connections"}
    assert len(entries) == 2  # one, and the number of the others
    assert sum(int(str(entry.fields["count"])) for entry in entries) == 33


async def test_one_principal_does_not_take_the_room_of_others(narrow: Gateway, provider: Provider) -> None:
    mine = [await narrow.tunnel() for _ in range(10)]
    agent = await narrow.connect()
    answer = await agent.ask(connect_head(narrow))
    assert (answer.status, answer.problem["cause"]) == (429, "too-many-connections")
    plain = b"GET http://billing.internal/v1/a HTTP/1.1\r\nHost: billing.internal\r\n%s\r\n"
    assert (await agent.ask(plain % narrow.authorization())).status == 429
    other = await narrow.tunnel(token=provider.token("agent-8"))
    assert (await other.ask(get())).status == 200
    mine[0].close()
    for _ in range(100):
        again = await (await narrow.connect()).ask(connect_head(narrow))
        if again.status == 200:
            break
        await asyncio.sleep(0.02)
    assert again.status == 200


async def test_a_slowloris_of_500_connections_keeps_no_good_client_out(gateway: Gateway, target: RawTarget) -> None:
    """With the settings as they come."""
    loris = []
    try:
        for number in range(500):
            connection = socket.create_connection(("127.0.0.1", gateway.port))
            connection.sendall(b"GET http://billing.internal/ HTTP/1.1\r\nX-%d: a" % number)
            loris.append(connection)
            if number % 20 == 0:
                await asyncio.sleep(0)
        for _ in range(5):
            assert (await (await gateway.tunnel()).ask(get())).status == 200
        assert len(target.got) == 5
    finally:
        for connection in loris:
            connection.close()
