from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.errors import Unavailable
from doorward.store.rows import entry_from_row, format_time, parse_time
from tests.parts.entries import NOW, intent_fields, rows


def test_an_entry_comes_back() -> None:
    row, _ = rows(3, "request.intent", intent_fields(), {"request_head": b"{}"})
    entry = entry_from_row(row)
    assert (entry.seq, entry.time, entry.kind) == (3, NOW, "request.intent")
    bodies = entry.fields["bodies"]
    assert isinstance(bodies, dict)
    assert {**entry.fields, "bodies": None} == {**intent_fields(), "bodies": None}
    assert bodies["request_head"]["bytes"] == 2


@pytest.mark.parametrize("change", [{"entry": "{}"}, {"leaf": bytes(32)}], ids=["text", "leaf"])
def test_a_changed_row_is_noticed(change: dict[str, object]) -> None:
    row, _ = rows(3, "hold.expired", {"hold": "h1"})
    with pytest.raises(Unavailable) as failed:
        entry_from_row(row._replace(**change))  # type: ignore[arg-type]
    assert failed.value.cause == "store-damaged"


@given(st.datetimes(min_value=datetime(2000, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 # hypothesis adds the zone
def test_times_come_back(at: datetime) -> None:
    assert parse_time(format_time(at)) == at
    assert len(format_time(at)) == 27


def test_times_are_written_in_utc() -> None:
    assert format_time(datetime(2026, 11, 24, 1, tzinfo=timezone(timedelta(hours=2)))) == "2026-11-23T23:00:00.000000Z"
