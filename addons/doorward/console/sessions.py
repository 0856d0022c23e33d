"""Who is logged in: sessions kept on this side, by a random id that only the person's browser has.

A session ends when it was idle too long, when it is old, when the person logs out, or when
the console restarts. The store is bounded for each person and in all, so that nobody pushes
another out alone. The clock is an argument; `login` starts sessions, `gate` looks them up.
"""

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from doorward.console.routes import Role
from doorward.model import Principal

PER_PERSON = 10
IN_ALL = 1000


@dataclass(frozen=True, slots=True)
class Session:
    """One login of one person in one browser."""

    key: str  # SHA-256 of the id; the id itself is in the cookie alone
    token: str = field(repr=False)  # against forged requests: in our pages, and back in each POST
    person: Principal
    roles: frozenset[Role]
    started_s: float

    @property
    def may_decide(self) -> bool:
        """Whether the role is enough; the hold itself may still not be theirs to answer."""
        return Role.REVIEWER in self.roles


@dataclass(slots=True)
class _Place:
    session: Session
    seen_s: float


class Sessions:
    """The sessions of one console process."""

    def __init__(self, *, longest_s: float, idle_s: float) -> None:
        self.longest_s = longest_s
        self.idle_s = idle_s
        self._places: OrderedDict[str, _Place] = OrderedDict()  # least recently seen first

    def __len__(self) -> int:
        return len(self._places)

    def start(self, person: Principal, roles: Iterable[Role], now_s: float) -> tuple[str, Session]:
        """Return a new id for the cookie and its session."""
        session_id = secrets.token_urlsafe(32)
        session = Session(_key(session_id), secrets.token_urlsafe(32), person, frozenset(roles), now_s)
        self.end_old(now_s)
        own = [key for key, place in self._places.items() if place.session.person.name == person.name]
        for key in own[: max(0, len(own) - PER_PERSON + 1)]:
            del self._places[key]
        while len(self._places) >= IN_ALL:
            self._places.popitem(last=False)
        self._places[session.key] = _Place(session, now_s)
        return session_id, session

    def find(self, session_id: str, now_s: float, *, counts_as_use: bool = True) -> Session | None:
        """Return the live session of this id and note that it was used."""
        key = _key(session_id)
        if not self.is_live(key, now_s):
            return None
        place = self._places[key]
        if counts_as_use:
            place.seen_s = now_s
            self._places.move_to_end(key)
        return place.session

    def is_live(self, key: str, now_s: float) -> bool:
        """Whether a session is still good, without counting as use (for open sockets)."""
        place = self._places.get(key)
        if place is None:
            return False
        if now_s - place.session.started_s >= self.longest_s or now_s - place.seen_s >= self.idle_s:
            del self._places[key]
            return False
        return True

    def end(self, key: str) -> None:
        """Forget one session."""
        self._places.pop(key, None)

    def end_old(self, now_s: float) -> None:
        """Forget all that are over."""
        for key in list(self._places):
            self.is_live(key, now_s)


def _key(session_id: str) -> str:
    return hashlib.sha256(session_id.encode()).hexdigest()
