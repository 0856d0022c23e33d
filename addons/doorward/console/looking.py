"""mitmweb over a few recorded flows, for one local person: `flows open`. Shows, and decides nothing.

The console's own page, gate and table of routes, with fewer answers: what decides, or lists
holds, is refused like every other route. Instead of a login at a provider there is a token in
the URL that the command prints, good once, and for some minutes. Bodies are read through the
ledger when they are opened, each reading recorded.
"""

import asyncio
import hmac
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import tornado.httpserver
import tornado.web

from doorward.console.bodies import Bodies
from doorward.console.feed import finished_copy
from doorward.console.gate import Gate, Guarded
from doorward.console.guards import PublicAddress
from doorward.console.heads import Heads
from doorward.console.mitm import ConsoleApplication, ConsoleMaster, close_sockets
from doorward.console.pages import Pages
from doorward.console.routes import Role
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
from doorward.ledger.client import LedgerClient
from doorward.model import Principal
from doorward.store.index import FlowRow, Index

TICKET_S: Final = 300.0
SESSION_S: Final = 8 * 3600.0


@dataclass(slots=True)
class Ticket:
    """The token in the URL: the first who brings it in time is the person."""

    person: Principal
    token: str
    until_s: float
    is_used: bool = False

    def take(self, token: str, now_s: float) -> bool:
        """Whether this one may come in; at most once True."""
        if self.is_used or now_s >= self.until_s or not hmac.compare_digest(token.encode(), self.token.encode()):
            return False
        self.is_used = True
        return True


class LocalLogin(Guarded):
    """Takes the token, and gives the session's cookie for it."""

    def get(self) -> None:
        """Start the session, or say how one begins."""
        ticket: Ticket = self.settings["ticket"]
        now_s = time.monotonic()
        if not ticket.take(self.get_query_argument("token", ""), now_s):
            self.problem(
                403,
                "this page opens by the address that `doorward flows open` prints, once, within some minutes",
                "end the command and start it again",
                "wrong-token",
            )
            return
        session_id, _ = self.gate.sessions.start(ticket.person, [Role.VIEWER], now_s)
        self.set_cookie(self.gate.address.cookie_prefix, session_id, httponly=True, samesite="Strict", path="/")
        self.redirect("/", status=303)


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
    "own-file": OwnFile,
    "login": LocalLogin,
}


async def serve_flows(
    bound: socket.socket,
    rows: Iterable[FlowRow],
    client: LedgerClient,
    index: Index,
    *,
    person: Principal,
    why: str,
    on_ready: Callable[[str], None],
) -> None:
    """Show these flows on a bound socket of loopback until cancelled; `on_ready` gets the URL that opens the page."""
    with ExitStack() as stack:
        host, port = bound.getsockname()[:2]
        address = PublicAddress("http", f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        gate = Gate(address, Sessions(longest_s=SESSION_S, idle_s=SESSION_S), Pages())
        ticket = Ticket(person, secrets.token_urlsafe(32), time.monotonic() + TICKET_S)
        master = ConsoleMaster()
        parts = {"gate": gate, "bodies": Bodies(client, why=why), "ticket": ticket, "local": True}
        server = tornado.httpserver.HTTPServer(
            ConsoleApplication(master, ANSWERS, parts), max_body_size=64 * 1024, max_header_size=32 * 1024
        )
        stack.callback(server.stop)
        heads = Heads(client, index)
        master.view.add([await finished_copy(row, heads) for row in rows])
        server.add_socket(bound)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(master.run())
                on_ready(f"{address.origin}/login?token={ticket.token}")
        finally:
            close_sockets(lambda key: False)
            await server.close_all_connections()
