"""Ends what a principal has open at the moment it is blocked.

Each connection of the principal is closed. A request in flight is given up, and the `error`
hook records it; one that is still held is refused by its own step, so its connection stays
for the moment that the page needs. What comes later is refused by `authenticate`, and in
the end by the ledger.
"""

import asyncio
from collections.abc import Callable

from mitmproxy import connection, http

from doorward.core.blocks import refusal
from doorward.gateway.exchange import Exchange, Exchanges
from doorward.gateway.refuse import refuse
from doorward.gateway.tunnels import Tunnels

_PAGE_S = 0.5  # for a page on its way; then the connection goes with it or without


class Cut:
    """Called with the name of each principal that is blocked."""

    def __init__(
        self,
        exchanges: Exchanges,
        tunnels: Tunnels,
        close: Callable[[connection.Client], None],
        forget: Callable[[str], None],
    ) -> None:
        """`forget` closes the connections to targets that wait for the principal."""
        self._exchanges = exchanges
        self._tunnels = tunnels
        self._close = close
        self._forget = forget

    def __call__(self, principal: str) -> None:
        """Close the principal's connections: tunnels, and others with a request of theirs."""
        self._forget(principal)
        clients = {client for client, tunnel in list(self._tunnels.items()) if tunnel.principal == principal}
        clients |= {flow.client_conn for flow, _ in self._exchanges.of_principal(principal)}
        for client in clients:
            if any(exchange.hold is not None and exchange.intent is None for _, exchange in self._open(client)):
                asyncio.get_running_loop().call_later(_PAGE_S, self._end, client)
            else:
                self._end(client)

    def _end(self, client: connection.Client) -> None:
        """Give up each request of the connection, then the connection."""
        for flow, exchange in self._open(client):
            if exchange.refusal is not None:
                continue
            if exchange.sent:
                exchange.refusal = refusal()  # and no page: an answer of the target may lie there by now
            else:
                refuse(flow, exchange, refusal())
        self._close(client)

    def _open(self, client: connection.Client) -> list[tuple[http.HTTPFlow, Exchange]]:
        """The connection's requests whose end is not recorded yet."""
        return [
            (flow, exchange)
            for flow, exchange in self._exchanges.of_client(client)
            if not exchange.recorded and flow.request.data.method != b"CONNECT"
        ]
