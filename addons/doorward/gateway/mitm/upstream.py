"""Connections to targets: TLS to the target's own name, and links that wait to be used again.

A link that served its request properly may serve another one, for the same route only: same
target, address, name, authority, principal and generation of the credential. One on which a
byte came that nobody asked for is closed instead. TLS ends below mitmproxy's layers, which see
plain bytes: a link outlives the agent's connection that opened it, and a layer cannot.

The names that a certificate must bear are checked by OpenSSL while it shakes hands. Called by
`mitm.connection`; whether a link served properly is known by `mitm.http`.
"""

import asyncio
import errno
import os
import ssl
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

from doorward.gateway.route import Route
from doorward.private_files import FileMark

IDLE_S: Final = 3.0  # less than targets wait: many close after five seconds
_MOST: Final = 64
_MOST_OF_A_ROUTE: Final = 8
_HANDSHAKE_S: Final = 60.0
_GOODBYE_S: Final = 2.0


class Reader(asyncio.StreamReader):
    """As asyncio's; it can say whether nothing at all has come, and when something came last."""

    heard_s = 0.0  # by the clock of the loop

    def feed_data(self, data: Any) -> None:
        """As asyncio's."""
        self.heard_s = self._loop.time()  # type: ignore[attr-defined]
        super().feed_data(data)

    def is_quiet(self) -> bool:
        """Whether no byte waits, and neither end nor error came."""
        return not self._buffer and not self._eof and self.exception() is None  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """One open connection to a target."""

    reader: Reader
    writer: asyncio.StreamWriter

    @property
    def alpn(self) -> bytes:
        """The protocol that the target chose."""
        handshake = self.writer.get_extra_info("ssl_object")
        return (handshake.selected_alpn_protocol() or "").encode() if handshake else b""

    def is_usable(self) -> bool:
        """Whether both directions are open, nothing came, and all was taken: an early answer leaves a rest."""
        is_sent = self.writer.transport.get_write_buffer_size() == 0
        return is_sent and self.reader.is_quiet() and not self.writer.is_closing()

    def drop(self) -> None:
        """Close it at once."""
        self.writer.transport.abort()


class Upstream:
    """All links of one worker that wait."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[Link, tuple[Route, asyncio.TimerHandle]] = OrderedDict()
        self._contexts: dict[tuple[str | None, bool], tuple[FileMark | None, ssl.SSLContext]] = {}
        self._is_closed = False

    async def open(self, route: Route, *, http2: bool) -> Link:
        """A link that waited, or a new one; raises OSError where there is none to be had."""
        context = self._context(route, http2=http2) if route.is_tls else None
        return self._take(route) or await _dial(route, context)

    def keep(self, route: Route, link: Link) -> None:
        """Let a link wait for the next request of its route; nobody else may read from it any more."""
        of_route = [each for each, (known, _) in self._waiting.items() if known == route]
        if self._is_closed or not link.is_usable() or link.alpn == b"h2" or len(of_route) >= _MOST_OF_A_ROUTE:
            link.drop()
            return
        if len(self._waiting) >= _MOST:
            self._drop(next(iter(self._waiting)))
        timer = asyncio.get_running_loop().call_later(IDLE_S, self._drop, link)
        self._waiting[link] = route, timer

    def forget(self, principal: str) -> None:
        """Close what waits for one principal."""
        for link in [each for each, (route, _) in self._waiting.items() if route.principal == principal]:
            self._drop(link)

    def close(self) -> None:
        """Close all that waits, and keep nothing from now on."""
        self._is_closed = True
        for link in list(self._waiting):
            self._drop(link)

    def _take(self, route: Route) -> Link | None:
        """The link that waited least."""
        for link in [each for each, (known, _) in self._waiting.items() if known == route][::-1]:
            self._waiting.pop(link)[1].cancel()
            if link.is_usable():
                return link
            link.drop()
        return None

    def _drop(self, link: Link) -> None:
        self._waiting.pop(link)[1].cancel()
        link.drop()

    def _context(self, route: Route, *, http2: bool) -> ssl.SSLContext:
        """The context for an authority, made anew when its file changes; raises OSError where that cannot be read."""
        if route.ca is not None and route.trust is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), route.ca)
        known = self._contexts.get((route.ca, http2))
        if known is None or known[0] != route.trust:
            known = self._contexts[route.ca, http2] = route.trust, _context(route.ca, http2=http2)
        return known[1]


def _context(ca: str | None, *, http2: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificate and name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    if ca is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(cafile=ca)
    context.set_alpn_protocols(["h2", "http/1.1"] if http2 else ["http/1.1"])
    return context


async def _dial(route: Route, context: ssl.SSLContext | None) -> Link:
    loop = asyncio.get_running_loop()
    reader = Reader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    if context is None:
        transport, _ = await loop.create_connection(lambda: protocol, route.address, route.port)
    else:
        transport, _ = await loop.create_connection(
            lambda: protocol,
            route.address,
            route.port,
            ssl=context,
            server_hostname=route.host,
            ssl_handshake_timeout=_HANDSHAKE_S,
            ssl_shutdown_timeout=_GOODBYE_S,
        )
    return Link(reader, asyncio.StreamWriter(transport, protocol, reader, loop))
