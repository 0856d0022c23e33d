"""What must be exact about holds, kept in the ledger process and rebuilt from the entries.

Each entry of a kind `hold.*` changes it, in the same way whether it was just made or is
read back at the start. Changes can be taken back until they are committed (`mark`,
`undo`). Ended holds stay known for a day, so that waiting requests and repeated digests
find them; for older ones there is the index. Which entries to make, and
whether somebody may, is decided in `writer`; the rules stand in core/holds.py.
"""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from doorward.core.holds import Expire, Use, Withdraw, advance, is_over, parse_asks
from doorward.errors import Refused
from doorward.model import Approval, Hold, HoldState, Json

_ENDED: Final = (HoldState.DENIED, HoldState.EXPIRED, HoldState.WITHDRAWN, HoldState.USED)

KEEP_ENDED: Final = timedelta(hours=24)  # no repeated digest is known for longer


@dataclass(frozen=True, slots=True)
class _Known:
    hold: Hold
    changed_at: datetime


class HoldBook:
    """All holds that are open, approved, or ended a short while ago."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._latest: dict[tuple[str, str], str] = {}  # (principal, digest) -> id
        self._due: list[tuple[datetime, str]] = []  # a heap; stale items are skipped
        self._undo: list[tuple[str, _Known | None, str | None]] = []

    def apply(
        self, kind: str, fields: Mapping[str, Any], at: datetime, summary: Mapping[str, Json] | None = None
    ) -> None:
        """Take one hold entry in; raises Refused or Conflict if no such step is legal."""
        if kind == "hold.opened":
            hold = Hold(
                id=fields["hold"],
                state=HoldState.OPEN,
                digest=fields["digest"],
                principal=fields["principal"],
                owner=fields["owner"],
                target=fields["target"],
                asks=parse_asks(fields["asks"]),
                opened_at=at,
                expires_at=datetime.fromisoformat(fields["expires_at"]),
                request=fields["request"],
                summary=summary or {},
            )
        else:
            hold = advance(self.hold(fields["hold"]), _event(kind, fields, at), at)
        key = (hold.principal, hold.digest)
        self._undo.append((hold.id, self._known.get(hold.id), self._latest.get(key)))
        self._known[hold.id] = _Known(hold, at)
        self._latest[key] = hold.id
        if hold.state not in _ENDED:
            heapq.heappush(self._due, (hold.expires_at, hold.id))

    def describe(self, hold_id: str, summary: Mapping[str, Json]) -> None:
        """Give a recalled hold its summary, which stands beside its entry as a body."""
        known = self._known[hold_id]
        self._known[hold_id] = replace(known, hold=replace(known.hold, summary=summary))

    def mark(self) -> int:
        """Return a point to which `undo` can go back."""
        return len(self._undo)

    def undo(self, mark: int) -> None:
        """Take back what was applied since the mark."""
        while len(self._undo) > mark:
            hold_id, before, latest = self._undo.pop()
            hold = self._known[hold_id].hold
            key = (hold.principal, hold.digest)
            if before is None:
                del self._known[hold_id]
            else:
                self._known[hold_id] = before
                if before.hold.state not in _ENDED:
                    heapq.heappush(self._due, (before.hold.expires_at, hold_id))
            if latest is None:
                del self._latest[key]
            else:
                self._latest[key] = latest

    def settle(self) -> dict[str, Hold]:
        """Forget how to undo, after a commit or its failure; return what changed."""
        changed = {hold_id: self._known[hold_id].hold for hold_id, _, _ in self._undo if hold_id in self._known}
        self._undo.clear()
        return changed

    def hold(self, hold_id: str) -> Hold:
        """Return one hold; raises Refused if it is not known (any more)."""
        known = self._known.get(hold_id)
        if known is None:
            raise Refused("no such hold, or it ended long ago", cause="hold-unknown", hint="see `doorward holds list`")
        return known.hold

    def holds(self, state: HoldState | None = None) -> tuple[Hold, ...]:
        """Return holds, oldest first."""
        return tuple(k.hold for k in self._known.values() if state is None or k.hold.state is state)

    def latest(self, principal: str, digest: str) -> Hold | None:
        """Return the newest hold of one principal for one digest."""
        hold_id = self._latest.get((principal, digest))
        return None if hold_id is None else self._known[hold_id].hold

    def is_repeated(self, hold: Hold, repeat_s: int, now: datetime) -> bool:
        """True if the hold was used so short ago that the same digest is a repetition."""
        used_at = self._known[hold.id].changed_at
        return hold.state is HoldState.USED and (now - used_at).total_seconds() < repeat_s

    def open_count(self, principal: str) -> int:
        """Return how many open holds a principal has."""
        return sum(1 for hold in self.holds(HoldState.OPEN) if hold.principal == principal)

    def due(self, now: datetime) -> Iterator[str]:
        """Yield the ids of holds whose time is over; the caller applies `hold.expired` to each."""
        overdue = []
        while self._due and self._due[0][0] <= now:
            _, hold_id = heapq.heappop(self._due)
            known = self._known.get(hold_id)
            if known is not None and known.hold.state not in _ENDED and is_over(known.hold, now):
                overdue.append(hold_id)
        yield from dict.fromkeys(overdue)

    def next_due(self) -> datetime | None:
        """Return when the next hold may be over."""
        return self._due[0][0] if self._due else None

    def forget(self, now: datetime) -> None:
        """Drop what ended long ago."""
        for hold_id, known in list(self._known.items()):
            if known.hold.state in _ENDED and known.changed_at + KEEP_ENDED < now:
                del self._known[hold_id]
                key = (known.hold.principal, known.hold.digest)
                if self._latest.get(key) == hold_id:
                    del self._latest[key]


def _event(kind: str, fields: Mapping[str, Any], at: datetime) -> Approval | Expire | Withdraw | Use:
    match kind:
        case "hold.approved":
            return Approval(fields["person"], tuple(fields["groups"]), "approve", fields["reason"], at)
        case "hold.denied":
            return Approval(fields["person"], tuple(fields["groups"]), "deny", fields["reason"], at)
        case "hold.used":
            return Use(fields["request"])
        case "hold.expired":
            return Expire()
        case "hold.withdrawn":
            return Withdraw()
    raise Refused(f"{kind} says nothing about a hold", cause="entry-malformed")
