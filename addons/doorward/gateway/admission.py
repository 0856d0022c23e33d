"""Which connections of agents are open, and whose they are: how many there may be, and how long one stays nobody's.

A connection that has shown no good token is a stranger: it ends after a while, and the oldest one
gives way when there is no room. So whoever holds connections open without a token keeps nobody
out. One that has shown a token counts for its principal. Knows no requests and no bytes. Called
by the listener, by `authenticate`, and by `only_http` when TLS stands.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from mitmproxy import connection

from doorward.errors import DoorwardError, TooMany, TooSlow
from doorward.model import Principal


@dataclass(slots=True)
class _Entrant:
    client: connection.Client
    timer: asyncio.TimerHandle | None  # until it is ready
    principals: set[str] = field(default_factory=set)


class Admission:
    """Lets connections in, and ends those that are too many or too slow."""

    def __init__(
        self,
        *,
        most: int,
        most_per_principal: int,
        wait_s: float,
        record: Callable[[connection.Client, DoorwardError], None],
        close: Callable[[connection.Client], None],
    ) -> None:
        self.wait_s = wait_s
        self._most = most
        self._most_per_principal = most_per_principal
        self._record = record
        self._close = close
        self._open: dict[str, _Entrant] = {}  # by the id of the client
        self._strangers: dict[str, _Entrant] = {}  # those without a principal, oldest first
        self._by_principal: dict[str, set[str]] = {}

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self._open)

    def enter(self, client: connection.Client) -> bool:
        """One was accepted. Where there is no room the oldest stranger gives way; False if that is this one."""
        entrant = _Entrant(client, None)
        self._open[client.id] = self._strangers[client.id] = entrant
        self._wait(entrant)
        if self.open <= self._most:
            return True
        oldest = next(iter(self._strangers.values())).client
        self.leave(oldest)
        hint = "close some, or try again later"
        self._record(oldest, TooMany("there is no room for another", cause="too-many-connections", hint=hint))
        if oldest is not client:
            self._close(oldest)
        return oldest is not client

    def identify(self, client: connection.Client, principal: Principal) -> None:
        """A good token was shown; raises TooMany where its principal has its connections already."""
        entrant = self._open.get(client.id)
        if entrant is None or principal.name in entrant.principals:
            return
        of_principal = self._by_principal.setdefault(principal.name, set())
        if len(of_principal) >= self._most_per_principal:
            raise TooMany(
                f"{principal.name} has {len(of_principal)} connections open",
                cause="too-many-connections",
                hint="close some; clients keep them in pools",
            )
        of_principal.add(client.id)
        entrant.principals.add(principal.name)
        self._strangers.pop(client.id, None)

    def tunnelled(self, client: connection.Client) -> None:
        """CONNECT was accepted: TLS must stand within the time anew."""
        if (entrant := self._open.get(client.id)) is not None:
            self._wait(entrant)

    def ready(self, client: connection.Client) -> None:
        """A head was read or TLS stands in a tunnel: from now on the connection may be idle, if it is somebody's."""
        entrant = self._open.get(client.id)
        if entrant is not None and entrant.principals and entrant.timer is not None:
            entrant.timer.cancel()
            entrant.timer = None

    def leave(self, client: connection.Client) -> None:
        """The connection is closed."""
        entrant = self._open.pop(client.id, None)
        if entrant is None:
            return
        self._strangers.pop(client.id, None)
        if entrant.timer is not None:
            entrant.timer.cancel()
        for name in entrant.principals:
            self._by_principal[name].discard(client.id)
            if not self._by_principal[name]:
                del self._by_principal[name]

    def _wait(self, entrant: _Entrant) -> None:
        if entrant.timer is not None:
            entrant.timer.cancel()
        entrant.timer = asyncio.get_running_loop().call_later(self.wait_s, self._is_late, entrant)

    def _is_late(self, entrant: _Entrant) -> None:
        self.leave(entrant.client)
        hint = "send the token and the head at once"
        self._record(
            entrant.client, TooSlow(f"no token was shown within {self.wait_s:g} s", cause="too-slow", hint=hint)
        )
        self._close(entrant.client)
