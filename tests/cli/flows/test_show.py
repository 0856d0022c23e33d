import json

from tests.cli.flows.conftest import head
from tests.parts.entries import intent
from tests.parts.recorded import Recorded


def test_one_request_with_its_masks(recorded: Recorded) -> None:
    ran = recorded.terminal.run("flows", "show", "r1")
    assert ran.code == 0
    assert "principal" in ran.out
    assert "personal data\t$['email']\tsentinel\t3\n" in ran.out
    assert ran.err == "doorward: the ledger does not run: without URL and headers\n"
    found = json.loads(recorded.terminal.run("flows", "show", "r1", "--json").out)
    assert found["flow"]["request"] == "r1"
    assert found["masks"][0]["count"] == 3
    assert found["bodies"] == {}


def test_heads_are_shown_while_the_ledger_runs_and_leave_no_trace(recorded: Recorded) -> None:
    ran = recorded.ask("flows", "show", "r1")
    assert (ran.code, ran.err) == (0, "")
    assert "\nPATCH https://billing.internal:443/v1/customers/1?page=2\n  x-note: Grüße\n" in ran.out
    assert "\nanswer 200\n  content-type: application/json\n" in ran.out
    assert "_body:" not in ran.out
    assert recorded.entries("bodies.read") + recorded.entries("record.read") == []


def test_a_request_that_is_not_there(recorded: Recorded) -> None:
    ran = recorded.terminal.run("flows", "show", "r9")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "doorward: error: there is no request r9\ndoorward: hint: see `doorward flows list`\n"


def test_bodies_go_through_the_ledger_which_records_who_read_them(recorded: Recorded) -> None:
    ran = recorded.terminal.run("flows", "show", "r1", "--bodies")
    assert ran.code == 3
    assert "the ledger does not run" in ran.err
    ran = recorded.ask("flows", "show", "r1", "--bodies", "--why", "ticket 7")
    assert ran.code == 0
    assert "request_body:\n  \\x1b[2J\n" in ran.out
    assert '"a": 1.10,' in ran.out, "numbers keep their digits"
    assert "\x1b" not in ran.out
    (read,) = recorded.entries("bodies.read")
    assert (str(read.fields["reader"])[:6], read.fields["why"]) == ("local:", "ticket 7")
    assert len(read.fields["digests"]) == 2  # type: ignore[arg-type]  # a list


def test_without_a_reason_the_reading_is_recorded_all_the_same(recorded: Recorded) -> None:
    assert recorded.ask("flows", "show", "r1", "--bodies", "--json").code == 0
    (read,) = recorded.entries("bodies.read")
    assert read.fields["why"] == "flows show"


def test_headers_and_urls_steer_no_terminal(recorded: Recorded) -> None:
    evil = head("/v1/\\u001b[2J", "GET", ("x-a", "\\u009b31m\\u202eb"))
    recorded.during(
        lambda worker: worker.append(intent("r4", {"request_head": evil, "request_body": b"\x1b]0;x\x07\n"}))
    )
    ran = recorded.ask("flows", "show", "r4", "--bodies", "--why", "x")
    assert ran.code == 0
    assert r"GET https://billing.internal:443/v1/\x1b[2J" in ran.out
    assert r"x-a: \x9b31m\u202eb" in ran.out
    assert r"\x1b]0;x\x07" in ran.out
    assert all(each.isprintable() or each == "\n" for each in ran.out)
