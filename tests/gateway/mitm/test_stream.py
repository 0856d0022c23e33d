"""Answers that stream, over real sockets: what leaves when, and how a stream ends."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, cast

import pytest

from doorward.core.clearing import NOT_RECORDED
from doorward.core.entry import Role
from doorward.core.redaction.masks import sentinel_for
from doorward.model import Entry
from tests.gateway.test_fail_closed import break_hook, forever
from tests.parts.gateway import KEY, SECRET, Gateway, get
from tests.parts.http2 import Http2Agent
from tests.parts.policies import policy_for
from tests.parts.raw_target import RawTarget
from tests.parts.streaming import Streaming

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LARGE = 100_000


def stated(length: int, content_type: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n".encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def unmasked(gateway: Gateway, target: RawTarget) -> None:
    policy = policy_for(target)
    del policy["masks"]
    gateway.policy = gateway.read_policy(policy)


@pytest.fixture
def events(gateway: Gateway, target: RawTarget) -> RawTarget:
    """A target that begins a stream of events, and goes on when the test writes to it."""
    unmasked(gateway, target)
    target.answer = EVENTS
    return target


def parts(gateway: Gateway, request: object) -> list[Entry]:
    return [each for each in gateway.entries("stream.part") if each.fields["request"] == request]


async def recorded(gateway: Gateway, entry: Entry, name: str = "response_body") -> bytes:
    """A body beside an outcome; of a stream that had time for parts, what they hold."""
    reader = await gateway.ledger.client(Role.COMMAND)
    entries = [*parts(gateway, entry.fields["request"]), entry]
    found = b""
    for each in entries:
        bodies: Any = each.fields.get("bodies") or {}
        for wanted in {name, "part" if name == "response_body" else name} & bodies.keys():
            found += await reader.read_body(bodies[wanted]["digest"], reader="test", why="test")
    return found


both = pytest.mark.parametrize("version", ["http/1.1", "h2"])


@both
async def test_each_event_arrives_before_the_next_is_sent(gateway: Gateway, events: RawTarget, version: str) -> None:
    streaming = await Streaming.begin(gateway, version)
    assert streaming.head.status == 200
    assert streaming.head.headers["content-type"] == "text/event-stream"
    assert "content-length" not in streaming.head.headers
    assert len(streaming.head.headers["doorward-request"]) == 28
    for number in range(5):
        event = f'data: {{"n": {number}}}\n\n'.encode()
        events.writers[0].write(chunk(event))
        assert await streaming.piece() == event
        assert not gateway.entries("request.outcome")
    events.writers[0].write(b"0\r\n\r\n")
    assert await streaming.rest() == b""
    (outcome,) = gateway.entries("request.outcome")  # durable before the end
    fields = {"status": 200, "executed": "yes", "cause": None, "truncated": False, "echo": 0}
    assert {name: outcome.fields[name] for name in fields} == fields
    assert await recorded(gateway, outcome) == b"".join(f'data: {{"n": {n}}}\n\n'.encode() for n in range(5))
    head = json.loads(await recorded(gateway, outcome, "response_head"))
    assert head["status"] == 200
    assert ["content-type", "text/event-stream"] in [[n.lower(), v] for n, v in head["headers"]]


@both
async def test_a_connection_serves_on_after_a_stream(gateway: Gateway, events: RawTarget, version: str) -> None:
    streaming = await Streaming.begin(gateway, version)
    for _ in range(8):
        events.writers[-1].write(chunk(b"data: 1\n\n") + b"0\r\n\r\n")
        assert await streaming.rest() == b"data: 1\n\n"
        await streaming.ask()
    assert events.connections == 1


async def test_targets_that_end_by_closing_do_not_use_up_the_connections_to_them(
    gateway: Gateway, target: RawTarget
) -> None:
    unmasked(gateway, target)
    target.answer = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nall of it"
    target.then_close = True
    streaming = await Streaming.begin(gateway, "http/1.1")
    for _ in range(8):  # upstream opens five at a time
        assert await streaming.rest() == b"all of it"
        await streaming.ask()
    assert streaming.head.headers["transfer-encoding"] == "chunked"


@both
async def test_an_echo_across_two_pieces_at_every_offset(gateway: Gateway, events: RawTarget, version: str) -> None:
    streaming = await Streaming.begin(gateway, version)
    for at in range(len(SECRET) + 1):
        events.writers[-1].write(chunk(b"data: " + SECRET[:at].encode()) if at else b"")
        first = await streaming.piece() if at else b""
        assert first in (b"", b"data: ") if at < len(SECRET) else True
        events.writers[-1].write(chunk((b"" if at else b"data: ") + SECRET[at:].encode() + b"\n\n") + b"0\r\n\r\n")
        assert first + await streaming.rest() == b"data: doorward-echo-removed\n\n"
        await streaming.ask()
    outcomes = gateway.entries("request.outcome")
    assert [each.fields["echo"] for each in outcomes] == [1] * (len(SECRET) + 1)
    assert await recorded(gateway, outcomes[-1]) == b"data: doorward-echo-removed\n\n"


@both
async def test_an_echo_in_what_is_no_text_breaks_the_stream_off(
    gateway: Gateway, events: RawTarget, version: str
) -> None:
    events.answer = EVENTS.replace(b"text/event-stream", b"image/png")
    streaming = await Streaming.begin(gateway, version)
    events.writers[0].write(chunk(b"\x89PNG" + SECRET[:9].encode()))
    assert await streaming.piece() == b"\x89PNG"
    events.writers[0].write(chunk(SECRET[9:].encode() + b"\x00"))
    assert await streaming.broken_off()
    outcome = await gateway.entry("request.outcome", cause="echo")
    assert (outcome.fields["status"], outcome.fields["executed"], outcome.fields["echo"]) == (200, "yes", 1)
    assert await recorded(gateway, outcome) == b"\x89PNG"


async def test_a_stream_that_is_broken_off_leaves_the_others_of_its_connection_alone(
    gateway: Gateway, events: RawTarget
) -> None:
    first = await Streaming.begin(gateway, "h2")
    second = Streaming(first.agent)
    events.answer = EVENTS.replace(b"text/event-stream", b"image/png")
    await second.ask()
    events.writers[1].write(chunk(SECRET.encode() + b"\x00"))
    assert await second.broken_off()
    events.writers[0].write(chunk(b"data: 1\n\n") + b"0\r\n\r\n")
    assert await first.rest() == b"data: 1\n\n"


@both
async def test_a_secret_that_is_rotated_during_a_stream_is_stopped_before_and_after(
    gateway: Gateway, events: RawTarget, version: str
) -> None:
    streaming = await Streaming.begin(gateway, version)
    gateway.credential.secret = "the-new-secret-of-the-target-42"
    for secret in (SECRET, gateway.credential.secret):
        events.writers[0].write(chunk(b"data: " + secret.encode() + b"\n\n"))
        assert await streaming.piece() == b"data: doorward-echo-removed\n\n"
    gateway.credential.error = RuntimeError("unreadable")
    events.writers[0].write(chunk(b"data: more\n\n"))
    assert await streaming.broken_off() or version == "h2"


@both
async def test_a_head_that_cannot_be_cleared_is_refused_before_the_body_ends(
    gateway: Gateway, events: RawTarget, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    events.answer = EVENTS.replace(b"\r\n\r\n", b"\r\n%b: 1\r\n\r\n" % SECRET.encode()) + chunk(b"data: first\n\n")
    if version == "h2":
        answer = await (await Http2Agent.tunnel(gateway)).ask("GET", "/v1/events")
    else:
        answer = await (await gateway.tunnel()).ask(get("/v1/events"))
    assert (answer.status, answer.problem["cause"], answer.problem["executed"]) == (502, "echo", "yes")
    assert b"first" not in answer.body
    outcome = await gateway.entry("request.outcome", cause="echo")
    assert outcome.fields["status"] == 502
    assert "raised" not in caplog.text  # other requests of the connection go on


async def test_an_echo_in_the_head_is_replaced(gateway: Gateway, events: RawTarget) -> None:
    events.answer = EVENTS.replace(b"\r\n\r\n", b"\r\nX-Echo: %b\r\nSet-Cookie: a=b\r\n\r\n" % SECRET.encode())
    streaming = await Streaming.begin(gateway, "http/1.1")
    assert streaming.head.headers["x-echo"] == "doorward-echo-removed"
    assert "set-cookie" not in streaming.head.headers


@both
async def test_an_outcome_that_cannot_be_written_breaks_the_stream_off(
    gateway: Gateway, events: RawTarget, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    streaming = await Streaming.begin(gateway, version)
    events.writers[0].write(chunk(b"data: 1\n\n"))
    assert await streaming.piece() == b"data: 1\n\n"
    await gateway.ledger.stop()
    events.writers[0].write(chunk(b"held: " + SECRET[:5].encode()) + b"0\r\n\r\n")
    assert await streaming.piece() == b"held: "
    assert await streaming.broken_off()


@both
async def test_a_target_that_goes_away(gateway: Gateway, events: RawTarget, version: str) -> None:
    streaming = await Streaming.begin(gateway, version)
    events.writers[0].write(chunk(b"data: 1\n\n"))
    assert await streaming.piece() == b"data: 1\n\n"
    events.writers[0].transport.abort()
    assert await streaming.broken_off()
    outcome = await gateway.entry("request.outcome", cause="target-closed")
    assert (outcome.fields["status"], outcome.fields["executed"]) == (200, "yes")
    assert await recorded(gateway, outcome) == b"data: 1\n\n"


@both
async def test_an_agent_that_goes_away(gateway: Gateway, events: RawTarget, version: str) -> None:
    streaming = await Streaming.begin(gateway, version)
    events.writers[0].write(chunk(b"data: 1\n\n"))
    assert await streaming.piece() == b"data: 1\n\n"
    agent = streaming.agent
    (agent.agent if isinstance(agent, Http2Agent) else agent).close()
    outcome = await gateway.entry("request.outcome", cause="agent-left")
    assert (outcome.fields["status"], outcome.fields["executed"]) == (200, "yes")
    assert await recorded(gateway, outcome) == b"data: 1\n\n"


async def test_an_agent_that_resets_one_stream(gateway: Gateway, events: RawTarget) -> None:
    streaming = await Streaming.begin(gateway, "h2")
    assert isinstance(streaming.agent, Http2Agent)
    streaming.agent.connection.reset_stream(streaming.stream, 8)
    await streaming.agent.flush()
    outcome = await gateway.entry("request.outcome", cause="agent-left")
    assert outcome.fields["executed"] == "yes"


@both
async def test_a_token_that_expires_during_a_stream_ends_it(gateway: Gateway, events: RawTarget, version: str) -> None:
    streaming = await Streaming.begin(gateway, version)
    events.writers[0].write(chunk(b"data: 1\n\n"))
    assert await streaming.piece() == b"data: 1\n\n"
    assert not gateway.entries("request.outcome")
    token = gateway.provider.token(lifetime_s=2)
    agent = await (Http2Agent.tunnel(gateway, token=token) if version == "h2" else gateway.tunnel(token=token))
    short = Streaming(agent)
    await short.ask()
    assert await short.broken_off()
    outcome = await gateway.entry("request.outcome", cause="token-expired")
    assert (outcome.fields["status"], outcome.fields["executed"]) == (200, "yes")
    events.writers[0].write(chunk(b"data: 2\n\n"))
    assert await streaming.piece() == b"data: 2\n\n"


@both
async def test_the_deadline_counts_to_the_head_and_then_between_the_pieces(
    gateway: Gateway, events: RawTarget, version: str
) -> None:
    gateway.chain.answer_s = 0.6
    streaming = await Streaming.begin(gateway, version)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while loop.time() - begun < 1.5:
        events.writers[0].write(chunk(b"data: 1\n\n"))
        assert await streaming.piece() == b"data: 1\n\n"
        await asyncio.sleep(0.1)  # the pace of the target, not a wait for anything
    assert await streaming.broken_off()
    outcome = await gateway.entry("request.outcome", cause="stream-idle")
    assert outcome.fields["executed"] == "yes"
    events.answer = b""
    answer = await (await gateway.tunnel()).ask(get())
    assert answer.problem["cause"] == "target-timeout"


@pytest.mark.parametrize(
    ("content_type", "framing"), [("image/png", "content-length"), ("application/json", "transfer-encoding")]
)
async def test_a_long_answer_keeps_its_length_only_where_nothing_can_be_replaced(
    gateway: Gateway, events: RawTarget, content_type: str, framing: str
) -> None:
    events.answer = stated(LARGE, content_type) + b"x" * 50_000
    agent = await gateway.tunnel()
    await agent.send(get())
    head = await agent.read(head=True)
    assert {name for name in ("content-length", "transfer-encoding") if name in head.headers} == {framing}
    events.writers[0].write(b"x" * 50_000)
    if framing == "content-length":
        assert await agent.reader.readexactly(LARGE) == b"x" * LARGE
    else:
        body = b""
        while size := int(await agent.reader.readuntil(b"\r\n"), 16):
            body += (await agent.reader.readexactly(size + 2))[:-2]
        assert body == b"x" * LARGE
    (outcome,) = gateway.entries("request.outcome")
    assert len(await recorded(gateway, outcome)) == LARGE


async def test_the_last_byte_of_a_stated_length_waits_for_the_record(
    gateway: Gateway, events: RawTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    events.answer = stated(LARGE, "image/png") + b"x" * LARGE
    append = gateway.client.append
    told: list[str] = []

    async def watched(*entries: Any, **options: Any) -> Any:
        if entries[0].kind == "request.outcome":
            told.append("asked")
            await forever()
        return await append(*entries, **options)

    monkeypatch.setattr(gateway.client, "append", watched)
    agent = await gateway.tunnel()
    await agent.send(get())
    await agent.read(head=True)
    assert await agent.reader.readexactly(LARGE - 1) == b"x" * (LARGE - 1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await agent.reader.readexactly(1)
    assert told == ["asked"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (stated(5, "text/plain") + b"short", "small and of stated length"),
        (
            stated(LARGE, "text/plain").replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n") + b"x" * LARGE,
            "coded",
        ),
        (EVENTS.replace(b"200 OK", b"204 No Content").replace(b"Transfer-Encoding: chunked\r\n", b""), "no body"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_does_not_stream(gateway: Gateway, events: RawTarget, answer: bytes, why: str) -> None:
    events.answer = answer
    got = await (await gateway.tunnel()).ask(get())
    assert "transfer-encoding" not in got.headers
    assert got.status == {"coded": 502, "no body": 204}.get(why, 200)


async def test_http_1_0_agents_and_heads_get_whole_answers(gateway: Gateway, events: RawTarget) -> None:
    events.answer = EVENTS + chunk(b"data: 1\n\n") + b"0\r\n\r\n"
    agent = await gateway.tunnel()
    answer = await agent.ask(get().replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert (answer.status, answer.body) == (200, b"data: 1\n\n")
    events.answer = EVENTS
    answer = await (await gateway.tunnel()).ask(get(method="HEAD"))
    assert answer.status == 200
    (first, second) = gateway.entries("request.outcome")
    assert (first.fields["cause"], second.fields["cause"]) == (None, None)


async def test_a_mask_keeps_an_answer_whole(gateway: Gateway, target: RawTarget) -> None:
    gateway.chain.response_bytes = LARGE - 1
    target.answer = stated(LARGE, "application/json")
    answer = await (await gateway.tunnel()).ask(get())
    assert (answer.status, answer.problem["cause"]) == (502, "response-too-large")
    unmasked(gateway, target)
    streaming = await Streaming.begin(gateway, "http/1.1")  # a stream has no such limit
    target.writers[-1].write(b'"' + b"x" * (LARGE - 2) + b'"')
    assert len(await streaming.rest()) == LARGE


MASK = {"name": "m", "match": {"target": "billing"}, "fields": ["$..email"], "apply_to": "record"}
PERSON = b'{"email": "ann@example.com"}'


@pytest.mark.parametrize(
    ("mask", "body", "kept"),
    [
        (MASK, PERSON, lambda: b'{"email":"%b"}' % sentinel_for(KEY).encode()),
        (MASK, PERSON[:-1] + b"," + b" " * 2000 + b'"n": 1}', lambda: NOT_RECORDED),
        (MASK | {"other_types": "pass"}, PERSON[:-1] + b"," + b" " * 2000 + b'"n": 1}', lambda: NOT_RECORDED),
        (MASK, b"data: ann@example.com\n\n", lambda: NOT_RECORDED),
        (MASK | {"other_types": "pass"}, b"data: ann\n\n", lambda: b"data: ann\n\n"),
    ],
    ids=["json", "longer-than-recorded", "longer-and-passed", "no-json", "no-json-passed"],
)
async def test_a_mask_for_the_record_lets_the_answer_stream_and_keeps_no_more_than_it_can_mask(
    gateway: Gateway, target: RawTarget, mask: dict[str, Any], body: bytes, kept: Callable[[], bytes]
) -> None:
    gateway.policy = gateway.read_policy(policy_for(target, masks=[mask]))
    gateway.chain.addons[4]._recorded = 1000  # type: ignore[attr-defined]
    target.answer = EVENTS.replace(b"text/event-stream", b"text/plain") + chunk(body) + b"0\r\n\r\n"
    streaming = await Streaming.begin(gateway, "http/1.1")
    assert await streaming.rest() == body
    (outcome,) = gateway.entries("request.outcome")
    assert await recorded(gateway, outcome) == kept()
    assert outcome.fields["truncated"] is (len(body) > 1000)


async def test_a_part_of_a_document_is_not_recorded_where_a_mask_applies(gateway: Gateway, target: RawTarget) -> None:
    gateway.policy = gateway.read_policy(policy_for(target, masks=[MASK | {"other_types": "pass"}]))
    target.answer = EVENTS.replace(b"text/event-stream", b"text/plain") + chunk(PERSON)
    streaming = await Streaming.begin(gateway, "http/1.1")
    assert await streaming.piece() == PERSON
    target.writers[0].transport.abort()
    assert await streaming.broken_off()
    outcome = await gateway.entry("request.outcome", cause="target-closed")
    assert await recorded(gateway, outcome) == NOT_RECORDED


async def test_a_target_whose_bodies_are_not_recorded(gateway: Gateway, target: RawTarget) -> None:
    policy = policy_for(target)
    del policy["masks"]
    policy["targets"]["billing"]["record"] = "headers"
    gateway.policy = gateway.read_policy(policy)
    target.answer = EVENTS + chunk(b"data: 1\n\n") + b"0\r\n\r\n"
    streaming = await Streaming.begin(gateway, "http/1.1")
    assert await streaming.rest() == b"data: 1\n\n"
    (outcome,) = gateway.entries("request.outcome")
    assert list(cast("Any", outcome.fields["bodies"])) == ["response_head"]


@both
@pytest.mark.parametrize("hook", ["response", "error"])
async def test_a_hook_that_raises_past_the_guard_during_a_stream(
    gateway: Gateway, events: RawTarget, version: str, hook: str
) -> None:
    streaming = await Streaming.begin(gateway, version)
    events.writers[0].write(chunk(b"data: 1\n\n"))
    assert await streaming.piece() == b"data: 1\n\n"
    break_hook(gateway, hook)
    if hook == "response":
        events.writers[0].write(b"0\r\n\r\n")
    else:
        events.writers[0].transport.abort()
    assert await streaming.broken_off()
    await gateway.entry("request.outcome", cause="gateway-error", executed="yes")
