"""One reading of the request, which policy, digest, record, page and target all share.

At the head: the target is found by the host that was asked for, everything that could be
read two ways is refused, and scheme, host, port, authority and Host are rewritten from the
target. With the body: the Action is read, and the headers that go on are put in place.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from mitmproxy import connection, http

from doorward.core.plain_http import read_action
from doorward.core.policy import Policy
from doorward.core.redaction.content import decode_content
from doorward.core.redaction.writeback import carries_sentinel
from doorward.errors import Refused, TooMany, Unclear, Withheld, WriteBack
from doorward.gateway.exchange import Exchange, Exchanges
from doorward.gateway.guard import request_step
from doorward.gateway.refuse import unknown_host
from doorward.gateway.tunnels import Tunnel, Tunnels
from doorward.model import Action, Target

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST_HINT = "send each request with the host of its tunnel or URL, once"


class Interpret:
    """Sets `policy`, `target`, `action` and `body` of the exchange."""

    def __init__(
        self,
        exchanges: Exchanges,
        tunnels: Tunnels,
        policy: Callable[[], Policy],
        credential_headers: Mapping[str, str],
        *,
        body_limit: int,
        bodies_limit: int,
        sentinel: str,
    ) -> None:
        self.exchanges = exchanges
        self._tunnels = tunnels
        self._policy = policy
        self._credential_headers = credential_headers  # alias -> header
        self._body_limit = body_limit
        self._bodies_limit = bodies_limit  # of one connection together
        self._sentinel = sentinel

    @request_step()
    def requestheaders(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Find the target, and leave no second reading of whom the request is for."""
        exchange.policy = self._policy()
        tunnel = self._tunnels.get(flow.client_conn)
        scheme, host, port = _asked_for(flow, tunnel)
        target = exchange.policy.target_for(host, port)
        if target is None:
            raise unknown_host(exchange.policy, host, port)
        exchange.target = target
        if scheme == "http" and target.scheme == "https":
            raise Refused(
                f"{target.name} is reached over https alone", cause="scheme", hint=f"ask for https://{host}:{port}"
            )
        if [each.strip().lower() for each in flow.request.headers.get_all("transfer-encoding")] not in (
            [],
            ["chunked"],
        ):
            raise Unclear(
                "a transfer coding that is not read", cause="transfer-encoding", hint="send it as chunked alone"
            )
        _point_at(flow.request, target)

    @request_step()
    def request(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Read the Action, and put what goes on in the place of what came."""
        target, token, policy = exchange.target, exchange.token, exchange.policy
        if target is None or token is None or policy is None:
            raise Unclear("the head of the request was not read", cause="head-unread", hint="repeat the request")
        request = flow.request
        headers = [(_text(name), _text(value)) for name, value in request.headers.fields]
        coding = request.headers.get("content-encoding")
        exchange.body = _decoded(request.raw_content or b"", coding, self._body_limit)
        if coding is not None:
            self._check_all_of(flow.client_conn)
        principal = token.principal
        if principal.owner is None:
            principal = replace(principal, owner=policy.owners.get(principal.name))
        body_mask = policy.has_body_masks(target.name)
        exchange.action = action = read_action(
            principal,
            target,
            _text(request.data.method),
            _text(request.data.path),
            headers,
            exchange.body,
            credential_header=self._credential_headers.get(target.credential or ""),
            body_mask=body_mask,
        )
        # Elsewhere it overwrites nothing: an agent has to tell its model what it read.
        if body_mask and exchange.body and carries_sentinel(exchange.body, self._sentinel):
            raise WriteBack(
                "the body carries a masked value, which would overwrite the real one",
                cause="write-back",
                hint="leave the masked fields out of what you write",
            )
        _forward(request, action)

    def _check_all_of(self, client: connection.Client) -> None:
        """Streams of HTTP/2 wait side by side: what was small on the wire may be much in memory."""
        waiting = sum(len(each.body) for _, each in self.exchanges.of_client(client) if not each.recorded)
        if waiting > self._bodies_limit:
            raise TooMany(
                "the requests on this connection are together too large",
                cause="too-much-at-once",
                hint="send fewer of them at once, or on several connections",
            )


def _decoded(raw: bytes, coding: str | None, limit: int) -> bytes:
    try:
        return decode_content(raw, coding, limit) if raw else raw
    except Withheld as error:
        raise Unclear("the body's content coding cannot be undone", cause=error.cause, hint=error.hint) from None


def _asked_for(flow: http.HTTPFlow, tunnel: Tunnel | None) -> tuple[str, str, int]:
    """Scheme, host and port that the agent asked for; raises Unclear where it said two things."""
    request = flow.request
    scheme = "https" if flow.client_conn.tls and tunnel is not None else "http"
    if tunnel is not None:
        host, port = tunnel.host, tunnel.port
        if request.data.authority and not request.is_http2:
            raise Unclear("an absolute URL inside a tunnel", cause="absolute-form", hint="send the path alone")
    else:
        host, port = request.data.host.lower(), request.data.port
        if request.data.scheme != b"http":
            raise Unclear("only http:// can be asked for without CONNECT", cause="scheme", hint="use CONNECT for https")
    said = [_text(value) for value in request.headers.get_all("host")]
    if request.is_http2:
        said.append(_text(request.data.authority))
        if len(said) > 1 and not said[0]:
            raise Unclear("an empty Host", cause="host-differs", hint=_HOST_HINT)
    elif len(said) != 1:
        raise Unclear(f"{len(said)} Host headers", cause="host-count", hint=_HOST_HINT)
    for each in said:
        if _host_port(each, _DEFAULT_PORTS[scheme]) != (host, port):
            raise Unclear("Host is not the host that was asked for", cause="host-differs", hint=_HOST_HINT)
    return scheme, host, port


def _host_port(text: str, default: int) -> tuple[str, int] | None:
    name, colon, port = text.lower().rpartition(":")
    if not colon or text.endswith("]"):
        name, port = text.lower(), str(default)
    if not port.isascii() or not port.isdigit() or len(port) > 5:
        return None
    return name.removeprefix("[").removesuffix("]"), int(port)


def _point_at(request: http.Request, target: Target) -> None:
    authority = target.url.partition("://")[2]
    if target.port == _DEFAULT_PORTS[target.scheme]:
        authority = authority.rpartition(":")[0]
    request.data.scheme = target.scheme.encode()
    request.data.host = target.host
    request.data.port = target.port
    request.data.authority = authority.encode() if request.is_http2 else b""
    others = tuple(field for field in request.headers.fields if field[0].lower() != b"host")
    host = () if request.is_http2 else ((b"Host", authority.encode()),)
    request.headers = http.Headers((*host, *others))


def _forward(request: http.Request, action: Action) -> None:
    """Replace the head by what was read; the body always goes with its length (no smuggling from HTTP/2)."""
    # Else `/a?` would go out where `/a` was read, digested and approved.
    request.data.path = (action.raw_path + (f"?{action.raw_query}" if action.raw_query else "")).encode()
    kept = [(n, v) for n, v in action.headers if n not in ("content-length", "accept-encoding")]
    host = request.headers.get("host")
    fields = ([("Host", host)] if host else []) + [*kept, ("accept-encoding", "identity")]
    content = request.raw_content or b""
    if content or request.data.method in (b"POST", b"PUT", b"PATCH"):
        fields.append(("content-length", str(len(content))))
    request.headers = http.Headers([(name.encode(), value.encode()) for name, value in fields])
    request.trailers = None


def _text(raw: bytes | str) -> str:
    """Bytes of a head as text, one character a byte, so that the reader sees every byte."""
    return raw.decode("latin-1") if isinstance(raw, bytes) else raw
