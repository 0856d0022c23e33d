"""Projection and index together: what goes in as entries comes out as rows."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from doorward.core.holds import asks_json
from doorward.errors import Unavailable
from doorward.model import Entry, HoldState
from doorward.store.flow_filter import FlowFilter
from doorward.store.index import Index
from doorward.store.projection import Projection
from doorward.store.rows import entry_from_row, format_time
from tests.parts.entries import ASK, DIGEST, NOW, intent, outcome, part, refused, rows


class Told:
    """An index, told one entry after the other."""

    def __init__(self, path: Path) -> None:
        self.projection = Projection.open(path)
        self.index = Index(path)

    def tell(self, kind: str, fields: Any, bodies: dict[str, bytes] | None = None) -> Entry:
        seq = self.projection.seq + 1
        row, _ = rows(seq, kind, dict(fields), bodies, NOW + timedelta(seconds=seq))
        entry = entry_from_row(row)
        self.projection.project([entry])
        return entry


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    made = Told(tmp_path / "index.db")
    yield made
    made.index.close()
    made.projection.close()


OPENED = {
    "hold": "h1",
    "request": "r1",
    "principal": "corp:agent-7",
    "owner": "corp:alice",
    "target": "billing",
    "digest": DIGEST,
    "asks": asks_json((ASK,)),
    "expires_at": format_time(NOW + timedelta(minutes=15)),
    "verb": "PATCH",
    "risk": "medium",
}
ANSWER = {"hold": "h1", "person": "corp:bob", "groups": ["corp:owners"], "reason": "fine", "digest": DIGEST}


def test_an_intent_without_an_outcome_is_unknown(told: Told) -> None:
    entry = told.tell("request.intent", intent().fields, {"request_head": b"{}", "request_body": b"abc"})
    flow = told.index.flow("r1")
    assert flow is not None
    assert (flow.decision, flow.executed, flow.status, flow.seq) == ("intent", "unknown", None, 1)
    assert (flow.principal, flow.owner, flow.target, flow.verb) == ("corp:agent-7", "corp:alice", "billing", "PATCH")
    assert (flow.rules, flow.time, flow.intent_seq, flow.outcome_seq) == (("billing-editor",), entry.time, 1, None)
    assert flow.sizes == {"request_head": 2, "request_body": 3}
    assert flow.bodies.keys() == flow.sizes.keys()


def test_an_outcome_completes_it(told: Told) -> None:
    told.tell("request.intent", intent().fields, {"request_head": b"{}"})
    masks = [{"rule": "personal data", "path": "$['email']", "replacement": "sentinel", "count": 2}, {"rule": "odd"}]
    told.tell("request.outcome", outcome(masks=masks).fields, {"response_body": b"{}"})
    flow = told.index.flow("r1")
    assert flow is not None
    assert (flow.executed, flow.status, flow.duration_ms, flow.outcome_seq) == ("yes", 200, 12, 2)
    assert set(flow.bodies) == {"request_head", "response_body"}
    first, second = told.index.masks("r1")
    assert (first.rule, first.path, first.replacement, first.count) == ("personal data", "$['email']", "sentinel", 2)
    assert (second.position, second.rule, second.path) == (1, "odd", None)


def test_a_refusal_is_a_flow_of_its_own(told: Told) -> None:
    told.tell("request.refused", refused(cause="no-role", owner="corp:alice").fields)
    flow = told.index.flow("r1")
    assert flow is not None
    assert (flow.decision, flow.executed, flow.status, flow.cause, flow.owner) == (
        "refused",
        "no",
        403,
        "no-role",
        "corp:alice",
    )


def test_counted_refusals_are_one_row(told: Told) -> None:
    told.tell("request.refused", refused(None, count=40, status=None).fields)
    (flow,) = told.index.flows()
    assert (flow.request, flow.count) == ("counted:1", 40)


def test_a_hold_from_opening_to_use(told: Told) -> None:
    told.tell("hold.opened", OPENED, {"summary": b"{}", "request_body": b"x"})
    flow = told.index.flow("r1")
    assert flow is not None
    assert (flow.decision, flow.executed, flow.hold, flow.verb, flow.rules) == (
        "held",
        "no",
        "h1",
        "PATCH",
        (ASK.rule,),
    )
    told.tell("hold.approved", {**ANSWER, "missing": [ASK.rule]})
    (hold,) = told.index.holds()
    assert hold.state is HoldState.OPEN
    until = NOW + timedelta(hours=1)
    told.tell("hold.approved", {**ANSWER, "person": "corp:eve", "missing": [], "expires_at": format_time(until)})
    (hold,) = told.index.holds(state="approved")
    assert hold.expires_at == until
    assert [(a.person, a.verdict, a.reason) for a in hold.approvals] == [
        ("corp:bob", "approve", "fine"),
        ("corp:eve", "approve", "fine"),
    ]
    told.tell("hold.used", {"hold": "h1", "request": "r2", "digest": DIGEST})
    told.tell("request.intent", intent("r2", hold="h1").fields)
    (hold,) = told.index.holds(principal="corp:agent-7")
    assert (hold.state, hold.used_by, hold.asks) == (HoldState.USED, "r2", (ASK,))
    assert [flow.decision for flow in told.index.flows()] == ["intent", "held"]


def test_the_request_that_was_held_goes_out_itself(told: Told) -> None:
    told.tell("hold.opened", OPENED, {"request_body": b"x"})
    told.tell("request.intent", intent("r1", hold="h1").fields, {"request_head": b"{}"})
    (flow,) = told.index.flows()
    assert (flow.decision, flow.executed, flow.seq, flow.intent_seq) == ("intent", "unknown", 1, 2)
    assert set(flow.bodies) == {"request_body", "request_head"}


@pytest.mark.parametrize(
    ("kind", "fields", "state"),
    [
        ("hold.denied", ANSWER, HoldState.DENIED),
        ("hold.expired", {"hold": "h1"}, HoldState.EXPIRED),
        ("hold.withdrawn", {"hold": "h1", "cause": "policy-changed"}, HoldState.WITHDRAWN),
    ],
)
def test_how_holds_end(told: Told, kind: str, fields: dict[str, Any], state: HoldState) -> None:
    told.tell("hold.opened", OPENED)
    told.tell(kind, fields)
    (hold,) = told.index.holds()
    assert (hold.state, hold.cause) == (state, fields.get("cause"))


def test_lists_are_filtered_and_paged(told: Told) -> None:
    for n in range(6):
        told.tell("request.intent", intent(f"r{n}", target="billing" if n % 2 else "crm").fields)
    told.tell("request.refused", refused("r9").fields)
    assert [flow.request for flow in told.index.flows(2)] == ["r9", "r5"]
    assert [flow.request for flow in told.index.flows(2, before_seq=6)] == ["r4", "r3"]
    assert [flow.request for flow in told.index.flows(100, FlowFilter(target="crm"))] == ["r4", "r2", "r0"]
    assert [
        flow.request for flow in told.index.flows(100, FlowFilter(principal="corp:agent-7", decision="refused"))
    ] == ["r9"]
    assert len(told.index.flows(100, FlowFilter(executed="unknown"))) == 6
    assert told.index.flow("absent") is None


def test_kinds_without_a_table_move_the_index_on(told: Told) -> None:
    told.tell("login.succeeded", {"person": "corp:bob"})
    assert told.projection.seq == 1
    assert told.index.flows() == []


def test_a_checkpoint_comes_after_enough_entries(told: Told, tmp_path: Path) -> None:
    told.projection.checkpoint()
    size = (tmp_path / "index.db").stat().st_size
    told.tell("request.intent", intent().fields)
    told.projection.checkpoint(2)
    assert (tmp_path / "index.db").stat().st_size == size
    told.projection.checkpoint()
    assert (tmp_path / "index.db").stat().st_size > size


def test_no_index_yet_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        Index(tmp_path / "absent.db").flows()


def test_a_stream_is_there_while_it_runs(told: Told) -> None:
    told.tell("request.intent", intent().fields)
    for number, body in ((1, b"one"), (2, b"")):
        said = part(number=number, body=body)
        told.tell(said.kind, said.fields, dict(said.bodies))
    flow = told.index.flow("r1")
    assert flow is not None
    assert (flow.executed, flow.status, flow.parts, flow.outcome_seq) == ("yes", 200, 2, None)
    assert flow.bodies.keys() == {"response_head"}
    first, second = told.index.parts("r1")
    assert (first.part, first.seq, first.bytes, first.pieces) == (1, 2, 3, ((0, 3),))
    assert (second.digest, second.bytes) == (None, 0)
    assert told.index.parts("r1", after=1) == [second]
    assert told.index.changed(2, 10) == (3, ["r1"])
    told.tell("request.outcome", outcome(parts=2).fields)
    flow = told.index.flow("r1")
    assert flow is not None
    assert (flow.parts, flow.outcome_seq) == (2, 4)
