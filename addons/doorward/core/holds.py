"""Holds: which transitions are legal, who may answer, what is still missing.

A hold waits for people. Each ask (one hold rule that matched) wants `count` distinct
persons of its approvers; one person may count for several asks, and answers once. One no
ends the hold. An approval must be used before it expires, and once. The agent itself, and
the person it runs for, never answer.

    OPEN ──assented──▶ OPEN        a yes, but others are still missing
    OPEN ──approved──▶ APPROVED    the last yes that was missing; the time to use it starts
    OPEN ──denied────▶ DENIED
    OPEN, APPROVED ──expired──▶ EXPIRED
    OPEN, APPROVED ──withdrawn─▶ WITHDRAWN
    APPROVED ──used──▶ USED

Pure: the ledger's state (ledger/state.py) applies these rules to all holds; the console
asks `may_answer` in order to show or hide its buttons.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, cast

import msgspec

from doorward.errors import Conflict, Refused
from doorward.model import Approval, Ask, Hold, HoldState, Json, Principal

MAX_REASON_CHARS: Final = 2000
MAX_EXPIRES_S: Final = 366 * 24 * 3600


class Step(enum.StrEnum):
    """What can happen to a hold."""

    ASSENTED = "assented"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    USED = "used"


TRANSITIONS: Final[Mapping[tuple[HoldState, Step], HoldState]] = {
    (HoldState.OPEN, Step.ASSENTED): HoldState.OPEN,
    (HoldState.OPEN, Step.APPROVED): HoldState.APPROVED,
    (HoldState.OPEN, Step.DENIED): HoldState.DENIED,
    (HoldState.OPEN, Step.EXPIRED): HoldState.EXPIRED,
    (HoldState.OPEN, Step.WITHDRAWN): HoldState.WITHDRAWN,
    (HoldState.APPROVED, Step.EXPIRED): HoldState.EXPIRED,
    (HoldState.APPROVED, Step.WITHDRAWN): HoldState.WITHDRAWN,
    (HoldState.APPROVED, Step.USED): HoldState.USED,
}


@dataclass(frozen=True, slots=True)
class Expire:
    """The time is over."""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """The hold no longer fits: the policy asks for something else."""


@dataclass(frozen=True, slots=True)
class Use:
    """A request goes out on the approval."""

    request: str


type HoldEvent = Approval | Expire | Withdraw | Use


def advance(hold: Hold, event: HoldEvent, now: datetime) -> Hold:
    """Return the hold after the event; raises Conflict if the table or the time forbids it."""
    match event:
        case Approval(verdict="approve"):
            decided = replace(hold, approvals=(*hold.approvals, event))
            step = Step.ASSENTED if missing(decided) else Step.APPROVED
        case Approval():
            decided, step = replace(hold, approvals=(*hold.approvals, event)), Step.DENIED
        case Use():
            decided, step = replace(hold, used_by=event.request), Step.USED
        case Expire():
            decided, step = hold, Step.EXPIRED
        case Withdraw():  # pragma: no branch # the last of HoldEvent
            decided, step = hold, Step.WITHDRAWN
    state = TRANSITIONS.get((hold.state, step))
    if state is None:
        raise Conflict(f"a hold that is {hold.state} cannot be {step}", cause=f"hold-{hold.state}")
    if step is Step.EXPIRED and not is_over(hold, now):
        raise Conflict("the hold's time is not over", cause="hold-not-over")
    if step not in (Step.EXPIRED, Step.WITHDRAWN) and is_over(hold, now):
        raise Conflict("the hold has expired", cause="hold-expired", hint="repeat the request; it opens a new hold")
    expires_at = expiry(hold.asks, now) if step is Step.APPROVED else hold.expires_at
    return replace(decided, state=state, expires_at=expires_at)


def is_over(hold: Hold, now: datetime) -> bool:
    """True if the hold's time is over at `now`."""
    return now >= hold.expires_at


def expiry(asks: tuple[Ask, ...], start: datetime) -> datetime:
    """Return until when a hold that starts now may be decided, or an approval used: the shortest ask counts."""
    return start + timedelta(seconds=min(ask.expires_s for ask in asks))


def missing(hold: Hold) -> tuple[Ask, ...]:
    """Return the asks that too few distinct persons have said yes to."""
    return tuple(
        ask
        for ask in hold.asks
        if len({_folded(a.person) for a in hold.approvals if a.verdict == "approve" and _fits(ask, a.person, a.groups)})
        < ask.count
    )


def may_answer(hold: Hold, person: Principal) -> None:
    """Raise Refused if this person may not answer the hold, Conflict if they did before.

    Names are compared without case here: where it narrows, two spellings are one person.
    """
    own = {_folded(name) for name in (hold.principal, hold.owner) if name is not None}
    if not own.isdisjoint(_folded(name) for name in (person.name, person.owner) if name is not None):
        raise Refused(
            "nobody decides about a request of their own",
            cause="own-request",
            hint="ask somebody else whom the hold names",
        )
    if not any(_fits(ask, person.name, person.groups) for ask in hold.asks):
        raise Refused(
            "this hold asks for other people",
            cause="not-an-approver",
            hint="the hold's page lists the groups and persons who may decide",
        )
    if any(_folded(a.person) == _folded(person.name) for a in hold.approvals):
        raise Conflict("this person has decided about this hold before", cause="decided-already")


def answering_groups(hold: Hold, person: Principal) -> tuple[str, ...]:
    """Return those of the person's groups that the hold asks for: no others are recorded."""
    asked = {group for ask in hold.asks for group in ask.approvers.groups}
    return tuple(sorted(asked.intersection(person.groups)))


def checked_reason(reason: str) -> str:
    """Return the reason without outer blanks; raises Refused if it says nothing or is too long."""
    stripped = reason.strip()
    if not any(char.isprintable() and not char.isspace() for char in stripped):
        raise Refused("a reason is needed", cause="reason-missing", hint="type why, in a few words")
    if len(stripped) > MAX_REASON_CHARS:
        raise Refused(f"a reason has at most {MAX_REASON_CHARS} characters", cause="reason-too-long")
    return stripped


def same_asks(first: tuple[Ask, ...], second: tuple[Ask, ...]) -> bool:
    """True if both ask for the same, in whatever order."""
    return frozenset(first) == frozenset(second)


def asks_json(asks: tuple[Ask, ...]) -> list[Json]:
    """Return asks in the form that `hold.opened` and `hold.used` carry."""
    return cast("list[Json]", msgspec.to_builtins(list(asks)))


def parse_asks(value: object) -> tuple[Ask, ...]:
    """Return the asks of an entry; raises Refused if they ask for nothing, or of nobody."""
    try:
        asks = msgspec.convert(value, tuple[Ask, ...])
    except msgspec.ValidationError as error:
        raise Refused("asks of another form", cause="asks-malformed") from error
    check_asks(asks)
    return asks


def check_asks(asks: tuple[Ask, ...]) -> None:
    """Raise Refused if a hold with these asks could open by itself or never end."""
    if not asks or any(
        ask.count < 1 or not 1 <= ask.expires_s <= MAX_EXPIRES_S or not (ask.approvers.groups or ask.approvers.subjects)
        for ask in asks
    ):
        raise Refused("a hold needs approvers, a count and an expiry", cause="asks-malformed")


def _fits(ask: Ask, person: str, groups: tuple[str, ...]) -> bool:
    return person in ask.approvers.subjects or not set(groups).isdisjoint(ask.approvers.groups)


def _folded(name: str) -> str:
    return name.casefold()
