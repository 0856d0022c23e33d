"""Who is asking: Proxy-Authorization -> verified token -> Principal.

At CONNECT the token is bound to the connection, and verified again at each request inside
the tunnel, since it may expire meanwhile; so is whether the principal was blocked. A plain `http://` request carries
its own token. The header is taken off before any later step sees the request.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable
from datetime import datetime

from mitmproxy import http

from doorward.errors import Unauthenticated
from doorward.gateway.admission import Admission
from doorward.gateway.blocks import Blocks
from doorward.gateway.exchange import Exchange, Exchanges
from doorward.gateway.guard import request_step
from doorward.gateway.tunnels import Tunnel, Tunnels
from doorward.oidc.verify import TokenVerifier, VerifiedToken

_HEADER = "Proxy-Authorization"
_HINT = "set HTTPS_PROXY=http://agent:TOKEN@HOST:PORT with a fresh token of a configured issuer"
_MOST_LABEL = 64


class Authenticate:
    """Sets `token` and `label` of the exchange, and the tunnel of the connection."""

    def __init__(
        self,
        exchanges: Exchanges,
        tunnels: Tunnels,
        verifier: TokenVerifier,
        admission: Admission,
        blocks: Blocks,
        now: Callable[[], datetime],
    ) -> None:
        self.exchanges = exchanges
        self._tunnels = tunnels
        self._blocks = blocks
        self._verifier = verifier
        self._admission = admission
        self._now = now

    @request_step()
    async def http_connect(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Verify the token of a CONNECT and bind it to the connection."""
        label, token = _presented(flow.request.headers)
        exchange.label = label
        exchange.token = verified = self._verifier.remembered(token, self._now()) or await self._verify(token, exchange)
        self._blocks.check(verified.principal)
        self._admission.identify(flow.client_conn, verified.principal)
        host, port = flow.request.data.host.lower(), flow.request.data.port
        self._tunnels[flow.client_conn] = Tunnel(token, label, host, port, verified.principal.name)

    @request_step()
    def requestheaders(self, flow: http.HTTPFlow, exchange: Exchange) -> Awaitable[None] | None:
        """Verify the tunnel's token anew, or that of a plain request."""
        tunnel = self._tunnels.get(flow.client_conn)
        if tunnel is None:
            label, token = _presented(flow.request.headers)
        else:
            label, token = tunnel.label, tunnel.token
        if _HEADER in flow.request.headers:
            flow.request.headers.pop(_HEADER)
        exchange.label = label
        exchange.token = self._verifier.remembered(token, self._now())
        if exchange.token is None:
            return self._verify_head(token, flow, exchange)
        self._admit(flow, exchange.token)
        return None

    async def _verify_head(self, token: str, flow: http.HTTPFlow, exchange: Exchange) -> None:
        self._admit(flow, await self._verify(token, exchange))

    async def _verify(self, token: str, exchange: Exchange) -> VerifiedToken:
        exchange.token = verified = await self._verifier.verify_patiently(token, self._now())
        return verified

    def _admit(self, flow: http.HTTPFlow, token: VerifiedToken) -> None:
        """The connection of a tunnel counts since its CONNECT."""
        self._blocks.check(token.principal)
        if flow.client_conn not in self._tunnels:
            self._admission.identify(flow.client_conn, token.principal)
        self._admission.ready(flow.client_conn)


def _presented(headers: http.Headers) -> tuple[str, str]:
    """Label and token of exactly one Proxy-Authorization; takes it off."""
    values = headers.get_all(_HEADER)
    headers.pop(_HEADER, None)
    if not values:
        raise Unauthenticated("no token was presented to the proxy", cause="token-missing", hint=_HINT)
    if len(values) > 1:
        raise Unauthenticated("Proxy-Authorization stands twice", cause="token-malformed", hint=_HINT)
    scheme, _, rest = values[0].partition(" ")
    match scheme.lower():
        case "bearer":
            return "", rest.strip()
        case "basic":
            try:
                userinfo = base64.b64decode(rest.strip(), validate=True).decode("ascii")
            except (binascii.Error, ValueError):
                raise Unauthenticated(
                    "Proxy-Authorization is not base64 of user:token", cause="token-malformed", hint=_HINT
                ) from None
            label, _, token = userinfo.partition(":")
            return _shown_label(label), token
        case _:
            raise Unauthenticated(
                "Proxy-Authorization is neither Basic nor Bearer", cause="token-malformed", hint=_HINT
            )


def _shown_label(label: str) -> str:
    return "".join(each for each in label if each.isprintable())[:_MOST_LABEL]
