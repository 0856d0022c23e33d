"""Connections to targets that are used again: by nobody else, with no other secret, and never after an odd answer."""

import asyncio
from collections.abc import Callable

import pytest

from tests.parts.gateway import Gateway, get
from tests.parts.http2 import Http2Agent
from tests.parts.raw_target import OK, RawTarget


async def asked(gateway: Gateway, subject: str = "agent-7", path: str = "/v1/a") -> int:
    """One request in a tunnel of its own, which is closed then; its status."""
    agent = await gateway.tunnel(token=gateway.provider.token(sub=subject))
    answer = await agent.ask(get(path))
    agent.writer.close()
    for _ in range(200):
        if not gateway.listener._open:
            break
        await asyncio.sleep(0.01)
    await asyncio.sleep(0)  # the link goes back when nobody reads from it any more
    return answer.status


async def test_one_principal_shares_with_itself(gateway: Gateway, target: RawTarget) -> None:
    assert [await asked(gateway) for _ in range(3)] == [200] * 3
    assert target.connections == 1
    assert len(target.got) == 3


async def test_another_principal_gets_a_connection_of_its_own(gateway: Gateway, target: RawTarget) -> None:
    for subject in ("agent-7", "agent-8", "agent-7", "agent-8"):
        assert await asked(gateway, subject) == 200
    assert target.connections == 2


async def test_two_principals_on_one_plain_connection_share_none(gateway: Gateway, target: RawTarget) -> None:
    agent = await gateway.connect()
    for subject in ("agent-7", "agent-8", "agent-7"):
        line = gateway.authorization(gateway.provider.token(sub=subject)).decode().strip()
        raw = get("http://billing.internal/v1/a", line)
        assert (await agent.ask(raw)).status == 200
    assert target.connections == 2


async def test_a_new_credential_goes_over_a_new_connection(gateway: Gateway, target: RawTarget) -> None:
    agent = await gateway.tunnel()
    assert (await agent.ask(get("/v1/a"))).status == 200
    gateway.credential.secret = "an-entirely-other-secret-of-32-b"
    assert (await agent.ask(get("/v1/a"))).status == 200
    assert target.connections == 2
    agent.close()
    assert await asked(gateway) == 200
    assert target.connections == 2


ODD = {
    "a 103 before it": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK,
    "a surplus byte": OK + b"x",
    "a second answer": OK + OK,
    "HTTP/1.0": OK.replace(b"1.1", b"1.0"),
    "Connection: close": OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
}


@pytest.mark.parametrize("kind", ODD)
async def test_after_an_odd_answer_nobody_gets_the_connection(gateway: Gateway, target: RawTarget, kind: str) -> None:
    target.answer = ODD[kind]
    assert await asked(gateway) == 200
    target.answer = OK
    assert await asked(gateway) == 200
    assert target.connections == 2


@pytest.mark.parametrize("kind", ODD)
async def test_nor_does_the_next_stream_of_http2(gateway: Gateway, target: RawTarget, kind: str) -> None:
    target.answer = ODD[kind]
    agent = await Http2Agent.tunnel(gateway)
    assert (await agent.ask("GET", "/v1/a")).status == 200
    target.answer = OK
    assert (await agent.ask("GET", "/v1/a")).status == 200
    assert target.connections == 2
    assert len(target.got) == 2


async def test_streams_of_http2_take_turns_on_one_connection(gateway: Gateway, target: RawTarget) -> None:
    agent = await Http2Agent.tunnel(gateway)
    for _ in range(4):
        assert (await agent.ask("GET", "/v1/a")).status == 200
    assert target.connections == 1


async def test_an_answer_that_was_left_is_nobody_elses(gateway: Gateway, target: RawTarget) -> None:
    release = asyncio.Event()

    def slowly(_: bytes) -> bytes:
        release.set()
        return OK[:40]

    target.answer = slowly
    agent = await gateway.tunnel()
    await agent.send(get("/v1/a"))
    await release.wait()
    agent.close()
    await gateway.entry("request.outcome", cause="agent-left")
    target.answer = OK
    assert await asked(gateway) == 200
    assert target.connections == 2


async def test_a_blocked_principal_leaves_no_connection_behind(gateway: Gateway, target: RawTarget) -> None:
    assert await asked(gateway) == 200
    assert gateway.blocks.on_block is not None
    gateway.blocks.on_block("corp:agent-7")
    closed: Callable[[], bool] = target.writers[0].transport.is_closing
    for _ in range(200):
        if closed():
            break
        await asyncio.sleep(0.01)
    assert closed()


async def test_a_late_answer_is_not_the_next_ones(gateway: Gateway, target: RawTarget) -> None:
    """The target sends a second answer when the connection waits already."""
    assert await asked(gateway) == 200
    target.writers[0].write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned")
    await target.writers[0].drain()
    await asyncio.sleep(0.05)
    agent = await gateway.tunnel(token=gateway.provider.token(sub="agent-7"))
    answer = await agent.ask(get("/v1/a"))
    assert b"poisoned" not in answer.body
    assert target.connections == 2
