"""An agent at the level of bytes: what stock clients would never send."""

import socket
import ssl
from base64 import b64encode

from tests.parts.deployment import Deployment


def connect_head(deployment: Deployment, authority: str, token: str | None = None, *, label: str = "agent") -> bytes:
    """A CONNECT with a token."""
    presented = deployment.provider.token() if token is None else token
    userinfo = b64encode(f"{label}:{presented}".encode("utf-8", "surrogatepass")).decode()
    return (
        f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nProxy-Authorization: Basic {userinfo}\r\n\r\n".encode()
    )


def ask(deployment: Deployment, request: bytes) -> bytes:
    """One request on a connection of its own."""
    with deployment.raw() as connection:
        return exchange(connection, request)


def tunnel(deployment: Deployment, authority: str = "billing.internal:443") -> socket.socket:
    """A connection on which the CONNECT was accepted."""
    connection = deployment.raw()
    connection.sendall(connect_head(deployment, authority))
    answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 200"), answer
    return connection


def tls_tunnel(deployment: Deployment, *, sni: str = "billing.internal", alpn: str = "http/1.1") -> ssl.SSLSocket:
    """A tunnel with TLS inside."""
    return tls_inside(deployment, tunnel(deployment), sni=sni, alpn=alpn)


def tls_inside(
    deployment: Deployment, connection: socket.socket, *, sni: str = "billing.internal", alpn: str = "http/1.1"
) -> ssl.SSLSocket:
    """TLS in a tunnel that stands; takes the connection over."""
    context = ssl.create_default_context(cafile=deployment.root)
    context.set_alpn_protocols([alpn])
    return context.wrap_socket(connection, server_hostname=sni)


def exchange(connection: socket.socket, request: bytes) -> bytes:
    """Send, and read until the peer closes or an answer with its length is whole."""
    connection.sendall(request)
    return read_answer(connection)


def read_answer(connection: socket.socket) -> bytes:
    """One answer, or what came before the peer closed."""
    got = b""
    while True:
        try:
            chunk = connection.recv(65536)
        except (ConnectionError, ssl.SSLError):
            return got
        if not chunk:
            return got
        got += chunk
        head, end, body = got.partition(b"\r\n\r\n")
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if end and name.lower() == b"content-length" and len(body) >= int(value):
                return got
