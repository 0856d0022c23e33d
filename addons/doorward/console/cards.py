"""A hold as a person reads it: what, who, for whom, which rule, how risky, what happened to it.

One reading for the page, for mitmweb's dialog and for the API. Every text that an agent or
another person chose goes through `visible`. Pure: `now` and the session are arguments.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import msgspec

from doorward.console.copies import Head, flow_id
from doorward.console.sessions import Session
from doorward.core.characters import visible
from doorward.core.holds import is_over, may_answer
from doorward.errors import Refused
from doorward.model import Ask, Hold, HoldState, Json

PREVIEW_BYTES = 4096
MOST_INDENTED_BYTES = 1024 * 1024
LONGEST_TEXT = 2000

type Card = dict[str, object]


def card_of(hold: Hold, head: Head, session: Session, now: datetime) -> Card:
    """Return the facts of one hold for this person, ready for JSON and for templates; `head` is of its request."""
    path, query = _path_and_query(head.url)
    why_not = reason_against(hold, session, now)
    summary = hold.summary
    return {
        "id": hold.id,
        "request": hold.request,
        "flow": flow_id(hold.request),
        "state": hold.state.value,
        "digest": hold.digest,
        "verb": _text(summary, "verb"),
        "target": visible(hold.target),
        "path": visible(path, longest=LONGEST_TEXT),
        "query": visible(query, longest=LONGEST_TEXT),
        "media_type": visible(_header(head, "content-type"), longest=80),
        "risk": _text(summary, "risk") or "medium",
        "open_ended": summary.get("open_ended") is True,
        "principal": visible(hold.principal),
        "owner": visible(hold.owner) if hold.owner else None,
        "label": _text(summary, "label"),
        "session": _text(summary, "session"),
        "asks": [_ask(ask, hold) for ask in hold.asks],
        "approvals": [
            {
                "person": visible(answer.person),
                "verdict": answer.verdict,
                "reason": visible(answer.reason, longest=LONGEST_TEXT),
                "at": answer.at.isoformat(),
                "at_text": _moment(answer.at),
            }
            for answer in hold.approvals
        ],
        "used_by": hold.used_by,
        "body": None,  # the page of holds puts a preview here, which is a reading that is recorded
        "body_problem": "",
        "opened_at": hold.opened_at.isoformat(),
        "opened_text": _moment(hold.opened_at),
        "expires_at": hold.expires_at.isoformat(),
        "expires_in": _left(hold.expires_at - now),
        "may_decide": why_not == "",
        "why_not": why_not,
    }


def reason_against(hold: Hold, session: Session, now: datetime) -> str:
    """Return why this person cannot answer this hold now, as a sentence; empty if they can."""
    if hold.state is not HoldState.OPEN:
        return f"It is {hold.state.value} already."
    if is_over(hold, now):
        return "Its time is over; a repeated request opens a new hold."
    if not session.may_decide:
        return "You are logged in as a viewer; only a reviewer answers holds."
    try:
        may_answer(hold, session.person)
    except Refused as error:
        sentence = f"{error.message}; {error.hint}" if error.hint else error.message
        return f"{sentence[:1].upper()}{sentence[1:]}."
    return ""


def seen_mark(cards: Sequence[Card]) -> str:
    """Return a mark that changes when something on the page would."""
    facts = [[card["id"], card["state"], len(card["approvals"]), card["may_decide"]] for card in cards]  # type: ignore[arg-type] # a list
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def body_preview(body: bytes) -> Mapping[str, object]:
    """Return the beginning of a masked body as text; JSON is indented, its numbers stay as they are."""
    text = indented_json(body) or body
    shown = text[:PREVIEW_BYTES]
    return {
        "text": visible(shown.decode("utf-8", "backslashreplace"), lines=True),
        "size": _size(len(body)),
        "cut": len(text) > PREVIEW_BYTES,
    }


def comment_of(hold: Hold) -> str:
    """Return the line that mitmweb shows beside a held flow: context, never a reason."""
    rules = ", ".join(ask.rule for ask in hold.asks)
    owner = f" for {hold.owner}" if hold.owner else ", no owner is known"
    risk = hold.summary.get("risk") or "medium"
    word = "held" if hold.state is HoldState.OPEN else hold.state.value
    return visible(f"{word}: {rules} · {hold.principal}{owner} · risk {risk} · digest {hold.digest[:16]}", longest=300)


def _ask(ask: Ask, hold: Hold) -> Mapping[str, object]:
    given = [
        visible(answer.person)
        for answer in hold.approvals
        if answer.verdict == "approve"
        and (answer.person in ask.approvers.subjects or not set(answer.groups).isdisjoint(ask.approvers.groups))
    ]
    return {
        "rule": visible(ask.rule),
        "count": ask.count,
        "given": given,
        "approvers": [visible(name) for name in (*ask.approvers.groups, *ask.approvers.subjects)],
    }


def _path_and_query(url: str) -> tuple[str, str]:
    """Return both as they go on the wire; what cannot be taken apart is shown whole."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url, ""
    return parts.path or "/", parts.query


def _header(head: Head, name: str) -> str:
    return next((value for found, value in head.headers if found.lower() == name), "")


def _text(summary: Mapping[str, Json], name: str) -> str:
    value = summary.get(name)
    return visible(value, longest=LONGEST_TEXT) if isinstance(value, str) else ""


def indented_json(body: bytes) -> bytes | None:
    """Return a JSON object or array on lines of its own, each number with all its digits; None for all else."""
    if body.lstrip()[:1] not in (b"{", b"[") or len(body) > MOST_INDENTED_BYTES:
        return None
    try:
        return msgspec.json.format(body, indent=2)
    except (msgspec.DecodeError, RecursionError):
        return None


def _size(count: int) -> str:
    return (
        f"{count} bytes" if count < 2048 else f"{count / 1024:.0f} KiB" if count < 2**21 else f"{count / 2**20:.1f} MiB"
    )


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _left(left: timedelta) -> str:
    seconds = max(0, int(left.total_seconds()))
    if seconds < 120:
        return f"within {seconds} s"
    return f"within {seconds // 60} min" if seconds < 7200 else f"within {seconds // 3600} h"
