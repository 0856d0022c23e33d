"""Pins what `Connection` leans on in mitmproxy's own, and what a crash below it leaves."""

import hashlib
import inspect
import logging
from collections.abc import Callable

import pytest
from mitmproxy.proxy.layers.http import HttpLayer
from mitmproxy.proxy.layers.http._http1 import Http1Connection
from mitmproxy.proxy.mode_servers import ProxyConnectionHandler
from mitmproxy.proxy.server import ConnectionHandler

from tests.parts.gateway import Gateway, get
from tests.parts.raw_target import OK, RawTarget

# What is done in upstream's place: read it again where it has changed, then add its new digest.
READ = {
    ConnectionHandler.server_event: {"a2b42657ebe8bf6d"},
    ConnectionHandler.hook_task: {"9ac7970160526268"},
    ConnectionHandler.open_connection: {"5e0b3cbaf7a4030a"},
    ConnectionHandler.handle_connection: {"95c3f93e9824e527"},
    HttpLayer.get_connection: {"1aa1c63e3175766c"},
    HttpLayer.register_connection: {"deed6282affc431f"},
    Http1Connection.mark_done: {"dc5ed395ce4f0763"},
    ProxyConnectionHandler.handle_hook: {"9f8b52fd798203c9"},
}


@pytest.mark.parametrize("upstream", READ, ids=lambda each: each.__qualname__)
def test_what_is_done_in_upstreams_place_is_what_was_read(upstream: Callable[..., object]) -> None:
    assert hashlib.sha256(inspect.getsource(upstream).encode()).hexdigest()[:16] in READ[upstream]


def test_the_names_that_are_used_are_still_there() -> None:
    for name in ("handle_client", "open_connection", "wakeup", "log", "close_connection"):
        assert hasattr(ConnectionHandler, name), name


async def test_a_crash_below_closes_the_connection_and_leaves_an_outcome(
    gateway: Gateway, target: RawTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError("what a target sent: s3cr3t-word")

    monkeypatch.setattr("mitmproxy.net.http.http1.read_response_head", crash)
    agent = await gateway.tunnel()
    await agent.send(get())
    assert await agent.closed() == b""
    entry = await gateway.entry("request.outcome", cause="gateway-error")
    assert entry.fields["executed"] == "unknown"


async def test_what_upstream_logs_stays_here(
    gateway: Gateway, target: RawTarget, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    target.answer = OK + b"s3cr3t-word that nobody asked for"
    agent = await gateway.tunnel()
    await agent.ask(get())
    half = await gateway.connect()
    await half.send(b"GET http://x/ HTTP/1.1\r\nProxy-Authorization: Bearer s3cr3t-word")
    half.writer.write_eof()
    await half.closed()
    assert "s3cr3t-word" not in caplog.text
