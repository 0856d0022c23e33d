from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core.holds import asks_json
from doorward.errors import Refused
from doorward.ledger.state import KEEP_ENDED, HoldBook
from doorward.model import HoldState
from doorward.store.rows import format_time
from tests.parts.entries import ASK, DIGEST, NOW


def opened(hold: str = "h1", digest: str = DIGEST, at: datetime = NOW) -> dict[str, Any]:
    return {
        "hold": hold,
        "request": "r1",
        "principal": "corp:agent-7",
        "owner": None,
        "target": "billing",
        "digest": digest,
        "asks": asks_json((ASK,)),
        "expires_at": format_time(at + timedelta(seconds=ASK.expires_s)),
    }


def answer(hold: str = "h1") -> dict[str, Any]:
    return {"hold": hold, "person": "corp:bob", "groups": ["corp:owners"], "reason": "fine", "digest": DIGEST}


STEPS: list[tuple[str, dict[str, Any]]] = [
    ("hold.opened", opened()),
    ("hold.approved", answer()),
    ("hold.used", {"hold": "h1", "request": "r2", "digest": DIGEST}),
    ("hold.opened", opened("h2")),
    ("hold.withdrawn", {"hold": "h2", "cause": "policy-changed"}),
    ("hold.opened", opened("h3", "f" * 64)),
    ("hold.denied", answer("h3")),
]


@given(st.integers(0, len(STEPS)))
def test_what_is_taken_back_was_never_there(kept: int) -> None:
    book, plain = HoldBook(), HoldBook()
    for kind, fields in STEPS[:kept]:
        book.apply(kind, fields, NOW)
        plain.apply(kind, fields, NOW)
    mark = book.mark()
    for kind, fields in STEPS[kept:]:
        book.apply(kind, fields, NOW)
    book.undo(mark)
    assert book.holds() == plain.holds()
    assert book.latest("corp:agent-7", DIGEST) == plain.latest("corp:agent-7", DIGEST)
    end = NOW + timedelta(days=1)
    assert sorted(book.due(end)) == sorted(plain.due(end))
    assert book.settle() == plain.settle()


def test_what_changed_is_told_once() -> None:
    book = HoldBook()
    book.apply(*STEPS[0], NOW)
    book.apply(*STEPS[1], NOW)
    assert {hold_id: hold.state for hold_id, hold in book.settle().items()} == {"h1": HoldState.APPROVED}
    assert book.settle() == {}


def test_holds_come_due_once() -> None:
    book = HoldBook()
    book.apply(*STEPS[0], NOW)
    assert book.next_due() == NOW + timedelta(seconds=900)
    assert list(book.due(NOW + timedelta(seconds=899))) == []
    assert list(book.due(NOW + timedelta(seconds=900))) == ["h1"]
    assert book.next_due() is None


def test_an_approval_comes_due_later() -> None:
    book = HoldBook()
    book.apply(*STEPS[0], NOW)
    book.apply(*STEPS[1], NOW + timedelta(seconds=800))
    assert list(book.due(NOW + timedelta(seconds=900))) == []
    assert list(book.due(NOW + timedelta(seconds=1700))) == ["h1"]


def test_ended_holds_are_forgotten_after_a_day() -> None:
    book = HoldBook()
    for kind, fields in STEPS:
        book.apply(kind, fields, NOW)
    book.apply("hold.opened", opened("h4", "a" * 64), NOW)
    book.settle()
    book.forget(NOW + KEEP_ENDED)
    assert len(book.holds()) == 4
    book.forget(NOW + KEEP_ENDED + timedelta(seconds=1))
    assert [hold.id for hold in book.holds()] == ["h4"]
    assert book.latest("corp:agent-7", DIGEST) is None
    with pytest.raises(Refused) as refused:
        book.hold("h1")
    assert refused.value.cause == "hold-unknown"


def test_only_holds_have_a_state() -> None:
    book = HoldBook()
    book.apply(*STEPS[0], NOW)
    with pytest.raises(Refused):
        book.apply("hold.admired", {"hold": "h1"}, NOW)
