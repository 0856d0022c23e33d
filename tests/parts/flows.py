"""Flows led through the chain's hooks in the order of mitmproxy, without sockets."""

import json
from collections.abc import Awaitable, Sequence
from typing import Any, cast

from mitmproxy import connection, http
from mitmproxy.test import tflow

from doorward.gateway.exchange import Exchange
from tests.parts.gateway import Gateway

type Lines = Sequence[tuple[str, str]]


def client(address: str = "127.0.0.1") -> connection.Client:
    made = tflow.tclient_conn()
    made.peername = (address, 50000)
    made.tls = True
    return made


def flow_for(
    of: connection.Client,
    method: str = "GET",
    path: str = "/v1/customers",
    *,
    headers: Lines = (("Host", "billing.internal"),),
    body: bytes = b"",
    host: str = "",
    port: int = 0,
    scheme: str = "",
) -> http.HTTPFlow:
    """A request as it comes out of a tunnel (no host), or plain."""
    made = http.HTTPFlow(of, tflow.tserver_conn(), live=True)
    made.request = http.Request(
        host=host,
        port=port,
        method=method.encode(),
        scheme=scheme.encode(),
        authority=b"",
        path=path.encode("latin-1"),
        http_version=b"HTTP/1.1",
        headers=http.Headers([(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]),
        content=body,
        trailers=None,
        timestamp_start=1.0,
        timestamp_end=2.0,
    )
    return made


async def finish(waiting: Awaitable[None] | None) -> None:
    """Wait for what a hook returned, if it has to be waited for."""
    if waiting is not None:
        await waiting


async def run(gateway: Gateway, hook: str, flow: http.HTTPFlow) -> None:
    for call in gateway.chain.hooks[hook]:
        await finish(call(flow))


async def connect(
    gateway: Gateway,
    of: connection.Client,
    host: str = "billing.internal",
    *,
    port: int = 443,
    headers: Lines | None = None,
) -> http.HTTPFlow:
    """A CONNECT, led to its end."""
    if headers is None:
        name, _, value = gateway.authorization().decode().strip().partition(": ")
        headers = [(name, value)]
    flow = flow_for(of, "CONNECT", "", headers=headers, host=host, port=port)
    await run(gateway, "http_connect", flow)
    if flow.response is not None:
        await run(gateway, "http_connect_error", flow)
    return flow


async def tunnelled(gateway: Gateway, host: str = "billing.internal") -> connection.Client:
    """A client whose CONNECT was accepted."""
    made = client()
    flow = await connect(gateway, made, host)
    assert flow.response is None, flow.response.content
    return made


def answer(
    document: Any = None, status: int = 200, *headers: tuple[str, str], body: bytes | None = None
) -> http.Response:
    """What a target says."""
    raw = json.dumps(document if document is not None else {"ok": True}).encode() if body is None else body
    given = headers or (("Content-Type", "application/json"),)
    fields = [(name.encode(), value.encode("latin-1")) for name, value in given]
    return http.Response(b"HTTP/1.1", status, b"", http.Headers(fields), raw, None, 3.0, 4.0)


async def lead(
    gateway: Gateway, flow: http.HTTPFlow, says: http.Response | None = None
) -> tuple[http.Request | None, Exchange]:
    """Lead a flow to its end; the head that went out, if one did."""
    await run(gateway, "requestheaders", flow)
    await run(gateway, "request", flow)
    sent = None
    if flow.response is None:
        sent = gateway.chain.wire(flow)
        says = says or answer()
        body, says.raw_content = says.raw_content or b"", None
        flow.response = says
        await run(gateway, "responseheaders", flow)
        take_body(gateway, flow, body)
    else:
        await run(gateway, "responseheaders", flow)
    await run(gateway, "response", flow)
    return sent, gateway.chain.exchanges.of(flow)


def take_body(gateway: Gateway, flow: http.HTTPFlow, body: bytes) -> None:
    """As the layers do: through the stream that a step put on the answer, or as a whole into what is there."""
    assert flow.response is not None
    stream = flow.response.stream
    if callable(stream):
        gateway.chain.begun(flow)
        flow.response.raw_content = b"".join([*stream(body), *stream(b"")])
    else:
        flow.response.raw_content = body


def problem(flow: http.HTTPFlow) -> dict[str, Any]:
    """The refusal that the agent gets."""
    assert flow.response is not None
    assert flow.response.headers["content-type"] == "application/problem+json", flow.response.content
    return cast("dict[str, Any]", json.loads(flow.response.content or b""))
