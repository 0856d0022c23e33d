"""Holds before people: the page, mitmweb's Resume and Abort, the API. One way to decide, three doors.

Who may answer, whether the digest is the one that was asked about, and whether it is still
time, is the ledger's to say; the roles are checked by `gate` before. An answer carries the
digest that this person was shown and a reason of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, cast

import tornado.web

from doorward.console.bodies import Bodies
from doorward.console.cards import Card, body_preview, card_of, seen_mark
from doorward.console.copies import flow_id
from doorward.console.gate import Guarded
from doorward.console.heads import Heads
from doorward.console.sessions import Session
from doorward.core.holds import missing
from doorward.errors import Conflict, DoorwardError, Refused, Unclear
from doorward.ledger.client import LedgerClient
from doorward.model import Hold, HoldState
from doorward.store.index import Index

MOST_PREVIEWS = 25
MOST_DECIDED = 30

type Verdict = Literal["approve", "deny"]


@dataclass(frozen=True, slots=True)
class HoldDesk:
    """What the three doors share."""

    client: LedgerClient
    index: Index
    bodies: Bodies
    heads: Heads

    async def cards(self, session: Session) -> tuple[list[Card], list[Card]]:
        """Return the open holds, most urgent first, and those answered lately, newest first."""
        now = datetime.now(UTC)
        holds = await self.client.holds()
        waiting = sorted((hold for hold in holds if hold.state is HoldState.OPEN), key=lambda hold: hold.expires_at)
        ended = sorted((hold for hold in holds if hold.state is not HoldState.OPEN), key=_ended_at, reverse=True)
        return (
            [card_of(hold, await self.heads.of_hold(hold), session, now) for hold in waiting],
            [card_of(hold, await self.heads.of_hold(hold), session, now) for hold in ended[:MOST_DECIDED]],
        )

    async def card(self, session: Session, hold_id: str) -> Card:
        """Return one hold; raises 404."""
        hold = await self.hold(hold_id)
        return card_of(hold, await self.heads.of_hold(hold), session, datetime.now(UTC))

    async def hold(self, hold_id: str) -> Hold:
        """Return one hold that the ledger knows; raises 404."""
        try:
            return await self.client.hold(hold_id)
        except Refused as error:
            raise tornado.web.HTTPError(404) from error

    async def hold_of_flow(self, flow: str) -> Hold:
        """Return the newest hold that a copy in mitmweb stands for; raises 404."""
        found = [hold for hold in await self.client.holds() if flow_id(hold.request) == flow]
        if not found:
            raise tornado.web.HTTPError(404)
        return max(found, key=lambda hold: hold.opened_at)

    async def show_body(self, session: Session, card: Card, request: str) -> None:
        """Put the beginning of the masked body on the card; reading it is recorded."""
        try:
            row = self.index.flow(request)
            digest = row.bodies.get("request_body") if row else None
            if digest is None:
                return
            body = await self.bodies.read(session, digest, f"request of hold {card['id']}")
        except DoorwardError as error:
            card["body_problem"] = error.message
            return
        if body:
            card["body"] = body_preview(body)

    async def show_bodies(self, session: Session, cards: Sequence[Card]) -> None:
        """Do so for the first cards of a list."""
        for card in cards[:MOST_PREVIEWS]:
            await self.show_body(session, card, str(card["request"]))

    async def decide(self, session: Session, hold_id: str, verdict: Verdict, reason: str, digest: str) -> str:
        """Give this person's answer and return what became of it, as a sentence; raises what forbids it."""
        await self.hold(hold_id)
        try:
            hold = await self.client.decide_hold(
                hold_id, person=session.person, verdict=verdict, reason=reason, digest=digest
            )
        except Conflict as error:
            if error.hint:
                raise
            raise Conflict(error.message, cause=error.cause, hint="reload the page to see what became of it") from error
        if verdict == "deny":
            return "You said no. The request will not go out."
        if hold.state is HoldState.OPEN:
            rules = " and ".join(ask.rule for ask in missing(hold))
            return f"You said yes. It waits for others: {rules}."
        return "You said yes. The request may go out now, once."


class HoldRoom(Guarded):
    """Access to the desk."""

    @property
    def desk(self) -> HoldDesk:
        """The desk of this console."""
        desk: HoldDesk = self.settings["holds"]
        return desk


class Approvals(HoldRoom):
    """`GET /approvals`: what waits, and what was answered lately."""

    async def get(self) -> None:
        """Show the lists."""
        waiting, decided = await self.desk.cards(self.signed_in)
        seen = seen_mark([*waiting, *decided])
        await self.desk.show_bodies(self.signed_in, waiting)
        values = {"open": waiting, "decided": decided, "seen": seen}
        self.finish(self.gate.pages.render("approvals", self.session, values))


class Approval(HoldRoom):
    """`GET /approvals/<hold>`: the page of one hold, to which an agent's refusal points."""

    async def get(self, hold_id: str) -> None:
        """Show it."""
        await self.show(hold_id)

    async def show(self, hold_id: str, *, said: str = "", problem: str = "", reason: str = "") -> None:
        """Show the hold with what was just said about it, or why that was not possible."""
        card = await self.desk.card(self.signed_in, hold_id)
        seen = seen_mark([card])
        await self.desk.show_body(self.signed_in, card, str(card["request"]))
        values = {"card": card, "seen": seen, "said": said, "problem": problem, "reason": reason}
        self.finish(self.gate.pages.render("approval", self.session, values))


class Answer(Approval):
    """`POST /approvals/<hold>/approve|deny`: the form."""

    get = tornado.web.RequestHandler._unimplemented_method  # type: ignore[assignment]  # the form is posted

    async def post(self, hold_id: str, verdict: str) -> None:
        """Decide, and show the hold as it is then."""
        reason = self.get_body_argument("reason", "")
        digest = self.get_body_argument("digest", "")
        try:
            said = await self.desk.decide(self.signed_in, hold_id, cast(Verdict, verdict), reason, digest)
        except DoorwardError as error:
            self.set_status(error.status)
            await self.show(hold_id, problem=sentence(error), reason=reason)
        else:
            await self.show(hold_id, said=said)


class ApiHolds(HoldRoom):
    """`GET /api/holds`."""

    async def get(self) -> None:
        """List them, without bodies."""
        waiting, decided = await self.desk.cards(self.signed_in)
        self.answer_json({"seen": seen_mark([*waiting, *decided]), "open": waiting, "decided": decided})


class ApiHold(HoldRoom):
    """`GET /api/holds/<hold>`."""

    async def get(self, hold_id: str) -> None:
        """Show it, without its body."""
        card = await self.desk.card(self.signed_in, hold_id)
        self.answer_json({**card, "seen": seen_mark([card])})


class ApiAnswer(HoldRoom):
    """`POST /api/holds/<hold>/approve|deny {reason, digest}`."""

    async def post(self, hold_id: str, verdict: str) -> None:
        """Decide."""
        await self.decide(hold_id, cast(Verdict, verdict))

    async def decide(self, hold_id: str, verdict: Verdict) -> None:
        """Give the answer that was posted, and say what became of it."""
        posted = self.read_json()
        reason, digest = posted.get("reason", ""), posted.get("digest", "")
        if not isinstance(reason, str) or not isinstance(digest, str):
            raise Unclear("reason and digest are texts", cause="not-json", hint="post {reason, digest}")
        said = await self.desk.decide(self.signed_in, hold_id, verdict, reason, digest)
        self.answer_json({"said": said, "hold": await self.desk.card(self.signed_in, hold_id)})


class FlowHold(HoldRoom):
    """`GET /flows/<flow>/hold`: what mitmweb's Resume and Abort are about."""

    async def get(self, flow_id: str) -> None:
        """Show it."""
        hold = await self.desk.hold_of_flow(flow_id)
        head = await self.desk.heads.of_hold(hold)
        self.answer_json(card_of(hold, head, self.signed_in, datetime.now(UTC)))


class FlowApprove(ApiAnswer):
    """`POST /flows/<flow>/resume`."""

    verdict: Verdict = "approve"

    async def post(self, flow_id: str) -> None:  # type: ignore[override]  # named by the flow instead of the hold
        """Decide about the hold behind the copy."""
        hold = await self.desk.hold_of_flow(flow_id)
        await self.decide(hold.id, self.verdict)


class FlowDeny(FlowApprove):
    """`POST /flows/<flow>/kill`."""

    verdict: Verdict = "deny"


def sentence(error: DoorwardError) -> str:
    """Return an error as people read it."""
    text = f"{error.message}: {error.hint}" if error.hint else error.message
    return f"{text[:1].upper()}{text[1:]}."


def _ended_at(hold: Hold) -> datetime:
    return hold.approvals[-1].at if hold.approvals else min(hold.expires_at, datetime.now(UTC))
