"""A proxy on loopback that answers from the record; stock mitmproxy, with an explicit list of addons.

Answers are read before the first connection is taken. TLS is served under the deployment's own
authority, so that an agent needs no other trust than at the gateway. `flows replay` runs it.
"""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mitmproxy import http, master, options
from mitmproxy.addons.next_layer import NextLayer
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.addons.tlsconfig import TlsConfig
from mitmproxy.proxy import layers, mode_specs
from mitmproxy.proxy.mode_servers import ProxyConnectionHandler

from doorward.core.recorded import RecordedFlow
from doorward.core.replaying import Keys, Tape
from doorward.playback.addons import USER, Admission, Playback, Undialled
from doorward.playback.flows import mitmproxy_flow

_OPTIONS: Final[dict[str, Any]] = {
    "connection_strategy": "lazy",
    "upstream_cert": False,
    "rawtcp": False,
    "server": False,
    "server_replay_refresh": True,
    "validate_inbound_headers": True,
}

_END_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Replaying:
    """What a person has to know of a replay that runs."""

    proxy: str  # the URL for HTTPS_PROXY, password and all
    answers: int
    left_out: int  # recorded, but without a whole answer


async def serve_replay(
    bound: socket.socket,
    flows: AsyncIterator[RecordedFlow],
    keys: Keys,
    *,
    ca: Path,
    request_bytes: int,
    on_ready: Callable[[Replaying], None],
) -> None:
    """Read the flows, then answer by them until cancelled."""
    tape: Tape[http.HTTPFlow] = Tape()
    async for flow in flows:
        tape.add(flow, keys.recorded(flow), _answer)
    password = secrets.token_urlsafe(24)
    addons = [
        Proxyserver(),  # registers the options that the layers read; its own server stays off
        NextLayer(),
        TlsConfig(),
        Admission(password),
        Playback(tape, keys, request_bytes=request_bytes),
        Undialled(),
    ]
    of = _master(addons, ca, request_bytes)
    mode = mode_specs.ProxyMode.parse("regular")
    connections: dict[ProxyConnectionHandler, asyncio.Task[None]] = {}

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handler = ProxyConnectionHandler(of, reader, writer, of.options, mode)
        handler.layer = layers.modes.HttpProxy(handler.layer.context)
        connections[handler] = task
        try:
            await handler.handle_client()
        finally:
            del connections[handler]

    server = await asyncio.start_server(accept, sock=bound)
    host, port = bound.getsockname()[:2]
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        on_ready(Replaying(f"http://{USER}:{password}@{shown}", tape.count, tape.left_out))
        await asyncio.Event().wait()
    finally:
        server.close()
        tasks = list(connections.values())
        for handler in list(connections):
            if handler.client in handler.transports:
                handler.close_connection(handler.client)
        if tasks:
            await asyncio.wait(tasks, timeout=_END_S)


def _answer(flow: RecordedFlow) -> http.HTTPFlow:
    made = mitmproxy_flow(flow)
    assert made.response is not None, "the tape takes answered flows alone"
    made.response.headers["Doorward-Request"] = flow.request  # the recorded one, as the agent saw it then
    return made


def _master(addons: Iterable[object], ca: Path, request_bytes: int) -> master.Master:
    made = master.Master(options.Options(), with_termlog=False)
    made.addons.add(*addons)
    made.options.update(**_OPTIONS, confdir=str(ca), body_size_limit=str(request_bytes))
    return made
