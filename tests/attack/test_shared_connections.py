"""Connections to targets that are used again: by nobody else, with no other secret, and never after an odd answer."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import h2.events
import pytest

from tests.ledger.conftest import RunningLedger
from tests.parts.certificates import TestAuthority
from tests.parts.gateway import Agent, Gateway, get
from tests.parts.http2 import Http2Agent
from tests.parts.policies import policy_for
from tests.parts.provider import Provider
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


async def in_two_pieces(gateway: Gateway, agent: Agent, target: RawTarget, *, then_end: bool = False) -> int:
    """One request whose answer's body comes behind its head, in a piece of its own; its status."""
    served = len(target.got)
    await agent.send(get("/v1/a"))
    for _ in range(200):
        if len(target.got) > served:
            break
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.02)  # the head is read alone
    target.writers[-1].write(b'{"ok": true}')
    if then_end:
        target.writers[-1].close()
    return (await agent.read()).status


@pytest.mark.parametrize("line", [b"Connection: close", b"connection: Close", b"Connection: x, CLOSE"])
@pytest.mark.parametrize("pieces", [1, 2])
async def test_an_answer_that_says_close_is_the_last_one(
    gateway: Gateway, target: RawTarget, line: bytes, pieces: int
) -> None:
    """Clearing the answer takes the line off the flow, before or after its body was read to the end."""
    said = OK.replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n\r\n")
    agent = await gateway.tunnel()
    for _ in range(2):
        if pieces == 1:
            target.answer = said
            assert (await agent.ask(get("/v1/a"))).status == 200
        else:
            target.answer = said[: -len(b'{"ok": true}')]
            assert await in_two_pieces(gateway, agent, target) == 200
    assert target.connections == 2


async def test_answers_that_end_by_closing_leave_no_connection_behind(gateway: Gateway, target: RawTarget) -> None:
    """Five may be open: the sixth request waited for ever."""
    target.answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
    agent = await gateway.tunnel()
    for _ in range(7):
        assert await in_two_pieces(gateway, agent, target, then_end=True) == 200


async def test_a_secret_that_is_rotated_often_keeps_nobody_waiting(gateway: Gateway, target: RawTarget) -> None:
    """What was open for earlier secrets held all five places: the sixth request waited for ever."""
    agent = await gateway.tunnel()
    for number in range(7):
        gateway.credential.secret = f"an-entirely-other-secret-of-32-{number}"
        assert (await agent.ask(get("/v1/a"))).status == 200
    assert target.connections == 7


async def test_many_principals_on_one_plain_connection_keep_nobody_waiting(gateway: Gateway, target: RawTarget) -> None:
    agent = await gateway.connect()
    for number in range(7):
        line = gateway.authorization(gateway.provider.token(sub=f"agent-{number}")).decode().strip()
        assert (await agent.ask(get("http://billing.internal/v1/a", line))).status == 200
    line = gateway.authorization(gateway.provider.token(sub="agent-3")).decode().strip()
    assert (await agent.ask(get("http://billing.internal/v1/a", line))).status == 200
    assert target.connections == 7  # the one of agent-3 waited for it


async def test_one_that_waits_for_its_turn_too_long_ends_no_other(gateway: Gateway, target: RawTarget) -> None:
    """Five streams fill all places of an agent's connection; the sixth request gives up alone, and was never sent."""
    policy = policy_for(target)
    del policy["masks"]
    gateway.policy = gateway.read_policy(policy)
    gateway.chain.answer_s = 1.0
    target.answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    agent = await Http2Agent.tunnel(gateway)
    streams = [await agent.send("GET", "/v1/a") for _ in range(5)]
    for _ in range(200):
        if len(target.got) == len(streams):
            break
        await asyncio.sleep(0.01)
    sixth = asyncio.ensure_future(agent.ask("GET", "/v1/sixth"))
    for _ in range(100):
        for writer in target.writers:
            writer.write(b"1\r\nx\r\n")
        if sixth.done():
            break
        await asyncio.sleep(0.05)
    answer = await sixth
    assert (answer.status, answer.problem["cause"], answer.problem["executed"]) == (502, "target-timeout", "no")
    assert not any(isinstance(each, h2.events.StreamReset) for each in agent.events)
    for writer in target.writers:
        writer.write(b"0\r\n\r\n")
    for stream in streams:
        assert (await agent.read(stream)).status == 200
    assert not any(b"sixth" in each for each in target.got)


async def test_who_leaves_while_waiting_for_a_turn_leaves_an_outcome(gateway: Gateway, target: RawTarget) -> None:
    target.answer = b""
    agent = await Http2Agent.tunnel(gateway)
    for _ in range(7):
        await agent.send("GET", "/v1/a")
    for _ in range(200):
        if len(target.got) == 5 and len(gateway.entries("request.intent")) == 7:
            break
        await asyncio.sleep(0.01)
    agent.agent.close()
    for _ in range(200):
        if len(outcomes := gateway.entries("request.outcome")) == 7:
            break
        await asyncio.sleep(0.01)
    assert sorted(str(each.fields["executed"]) for each in outcomes) == ["no"] * 2 + ["unknown"] * 5


async def test_a_surplus_byte_that_is_read_apart_is_noticed(gateway: Gateway, target: RawTarget) -> None:
    """A read takes 65,535 bytes: an answer that ends just there leaves what follows to the next read."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    size = 65535 - len(head % 65000)
    answer = head % size + b'{"ok": "' + b"x" * (size - 10) + b'"}'
    target.answer = answer + b"HTTP/1.1 200 OK\r\nContent-Le"
    agent = await Http2Agent.tunnel(gateway)
    await agent.send("GET", "/v1/a")
    await gateway.entry("request.outcome", status=200)
    target.answer = OK
    await agent.send("GET", "/v1/a")
    for _ in range(200):
        if len(target.got) == 2:
            break
        await asyncio.sleep(0.01)
    assert (len(target.got), target.connections) == (2, 2)


async def test_what_rested_in_a_tunnel_is_gone_with_its_principal(gateway: Gateway, target: RawTarget) -> None:
    """The tunnel is closed for a block, after what waits for the principal was."""
    agent = await gateway.tunnel()
    assert (await agent.ask(get("/v1/a"))).status == 200
    assert gateway.blocks.on_block is not None
    gateway.blocks.on_block("corp:agent-7")
    await agent.closed()
    for _ in range(200):
        if not gateway.listener._open:
            break
        await asyncio.sleep(0.01)
    await asyncio.sleep(0)
    assert not gateway.chain.upstream._waiting


@pytest.mark.parametrize("there", [True, False], ids=["another", "none"])
async def test_an_authority_that_was_replaced_vouches_for_no_connection_of_an_open_tunnel(
    tmp_path: Path, ledger: RunningLedger, provider: Provider, there: bool
) -> None:
    authority = TestAuthority(tmp_path)
    async with RawTarget(authority.pair("127.0.0.1")) as target:
        policy = policy_for(target)
        policy["targets"]["billing"]["ca"] = str(authority.ca)
        async with Gateway(tmp_path, ledger, provider, policy) as gateway:
            agent = await gateway.tunnel()
            for _ in range(2):
                assert (await agent.ask(get("/v1/a"))).status == 200
            assert target.connections == 1
            if there:
                authority.ca.write_bytes(TestAuthority(tmp_path, "others").ca.read_bytes())
            else:
                authority.ca.unlink()
            await asyncio.sleep(0.02)  # it is looked at every few milliseconds
            answer = await agent.ask(get("/v1/a"))
            assert (answer.status, answer.problem["cause"]) == (502, "target-unreachable")
            assert answer.problem["executed"] == "no"
            assert len(target.got) == 2


@pytest.mark.parametrize("where", ["the same tunnel", "another tunnel", "http2"])
async def test_a_target_that_answers_and_reads_no_further_keeps_nobody_waiting(
    gateway: Gateway, target: RawTarget, where: str
) -> None:
    """Its answer came before the end of the request: what was not taken would stand before the next one."""
    target.reads_bodies = False
    target.answer = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n"
    body = b"x" * (12 << 20)
    if where == "http2":
        http2 = await Http2Agent.tunnel(gateway)
        stream = await http2.begin("POST", "/v1/a", fields=[("content-length", str(len(body)))])
        await http2.pour(stream, len(body))
        http2.connection.end_stream(stream)
        await http2.flush()
        assert (await http2.read(stream)).status == 413
        target.answer = OK
        assert (await http2.ask("GET", "/v1/b")).status == 200
    else:
        agent = await gateway.tunnel()
        await agent.send(get("/v1/a", f"Content-Length: {len(body)}", method="POST") + body)
        assert (await agent.read()).status == 413
        target.answer = OK
        if where == "another tunnel":
            agent.close()
            assert await asked(gateway) == 200
        else:
            assert (await agent.ask(get("/v1/b"))).status == 200
    assert target.connections == 2
