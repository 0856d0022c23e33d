"""Turns requests into entries and commits them: the ledger without its channels.

`commit` takes what has queued up, drafts the entries of each request against the state of
the holds, writes all of it in one durable transaction and only then gives the answers. A
request that the state or the table of kinds forbids fails alone; a disk that cannot write
fails the whole batch, changes nothing, and the next batch tries again. Synchronous, one
caller: `server`.
"""

import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from doorward.core.blocks import check_name
from doorward.core.canonical import canonical_bytes
from doorward.core.entry import Role, check_writer
from doorward.core.holds import (
    answering_groups,
    asks_json,
    check_asks,
    checked_reason,
    expiry,
    may_answer,
    missing,
    parse_asks,
    same_asks,
)
from doorward.errors import Conflict, DoorwardError, Refused, TooMany, Unavailable
from doorward.ledger.blocks import BlockBook, BlockOrder, person_of
from doorward.ledger.draft import Draft
from doorward.ledger.frames import (
    Append,
    Appended,
    DecideHold,
    HoldAnswer,
    NewEntryFrame,
    OpenHold,
    ReadBodies,
    ReadBody,
)
from doorward.ledger.state import HoldBook
from doorward.model import Approval, Entry, Hold, HoldState
from doorward.store.rows import format_time
from doorward.store.sealing import Seal
from doorward.store.segments import Segments

_MOST_OPEN: Final = 1000  # whatever a worker says

type Write = Append | OpenHold | DecideHold | BlockOrder | ReadBody | ReadBodies | Seal
type Answer = Appended | HoldAnswer | Hold | DoorwardError


@dataclass(frozen=True, slots=True)
class Committed:
    """What one batch did: an answer for each request, in order, and what is durable now."""

    answers: tuple[Answer, ...]
    entries: tuple[Entry, ...]
    holds: dict[str, Hold]  # that changed
    failed: bool = False  # nothing could be written


class Writer:
    """Segments and the state of holds and blocks, changed together or not at all."""

    def __init__(
        self,
        segments: Segments,
        book: HoldBook,
        blocks: BlockBook,
        *,
        clock: Callable[[], datetime],
        reserve_bytes: int,
    ) -> None:
        self.segments = segments
        self.book = book
        self.blocks = blocks
        self._clock = clock
        self._reserve_bytes = reserve_bytes
        self._in_doubt = False  # after a failed commit, until the end of the segment was looked at

    def now(self) -> datetime:
        """Return the time for new entries: it never runs back."""
        last = self.segments.last_time
        return self._clock() if last is None else max(self._clock(), last)

    def commit(self, requests: Sequence[tuple[Role | None, Write]]) -> Committed:
        """Write what the requests ask for; `None` is the ledger itself.

        Raises Unavailable only if the ledger must stop: its file is not what it left.
        """
        if self._in_doubt:
            try:
                self.segments.verify_end()
            except Unavailable as error:
                if error.cause == "store-damaged":
                    raise
                return Committed((error,) * len(requests), (), {}, failed=True)
            self._in_doubt = False
        draft = Draft(self.book, self.blocks, self.segments.last_seq, self.now())
        scarce = self._is_scarce() if requests else False
        for hold_id in self.book.due(draft.time):
            draft.add("hold.expired", {"hold": hold_id})
        answers = [self._answer(role, request, draft, scarce) for role, request in requests]
        if draft.rows:
            try:
                self.segments.append(draft.rows, draft.bodies)
            except Unavailable as error:
                self._in_doubt = True
                self.book.undo(0)
                self.book.settle()
                self.blocks.undo(0)
                return Committed((_failed(error),) * len(requests), (), {}, failed=True)
        self.blocks.settle()
        return Committed(tuple(answers), tuple(draft.entries), self.book.settle())

    def _answer(self, role: Role | None, request: Write, draft: Draft, scarce: bool) -> Answer:
        mark = draft.mark()
        try:
            if scarce and role is Role.WORKER:
                raise Unavailable(
                    "the disk of the ledger is almost full",
                    cause="disk-full",
                    hint="free space; until then only approvals and the like are recorded",
                )
            match request:
                case Append():
                    return self._append(role, request.entries, draft)
                case OpenHold():
                    return self._open(role, request, draft)
                case DecideHold():
                    return self._decide(role, request, draft)
                case BlockOrder():
                    return self._set_block(role, request, draft)
                case ReadBody():
                    return self._read(role, request, draft)
                case ReadBodies():
                    _check(role, "bodies.read", "read_bodies")
                    fields = {"reader": request.reader, "why": request.why, "digests": request.digests}
                    return Appended((draft.add("bodies.read", fields),), draft.time)
                case Seal():
                    fields = {name: getattr(request, name) for name in ("segment", "digest", "first", "last")}
                    return Appended((draft.add("segment.sealed", {**fields, "bytes": request.size}),), draft.time)
        except DoorwardError as error:
            draft.undo(mark)
            return error

    def _append(self, role: Role | None, entries: Sequence[NewEntryFrame], draft: Draft) -> Appended:
        for entry in entries:
            _check(role, entry.kind, "append")
        _check_uses(entries)
        seqs = []
        for entry in entries:
            seqs.append(draft.add(entry.kind, entry.fields, entry.bodies))
            if entry.kind == "hold.used":
                self._check_use(entry.fields)
            elif entry.kind == "request.intent":
                self.blocks.check(entry.fields["principal"])
        return Appended(tuple(seqs), draft.time)

    def _check_use(self, used: dict[str, Any]) -> None:
        hold = self.book.hold(used["hold"])
        self.blocks.check(hold.principal)
        if used["digest"] != hold.digest:
            raise Conflict("the approval is for another digest", cause="digest-differs")
        if "asks" in used and not same_asks(parse_asks(used["asks"]), hold.asks):
            raise Conflict("the policy asks for something else by now", cause="asks-differ", hint="open the hold again")

    def _open(self, role: Role | None, request: OpenHold, draft: Draft) -> HoldAnswer:
        _check(role, "hold.opened", "open_hold")
        self.blocks.check(request.principal)
        check_asks(request.asks)
        known = self.book.latest(request.principal, request.digest)
        if known is not None and known.state in (HoldState.OPEN, HoldState.APPROVED):
            if same_asks(known.asks, request.asks):
                return HoldAnswer(known, "joined" if known.state is HoldState.OPEN else "approved")
            draft.add("hold.withdrawn", {"hold": known.id, "cause": "policy-changed"})
        elif known is not None and self.book.is_repeated(known, request.repeat_s, draft.time):
            return HoldAnswer(known, "repeated")
        most = min(request.open_per_principal, _MOST_OPEN)
        if self.book.open_count(request.principal) >= most:
            raise TooMany(
                f"{request.principal} has {most} open holds",
                cause="too-many-holds",
                hint="wait until some of them are decided or expire",
            )
        fields: dict[str, Any] = {
            "hold": f"h{secrets.token_hex(8)}",
            "request": request.request,
            "principal": request.principal,
            "owner": request.owner,
            "target": request.target,
            "digest": request.digest,
            "asks": asks_json(request.asks),
            "expires_at": format_time(expiry(request.asks, draft.time)),
        }
        fields.update((n, request.summary[n]) for n in ("verb", "risk") if isinstance(request.summary.get(n), str))
        bodies = {**request.bodies, "summary": canonical_bytes(request.summary)}
        draft.add("hold.opened", fields, bodies, request.summary)
        return HoldAnswer(self.book.hold(fields["hold"]), "opened")

    def _decide(self, role: Role | None, request: DecideHold, draft: Draft) -> Hold:
        kind = "hold.approved" if request.verdict == "approve" else "hold.denied"
        _check(role, kind, "decide_hold")
        hold = self.book.hold(request.hold)
        if hold.state is not HoldState.OPEN:
            raise Conflict(f"the hold is {hold.state}", cause=f"hold-{hold.state}")
        self.blocks.check(request.person.name)
        may_answer(hold, request.person)
        if not secrets.compare_digest(request.digest.encode(), hold.digest.encode()):
            raise Refused(
                "what was shown is not what the hold is about",
                cause="digest-differs",
                hint="open the hold's page again",
            )
        groups = answering_groups(hold, request.person)
        reason = checked_reason(request.reason)
        fields: dict[str, Any] = {
            "hold": hold.id,
            "person": request.person.name,
            "groups": list(groups),
            "reason": reason,
            "digest": request.digest,
        }
        if kind == "hold.approved":
            yes = Approval(request.person.name, groups, "approve", reason, draft.time)
            left = missing(replace(hold, approvals=(*hold.approvals, yes)))
            fields["missing"] = [ask.rule for ask in left]
            if not left:
                fields["expires_at"] = format_time(expiry(hold.asks, draft.time))
        draft.add(kind, fields)
        return self.book.hold(hold.id)

    def _set_block(self, role: Role | None, order: BlockOrder, draft: Draft) -> Appended:
        """Block, and withdraw what could still be approved or used; or end a block."""
        kind = "principal.blocked" if order.is_block else "principal.unblocked"
        _check(role, kind, "set_block")
        check_name(order.principal)
        fields: dict[str, Any] = {
            "principal": order.principal,
            "person": person_of(order.uid),
            "uid": order.uid,
            "reason": checked_reason(order.reason),
        }
        seqs = [draft.add(kind, fields)]
        if order.is_block:
            alive = (HoldState.OPEN, HoldState.APPROVED)
            holds = [each for each in self.book.holds() if each.principal == order.principal and each.state in alive]
            seqs.extend(draft.add("hold.withdrawn", {"hold": hold.id, "cause": "principal-blocked"}) for hold in holds)
        return Appended(tuple(seqs), draft.time)

    def _read(self, role: Role | None, request: ReadBody, draft: Draft) -> Appended:
        _check(role, "record.read", "read_body")
        fields: dict[str, Any] = {"reader": request.reader, "why": request.why, "digest": request.digest}
        if request.request is not None:
            fields["request"] = request.request
        return Appended((draft.add("record.read", fields),), draft.time)

    def _is_scarce(self) -> bool:
        disk = os.statvfs(self.segments.directory)
        return disk.f_bavail * disk.f_frsize < self._reserve_bytes


def _check(role: Role | None, kind: str, through: Any) -> None:
    if role is not None:
        check_writer(kind, role, through)


def _check_uses(entries: Sequence[NewEntryFrame]) -> None:
    """An approval is used together with the one intent that it was given for, and not otherwise."""

    def named(kind: str) -> list[tuple[Any, ...]]:
        chosen = [entry.fields for entry in entries if entry.kind == kind]
        return [(f.get("hold"), f.get("request"), f.get("digest")) for f in chosen if f.get("hold") is not None]

    if sorted(map(repr, named("hold.used"))) != sorted(map(repr, named("request.intent"))):
        raise Conflict("an intent and the use of its hold go together", cause="hold-not-used")


def _failed(error: Unavailable) -> Unavailable:
    """What callers see of a failed commit: two causes only."""
    if error.cause == "disk-full":
        return error
    return Unavailable(error.message, cause="ledger-failed", hint=error.hint)
