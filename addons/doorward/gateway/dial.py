"""Which address is dialled: only one of the target's name, and never a place nobody meant.

Runs after the intent is durable, since looking a name up is egress too. Link-local and
metadata addresses and our own listeners are refused; the address that was checked is the
one that is dialled, so a second answer of the name server changes nothing. The route says
which name the target must prove there, and who may share the connection.
"""

import asyncio
import ipaddress
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from weakref import WeakKeyDictionary

from mitmproxy import connection, http
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from doorward.errors import TargetFailed, Unclear
from doorward.gateway.exchange import Exchange, Exchanges
from doorward.gateway.guard import request_step
from doorward.gateway.route import Route
from doorward.model import Target
from doorward.private_files import FileMark, file_mark

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Addresses at which clouds answer with credentials, beyond link-local 169.254.0.0/16 and fe80::/10.
_METADATA = frozenset(
    map(
        ipaddress.ip_address,
        ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::23", "fd00:ec2::253", "fd00:ec2::254"),
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052, section 2.1: an IPv4 address in the last four bytes
_TRUSTED_S = 0.001
_REMEMBERED_S = 5.0  # an answer of the name server


class Dial:
    """Points the request at a checked address, and refuses to open any other connection."""

    def __init__(self, exchanges: Exchanges, own_listeners: Callable[[], Sequence[tuple[str, int]]]) -> None:
        self.exchanges = exchanges
        self._own_listeners = own_listeners
        self._trusted: dict[str, tuple[float, FileMark | None]] = {}
        self._remembered: dict[tuple[str, int], tuple[float, str]] = {}
        self._checked: WeakKeyDictionary[connection.Client, set[tuple[str, int]]] = WeakKeyDictionary()

    @request_step()
    def request(self, flow: http.HTTPFlow, exchange: Exchange) -> Awaitable[None] | None:
        """Look the target's name up, check the address, and put it in the name's place."""
        target = exchange.target
        if target is None or exchange.intent is None:
            raise Unclear("no intent is recorded", cause="unrecorded", hint="repeat the request")
        remembered = self._remembered.get((target.host, target.port))
        if remembered is None or time.monotonic() - remembered[0] >= _REMEMBERED_S:
            return self._look_up(flow, exchange, target)
        self._point_at(flow, exchange, target, remembered[1])
        return None

    async def _look_up(self, flow: http.HTTPFlow, exchange: Exchange, target: Target) -> None:
        self._point_at(flow, exchange, target, await self._address_of(target))

    def _point_at(self, flow: http.HTTPFlow, exchange: Exchange, target: Target, address: str) -> None:
        if exchange.action is None:
            raise Unclear("the request was not read", cause="unread", hint="repeat the request")
        exchange.route = Route(
            target=target.name,
            address=address,
            port=target.port,
            host=target.host,
            is_tls=target.scheme == "https",
            ca=target.ca,
            trust=self._trust(target.ca) if target.ca else None,
            credential=target.credential,
            generation=exchange.generation,
            principal=exchange.action.principal.name,
        )
        self._checked.setdefault(flow.client_conn, set()).add((address, target.port))
        flow.request.data.host = address

    def _trust(self, ca: str) -> FileMark | None:
        """The state of an authority's file, as of a millisecond ago."""
        now_s = time.monotonic()
        known = self._trusted.get(ca)
        if known is None or now_s - known[0] >= _TRUSTED_S:
            known = self._trusted[ca] = now_s, file_mark(Path(ca))
        return known[1]

    def server_connect(self, opening: ServerConnectionHookData) -> None:
        """The last look before a socket is opened."""
        address = opening.server.address
        if address is None or (address[0], address[1]) not in self._checked.get(opening.client, ()):
            opening.server.error = "not an address that was checked"

    async def _address_of(self, target: Target) -> str:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except OSError:
            raise TargetFailed(
                f"the name of target {target.name} is not known", cause="target-unknown", hint="check its url"
            ) from None
        addresses = [str(each[4][0]) for each in found]
        for address in addresses:
            self._check(address, target)
        if not addresses:
            raise TargetFailed(f"target {target.name} has no address", cause="target-unknown", hint="check its url")
        self._remembered[(target.host, target.port)] = (time.monotonic(), addresses[0])
        return addresses[0]

    def _check(self, text: str, target: Target) -> None:
        address = _unmapped(ipaddress.ip_address(text.partition("%")[0]))
        forbidden = address.is_link_local or address.is_multicast or address.is_unspecified or address in _METADATA
        if forbidden or any(_is_ours(address, target.port, own) for own in self._own_listeners()):
            raise TargetFailed(
                f"target {target.name} leads to an address that is never dialled",
                cause="dial-guard",
                hint="link-local, metadata and the gateway's own addresses are refused; check the target's url and DNS",
            )


def _unmapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 address leads to, if it does."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return ipaddress.IPv4Address(address.packed[-4:])
        return address.ipv4_mapped or address.sixtofour or address
    return address


def _is_ours(address: Address, port: int, own: tuple[str, int]) -> bool:
    host, own_port = own
    if port != own_port:
        return False
    listening = _unmapped(ipaddress.ip_address(host))
    return address == listening or (listening.is_unspecified and _is_of_this_machine(address))


def _is_of_this_machine(address: Address) -> bool:
    """Whether it is an address of one of our interfaces: only to those can a socket be bound."""
    with socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True
