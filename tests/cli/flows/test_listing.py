import json

import pytest

from tests.cli.flows.conftest import head
from tests.parts.command import Ran, Terminal
from tests.parts.entries import intent
from tests.parts.recorded import Recorded


def requests(ran: Ran) -> list[str]:
    assert ran.code == 0, ran.err
    return [line.split("\t")[1] for line in ran.out.splitlines()]


def test_before_the_first_start_there_is_no_record(deployed: Terminal) -> None:
    for command in (["flows", "list"], ["flows", "show", "r1"], ["holds", "list"], ["holds", "show", "h1"]):
        ran = deployed.run(*command)
        assert (ran.code, ran.out) == (3, "")
        assert ran.err.startswith("doorward: error: there is no record yet in ~/var\n")


def test_the_list_is_newest_first_and_needs_no_ledger(recorded: Recorded) -> None:
    ran = recorded.terminal.run("flows", "list")
    assert (ran.code, ran.err) == (0, "")
    rows = [line.split("\t") for line in ran.out.splitlines()]
    assert [row[1] for row in rows] == ["r3", "r2", "r1"]
    assert rows[2][2:] == ["corp:agent-7", "billing", "PATCH", "intent", "200", "yes", "role writer"]
    assert rows[1][5] == "refused (policy)"
    assert rows[0][5:8] == ["intent", "-", "unknown"]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--decision", "refused"), ["r2"]),
        (("--principal", "corp:agent-8"), ["r3"]),
        (("--principal", "corp:nobody"), []),
        (("--target", "billing"), ["r2", "r1"]),
        (("--executed", "unknown"), ["r3"]),
        (("--rule", "role writer"), ["r1"]),
        (("--rule", "writer"), ["r1"]),
        (("--rule", "no secrets"), ["r2"]),
        (("--rule", "personal data"), ["r1"]),
        (("--rule", "rite"), []),
        (("--since", "2026-11-23T12:00:00Z"), ["r3", "r2", "r1"]),
        (("--since", "2026-11-23T12:01:30Z"), ["r3", "r2"]),
        (("--until", "2026-11-23T12:00:30Z"), ["r1"]),
        (("--until", "2026-11-23T12:00:00Z"), []),
        (("--since", "2026-11-23T12:01:30Z", "--until", "2026-11-23T12:02:30Z", "--target", "billing"), ["r2"]),
        (("--since", "2999-01-01T00:00:00Z"), []),
        (("--limit", "1"), ["r3"]),
        (("--limit", "1", "--before", "r3"), ["r2"]),
        (("--before", "r1"), []),
    ],
)
def test_filters(recorded: Recorded, options: tuple[str, ...], found: list[str]) -> None:
    assert requests(recorded.terminal.run("flows", "list", *options)) == found


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--text", "CUSTOMERS/1"), ["r1"]),
        (("--text", "x y"), ["r3"]),
        (("--text", "x-note: grüsse"), ["r1"]),
        (("--text", "billing.internal"), ["r3", "r1"]),
        (("--text", "billing.internal", "--limit", "1"), ["r3"]),
        (("--text", "billing.internal", "--target", "billing"), ["r1"]),
        (("--text", "köln"), []),
        (("--text", "köln", "--in-bodies", "--why", "ticket 7"), ["r1"]),
        (("--text", "nowhere", "--in-bodies", "--why", "ticket 7"), []),
    ],
)
def test_text_is_looked_for_in_heads_and_if_asked_in_bodies(
    recorded: Recorded, options: tuple[str, ...], found: list[str]
) -> None:
    assert requests(recorded.ask("flows", "list", *options)) == found
    reads = recorded.entries("bodies.read")
    if "--in-bodies" in options:
        (read,) = reads
        assert read.fields["why"] == "ticket 7"
        assert len(read.fields["digests"]) == 2  # type: ignore[arg-type]  # the bodies of r1, found or not
    else:
        assert reads == []


def test_text_needs_the_ledger_and_bodies_a_reason(recorded: Recorded) -> None:
    ran = recorded.terminal.run("flows", "list", "--text", "x")
    assert (ran.code, ran.out) == (3, "")
    assert "the ledger does not run" in ran.err
    ran = recorded.ask("flows", "list", "--text", "x", "--in-bodies")
    assert ran.code == 2
    assert "--why needs a reason" in ran.err
    ran = recorded.ask("flows", "list", "--in-bodies", "--why", "x")
    assert ran.code == 2
    assert recorded.entries("bodies.read") == []


def test_urls_are_shown_on_demand_and_steer_no_terminal(recorded: Recorded) -> None:
    evil = head("/v1/\\u001b]0;owned\\u0007\\u202e", "GET")
    recorded.during(lambda worker: worker.append(intent("r4", {"request_head": evil})))
    ran = recorded.ask("flows", "list", "--urls")
    rows = [line.split("\t") for line in ran.out.splitlines()]
    assert [row[-1] for row in rows][1:] == [
        "https://billing.internal:443/v1/x%20y",
        "-",
        "https://billing.internal:443/v1/customers/1?page=2",
    ]
    assert rows[0][-1] == r"https://billing.internal:443/v1/\x1b]0;owned\x07\u202e"
    found = json.loads(recorded.ask("flows", "list", "--urls", "--json", "--before", "r3").out)
    assert [row["url"] for row in found["flows"]] == [None, "https://billing.internal:443/v1/customers/1?page=2"]


def test_json_tells_where_to_go_on(recorded: Recorded) -> None:
    first = json.loads(recorded.terminal.run("flows", "list", "--limit", "2", "--json").out)
    assert [row["request"] for row in first["flows"]] == ["r3", "r2"]
    second = json.loads(recorded.terminal.run("flows", "list", "--limit", "2", "--json", "--before", first["next"]).out)
    assert [row["request"] for row in second["flows"]] == ["r1"]
    assert second["next"] is None


@pytest.mark.parametrize("moment", ["yesterday", "2026-11-23", "2026-11-23T08:00:00"])
def test_a_moment_that_is_none(recorded: Recorded, moment: str) -> None:
    ran = recorded.terminal.run("flows", "list", "--since", moment)
    assert (ran.code, ran.out) == (2, "")
    assert "is no moment; write it as 2026-11-23T08:00:00Z" in " ".join(ran.err.split())


def test_a_page_after_a_request_that_is_not_there(recorded: Recorded) -> None:
    ran = recorded.terminal.run("flows", "list", "--before", "r9")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "doorward: error: there is no request r9\ndoorward: hint: see `doorward flows list`\n"


def test_status_of_a_ledger_alone(recorded: Recorded) -> None:
    ran = recorded.ask("status", "--json")
    assert ran.code == 3
    found = json.loads(ran.out)
    assert (found["ledger"], found["gateway"], found["console"], found["open_holds"]) == ("up", "down", "down", 0)
