from datetime import UTC, datetime, timedelta

import pytest

from doorward.core.moments import parse_moment
from doorward.errors import Misconfigured

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("45s", NOW - timedelta(seconds=45)),
        ("2h", NOW - timedelta(hours=2)),
        ("1d", NOW - timedelta(days=1)),
        ("2026-11-23T08:00:00Z", NOW - timedelta(hours=4)),
        ("2026-11-23T09:00:00.5+01:00", NOW - timedelta(hours=4) + timedelta(seconds=0.5)),
        ("2026-11-23t08:00:00z", NOW - timedelta(hours=4)),
    ],
)
def test_moments(text: str, moment: datetime) -> None:
    assert parse_moment(text, NOW) == moment
    assert parse_moment(text, NOW).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2h30m", "-2h", "0h", "2026-11-23", "2026-11-23T08:00:00", "2026-11-23 08:00:00Z", "999999999d"],
)
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(Misconfigured) as error:
        parse_moment(text, NOW)
    assert error.value.cause == "bad-moment"
