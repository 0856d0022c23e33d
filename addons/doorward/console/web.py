"""The console as one process: mitmweb's page over masked copies, behind our own login and table.

`serve_console` binds, joins the parts and runs until it is cancelled. It holds no connection
of an agent: it reads the record and writes people's answers to the ledger.
"""

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import tornado.httpserver
import tornado.web

from doorward.console.approvals import (
    Answer,
    ApiAnswer,
    ApiHold,
    ApiHolds,
    Approval,
    Approvals,
    FlowApprove,
    FlowDeny,
    FlowHold,
    HoldDesk,
)
from doorward.console.bodies import Bodies
from doorward.console.config import ConsoleConfig
from doorward.console.feed import Feed
from doorward.console.gate import Gate
from doorward.console.guards import read_public_url
from doorward.console.heads import Heads
from doorward.console.login import Callback, LoggedOut, Login, Logins, Logout
from doorward.console.mitm import ConsoleApplication, ConsoleMaster, close_sockets
from doorward.console.pages import Pages
from doorward.console.sessions import Sessions
from doorward.console.stock import (
    Content,
    ContentView,
    Events,
    FilterHelp,
    Flows,
    Options,
    OwnFile,
    State,
    StockFile,
    Updates,
)
from doorward.console.stock import (
    Index as IndexPage,
)
from doorward.errors import Misconfigured
from doorward.ledger.client import LedgerClient
from doorward.oidc.login import LoginFlow
from doorward.store.index import Index

MAX_BODY_BYTES = 64 * 1024
MAX_HEADER_BYTES = 32 * 1024
SWEEP_EVERY_S = 5.0

ANSWERS: Mapping[str, type[tornado.web.RequestHandler]] = {
    "index": IndexPage,
    "stock-file": StockFile,
    "flows": Flows,
    "events": Events,
    "options": Options,
    "state": State,
    "filter-help": FilterHelp,
    "updates": Updates,
    "content": Content,
    "content-view": ContentView,
    "flow-hold": FlowHold,
    "flow-approve": FlowApprove,
    "flow-deny": FlowDeny,
    "approvals": Approvals,
    "approval": Approval,
    "answer": Answer,
    "api-holds": ApiHolds,
    "api-hold": ApiHold,
    "api-answer": ApiAnswer,
    "own-file": OwnFile,
    "login": Login,
    "callback": Callback,
    "logout": Logout,
    "logged-out": LoggedOut,
}

logger = logging.getLogger(__name__)


async def serve_console(
    config: ConsoleConfig,
    client: LedgerClient,
    index_path: Path,
    *,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until cancelled; `on_ready` gets the console's URL once it answers.

    Raises Misconfigured if the address, the certificate or the public URL cannot be used.
    """
    with ExitStack() as stack:
        bound = stack.enter_context(_bound(config))
        address = read_public_url(config.public_url, bound_port=bound.getsockname()[1])
        gate = Gate(address, Sessions(longest_s=config.session_s, idle_s=config.idle_s), Pages())
        bodies = Bodies(client)
        index = Index(index_path)
        stack.callback(index.close)
        heads = Heads(client, index)
        redirect_uri = f"{address.origin}/oidc/callback"
        flow = LoginFlow(config.issuer, config.client_id, config.client_secret, redirect_uri)
        parts = {
            "gate": gate,
            "bodies": bodies,
            "logins": Logins(config, flow, client),
            "holds": HoldDesk(client, index, bodies, heads),
        }
        master = ConsoleMaster()
        server = _server(config, ConsoleApplication(master, ANSWERS, parts))
        feed = Feed(master.view, client, index, heads, recent=config.recent_flows, most=config.most_flows)
        server.add_socket(bound)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(master.run())
                tasks.create_task(feed.run())
                tasks.create_task(_sweep(gate.sessions))
                logger.info("console listening on %s", address.origin)
                if on_ready is not None:
                    on_ready(address.origin)
        finally:
            server.stop()
            close_sockets(lambda key: False)
            await server.close_all_connections()


def _bound(config: ConsoleConfig) -> socket.socket:
    host, port = config.listen
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise Misconfigured(
            f"the console cannot listen on {host}:{port}: {error.strerror or error}",
            hint="see that nothing else listens there, or set another console.listen",
        ) from error
    bound.setblocking(False)
    return bound


def _server(config: ConsoleConfig, application: ConsoleApplication) -> tornado.httpserver.HTTPServer:
    return tornado.httpserver.HTTPServer(
        application,
        max_body_size=MAX_BODY_BYTES,
        max_buffer_size=4 * MAX_BODY_BYTES,
        max_header_size=MAX_HEADER_BYTES,
        body_timeout=20,
        idle_connection_timeout=120,
        ssl_options=_tls(config),
    )


async def _sweep(sessions: Sessions) -> None:
    """Close what outlives its session: a socket asks for nothing, so nothing else would notice."""
    while True:
        await asyncio.sleep(SWEEP_EVERY_S)
        now_s = time.monotonic()
        sessions.end_old(now_s)
        close_sockets(lambda key, at_s=now_s: sessions.is_live(key, at_s))  # type: ignore[misc]  # bound now


def _tls(config: ConsoleConfig) -> ssl.SSLContext | None:
    if config.tls is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(config.tls.cert, config.tls.key)
    except OSError as error:  # SSLError is one
        raise Misconfigured(
            "console.tls cannot be used: no certificate, or a key of another one",
            hint=f"see {config.tls.cert} and {config.tls.key}",
        ) from error
    return context
