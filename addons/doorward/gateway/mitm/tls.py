"""TLS towards agents, as pyOpenSSL contexts that mitmproxy's layers take.

A leaf for exactly the host of the tunnel, signed by our intermediate, so that a
name-constrained authority is never asked for another name. Contexts are cached by mitmproxy by
path, so an authority that was issued anew clears those caches. TLS towards targets is in `upstream`.
"""

import ipaddress
import ssl
from pathlib import Path
from typing import Any

from cryptography import x509
from mitmproxy import certs, tls
from mitmproxy.net import tls as net_tls
from mitmproxy.proxy import commands, context, events, layer, layers
from OpenSSL import SSL

from doorward.errors import Misconfigured
from doorward.private_files import read_private

_STORE_NAME = "mitmproxy"


class AgentTls(layers.ClientTLSLayer):
    """As upstream's; what answers one event is encrypted at once: a head and its body are one record."""

    def __init__(self, at: context.Context) -> None:
        super().__init__(at)
        self._unsent: list[bytes] = []

    def event_to_child(self, event: events.Event) -> layer.CommandGenerator[None]:
        """Hand the event on, then send what it brought about."""
        yield from super().event_to_child(event)
        yield from self._flush()

    def send_data(self, data: bytes) -> layer.CommandGenerator[None]:
        """Keep it until the event is handled."""
        self._unsent.append(data)
        yield from ()

    def send_close(self, command: commands.CloseConnection) -> layer.CommandGenerator[None]:
        """What was said before leaves before."""
        yield from self._flush()
        yield from super().send_close(command)

    def _flush(self) -> layer.CommandGenerator[None]:
        if self._unsent:
            data = b"".join(self._unsent)
            self._unsent.clear()
            yield from super().send_data(data)


class Certificates:
    """Leaf certificates for agents, from the intermediate in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.reload()

    def reload(self) -> None:
        """Read the authority again, after a reissue: key and chain at one time, so that they belong together."""
        net_tls.create_client_proxy_context.cache_clear()
        self._store = certs.CertStore.from_store(str(self._folder), _STORE_NAME, 2048)
        self._context = net_tls.create_client_proxy_context(
            method=net_tls.Method.TLS_SERVER_METHOD,
            min_version=net_tls.Version.TLS1_2,
            max_version=net_tls.Version.UNBOUNDED,
            cipher_list=None,
            ecdh_curve=None,
            chain_file=self._store.default_chain_file,
            request_client_cert=False,
            alpn_select_callback=_select_alpn,
            extra_chain_certs=(),
            dhparams=self._store.dhparams,
        )

    def serve(self, start: tls.TlsData, host: str) -> None:
        """Answer the agent's handshake as `host`."""
        entry = self._store.get_cert(host, [_general_name(host)])
        start.ssl_conn = SSL.Connection(self._context)
        start.ssl_conn.use_certificate(entry.cert.to_cryptography())
        start.ssl_conn.use_privatekey(entry.privatekey)
        start.ssl_conn.set_accept_state()


def check_listener(cert: Path, key: Path) -> None:
    """Find before the first agent comes what a handshake would stumble over; raises Misconfigured."""
    read_private(key, what="the listener's key")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    except (OSError, ssl.SSLError):
        raise Misconfigured(
            "tls cannot be used: no certificate, or a key of another one", hint=f"see {cert} and {key}"
        ) from None


def serve_listener(start: tls.TlsData, cert: Path, key: Path) -> None:
    """Answer the handshake with the proxy itself (`HTTPS_PROXY=https://…`), HTTP/1.1 only."""
    outer = SSL.Context(SSL.TLS_SERVER_METHOD)
    outer.set_min_proto_version(SSL.TLS1_2_VERSION)
    outer.use_certificate_chain_file(str(cert))
    outer.use_privatekey_file(str(key))
    outer.set_alpn_select_callback(_select_http1)
    start.ssl_conn = SSL.Connection(outer)
    start.ssl_conn.set_accept_state()


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _select_alpn(_: SSL.Connection, offered: list[bytes]) -> Any:
    return next((each for each in offered if each in (b"h2", b"http/1.1")), SSL.NO_OVERLAPPING_PROTOCOLS)


def _select_http1(_: SSL.Connection, offered: list[bytes]) -> Any:
    return b"http/1.1" if b"http/1.1" in offered else SSL.NO_OVERLAPPING_PROTOCOLS
