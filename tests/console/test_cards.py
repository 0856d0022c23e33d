"""A hold as people read it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from doorward.console.cards import body_preview, card_of, comment_of, reason_against, seen_mark
from doorward.console.copies import Head
from doorward.console.routes import Role
from doorward.console.sessions import Session
from doorward.model import Approval, Approvers, Ask, Hold, HoldState, Principal

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
ASK = Ask("change a customer", Approvers(("corp:sre",), ("corp:zoe",)), 2, 900)
HOLD = Hold(
    id="h1",
    state=HoldState.OPEN,
    digest="ab" * 32,
    principal="corp:agent-7",
    owner="corp:alice",
    target="billing",
    asks=(ASK,),
    opened_at=NOW,
    expires_at=NOW + timedelta(minutes=15),
    request="req-1",
    summary={"verb": "DELETE", "risk": "high"},
)
HEAD = Head((("Content-Type", "application/json"),), "https://billing.internal:8443/v1/\u202ex?a=b")
OWN = "Nobody decides about a request of their own; ask somebody else whom the hold names."
OTHERS = "This hold asks for other people; the hold's page lists the groups and persons who may decide."
ANNAS_YES = Approval("corp:anna", ("corp:sre",), "approve", "x", NOW)


def session(sub: str = "anna", *groups: str, role: Role = Role.REVIEWER) -> Session:
    return Session("k", "t", Principal("corp", sub, groups or ("corp:sre",)), frozenset({role}), 0)


def test_a_card_has_all_that_a_decision_needs() -> None:
    yes = Approval("corp:zoe", (), "approve", "fine\u202e", NOW)
    card = card_of(replace(HOLD, approvals=(yes,)), HEAD, session(), NOW)
    assert card["verb"] == "DELETE"
    assert card["path"] == "/v1/\\u202ex"
    assert card["query"] == "a=b"
    assert card["media_type"] == "application/json"
    assert card["owner"] == "corp:alice"
    assert card["asks"] == [
        {"rule": "change a customer", "count": 2, "given": ["corp:zoe"], "approvers": ["corp:sre", "corp:zoe"]}
    ]
    assert card["expires_in"] == "within 15 min"
    assert card["digest"] == HOLD.digest
    assert card["may_decide"] is True
    assert card["approvals"][0]["reason"] == "fine\\u202e"  # type: ignore[index]  # a list of mappings


@pytest.mark.parametrize(
    ("hold", "who", "at", "why"),
    [
        (HOLD, session("alice"), NOW, OWN),
        (HOLD, session("AGENT-7"), NOW, OWN),
        (HOLD, session("ben", "corp:other"), NOW, OTHERS),
        (HOLD, session("vera", role=Role.VIEWER), NOW, "You are logged in as a viewer; only a reviewer answers holds."),
        (HOLD, session(), NOW + timedelta(hours=1), "Its time is over; a repeated request opens a new hold."),
        (replace(HOLD, state=HoldState.DENIED), session(), NOW, "It is denied already."),
        (replace(HOLD, approvals=(ANNAS_YES,)), session(), NOW, "This person has decided about this hold before."),
        (HOLD, session(), NOW, ""),
    ],
    ids=["owner", "agent", "other group", "viewer", "late", "denied", "twice", "free"],
)
def test_why_not(hold: Hold, who: Session, at: datetime, why: str) -> None:
    assert reason_against(hold, who, at) == why


def test_the_mark_changes_with_what_is_shown() -> None:
    first = card_of(HOLD, HEAD, session(), NOW)
    assert seen_mark([first]) == seen_mark([card_of(HOLD, HEAD, session(), NOW + timedelta(seconds=5))])
    other = card_of(replace(HOLD, state=HoldState.EXPIRED), HEAD, session(), NOW)
    assert seen_mark([first]) != seen_mark([other]) != seen_mark([])


@pytest.mark.parametrize(
    ("body", "text", "cut"),
    [
        (b'{"a":1.0e400,"b":12345678901234567890.10}', '{\n  "a": 1.0e400,\n  "b": 12345678901234567890.10\n}', False),
        (b"{broken", "{broken", False),
        (b"a=1&b=\xe2\x80\xae2\xff", "a=1&b=\\u202e2\\xff", False),
        (b"x" * 5000, "x" * 4096, True),
        (b"[" * 3000 + b"]" * 3000, None, True),
    ],
    ids=["json", "broken", "form", "long", "deep"],
)
def test_previews(body: bytes, text: str | None, cut: bool) -> None:
    preview = body_preview(body)
    assert text is None or preview["text"] == text
    assert preview["cut"] is cut


def test_a_comment_gives_context_and_no_reason() -> None:
    denied = replace(HOLD, state=HoldState.DENIED, approvals=(Approval("corp:zoe", (), "deny", "because", NOW),))
    assert (
        comment_of(HOLD)
        == "held: change a customer · corp:agent-7 for corp:alice · risk high · digest abababababababab"
    )
    assert comment_of(denied).startswith("denied: change a customer")
    assert "because" not in comment_of(denied)
    assert "no owner is known" in comment_of(replace(HOLD, owner=None))
