"""Requests that wait for a hold to change, until it does or their time is over.

Told by `server` after each commit; answers through the peer that asked.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from doorward.errors import Refused
from doorward.ledger.frames import HoldsFrame, WaitHold, format_hold
from doorward.ledger.peer import Peer
from doorward.ledger.state import HoldBook
from doorward.model import Hold, HoldState

_LONGEST_S: Final = 3600.0


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    peer: Peer
    request: WaitHold
    timer: asyncio.TimerHandle


class Waiters:
    """All of them, by hold."""

    def __init__(self, book: HoldBook) -> None:
        self._book = book
        self._by_hold: dict[str, list[_Waiter]] = {}

    def add(self, peer: Peer, request: WaitHold) -> None:
        """Answer now if the hold is open no longer, else later; raises Refused for an unknown hold."""
        hold = self._book.hold(request.hold)
        if hold.state is not HoldState.OPEN or not request.timeout_s > 0:  # NaN too
            _tell(peer, request, hold)
            return
        loop = asyncio.get_running_loop()
        timer = loop.call_later(min(request.timeout_s, _LONGEST_S), self._time_over, peer, request)
        self._by_hold.setdefault(request.hold, []).append(_Waiter(peer, request, timer))

    def changed(self, holds: Mapping[str, Hold]) -> list[Peer]:
        """Answer those whose hold is open no longer; return the peers to flush."""
        told = []
        for hold_id, hold in holds.items():
            if hold.state is not HoldState.OPEN:
                for waiter in self._by_hold.pop(hold_id, ()):
                    waiter.timer.cancel()
                    _tell(waiter.peer, waiter.request, hold)
                    told.append(waiter.peer)
        return told

    def drop(self, peer: Peer | None = None) -> None:
        """Forget the waiters of a peer that is gone, or all."""
        for hold_id, waiters in list(self._by_hold.items()):
            gone = [waiter for waiter in waiters if peer is None or waiter.peer is peer]
            for waiter in gone:
                waiter.timer.cancel()
                waiters.remove(waiter)
            if not waiters:
                del self._by_hold[hold_id]

    def _time_over(self, peer: Peer, request: WaitHold) -> None:
        waiters = self._by_hold[request.hold]
        waiters[:] = [waiter for waiter in waiters if waiter.request is not request]
        if not waiters:
            del self._by_hold[request.hold]
        try:
            _tell(peer, request, self._book.hold(request.hold))
        except Refused as error:
            peer.fail(request.id, error)
        peer.flush()


def _tell(peer: Peer, request: WaitHold, hold: Hold) -> None:
    peer.answer(HoldsFrame(request.id, (format_hold(hold),), ""))
