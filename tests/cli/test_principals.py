"""The commands against a real ledger, as a person types them."""

import asyncio
import getpass
import json
import threading
from collections.abc import Iterator

import pytest

from doorward.core.entry import Role
from tests.ledger.conftest import RunningLedger
from tests.parts.command import Terminal
from tests.parts.entries import held

ME = f"os/{getpass.getuser()}"


@pytest.fixture
def ledger(deployed: Terminal) -> Iterator[RunningLedger]:
    """A ledger in a thread of its own, since commands have a loop of their own."""
    running = RunningLedger(deployed.folder / "var", deployed.folder / "var" / "run")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(running.start(), loop).result(30)

    async def hold() -> None:
        worker = await running.client(Role.WORKER)
        await worker.open_hold(held())

    asyncio.run_coroutine_threadsafe(hold(), loop).result(30)
    yield running
    asyncio.run_coroutine_threadsafe(running.close(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_block_list_unblock(deployed: Terminal, ledger: RunningLedger) -> None:
    ran = deployed.run("principals", "list")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    ran = deployed.run("principals", "block", "corp:agent-7", "--reason", "it went \x1b[31mwild")
    assert (ran.code, ran.out, ran.err) == (0, "corp:agent-7 is blocked; one hold was withdrawn\n", "")
    ran = deployed.run("principals", "block", "corp:agent-8", "--reason", "it too")
    assert (ran.code, ran.out, ran.err) == (0, "corp:agent-8 is blocked\n", "")
    ran = deployed.run("principals", "list")
    rows = [line.split("\t") for line in ran.out.splitlines()]
    assert [(row[0], row[2], row[3]) for row in rows] == [
        ("corp:agent-7", ME, "it went \\x1b[31mwild"),
        ("corp:agent-8", ME, "it too"),
    ]
    listed = json.loads(deployed.run("principals", "list", "--json").out)
    assert listed["schema"] == "doorward/1"
    assert listed["blocked"][1] == {
        "principal": "corp:agent-8",
        "person": ME,
        "reason": "it too",
        "at": listed["blocked"][1]["at"],
    }
    ran = deployed.run("principals", "block", "corp:agent-7", "--reason", "again")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        "doorward: error: corp:agent-7 is blocked already\ndoorward: hint: see `doorward principals list`\n"
    )
    ran = deployed.run("principals", "unblock", "corp:agent-7", "--reason", "mended")
    assert (ran.code, ran.out, ran.err) == (0, "corp:agent-7 is no longer blocked\n", "")
    ran = deployed.run("principals", "unblock", "corp:agent-7", "--reason", "mended")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "doorward: error: corp:agent-7 is not blocked\ndoorward: hint: see `doorward principals list`\n"
    kinds = [kind for kind in ledger.kinds() if kind.startswith("principal.")]
    assert kinds == ["principal.blocked", "principal.blocked", "principal.unblocked"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["block", "corp:agent-7", "--reason", " "], "doorward: error: a reason is needed\n"),
        (["block", "corp:agent-7"], "Missing option '--reason'"),
        (["block", "--reason", "x"], "Missing argument 'PRINCIPAL'"),
        (["unblock", "agent-7", "--reason", "x"], "doorward: hint: write ISSUER-ALIAS:SUBJECT, such as corp:agent-7\n"),
        (["block", "crop:agent-7", "--reason", "x"], "doorward: hint: the settings know corp\n"),
    ],
)
def test_wrong_usage_is_2_and_asks_nobody(deployed: Terminal, arguments: list[str], said: str) -> None:
    ran = deployed.run("principals", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err


@pytest.mark.parametrize("arguments", [["list"], ["block", "corp:agent-7", "--reason", "x"]])
def test_without_a_ledger_it_could_not_be_found_out(deployed: Terminal, arguments: list[str]) -> None:
    ran = deployed.run("principals", *arguments)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == "doorward: error: the ledger does not answer\ndoorward: hint: start `doorward serve`\n"
