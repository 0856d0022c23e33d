"""What a block does to the connections of one worker; through all processes in tests/end_to_end/test_blocks.py."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from doorward.core.entry import Role
from doorward.ledger.client import LedgerClient
from doorward.model import HoldState
from tests.ledger.conftest import RunningLedger
from tests.parts.gateway import Gateway, get
from tests.parts.http2 import Http2Agent
from tests.parts.policies import policy_for
from tests.parts.provider import Provider
from tests.parts.raw_target import RawTarget

AGENT = "corp:agent-7"
DELETE = get("/v1/a", method="DELETE")


@pytest.fixture
async def gateway(
    tmp_path: Path, ledger: RunningLedger, provider: Provider, target: RawTarget
) -> AsyncIterator[Gateway]:
    async with Gateway(tmp_path, ledger, provider, policy_for(target), hold={"wait": "30s"}) as running:
        yield running


@pytest.fixture
async def command(ledger: RunningLedger) -> LedgerClient:
    return await ledger.client(Role.COMMAND)


async def until_held(gateway: Gateway, count: int = 1) -> None:
    async with asyncio.timeout(10):
        while len(await gateway.client.holds(HoldState.OPEN)) < count:
            await asyncio.sleep(0.01)


async def until_got(target: RawTarget) -> None:
    async with asyncio.timeout(10):
        while not target.got:
            await asyncio.sleep(0.01)


async def test_an_idle_tunnel_is_closed_and_others_are_not(gateway: Gateway, command: LedgerClient) -> None:
    agent, other = await gateway.tunnel(), await gateway.tunnel(token=gateway.provider.token("agent-8"))
    assert (await agent.ask(get())).status == 200
    begun = time.monotonic()
    await command.set_block(AGENT, is_block=True, reason="it went wild")
    await agent.closed()
    assert time.monotonic() - begun < 1
    assert (await other.ask(get())).status == 200


async def test_a_held_request_gets_its_page_and_the_tunnel_is_closed(
    gateway: Gateway, command: LedgerClient, target: RawTarget
) -> None:
    agent = await gateway.tunnel()
    await agent.send(DELETE)
    await until_held(gateway)
    begun = time.monotonic()
    await command.set_block(AGENT, is_block=True, reason="secret words about Ann")
    answer = await agent.read()
    await agent.closed()
    assert time.monotonic() - begun < 1
    assert (answer.status, answer.problem["cause"], answer.problem["executed"]) == (403, "principal-blocked", "no")
    assert answer.problem["title"] == "blocked by the operator"
    assert "ask the operator" in answer.problem["next"]
    assert answer.headers["connection"] == "close"
    assert b"Ann" not in answer.body
    refused = await gateway.entry("request.refused", cause="principal-blocked")
    assert (refused.fields["principal"], refused.fields["executed"]) == (AGENT, "no")
    assert target.got == []


async def test_a_request_in_flight_is_given_up_and_recorded(
    gateway: Gateway, command: LedgerClient, target: RawTarget
) -> None:
    target.answer = b""  # it thinks
    agent = await gateway.tunnel()
    await agent.send(get())
    await until_got(target)
    begun = time.monotonic()
    await command.set_block(AGENT, is_block=True, reason="it went wild")
    assert await agent.closed() == b""
    assert time.monotonic() - begun < 1
    outcome = await gateway.entry("request.outcome", cause="principal-blocked")
    assert outcome.fields["executed"] == "unknown"


async def test_an_answer_that_is_half_here_is_not_released(
    gateway: Gateway, command: LedgerClient, target: RawTarget
) -> None:
    target.answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n" + b"x" * 50
    agent = await gateway.tunnel()
    await agent.send(get())
    await until_got(target)
    await command.set_block(AGENT, is_block=True, reason="it went wild")
    assert await agent.closed() == b""
    outcome = await gateway.entry("request.outcome", cause="principal-blocked")
    assert outcome.fields["executed"] in ("yes", "unknown")


async def test_http2_streams_of_all_sorts_on_one_connection(
    gateway: Gateway, command: LedgerClient, target: RawTarget
) -> None:
    target.answer = b""
    agent = await Http2Agent.tunnel(gateway)
    await agent.send("GET", "/v1/a")
    await until_got(target)
    held = await agent.send("DELETE", "/v1/b")
    await until_held(gateway)
    begun = time.monotonic()
    await command.set_block(AGENT, is_block=True, reason="it went wild")
    answer = await agent.read(held)
    assert (answer.status, answer.problem["cause"]) == (403, "principal-blocked")
    await agent.agent.closed()
    assert time.monotonic() - begun < 1.5
    await gateway.entry("request.outcome", cause="principal-blocked", executed="unknown")
    assert len(target.got) == 1


async def test_a_plain_request_is_cut_as_well(gateway: Gateway, command: LedgerClient, target: RawTarget) -> None:
    target.answer = b""
    agent = await gateway.connect()
    head = b"GET http://billing.internal/v1/a HTTP/1.1\r\nHost: billing.internal\r\n"
    await agent.send(head + gateway.authorization() + b"\r\n")
    await until_got(target)
    await command.set_block(AGENT, is_block=True, reason="it went wild")
    assert await agent.closed() == b""
    again = await (await gateway.connect()).ask(head + gateway.authorization() + b"\r\n")
    assert (again.status, again.problem["cause"]) == (403, "principal-blocked")
    assert len(target.got) == 1


async def test_a_connect_is_refused_and_after_the_end_of_the_block_it_is_not(
    gateway: Gateway, command: LedgerClient
) -> None:
    await command.set_block(AGENT, is_block=True, reason="it went wild")
    agent = await gateway.connect()
    head = b"CONNECT billing.internal:443 HTTP/1.1\r\nHost: billing.internal:443\r\n%s\r\n" % gateway.authorization()
    answer = await agent.ask(head)
    assert (answer.status, answer.problem["cause"], answer.problem["executed"]) == (403, "principal-blocked", "no")
    assert "proxy-authenticate" not in answer.headers
    entry = await gateway.entry("request.refused", cause="principal-blocked")
    assert (entry.fields["principal"], entry.fields["verb"]) == (AGENT, "CONNECT")
    await command.set_block(AGENT, is_block=False, reason="mended")
    assert (await (await gateway.tunnel()).ask(get())).status == 200
