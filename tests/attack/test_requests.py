"""Requests that try to reach the target undecided, or with another meaning than the policy saw."""

import contextlib
import gzip
import zlib
from typing import Any

import pytest

from tests.parts.gateway import SECRET, Gateway, get
from tests.parts.http2 import Http2Agent
from tests.parts.raw_target import OK, RawTarget

SMUGGLED = b"DELETE /v1/customers/1 HTTP/1.1\r\nHost: x\r\n\r\n"


HTTP2_HEADS: dict[str, dict[str, Any]] = {
    "crlf-in-path": {"path": "/v1/a HTTP/1.1\r\nX: y\r\n\r\nDELETE /v1/b"},
    "space-in-path": {"path": "/v1/a HTTP/1.1"},
    "lf-in-path": {"path": "/v1/a\nX: y"},
    "fragment": {"path": "/v1/a#b"},
    "absolute": {"path": "http://evil/v1/a"},
    "authority-in-path": {"path": "//evil/v1/a"},
    "star": {"path": "*"},
    "empty-path": {"path": ""},
    "raw-bytes": {"path": "/v1/\u00e9"},
    "method-with-space": {"method": "GET /v1/secrets/x HTTP/1.1\r\nX:"},
    "lower-case-method": {"method": "get"},
    "connect-with-path": {"method": "CONNECT"},
    "lower-case-connect": {"method": "connect"},
    "other-authority": {"authority": "evil.internal"},
    "empty-authority": {"authority": ""},
    "userinfo": {"authority": "x@billing.internal"},
    "other-port": {"authority": "billing.internal:8443"},
    "other-host": {"fields": [("host", "evil.internal")]},
    "second-host": {"fields": [("host", "billing.internal"), ("host", "evil.internal")]},
    "upper-case-name": {"fields": [("X-Upper", "a")]},
    "crlf-in-value": {"fields": [("x-a", "a\r\nauthorization: b")]},
    "lf-in-value": {"fields": [("x-a", "a\nauthorization: b")]},
    "nul-in-value": {"fields": [("x-a", "a\0b")]},
    "colon-in-name": {"fields": [("x-a: b\r\nx", "a")]},
    "space-in-name": {"fields": [("x a", "a")]},
    "second-path": {"fields": [(":path", "/v1/secrets/x")]},
    "second-method": {"fields": [(":method", "DELETE")]},
    "pseudo-after-header": {"fields": [("x", "y"), (":path", "/v1/secrets/x")]},
    "protocol": {"fields": [(":protocol", "websocket")]},
    "transfer-encoding": {
        "fields": [("transfer-encoding", "chunked")],
        "method": "POST",
        "body": b"0\r\n\r\n" + SMUGGLED,
    },
    "short-length": {"fields": [("content-length", "0")], "method": "POST", "body": SMUGGLED},
    "long-length": {"fields": [("content-length", "9999")], "method": "POST", "body": b"{}"},
    "two-lengths": {"fields": [("content-length", "2"), ("content-length", "3")], "method": "POST", "body": b"{}"},
    "connection": {"fields": [("connection", "x")]},
    "upgrade": {"fields": [("upgrade", "h2c")]},
    "underscore-twin": {"fields": [("proxy_authorization", "x")]},
}


@pytest.mark.parametrize("kind", HTTP2_HEADS)
async def test_heads_of_http2_that_mean_another_thing_in_http1_reach_nobody(
    gateway: Gateway, target: RawTarget, kind: str
) -> None:
    agent = await Http2Agent.tunnel(gateway)
    with contextlib.suppress(ConnectionResetError):  # some end the stream or the connection
        assert (await agent.ask(**HTTP2_HEADS[kind])).status == 400
    assert target.got == []


async def test_each_request_of_a_pipeline_is_decided(gateway: Gateway, target: RawTarget) -> None:
    agent = await gateway.tunnel()
    await agent.send(get("/v1/a") + get("/v1/secrets/x") + get("/v1/b") + get("/v2/c"))
    assert [(await agent.read()).status for _ in range(4)] == [200, 403, 200, 403]
    assert [each.split(b" ")[1] for each in target.got] == [b"/v1/a", b"/v1/b"]


GOOD_CHUNKS = {
    "extension": b"2;a=b\r\n{}\r\n0\r\n\r\n",
    "quote-that-stays-open": b'2;a="\r\n{}\r\n0\r\n\r\n',
    "leading-zeros": b"0002\r\n{}\r\n000\r\n\r\n",
    "a-chunk-a-byte": b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
}
BAD_CHUNKS = {
    "plus": b"+2\r\n{}\r\n0\r\n\r\n",
    "0x": b"0x2\r\n{}\r\n0\r\n\r\n",
    "negative": b"-2\r\n{}\r\n0\r\n\r\n",
    "underscore": b"0_2\r\n{}\r\n0\r\n\r\n",
    "huge": b"f" * 30 + b"\r\n{}\r\n0\r\n\r\n",
    "space-before": b" 2\r\n{}\r\n0\r\n\r\n",
    "no-size": b"\r\n{}\r\n0\r\n\r\n",
    "nothing-between": b"2\r\n{}00\r\n\r\n",
    "lf-in-extension": b"2;a\nb\r\n{}\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("kind", GOOD_CHUNKS)
async def test_chunks_go_on_as_one_body_with_its_length(gateway: Gateway, target: RawTarget, kind: str) -> None:
    agent = await gateway.tunnel()
    raw = get("/v1/a", "Transfer-Encoding: chunked", method="POST") + GOOD_CHUNKS[kind]
    assert (await agent.ask(raw)).status == 200
    assert (await agent.ask(get())).status == 200
    assert target.got[0].endswith(b"\r\ncontent-length: 2\r\nAuthorization: Bearer %s\r\n\r\n{}" % SECRET.encode())


@pytest.mark.parametrize("kind", BAD_CHUNKS)
async def test_chunks_with_two_readings_reach_nobody(gateway: Gateway, target: RawTarget, kind: str) -> None:
    agent = await gateway.tunnel()
    await agent.send(get("/v1/a", "Transfer-Encoding: chunked", method="POST") + BAD_CHUNKS[kind])
    await agent.closed()
    assert target.got == []
    await gateway.entry("request.refused", principal="corp:agent-7", executed="no")


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE"])
async def test_methods_nobody_allowed(gateway: Gateway, target: RawTarget, method: str) -> None:
    agent = await gateway.tunnel()
    target.answer = OK.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if method == "HEAD" else OK
    answer = await agent.ask(get("/v1/a", method=method))
    assert answer.status == (200 if method == "HEAD" else 403)


async def test_the_refusal_of_a_head_request_has_no_body_that_a_client_would_take_for_an_answer(
    gateway: Gateway,
) -> None:
    agent = await gateway.tunnel()
    await agent.send(get("/v2/a", method="HEAD"))
    assert (await agent.read(head=True)).status == 403
    assert (await agent.ask(get())).status == 200


async def test_an_empty_query_is_none_on_the_wire_as_in_the_digest(gateway: Gateway, target: RawTarget) -> None:
    """One approval and one digest stand for one request in bytes."""
    agent = await gateway.tunnel()
    for path in ("/v1/a", "/v1/a?"):
        assert (await agent.ask(get(path))).status == 200
    assert target.got[0] == target.got[1]
    first, second = gateway.entries("request.intent")
    assert first.fields["digest"] == second.fields["digest"]


RAW_DEFLATE = zlib.compress(b'{"a": 1}', wbits=-15)
CODED = {
    "bare-deflate": ("deflate", RAW_DEFLATE),
    "bare-deflate-that-looks-like-zlib": ("deflate", b"\x78\x9c" + RAW_DEFLATE),
    "zlib-and-more": ("deflate", zlib.compress(b"{}") + b"DELETE"),
    "two-codings": ("gzip, deflate", zlib.compress(gzip.compress(b"{}"))),
    "cut-short": ("gzip", gzip.compress(b'{"a": 1}')[:-4]),
    "codec-of-python": ("hex", b"7b7d"),
}


@pytest.mark.parametrize("kind", CODED)
async def test_a_coding_that_is_guessed_hides_no_body(gateway: Gateway, target: RawTarget, kind: str) -> None:
    coding, body = CODED[kind]
    lines = [f"Content-Encoding: {coding}", f"Content-Length: {len(body)}", "Content-Type: application/json"]
    agent = await gateway.tunnel()
    answer = await agent.ask(get("/v1/a", *lines, method="POST") + body)
    assert (answer.status, answer.problem["cause"]) == (400, "content-encoding")
    assert target.got == []
    whole = zlib.compress(b"{}")
    lines = ["Content-Encoding: deflate", f"Content-Length: {len(whole)}"]
    assert (await agent.ask(get("/v1/a", *lines, method="POST") + whole)).status == 200
    assert target.got[0].endswith(whole)


async def test_tls_in_tls(gateway: Gateway, target: RawTarget) -> None:
    agent = await gateway.tunnel()
    answer = await agent.ask(b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03hello\r\n\r\n")
    assert answer.status == 400
    assert target.connections == 0


HOST = "Host: billing.internal"
PLAIN: dict[str, tuple[str, ...]] = {
    "two-hosts": ("GET http://billing.internal/v1/a HTTP/1.1", HOST, "Host: x"),
    "other-host": ("GET http://billing.internal/v1/a HTTP/1.1", "Host: evil"),
    "other-url": ("GET http://127.0.0.1:1/v1/a HTTP/1.1", HOST),
    "origin-form": ("GET /v1/secrets/a HTTP/1.1", HOST),
    "https": ("GET https://billing.internal/v1/a HTTP/1.1", HOST),
    "ftp": ("GET ftp://billing.internal/v1/a HTTP/1.1", HOST),
    "userinfo": ("GET http://billing.internal@evil/v1/a HTTP/1.1", HOST),
    "userinfo-and-target": ("GET http://x@billing.internal/v1/a HTTP/1.1", HOST),
    "backslash": ("GET http://billing.internal\\@evil/v1/a HTTP/1.1", HOST),
    "no-path": ("GET http://billing.internal HTTP/1.1", HOST),
    "query-alone": ("GET http://billing.internal?/v1/a HTTP/1.1", HOST),
    "fragment-alone": ("GET http://billing.internal#/v1/a HTTP/1.1", HOST),
    "star": ("OPTIONS * HTTP/1.1", HOST),
    "chunked-in-1.0": ("GET http://billing.internal/v1/a HTTP/1.0", HOST, "Transfer-Encoding: chunked"),
    "two-tokens": ("GET http://billing.internal/v1/a HTTP/1.1", HOST, "Proxy-Authorization: Bearer x"),
    "framing-in-connection": ("GET http://billing.internal/v1/a HTTP/1.1", HOST, "Connection: host, content-length"),
}


@pytest.mark.parametrize("kind", PLAIN)
async def test_plain_requests_with_two_readings_reach_nobody(gateway: Gateway, target: RawTarget, kind: str) -> None:
    agent = await gateway.connect()
    head = "\r\n".join(PLAIN[kind]).encode() + b"\r\n" + gateway.authorization() + b"\r\n"
    assert (await agent.ask(head)).status in (400, 403, 407)
    assert target.connections == 0


async def test_two_principals_on_one_plain_connection_are_two(gateway: Gateway, target: RawTarget) -> None:
    agent = await gateway.connect()
    raw = b"GET http://billing.internal/v1/a HTTP/1.1\r\nHost: billing.internal\r\n%s\r\n"
    assert (await agent.ask(raw % gateway.authorization())).status == 200
    stranger = gateway.authorization(gateway.provider.token("agent-8", groups=("strangers",)))
    assert (await agent.ask(raw % stranger)).status == 403
    assert (await agent.ask(raw % gateway.authorization())).status == 200
    assert len(target.got) == 2


async def test_http_1_0(gateway: Gateway, target: RawTarget) -> None:
    agent = await gateway.tunnel()
    answer = await agent.ask(b"GET /v1/a HTTP/1.0\r\nHost: billing.internal\r\n\r\n")
    assert answer.status == 200
    assert await agent.closed() == b""


POLYGLOT_METHODS = ["PROPFIND", "M-SEARCH", "GET-", "-GET", "G3T"]


@pytest.mark.parametrize("method", POLYGLOT_METHODS)
async def test_methods_that_look_like_others_are_others(gateway: Gateway, target: RawTarget, method: str) -> None:
    assert (await (await gateway.tunnel()).ask(get("/v1/a", method=method))).status in (400, 403)
    assert target.connections == 0
