import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from doorward.core.entry import Role
from doorward.ledger.client import LedgerClient
from tests.ledger.conftest import RunningLedger
from tests.parts.command import Ran, Terminal
from tests.parts.entries import intent, outcome, refused

MASKS = [{"rule": "personal data", "path": "$['email']", "replacement": "sentinel", "count": 3}]


class Recorded:
    """A deployment whose ledger runs while something is asked."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.path = terminal.folder / "var"

    def during(self, *acts: Callable[[LedgerClient], Coroutine[Any, Any, object]], ask: tuple[str, ...] = ()) -> Ran:
        async def run() -> Ran:
            ledger = RunningLedger(self.path, self.path / "run")
            await ledger.start()
            try:
                worker = await ledger.client(Role.WORKER)
                for act in acts:
                    await act(worker)
                return await asyncio.to_thread(self.terminal.run, *ask) if ask else Ran(0, "", "")
            finally:
                await ledger.close()

        return asyncio.run(run())


@pytest.fixture
def recorded(deployed: Terminal, tmp_path: Path) -> Recorded:
    made = Recorded(deployed)
    made.during(
        lambda worker: worker.append(
            intent("r1", {"request_head": b'{"method": "PATCH"}', "request_body": b"\x1b[2J"})
        ),
        lambda worker: worker.append(outcome("r1", {"response_body": b'{"a": 1}'}, masks=MASKS)),
        lambda worker: worker.append(refused("r2", cause="policy")),
    )
    return made


def test_before_the_first_start_there_is_no_record(deployed: Terminal) -> None:
    for command in (["flows", "list"], ["flows", "show", "r1"], ["holds", "list"], ["holds", "show", "h1"]):
        ran = deployed.run(*command)
        assert (ran.code, ran.out) == (3, "")
        assert ran.err.startswith("doorward: error: there is no record yet in ~/var\n")


def test_the_list_is_newest_first(recorded: Recorded) -> None:
    ran = recorded.terminal.run("flows", "list")
    assert (ran.code, ran.err) == (0, "")
    rows = [line.split("\t") for line in ran.out.splitlines()]
    assert [row[1] for row in rows] == ["r2", "r1"]
    assert rows[1][2:8] == ["corp:agent-7", "billing", "PATCH", "intent", "200", "yes"]
    assert rows[0][5] == "refused (policy)"
    assert recorded.terminal.run("flows", "list", "--decision", "refused", "--limit", "1").out.split("\t")[1] == "r2"
    assert recorded.terminal.run("flows", "list", "--principal", "corp:nobody").out == ""
    found = json.loads(recorded.terminal.run("flows", "list", "--target", "billing", "--json").out)
    assert "r1" in {row["request"] for row in found["flows"]}


def test_one_request_with_its_masks(recorded: Recorded) -> None:
    ran = recorded.terminal.run("flows", "show", "r1")
    assert ran.code == 0
    assert "principal" in ran.out
    assert "personal data\t$['email']\tsentinel\t3\n" in ran.out
    found = json.loads(recorded.terminal.run("flows", "show", "r1", "--json").out)
    assert found["flow"]["request"] == "r1"
    assert found["masks"][0]["count"] == 3


def test_a_request_that_is_not_there(recorded: Recorded) -> None:
    ran = recorded.terminal.run("flows", "show", "r9")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "doorward: error: there is no request r9\ndoorward: hint: see `doorward flows list`\n"


def test_bodies_go_through_the_ledger_which_records_who_read_them(recorded: Recorded) -> None:
    ran = recorded.terminal.run("flows", "show", "r1", "--bodies")
    assert ran.code == 3
    assert "the ledger does not run" in ran.err
    ran = recorded.during(ask=("flows", "show", "r1", "--bodies", "--why", "ticket 7"))
    assert ran.code == 0
    assert '"method": "PATCH"' in ran.out
    assert "\\x1b[2J" in ran.out
    assert "\x1b" not in ran.out
    reads = [each for each in RunningLedger(recorded.path, recorded.path).entries() if each.kind == "record.read"]
    assert len(reads) == 3
    assert {(str(each.fields["reader"])[:6], each.fields["why"]) for each in reads} == {("local:", "ticket 7")}


def test_status_of_a_ledger_alone(recorded: Recorded) -> None:
    ran = recorded.during(ask=("status", "--json"))
    assert ran.code == 3
    found = json.loads(ran.out)
    assert (found["ledger"], found["gateway"], found["console"], found["open_holds"]) == ("up", "down", "down", 0)
