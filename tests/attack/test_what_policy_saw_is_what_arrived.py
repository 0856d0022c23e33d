"""Whatever an agent sends: what the record says that policy saw is what arrived, byte for byte, and nothing else did.

Requests are generated, bent and pipelined (`tests/parts/strange_requests.py`) and sent through a
real gateway to a target that keeps the bytes it gets. For each intent the record says what goes
out; the requests that arrived must be among these, each once. What was refused has no intent. An
answer carries the id of an intent and what the target saw, so an answer to another request is
found, and so is a connection that got out of step.
"""

import asyncio
import contextlib
import itertools
import re
import sqlite3
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h2.exceptions
import msgspec
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings

from tests.ledger.conftest import RunningLedger
from tests.parts.gateway import SECRET, Agent, Gateway, get
from tests.parts.http2 import Http2Agent
from tests.parts.policies import policy_for
from tests.parts.provider import Provider
from tests.parts.raw_target import RawTarget
from tests.parts.strange_requests import HOST, TOKEN_LINE, Http1Attempt, Http2Attempt, http1_attempts, http2_attempts

TRYING = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
PATIENCE_S = 0.3  # for an answer that may never come, since the gateway waits for the rest of a request
ADDED = ("host", "content-length", "accept-encoding", "authorization")


@dataclass(frozen=True)
class Sent:
    """A request as it was to go out, or as it arrived."""

    line: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True)
class Told:
    """An answer that the agent got."""

    status: int
    request: str
    saw: str | None  # by the target; None for a page of ours
    problem: dict[str, Any]


def say_what_you_saw(raw: bytes) -> bytes:
    line = raw.partition(b" HTTP/")[0]
    body = b"" if line.startswith(b"HEAD ") else b'{"ok": true}'
    return b"HTTP/1.1 200 OK\r\nX-Saw: %s\r\nContent-Length: %d\r\n\r\n%s" % (line, len(body), body)


@pytest.fixture
async def open_gateway(
    tmp_path: Path,
    ledger: RunningLedger,  # the fixture
    provider: Provider,
    target: RawTarget,
) -> AsyncIterator[Gateway]:
    """Much is allowed, nothing is masked, so that the record holds what goes out as it is."""
    target.answer = say_what_you_saw
    policy = policy_for(target)
    policy["roles"] = {"all": [{"methods": ["GET", "POST", "PUT", "PATCH", "DELETE"], "paths": ["/v1/**"]}]}
    policy["bindings"] = [{"role": "all", "target": "billing", "groups": ["corp:agents"]}]
    del policy["holds"], policy["masks"]
    async with Gateway(tmp_path, ledger, provider, policy) as running:
        yield running


class Record:
    """The intents since one looked last, as they say what goes out, by request."""

    def __init__(self, gateway: Gateway, url: str) -> None:
        self._segments = gateway.ledger.path / "segments"
        self._url = url
        self._seq = -1

    def new_intents(self) -> dict[str, Sent]:
        found = {}
        for file in sorted(self._segments.glob("*.db")):
            with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)) as database:
                rows = database.execute("SELECT seq, kind, entry FROM entries WHERE seq > ? ORDER BY seq", (self._seq,))
                for seq, kind, entry in rows.fetchall():
                    self._seq = seq
                    if kind == "request.intent":
                        stored = database.execute("SELECT name, zstd FROM bodies WHERE seq = ?", (seq,))
                        bodies = dict(stored.fetchall())
                        found[msgspec.json.decode(entry)["request"]] = self._sent(bodies)
        return found

    def _sent(self, bodies: dict[str, bytes]) -> Sent:
        plain = {
            name: zstandard.ZstdDecompressor().decompress(packed, max_output_size=1 << 24)
            for name, packed in bodies.items()
        }
        head = msgspec.json.decode(plain["request_head"])
        assert head["url"].startswith(self._url)
        headers = tuple((name, value) for name, value in head["headers"] if name not in ADDED)
        return Sent(f"{head['method']} {head['url'][len(self._url) :]}", headers, plain.get("request_body", b""))


def arrived(raw: bytes) -> Sent:
    """What the target got, which has to be one clear request under the gateway's own credential."""
    head, _, body = raw.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    assert re.fullmatch(r"[A-Z][A-Z0-9-]* /[!-~]* HTTP/1\.1", line), line
    headers = []
    for each in lines:
        matched = re.fullmatch(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t -~]*)", each)
        assert matched, each
        headers.append((matched[1].lower(), matched[2]))
    counted = Counter(name for name, _ in headers)
    values = dict(headers)
    assert counted["host"] == counted["authorization"] == 1
    assert values["authorization"] == f"Bearer {SECRET}"
    assert counted["content-length"] == (1 if body else counted["content-length"]) <= 1
    assert int(values.get("content-length", "0")) == len(body)
    assert not counted.keys() & {"transfer-encoding", "connection", "upgrade", "te", "trailer", "expect", "forwarded"}
    kept = tuple((name, value) for name, value in headers if name not in ADDED)
    return Sent(line.removesuffix(" HTTP/1.1"), kept, body)


class Reader:
    """Reads answers, interim ones and those to HEAD among them, whatever else comes."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._buffer = b""

    async def _more(self) -> bool:
        try:
            got = await self._agent.reader.read(65536)
        except (ConnectionError, ssl.SSLError):
            return False
        self._buffer += got
        return bool(got)

    async def next(self) -> Told | None:
        """The next answer; None at the end of the connection."""
        while True:
            while b"\r\n\r\n" not in self._buffer:
                if not await self._more():
                    assert self._buffer == b""
                    return None
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            line, *lines = head.decode("latin-1").split("\r\n")
            matched = re.match(r"HTTP/1\.[01] ([0-9]{3}) ", line)
            assert matched, line
            if matched[1] != "100":
                break
        fields = [each.partition(": ") for each in lines]
        headers = {name.lower(): value for name, _, value in fields}
        return await self._told(int(matched[1]), headers)

    async def _told(self, status: int, headers: dict[str, str]) -> Told:
        length = int(headers.get("content-length", "0"))
        is_ours = headers.get("content-type") == "application/problem+json"
        if is_ours and length:  # unless it answers a HEAD
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    while not self._buffer and await self._more():
                        pass
            if not self._buffer.startswith(b"{"):
                length = 0
        while len(self._buffer) < length:
            assert await self._more()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        problem = msgspec.json.decode(body) if is_ours and body else {}
        return Told(status, headers["doorward-request"], headers.get("x-saw"), problem)


async def at_rest(gateway: Gateway) -> None:
    """No connection of an agent is open any more, so nothing more can arrive."""
    async with asyncio.timeout(10):
        while gateway.chain.admission.open:
            await asyncio.sleep(0.002)


def check(told: list[Told], intents: dict[str, Sent], got: list[bytes]) -> None:
    there = [arrived(raw) for raw in got]
    assert not Counter(there) - Counter(intents.values()), "what arrived is not what policy saw"
    answered = set()
    for each in told:
        if each.saw is not None:
            assert each.status == 200
            assert each.saw == intents[each.request].line, "an answer to another request"
            assert each.request not in answered
            answered.add(each.request)
        elif each.problem.get("executed", "no") == "no":
            assert each.request not in intents, "refused, and sent all the same"


async def send_http1(gateway: Gateway, attempt: Http1Attempt, marker: str, plain: bool) -> tuple[list[Told], bool]:
    """Send it, and a marker behind it; the answers, and whether the last is the marker's."""
    told: list[Told] = []
    behind = get(f"http://{HOST}{marker}", TOKEN_LINE) if plain else get(marker)
    raw = (attempt.raw + behind).replace(b"TOKEN", gateway.provider.token().encode())
    agent = await (gateway.connect() if plain else gateway.tunnel())
    try:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await agent.send(raw)
        reader = Reader(agent)
        with contextlib.suppress(TimeoutError):
            while not told or told[-1].saw != f"GET {marker}":
                async with asyncio.timeout(PATIENCE_S if attempt.requests is None else 10):
                    answer = await reader.next()
                if answer is None:
                    return told, False
                told.append(answer)
            return told, True
        return told, False
    finally:
        agent.close()
        await at_rest(gateway)


async def send_http2(gateway: Gateway, attempt: Http2Attempt, marker: str) -> list[Told]:
    """Send it, and then the marker on a stream of its own, which must be answered unless the connection ended."""
    agent = await Http2Agent.tunnel(gateway)
    told = []
    try:
        for stream in (attempt.send(), {"method": "GET", "path": marker, "authority": HOST}):
            try:
                answer = await agent.ask(**stream)
            except (ConnectionError, ssl.SSLError, h2.exceptions.ProtocolError):
                continue  # the gateway, or the agent's own library, ended the stream or the connection
            saw = answer.headers.get("x-saw")
            problem = answer.problem if saw is None and answer.body else {}
            told.append(Told(answer.status, answer.headers["doorward-request"], saw, problem))
            if stream["path"] == marker:
                assert told[-1].saw == f"GET {marker}"
        return told
    finally:
        agent.agent.close()
        await at_rest(gateway)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("plain", [False, True], ids=["tunnel", "plain"])
async def test_over_http1(open_gateway: Gateway, target: RawTarget, plain: bool) -> None:
    record, numbers, loop = Record(open_gateway, target.url), itertools.count(), asyncio.get_running_loop()

    async def attack(attempt: Http1Attempt) -> None:
        before = len(target.got)
        told, at_marker = await send_http1(open_gateway, attempt, f"/v1/marker-{next(numbers)}", plain)
        intents = record.new_intents()
        check(told, intents, target.got[before:])
        assert target.left == []
        if attempt.requests is not None:
            assert at_marker, told
            assert [each.status for each in told] == [200] * (attempt.requests + 1), told
            assert list(intents.values()) == [arrived(raw) for raw in target.got[before:]]

    @TRYING
    @given(http1_attempts(plain))
    def attacks(attempt: Http1Attempt) -> None:
        asyncio.run_coroutine_threadsafe(attack(attempt), loop).result(60)

    await asyncio.to_thread(attacks)


@pytest.mark.timeout(3600)
async def test_over_http2(open_gateway: Gateway, target: RawTarget) -> None:
    record, numbers, loop = Record(open_gateway, target.url), itertools.count(), asyncio.get_running_loop()

    async def attack(attempt: Http2Attempt) -> None:
        before = len(target.got)
        told = await send_http2(open_gateway, attempt, f"/v1/marker-{next(numbers)}")
        intents = record.new_intents()
        check(told, intents, target.got[before:])
        assert target.left == []
        if attempt.is_good:
            assert [each.status for each in told] == [200, 200], told
            first = arrived(target.got[before])
            assert (first.line, first.body) == (f"{attempt.method} {attempt.path}", attempt.body)

    @TRYING
    @given(http2_attempts())
    def attacks(attempt: Http2Attempt) -> None:
        asyncio.run_coroutine_threadsafe(attack(attempt), loop).result(60)

    await asyncio.to_thread(attacks)
