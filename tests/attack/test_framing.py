"""What stands before, between and behind requests and answers: interim answers, trailers, early answers, long heads."""

import asyncio
import contextlib
import ssl

import pytest

from tests.attack.test_answers import on_disk
from tests.parts.gateway import SECRET, Gateway, get
from tests.parts.http2 import Http2Agent
from tests.parts.policies import policy_for
from tests.parts.raw_target import OK, RawTarget


async def test_expect_is_answered_here_and_goes_no_further(gateway: Gateway, target: RawTarget) -> None:
    """The target sees the body at once: its own 100 could be taken for its answer."""
    agent = await gateway.tunnel()
    await agent.send(get("/v1/a", "Expect: 100-continue", "Content-Length: 8", method="POST"))
    assert (await agent.read()).status == 100
    assert (await agent.ask(b'{"a": 1}')).status == 200
    assert b"expect" not in target.got[0].lower()
    assert target.got[0].endswith(b'{"a": 1}')


async def test_expect_of_a_refused_head_brings_no_body(gateway: Gateway, target: RawTarget) -> None:
    agent = await gateway.connect()
    head = (
        b"POST http://elsewhere/v1/a HTTP/1.1\r\nHost: elsewhere\r\nExpect: 100-continue\r\nContent-Length: 8\r\n%s\r\n"
    )
    assert (await agent.ask(head % gateway.authorization())).status == 403
    assert target.connections == 0


@pytest.mark.parametrize("value", ["200-ok", "100-continue, x", "100-CONTINUE"])
async def test_another_expectation_does_not_reach_the_target(gateway: Gateway, target: RawTarget, value: str) -> None:
    agent = await gateway.tunnel()
    await agent.send(get("/v1/a", f"Expect: {value}", "Content-Length: 2", method="POST") + b"{}")
    answer = await agent.read()
    if answer.status == 100:
        answer = await agent.read()
    assert answer.status == 200
    assert b"expect" not in target.got[0].lower()


INTERIM = {
    "100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "102": b"HTTP/1.1 102 Processing\r\n\r\n",
    "103-with-secret": b"HTTP/1.1 103 Early Hints\r\nLink: <%s>\r\n\r\n" % SECRET.encode(),
    "many": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 16,
    "199": b"HTTP/1.1 199 X\r\n\r\n",
}


@pytest.mark.parametrize("kind", INTERIM)
@pytest.mark.parametrize("version", ["http/1.1", "h2"])
async def test_an_interim_answer_takes_the_place_of_no_answer(
    gateway: Gateway, target: RawTarget, kind: str, version: str
) -> None:
    target.answer = INTERIM[kind] + OK
    agent = await (Http2Agent.tunnel(gateway) if version == "h2" else gateway.tunnel())
    for _ in range(2):
        answer = await (agent.ask() if isinstance(agent, Http2Agent) else agent.ask(get()))
        assert (answer.status, answer.body) == (200, b'{"ok": true}')
    assert SECRET not in str(answer)
    assert SECRET.encode() not in on_disk(gateway)


UNASKED = {
    "101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nann@example.com",
    "too-many": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 17 + OK,
    "endless": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10_000,
    "folded": b"HTTP/1.1 200 OK\r\nX: a\r\n ann@example.com\r\nContent-Length: 0\r\n\r\n",
    "nul": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
    "bare-cr": b"HTTP/1.1 200 OK\r\nX: a\rContent-Length: 0\r\nContent-Length: 2\r\n\r\n{}",
    "vertical-tab": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: \x0bchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 15\r\n\r\nann@example.com",
    "length-and-chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\n{}\r\n0\r\n\r\n",
    "status-999": b"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n",
    "status-plus": b"HTTP/1.1 +20 X\r\nContent-Length: 0\r\n\r\n",
    "long-head": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300_000 + b"\r\n\r\n",
    "not-http": b"SSH-2.0-OpenSSH\r\n\r\n",
}


@pytest.mark.parametrize("kind", UNASKED)
@pytest.mark.parametrize("version", ["http/1.1", "h2"])
async def test_an_answer_with_two_readings_is_withheld(
    gateway: Gateway, target: RawTarget, kind: str, version: str
) -> None:
    target.answer = UNASKED[kind]
    agent = await (Http2Agent.tunnel(gateway) if version == "h2" else gateway.tunnel())
    answer = await (agent.ask() if isinstance(agent, Http2Agent) else agent.ask(get()))
    assert answer.status == 502, answer
    assert answer.problem["executed"] in ("yes", "unknown")
    assert b"ann@" not in answer.body
    await gateway.entry("request.outcome", status=502, cause=answer.problem["cause"])


TRAILERS = b"0\r\nX-Trailer: ann@example.com\r\nContent-Length: 0\r\n\r\n"


async def test_trailers_end_here_in_both_directions(gateway: Gateway, target: RawTarget) -> None:
    target.answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Trailer\r\n\r\n2\r\n{}\r\n" + TRAILERS
    agent = await gateway.tunnel()
    for _ in range(2):
        answer = await agent.ask(get("/v1/a", "Transfer-Encoding: chunked", method="POST") + b"2\r\n{}\r\n" + TRAILERS)
        assert (answer.status, answer.body) == (200, b"{}")
    assert "trailer" not in str(answer.headers).lower()
    assert b"ann@" not in b"".join(target.got)


async def test_trailers_of_http2_end_here(gateway: Gateway, target: RawTarget) -> None:
    agent = await Http2Agent.tunnel(gateway)
    answer = await agent.ask("POST", "/v1/a", body=b"{}", trailers=[("x-trailer", "ann@example.com")])
    assert answer.status in (200, 400)
    assert b"ann@" not in b"".join(target.got)
    assert (await agent.ask()).status == 200


async def test_an_answer_before_its_request_is_the_answer_to_no_later_one(gateway: Gateway, target: RawTarget) -> None:
    """A target that sends two answers for one request must not have the second taken for the next."""
    forged = OK.replace(b'{"ok": true}', b'{"ok": fals}')
    target.answer = OK + forged
    agent = await gateway.tunnel()
    assert (await agent.ask(get("/v1/a"))).body == b'{"ok": true}'
    target.answer = OK
    for _ in range(3):
        answer = await agent.ask(get("/v1/b"))
        assert answer.status == 502 or answer.body == b'{"ok": true}'


async def test_a_head_without_end_fills_no_memory(gateway: Gateway, target: RawTarget) -> None:
    """20 MB of one header, or of many."""
    for line in (b"x" * 65536, b"X-%d: a\r\n" * 6000):
        agent = await gateway.tunnel()
        await agent.send(get("/v1/a")[:-2] + b"X: ")
        sent = 0
        try:
            while sent < 20 << 20:
                await agent.send(line)
                sent += len(line)
                await asyncio.sleep(0)
        except (ConnectionError, ssl.SSLError):
            pass
        else:
            answer = await agent.read()
            assert (answer.status, answer.problem["cause"]) == (413, "head-too-large")
    await gateway.entry("connection.refused", cause="head-too-large")
    assert target.got == []


async def test_a_connection_of_http2_serves_one_host(gateway: Gateway, target: RawTarget) -> None:
    """Browsers coalesce connections whose certificate names several hosts; here each tunnel is one host's."""
    policy = policy_for(target)
    policy["targets"]["second"] = {"kind": "http", "url": target.url, "hosts": ["second.internal"]}
    gateway.policy = gateway.read_policy(policy)
    agent = await Http2Agent.tunnel(gateway)
    assert (await agent.ask()).status == 200
    for authority in ("second.internal", "second.internal:443"):
        answer = await agent.ask(authority=authority)
        assert (answer.status, answer.problem["cause"]) == (400, "host-differs")
    with contextlib.suppress(ConnectionResetError):  # h2 itself takes it for an error of the whole connection
        assert (await agent.ask(fields=[("host", "second.internal")])).status == 400
    assert len(target.got) == 1
