"""Pins the internals of mitmproxy that the layers lean on; a new version that moves them fails here."""

import asyncio
import json
import logging
from pathlib import Path

import pytest
from mitmproxy.proxy.layers.http import HttpLayer, HttpStream, _http1, _http2

from doorward.gateway.mitm import http as strict
from tests.ledger.conftest import RunningLedger
from tests.parts.gateway import SECRET, Gateway, get
from tests.parts.http2 import Http2Agent
from tests.parts.policies import policy_for
from tests.parts.provider import Provider
from tests.parts.raw_target import OK, RawTarget


async def outcome(gateway: Gateway, cause: str | None) -> dict[str, object]:
    return dict((await gateway.entry("request.outcome", cause=cause)).fields)


def test_the_names_that_are_replaced_are_still_there() -> None:
    for owner, names in (
        (HttpLayer, ("make_stream", "event_to_child", "_handle_event")),
        (HttpStream, ("check_invalid", "check_body_size", "handle_protocol_error", "send_response")),
        (_http1.Http1Server, ("read_headers", "send")),
        (_http1.Http1Client, ("read_headers", "send")),
        (_http1, ("make_body_reader",)),
        (_http2.Http2Server, ("_handle_event", "is_open_for_us")),
    ):
        for name in names:
            assert hasattr(owner, name), (owner, name)
    strict.install()
    assert vars(_http1)["make_body_reader"] is not strict._stock_body_reader


@pytest.mark.parametrize(
    "first",
    [
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103\r\n\r\n",
        b"\r\nHTTP/1.1 103 Early Hints\r\n\r\n",
    ],
)
@pytest.mark.parametrize("version", ["http/1.1", "h2"])
async def test_informational_answers_end_here(gateway: Gateway, target: RawTarget, first: bytes, version: str) -> None:
    target.answer = first + OK
    if version == "h2":
        answer = await (await Http2Agent.tunnel(gateway)).ask()
    else:
        agent = await gateway.tunnel()
        await agent.ask(get())
        answer = await agent.ask(get())  # nothing of the first answer is left over
    assert (answer.status, answer.body) == (200, b'{"ok": true}')
    await gateway.entry("request.outcome", status=200, executed="yes")


async def test_informational_answers_are_counted_by_request(gateway: Gateway, target: RawTarget) -> None:
    target.answer = b"HTTP/1.1 103 Early Hints\r\n\r\n" * 3 + OK
    agent = await gateway.tunnel()
    for _ in range(8):
        assert (await agent.ask(get())).status == 200
    assert target.connections == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nraw bytes",
        b"HTTP/1.1 +101 Switching\r\n\r\nraw bytes",
        b"HTTP/1.1  101 Switching\r\n\r\nraw bytes",
        b"HTTP/1.1 1_01 Switching\r\n\r\nraw bytes",
        b"HTTP/1.1 0101 Switching\r\n\r\nraw bytes",
        b"HTTP/1.1 +103 Hints\r\n\r\n" + OK,
        b"HTTP/1.1 999 Huh\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 099 Huh\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n folded: s3cr3t-word\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"s3cr3t-word that is not HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"s3cr3t-word" * 30000 + b"\r\n\r\n",
        b"HTTP/1.1 103 Hints\r\n\r\n" * 40 + OK,
    ],
    ids=lambda raw: raw[:34].decode("latin-1"),
)
@pytest.mark.parametrize("version", ["http/1.1", "h2"])
async def test_an_answer_that_is_not_plain_http_is_withheld_by_a_page_of_ours(
    gateway: Gateway, target: RawTarget, raw: bytes, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    target.answer = raw
    if version == "h2":
        answer = await (await Http2Agent.tunnel(gateway)).ask()
    else:
        answer = await (await gateway.tunnel()).ask(get())
    assert answer.status == 502
    assert answer.problem["executed"] in ("yes", "unknown")
    assert b"s3cr3t-word" not in answer.body
    assert "s3cr3t-word" not in caplog.text
    entry = await gateway.entry("request.outcome", request=answer.problem["request"])
    assert entry.fields["executed"] == answer.problem["executed"]
    assert entry.fields["status"] == 502


@pytest.mark.parametrize("version", ["http/1.1", "h2"])
async def test_trailers_of_targets_are_dropped(gateway: Gateway, target: RawTarget, version: str) -> None:
    target.answer = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
        b"2\r\n{}\r\n0\r\nX-T: email\r\n\r\n"
    )
    if version == "h2":
        answer = await (await Http2Agent.tunnel(gateway)).ask()
    else:
        agent = await gateway.tunnel()
        await agent.ask(get())
        answer = await agent.ask(get())
    assert (answer.status, answer.body) == (200, b"{}")
    assert "trailer" not in answer.headers
    assert "x-t" not in answer.headers


async def test_trailers_of_agents_are_dropped(gateway: Gateway, target: RawTarget) -> None:
    agent = await gateway.tunnel()
    raw = get("/v1/a", "Transfer-Encoding: chunked", "Content-Type: application/json", "Trailer: X-T", method="POST")
    answer = await agent.ask(raw + b"2\r\n{}\r\n0\r\nX-T: evil\r\n\r\n")
    assert answer.status == 200
    assert target.got[0].endswith(b"\r\n\r\n{}")
    assert b"content-length: 2\r\n" in target.got[0]
    assert b"evil" not in target.got[0]
    assert b"chunked" not in target.got[0]
    assert (await agent.ask(get())).status == 200
    http2 = await Http2Agent.tunnel(gateway)
    answer = await http2.ask("POST", "/v1/a", body=b"{}", trailers=[("x-t", "evil")])
    assert answer.status == 200
    assert b"evil" not in target.got[2]
    assert target.got[2].endswith(b"\r\n\r\n{}")


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_body_from_http2_goes_out_with_its_length(gateway: Gateway, target: RawTarget, method: str) -> None:
    smuggled = b"DELETE /v1/customers/1 HTTP/1.1\r\nHost: x\r\n\r\n"
    policy = policy_for(target)
    del policy["holds"]
    gateway.policy = gateway.read_policy(policy)
    answer = await (await Http2Agent.tunnel(gateway)).ask(method, "/v1/a", body=smuggled)
    assert answer.status == 200
    assert len(target.got) == 1
    assert b"content-length: %d\r\n" % len(smuggled) in target.got[0]


BAD_HEADS = {
    "folded line": get("/v1/a", "X: a", " b"),
    "NUL": get("/v1/a", "X: a\0b"),
    "bare CR": get("/v1/a", "X: a\rY: b"),
    "control byte": get("/v1/a", "X: \x0bchunked"),
    "too large": get("/v1/a", "X: " + "a" * 70000),
    "too large and endless": b"GET /v1/a HTTP/1.1\r\nX: " + b"a" * 70000,
    "not HTTP": b"hello there\r\n\r\n",
    "another version": b"GET /v1/a HTTP/3.0\r\nHost: billing.internal\r\n\r\n",
    "no version": b"GET /v1/a\r\nHost: billing.internal\r\n\r\n",
    "two lengths": get("/v1/a", "Content-Length: 1", "Content-Length: 2"),
    "length and chunked": get("/v1/a", "Content-Length: 3", "Transfer-Encoding: chunked"),
    "bad length": get("/v1/a", "Content-Length: +3"),
    "two codings": get("/v1/a", "Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
    "a space before the colon": get("/v1/a", "X : a"),
    "no host": b"GET /v1/a HTTP/1.1\r\n\r\n",
    "CONNECT inside": b"CONNECT billing.internal:443 HTTP/1.1\r\nHost: billing.internal:443\r\n\r\n",
}


@pytest.mark.parametrize("raw", BAD_HEADS.values(), ids=BAD_HEADS)
async def test_heads_that_are_open_to_readings_are_refused_by_a_page_of_ours(
    gateway: Gateway, target: RawTarget, raw: bytes
) -> None:
    agent = await gateway.tunnel()
    answer = await agent.ask(raw)
    assert answer.status in (400, 413)
    assert answer.problem["executed"] == "no"
    assert b"mitmproxy" not in answer.body
    assert target.connections == 0
    kinds = gateway.ledger.kinds()
    for _ in range(50):
        if kinds:
            break
        await asyncio.sleep(0.02)
        kinds = gateway.ledger.kinds()
    assert kinds in (["connection.refused"], ["request.refused"])


async def test_empty_lines_before_a_request_are_passed_over(gateway: Gateway) -> None:
    agent = await gateway.tunnel()
    assert (await agent.ask(b"\r\n" + get())).status == 200
    assert (await agent.ask(b"\r\n\r\n" + get())).status == 200


async def test_heads_may_come_byte_by_byte(gateway: Gateway, target: RawTarget) -> None:
    target.answer = lambda _: b""
    agent = await gateway.tunnel()
    raw = get("/v1/a", "X: a")
    for at in range(len(raw)):
        await agent.send(raw[at : at + 1])
        await asyncio.sleep(0)
    while not target.got:
        await asyncio.sleep(0.01)
    (writer,) = target.writers
    for at in range(len(OK)):
        writer.write(OK[at : at + 1])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert (await agent.read()).status == 200


async def test_expect_is_answered_here_and_goes_no_further(gateway: Gateway, target: RawTarget) -> None:
    agent = await gateway.tunnel()
    await agent.send(get("/v1/a", "Expect: 100-continue", "Content-Length: 2", method="POST"))
    assert (await agent.read()).status == 100
    assert (await agent.ask(b"{}")).status == 200
    assert b"xpect" not in target.got[0]
    http2 = await Http2Agent.tunnel(gateway)
    assert (await http2.ask("POST", "/v1/a", body=b"{}", fields=[("expect", "100-continue")])).status == 200


@pytest.mark.parametrize("version", ["http/1.1", "h2"])
@pytest.mark.parametrize("how", ["said", "chunked"])
async def test_bodies_over_the_limit(
    tmp_path: Path, ledger: RunningLedger, provider: Provider, target: RawTarget, version: str, how: str
) -> None:
    limits = {"request_body": "1KiB", "response_body": "2KiB"}
    async with Gateway(tmp_path, ledger, provider, policy_for(target), limits=limits) as gateway:
        body = b"[" + b" " * 2000 + b"]"
        if version == "h2":
            http2 = await Http2Agent.tunnel(gateway)
            fields = [("content-length", str(len(body)))] if how == "said" else []
            answer = await http2.ask("POST", "/v1/a", body=body, fields=fields)
        elif how == "said":
            agent = await gateway.tunnel()
            answer = await agent.ask(get("/v1/a", f"Content-Length: {len(body)}", method="POST") + body)
        else:
            agent = await gateway.tunnel()
            raw = get("/v1/a", "Transfer-Encoding: chunked", method="POST")
            answer = await agent.ask(raw + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        assert answer.status == 413
        assert answer.problem["cause"] == "request-too-large"
        assert target.connections == 0
        refused = await gateway.entry("request.refused", cause="request-too-large")
        assert refused.fields["status"] == 413
        if how == "said":
            assert refused.fields["principal"] == "corp:agent-7"

        long = b"[" + b" " * 3000 + b"]"
        if how == "said":
            target.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(long), long)
        else:
            target.answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (
                len(long),
                long,
            )
        if version == "h2":
            answer = await (await Http2Agent.tunnel(gateway)).ask()
        else:
            answer = await (await gateway.tunnel()).ask(get())
        assert answer.status == 502
        assert answer.problem["cause"] == "response-too-large"
        assert answer.problem["executed"] == "yes"
        entry = await gateway.entry("request.outcome", cause="response-too-large")
        assert entry.fields["executed"] == "yes"


async def test_a_flow_that_was_not_armed_reaches_no_target(gateway: Gateway, target: RawTarget) -> None:
    hooks = dict(gateway.chain.hooks)
    hooks["request"] = tuple(
        each for each in hooks["request"] if getattr(each, "__self__", None) is not gateway.chain.addons[-1]
    )
    gateway.chain.hooks = hooks
    agent = await gateway.tunnel()
    await agent.send(get())
    assert await agent.closed() == b""
    assert target.got == []
    entry = await gateway.entry("request.outcome", cause="gateway-error")
    assert entry.fields["executed"] == "no"


async def test_the_credential_stands_in_the_wire_copy_alone(
    gateway: Gateway, target: RawTarget, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    seen: list[object] = []

    def look(flow: object) -> None:
        seen.append(flow)
        states.append(repr(flow.get_state()))  # type: ignore[attr-defined]

    states: list[str] = []
    hooks = dict(gateway.chain.hooks)
    for name in ("request", "responseheaders", "response"):
        hooks[name] = (*hooks[name], look)
    gateway.chain.hooks = hooks
    for version in ("http/1.1", "h2"):
        if version == "h2":
            answer = await (await Http2Agent.tunnel(gateway)).ask()
        else:
            answer = await (await gateway.tunnel()).ask(get())
        assert answer.status == 200
    assert all(f"Authorization: Bearer {SECRET}".encode() in got for got in target.got)
    assert len(seen) == 6
    assert not any(SECRET in state for state in states)
    assert SECRET not in caplog.text
    assert SECRET not in repr([vars(flow) for flow in seen])
    assert SECRET.encode() not in b"".join(
        file.read_bytes() for file in gateway.ledger.path.rglob("*") if file.is_file()
    )


async def test_the_agents_own_authorization_goes_no_further(gateway: Gateway, target: RawTarget) -> None:
    await (await gateway.tunnel()).ask(get("/v1/a", "Authorization: Bearer of-the-agent"))
    assert b"of-the-agent" not in target.got[0]
    assert target.got[0].lower().count(b"authorization:") == 1


@pytest.mark.parametrize("version", ["http/1.1", "h2"])
async def test_a_target_that_closes_gives_a_page_and_an_outcome(
    gateway: Gateway, target: RawTarget, version: str
) -> None:
    target.answer, target.then_close = b"", True
    if version == "h2":
        answer = await (await Http2Agent.tunnel(gateway)).ask()
    else:
        answer = await (await gateway.tunnel()).ask(get())
    assert answer.status == 502
    assert answer.problem["executed"] == "unknown"
    await gateway.entry("request.outcome", cause="target-closed", executed="unknown", status=502)


async def test_a_target_that_closes_in_mid_answer_gives_a_page(gateway: Gateway, target: RawTarget) -> None:
    target.answer, target.then_close = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", True
    answer = await (await gateway.tunnel()).ask(get())
    assert answer.status == 502
    assert answer.problem["executed"] == "yes"
    assert b"abc" not in answer.body
    await gateway.entry("request.outcome", cause="target-closed", executed="yes")


async def test_keep_alive_serves_many_requests_over_one_connection(gateway: Gateway, target: RawTarget) -> None:
    agent = await gateway.tunnel()
    for _ in range(8):
        assert (await agent.ask(get())).status == 200
    assert target.connections == 1
    http2 = await Http2Agent.tunnel(gateway)
    streams = [await http2.send() for _ in range(8)]
    for stream in streams:
        assert (await http2.read(stream)).status == 200


async def test_plain_requests_without_connect(gateway: Gateway, target: RawTarget) -> None:
    agent = await gateway.connect()
    raw = b"GET http://billing.internal/v1/a HTTP/1.1\r\nHost: billing.internal\r\n%s\r\n"
    assert (await agent.ask(raw % gateway.authorization())).status == 200
    assert target.got[0].startswith(b"GET /v1/a HTTP/1.1\r\n")
    assert b"roxy" not in target.got[0]
    answer = await agent.ask(raw % b"")
    assert answer.status == 407
    assert answer.headers["proxy-authenticate"] == 'Basic realm="doorward"'
    assert await agent.closed() == b""


async def test_absolute_form_inside_a_tunnel(gateway: Gateway) -> None:
    answer = await (await gateway.tunnel()).ask(get("https://billing.internal/v1/a"))
    assert answer.status == 400
    assert answer.problem["cause"] == "absolute-form"


async def test_what_is_masked_is_not_in_the_ledger_either(gateway: Gateway, target: RawTarget) -> None:
    body = json.dumps({"email": "ann@example.com"}).encode()
    target.answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )
    answer = await (await gateway.tunnel()).ask(get())
    assert b"ann@" not in answer.body
    fields = await outcome(gateway, None)
    assert fields["masks"] == [{"rule": "personal data", "path": "$['email']", "replacement": "sentinel", "count": 1}]
