"""Entries of what was refused: the first at once, more of the same counted.

One cause from one place (client, principal, target) makes one entry, and after that one
entry a window with the count, so that nobody fills the disk by being refused. What cannot
be written while the ledger is away is counted too, and written when it is back.
"""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mitmproxy import http

from doorward.errors import DoorwardError
from doorward.gateway.exchange import Exchange
from doorward.ledger.client import Appended
from doorward.model import Json, NewEntry

_log = logging.getLogger(__name__)

WINDOW_S = 10.0
_RULES_BYTES = 8 << 10  # an entry has 16 KiB
_MOST_PLACES = 1000  # beyond, places are counted together


class EntryLedger(Protocol):
    """The part of the ledger that entries go through."""

    async def append(self, *entries: NewEntry, patience_s: float | None = None) -> Appended:
        """Durable when it returns; `patience_s`: how long to wait for a ledger that is away."""


@dataclass(frozen=True, slots=True)
class _Place:
    kind: str
    cause: str
    client: str
    principal: str | None = None
    target: str | None = None


class Refusals:
    """Writes `request.refused` and `connection.refused`."""

    def __init__(self, ledger: EntryLedger, window_s: float = WINDOW_S) -> None:
        self._ledger = ledger
        self._window_s = window_s
        self._more: Counter[_Place] = Counter()
        self._known: set[_Place] = set()

    async def record(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """An entry for a request that went nowhere, or a count."""
        principal = exchange.token.principal.name if exchange.token else None
        target = exchange.target.name if exchange.target else None
        cause = exchange.refusal.cause if exchange.refusal else "unknown"
        place = _Place("request.refused", cause, exchange.client, principal, target)
        fields: dict[str, Json] = {
            "request": exchange.id,
            "verb": flow.request.data.method.decode("latin-1")[:32],
            "rules": fitting_rules(exchange.refused_rules),
            "status": exchange.refusal.status if exchange.refusal else None,
        }
        await self._record(place, fields, {"request_head": exchange.recorded_head or _head(flow)})

    async def record_connection(self, client: str, cause: str) -> None:
        """An entry for a connection that never became a request, or a count."""
        await self._record(_Place("connection.refused", cause, client), {}, {})

    async def write_counts(self) -> None:
        """Write what was counted in the window that ends now."""
        self._known = set()
        for place, count in list(self._more.items()):
            fields: dict[str, Json] = {}
            if place.kind == "request.refused":
                fields = {"request": None, "verb": None, "rules": [], "status": None}
            try:
                await self._ledger.append(_entry(place, count, fields, {}), patience_s=0)
            except DoorwardError as error:
                _log.error("%s refusals wait for the ledger: %s", count, error.cause)
                return
            # Only now: a window that is cut short at the stop loses no count.
            self._more[place] -= count
            if not self._more[place]:
                del self._more[place]

    async def write_counts_for_ever(self) -> None:
        """Close one window after the other; cancelled at the stop."""
        while True:
            await asyncio.sleep(self._window_s)
            await self.write_counts()

    async def _record(self, place: _Place, fields: dict[str, Json], bodies: dict[str, bytes]) -> None:
        if max(len(self._known), len(self._more)) >= _MOST_PLACES and not self._is_counted(place):
            place = _Place(place.kind, place.cause, "many")
        if self._is_counted(place):
            self._more[place] += 1
            return
        self._known.add(place)
        try:
            await self._ledger.append(_entry(place, 1, fields, bodies), patience_s=0)  # it is told again later
        except DoorwardError as error:
            _log.error("a refusal waits for the ledger: %s", error.cause)
            self._more[place] += 1

    def _is_counted(self, place: _Place) -> bool:
        """Whether it has its entry in this window, or waits with a count from an earlier one."""
        return place in self._known or place in self._more


def fitting_rules(rules: Sequence[str]) -> list[Json]:
    """As many names as an entry has room for, and how many more: no entry may be missing for their length."""
    fitting: list[Json] = []
    room = _RULES_BYTES
    for rule in rules:
        room -= len(rule.encode()) + 3
        if room < 0:
            return [*fitting, f"and {len(rules) - len(fitting)} more"]
        fitting.append(rule)
    return fitting


def _entry(place: _Place, count: int, fields: dict[str, Json], bodies: dict[str, bytes]) -> NewEntry:
    common: dict[str, Json] = {"cause": place.cause, "client": place.client, "count": count}
    if place.kind == "request.refused":
        common |= {"principal": place.principal, "target": place.target, "executed": "no"}
    return NewEntry(place.kind, common | fields, bodies)


def _head(flow: http.HTTPFlow) -> bytes:
    """What the record keeps of a request that was refused before masks were put to it: no query, no headers."""
    request = flow.request
    path = request.data.path.decode("latin-1").partition("?")[0][:2048]
    scheme, host = request.data.scheme.decode("latin-1")[:8] or "https", request.data.host[:255]
    return json.dumps(
        {
            "method": request.data.method.decode("latin-1")[:32],
            "url": f"{scheme}://{f'[{host}]' if ':' in host else host}:{request.data.port}{path}",
            "headers": [],
        }
    ).encode()
