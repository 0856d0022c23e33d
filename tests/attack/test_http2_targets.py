"""Targets that speak HTTP/2, where heads, trailers and bodies have other ways to hide in."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.ledger.conftest import RunningLedger
from tests.parts.certificates import TestAuthority
from tests.parts.gateway import SECRET, Gateway
from tests.parts.http2 import Http2Agent
from tests.parts.http2_target import Http2Answer, Http2Got, Http2Target
from tests.parts.policies import policy_for
from tests.parts.provider import Provider

EMAIL = b"ann@example.com"
HEAD = ((b":status", b"200"), (b"content-type", b"application/json"))


@pytest.fixture
async def http2_target(tmp_path: Path) -> AsyncIterator[Http2Target]:
    authority = TestAuthority(tmp_path)
    async with Http2Target(authority.pair("127.0.0.1"), authority.ca) as running:
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
    async with Gateway(tmp_path, ledger, provider, policy, hold={"wait": "1s"}) as running:
        yield running


async def test_the_credential_reaches_the_wire_and_no_log(
    http2_gateway: Gateway, http2_target: Http2Target, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    agent = await Http2Agent.tunnel(http2_gateway)
    answer = await agent.ask("POST", "/v1/a", body=b'{"a": 1}', fields=[("authorization", "Bearer mine")])
    assert (answer.status, answer.body) == (200, b'{"ok": true}')
    (got,) = http2_target.got
    assert got.value(b"authorization") == f"Bearer {SECRET}".encode()
    assert got.value(b"content-length") == b"8"
    assert SECRET not in caplog.text
    assert http2_gateway.provider.token()[:20] not in caplog.text


ANSWERS = {
    "plain": Http2Answer(HEAD, b'{"email": "%s"}' % EMAIL),
    "early-hints": Http2Answer(HEAD, b'{"email": "%s"}' % EMAIL, before=[[(b":status", b"103"), (b"x", EMAIL)]]),
    "trailers": Http2Answer(HEAD, b'{"email": "%s"}' % EMAIL, trailers=[(b"x", EMAIL)]),
    "reset": Http2Answer(HEAD, b'{"email": "%s"}' % EMAIL, reset=True),
    "204": Http2Answer(((b":status", b"204"),), b'{"a": "%s"}' % EMAIL),
    "304": Http2Answer(((b":status", b"304"),), b'{"a": "%s"}' % EMAIL),
    "206": Http2Answer(((b":status", b"206"), HEAD[1]), b'{"email": "%s"}' % EMAIL),
    "999": Http2Answer(((b":status", b"999"),), EMAIL),
    "no-number": Http2Answer(((b":status", EMAIL),), EMAIL),
    "two-statuses": Http2Answer((HEAD[0], (b":status", b"201")), EMAIL),
    "unknown-pseudo": Http2Answer((*HEAD[:1], (b":email", EMAIL)), EMAIL),
    "upper-case": Http2Answer((*HEAD, (b"X-Email", EMAIL)), b"{}"),
    "line-end": Http2Answer((*HEAD, (b"x", b"a\r\nset-cookie: " + EMAIL)), b"{}"),
    "wrong-length": Http2Answer((*HEAD, (b"content-length", b"3")), b'{"email": "%s"}' % EMAIL),
    "coding": Http2Answer((*HEAD, (b"content-encoding", b"gzip, br")), b'{"email": "%s"}' % EMAIL),
    "transfer-encoding": Http2Answer((*HEAD, (b"transfer-encoding", b"chunked")), b'{"email": "%s"}' % EMAIL),
    "101": Http2Answer(((b":status", b"101"),), EMAIL),
}


@pytest.mark.parametrize("kind", ANSWERS)
async def test_no_answer_of_http2_carries_a_masked_value(
    http2_gateway: Gateway, http2_target: Http2Target, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    http2_target.answer = ANSWERS[kind]
    agent = await Http2Agent.tunnel(http2_gateway)
    answer = await agent.ask()
    assert EMAIL not in answer.body
    assert EMAIL.decode() not in str(answer.headers)
    assert EMAIL.decode() not in caplog.text
    await http2_gateway.entry("request.outcome", status=answer.status)
    assert SECRET not in caplog.text


async def test_an_echo_in_an_http2_answer_is_cut_out(http2_gateway: Gateway, http2_target: Http2Target) -> None:
    fields = (*HEAD, (b"x-echo", SECRET.encode()), (b"location", b"/?" + SECRET.encode()))
    http2_target.answer = Http2Answer(fields, b'{"a": "%s"}' % SECRET.encode())
    answer = await (await Http2Agent.tunnel(http2_gateway)).ask()
    assert answer.status == 200
    assert SECRET not in str(answer)


async def test_many_streams_get_their_own_answers(http2_gateway: Gateway, http2_target: Http2Target) -> None:
    def answer(got: Http2Got) -> Http2Answer:
        return Http2Answer(HEAD, b'{"path": "%s", "email": "%s"}' % (got.value(b":path") or b"", EMAIL))

    http2_target.answer = answer
    agent = await Http2Agent.tunnel(http2_gateway)
    streams = {await agent.send("GET", f"/v1/a{n}"): n for n in range(20)}
    for stream, number in streams.items():
        got = await agent.read(stream)
        assert f'"/v1/a{number}"'.encode() in got.body
        assert EMAIL not in got.body


async def test_a_secret_that_is_rotated_often_keeps_nobody_waiting(
    http2_gateway: Gateway, http2_target: Http2Target
) -> None:
    """What was open for earlier secrets held all five places of an agent's connection."""
    agent = await Http2Agent.tunnel(http2_gateway)
    for number in range(7):
        http2_gateway.credential.secret = f"an-entirely-other-secret-of-32-{number}"
        assert (await agent.ask("GET", "/v1/a")).status == 200
    assert len(http2_target.got) == 7


async def test_a_request_that_is_late_ends_no_other_on_its_targets_connection(
    http2_gateway: Gateway, http2_target: Http2Target
) -> None:
    http2_gateway.chain.answer_s = 1.0
    http2_target.answer = Http2Answer(endless=True)
    agent = await Http2Agent.tunnel(http2_gateway)
    first = await agent.send("GET", "/v1/a")
    await asyncio.sleep(0.5)  # between their deadlines
    second = await agent.send("GET", "/v1/b")
    for stream in (first, second):
        problem = (await agent.read(stream)).problem
        assert (problem["cause"], problem["executed"]) == ("target-timeout", "yes")
    http2_target.answer = Http2Answer()
    assert (await agent.ask("GET", "/v1/c")).status == 200
    for cause, count in (("target-timeout", 2), (None, 1)):
        found = [each for each in http2_gateway.entries("request.outcome") if each.fields["cause"] == cause]
        assert len(found) == count


async def test_a_target_that_says_nothing_at_all_gets_no_other_request_on_that_connection(
    http2_gateway: Gateway, http2_target: Http2Target
) -> None:
    agent = await Http2Agent.tunnel(http2_gateway)
    assert (await agent.ask("GET", "/v1/a")).status == 200
    http2_gateway.chain.answer_s = 0.5
    http2_target.is_silent = True
    assert (await agent.ask("GET", "/v1/b")).problem["cause"] == "target-timeout"
    http2_target.is_silent = False
    assert (await agent.ask("GET", "/v1/c")).status == 200
    assert http2_target.connections == 2
