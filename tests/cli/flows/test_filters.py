from datetime import UTC, datetime, timedelta

import click
import pytest
from click.testing import CliRunner

from doorward.cli.flows.filters import Chosen, checked_why, filtered
from doorward.store.flow_filter import FlowFilter


def chosen(*options: str) -> Chosen:
    found: list[Chosen] = []

    @click.command()
    @filtered
    def command(chosen: Chosen) -> None:
        found.append(chosen)

    ran = CliRunner().invoke(command, options, standalone_mode=False)
    if ran.exception is not None:
        raise ran.exception
    return found[0]


def test_nothing_given_is_everything() -> None:
    assert chosen() == Chosen(FlowFilter(), None, False)
    assert chosen().as_json() == {}
    assert chosen("--text", "").text is None


def test_what_was_given_goes_into_the_record() -> None:
    given = chosen("--target", "crm", "--since", "2026-11-23T08:00:00Z", "--text", "a", "--in-bodies")
    assert given.as_json() == {"target": "crm", "since": "2026-11-23T08:00:00+00:00", "text": "a", "in_bodies": True}
    assert given.wanted(limit=3).filter == FlowFilter(target="crm", since=datetime(2026, 11, 23, 8, tzinfo=UTC))
    assert (given.wanted(limit=3).text, given.wanted(limit=3).in_bodies, given.wanted(limit=3).limit) == ("a", True, 3)


def test_so_long_ago() -> None:
    since = chosen("--since", "2h").filter.since
    assert since is not None
    assert timedelta(hours=1, minutes=59) < datetime.now(UTC) - since < timedelta(hours=2, minutes=1)


def test_bodies_without_a_text_are_wrong_usage() -> None:
    with pytest.raises(click.UsageError):
        chosen("--in-bodies")


def test_a_reason_is_words() -> None:
    assert checked_why(" ticket 7 ") == "ticket 7"
    with pytest.raises(click.UsageError):
        checked_why(" ")
