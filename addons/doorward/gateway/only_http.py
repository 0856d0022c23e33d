"""Only TLS and HTTP pass, and only towards a target.

Chooses the layers itself: what follows a CONNECT is TLS or HTTP, and what is neither gets
the HTTP layer, which refuses it. A CONNECT must name a target's host and port; the SNI
inside must be that host, and may be absent only where a target lists an address.
"""

import ipaddress
from collections.abc import Callable
from pathlib import Path

from mitmproxy import connection, http, tls
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy import layer

from doorward.core.policy import Policy
from doorward.errors import DoorwardError, Refused, Unauthenticated, Unclear
from doorward.gateway.admission import Admission
from doorward.gateway.exchange import Exchange, Exchanges
from doorward.gateway.guard import request_step
from doorward.gateway.mitm.http import HttpStream, http_layer, is_in_tunnel
from doorward.gateway.mitm.plane import Plane
from doorward.gateway.mitm.tls import AgentTls, Certificates, serve_listener
from doorward.gateway.refuse import unknown_host
from doorward.gateway.tunnels import Tunnels

_ENOUGH_TO_TELL = 3  # bytes: a TLS record is known by its first three


class OnlyHttp:
    """Layers, tunnels and the agents' side of TLS."""

    def __init__(
        self,
        exchanges: Exchanges,
        tunnels: Tunnels,
        admission: Admission,
        plane: Plane,
        certificates: Certificates,
        policy: Callable[[], Policy],
        close: Callable[[connection.Client, DoorwardError], None],
        listener: tuple[Path, Path] | None,
    ) -> None:
        self.exchanges = exchanges
        self._tunnels = tunnels
        self._admission = admission
        self._plane = plane
        self._certificates = certificates
        self._policy = policy
        self._close = close
        self._listener = listener  # certificate and key, where agents speak TLS to the proxy itself

    def next_layer(self, asked: layer.NextLayer) -> None:
        """TLS or HTTP, in a tunnel or outside; nothing else exists."""
        first = asked.data_client()
        if len(first) < _ENOUGH_TO_TELL:
            return
        at = asked.context
        to_proxy = len(at.layers) == 1  # the first bytes of the connection
        if to_proxy and self._listener and not starts_like_tls_record(first):
            error = Unclear(
                "the proxy was spoken to without TLS", cause="tls-required", hint="use HTTPS_PROXY=https://"
            )
            self._close(at.client, error)
            return
        may_be_tls = self._listener is not None if to_proxy else isinstance(at.layers[-1], HttpStream)
        if may_be_tls and starts_like_tls_record(first):
            asked.layer = AgentTls(at)
        else:
            asked.layer = http_layer(self._plane, at, in_tunnel=is_in_tunnel(at))

    @request_step()
    def http_connect(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """A CONNECT to anything but a target's host and port goes nowhere, and leaves no tunnel behind."""
        tunnel = self._tunnels.pop(flow.client_conn, None)
        if tunnel is None:
            raise Unauthenticated("nobody is known to ask for this", cause="token-missing", hint="present a token")
        exchange.policy = self._policy()
        exchange.target = exchange.policy.target_for(tunnel.host, tunnel.port)
        if exchange.target is None:
            raise unknown_host(exchange.policy, tunnel.host, tunnel.port)
        self._tunnels[flow.client_conn] = tunnel
        self._admission.tunnelled(flow.client_conn)

    def tls_clienthello(self, hello: tls.ClientHelloData) -> None:
        """The name in the handshake must be the tunnel's."""
        client = hello.context.client
        tunnel = self._tunnels.get(client)
        if tunnel is None:
            return  # the handshake with the proxy itself
        sni = hello.client_hello.sni
        if sni is None and _is_address(tunnel.host):
            return
        if sni is None or sni.lower() != tunnel.host:
            error = Refused("the name in the TLS handshake is not that of the CONNECT", cause="sni-differs")
            self._close(client, error)

    def tls_start_client(self, start: tls.TlsData) -> None:
        """Answer the handshake as the tunnel's host, or as the proxy itself."""
        tunnel = self._tunnels.get(start.context.client)
        if tunnel is not None:
            self._certificates.serve(start, tunnel.host)
        elif self._listener:
            serve_listener(start, *self._listener)

    def tls_established_client(self, done: tls.TlsData) -> None:
        """The handshake in a tunnel is over."""
        if done.context.client in self._tunnels:
            self._admission.ready(done.context.client)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
