"""Each filter against an index with rows that differ in it; that indexes are used, not only there."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from doorward.store.database import Database
from doorward.store.flow_filter import FlowFilter
from doorward.store.index import Index
from doorward.store.projection import Projection
from doorward.store.rows import entry_from_row
from tests.parts.entries import NOW, intent_fields, outcome, refused, rows

MASKS = [{"rule": "personal data", "path": "$", "replacement": "sentinel", "count": 1}]


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    projection = Projection.open(tmp_path / "index.db")
    told = [
        ("request.intent", intent_fields("a", rules=["role reader", "hold delete"])),
        ("request.outcome", dict(outcome("a", masks=MASKS).fields)),
        ("request.intent", intent_fields("b", principal="corp:b", target="crm", rules=["role writer"])),
        ("request.refused", dict(refused("c", rules=["deny delete"]).fields)),
        ("request.refused", dict(refused(None, count=7).fields)),
    ]
    entries = [rows(at, kind, fields, at=NOW + timedelta(seconds=at))[0] for at, (kind, fields) in enumerate(told, 1)]
    projection.project(map(entry_from_row, entries))
    made = Index(tmp_path / "index.db")
    yield made
    made.close()
    projection.close()


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (FlowFilter(), "counted:5 c b a"),
        (FlowFilter(principal="corp:b"), "b"),
        (FlowFilter(target="crm"), "b"),
        (FlowFilter(decision="refused"), "counted:5 c"),
        (FlowFilter(executed="unknown"), "b"),
        (FlowFilter(rule="delete"), "c a"),
        (FlowFilter(rule="hold delete"), "a"),
        (FlowFilter(rule="personal data"), "a"),
        (FlowFilter(rule="role"), ""),
        (FlowFilter(rule='role reader"'), ""),
        (FlowFilter(since=NOW + timedelta(seconds=3)), "counted:5 c b"),
        (FlowFilter(since=NOW + timedelta(seconds=9)), ""),
        (FlowFilter(until=NOW + timedelta(seconds=3)), "a"),
        (FlowFilter(until=NOW), ""),
        (FlowFilter(since=NOW + timedelta(seconds=2), until=NOW + timedelta(seconds=5), decision="refused"), "c"),
    ],
)
def test_what_is_found(index: Index, wanted: FlowFilter, found: str) -> None:
    assert [row.request for row in index.flows(10, wanted)] == found.split()
    assert [row.request for row in index.flows(10, wanted, oldest_first=True)] == found.split()[::-1]
    assert index.count_flows(wanted) == len(found.split())


def test_pages_in_both_directions(index: Index) -> None:
    assert [row.request for row in index.flows(2, before_seq=4)] == ["b", "a"]
    assert [row.request for row in index.flows(2, after_seq=1, oldest_first=True)] == ["b", "c"]


@pytest.mark.parametrize(
    "wanted",
    [
        FlowFilter(principal="corp:b"),
        FlowFilter(target="crm"),
        FlowFilter(decision="held"),
        FlowFilter(executed="unknown"),
        FlowFilter(since=NOW),
        FlowFilter(until=NOW),
    ],
    ids=str,
)
def test_no_filter_walks_through_the_whole_table(index: Index, tmp_path: Path, wanted: FlowFilter) -> None:
    where, values = wanted.condition()
    database = Database.reader(tmp_path / "index.db")
    statement = f"EXPLAIN QUERY PLAN SELECT * FROM flows WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT 50"
    plan = [str(row[3]) for row in database.rows(statement, values)]
    database.close()
    assert [step for step in plan if step.startswith("SCAN") or "TEMP B-TREE" in step] == [], plan
