import asyncio
import json

from doorward.core.entry import Role
from doorward.ledger.frames import HoldRequest
from tests.ledger.conftest import RunningLedger
from tests.parts.command import Terminal
from tests.parts.entries import ASK, BOB, DIGEST


def held(terminal: Terminal) -> str:
    """One hold with one yes; its id."""

    async def run() -> str:
        ledger = RunningLedger(terminal.folder / "var", terminal.folder / "var" / "run")
        await ledger.start()
        try:
            worker = await ledger.client(Role.WORKER)
            answer = await worker.open_hold(
                HoldRequest(
                    digest=DIGEST,
                    principal="corp:agent-7",
                    owner="corp:alice",
                    target="billing",
                    asks=(ASK,),
                    request="r1",
                    summary={"verb": "PATCH"},
                    repeat_s=600,
                    open_per_principal=20,
                    bodies={},
                )
            )
            console = await ledger.client(Role.CONSOLE)
            await console.decide_hold(answer.hold.id, person=BOB, verdict="approve", reason="go\x1b on", digest=DIGEST)
            return answer.hold.id
        finally:
            await ledger.close()

    return asyncio.run(run())


def test_a_hold_with_its_yes(deployed: Terminal) -> None:
    hold = held(deployed)
    ran = deployed.run("holds", "list")
    assert (ran.code, ran.err) == (0, "")
    row = ran.out.rstrip("\n").split("\t")
    assert row[0] == hold
    assert row[1] in ("approved", "expired")  # as of now, by the clock of this machine
    assert row[2:5] == ["corp:agent-7", "billing", "change a customer"]
    ran = deployed.run("holds", "show", hold)
    assert ran.code == 0
    assert "asks for   1 of corp:owners (hold 'change a customer')\n" in ran.out
    assert "corp:bob\tapprove\tgo\\x1b on\n" in ran.out
    assert json.loads(deployed.run("holds", "show", hold, "--json").out)["hold"]["hold"] == hold
    assert json.loads(deployed.run("holds", "list", "--json").out)["holds"][0]["hold"] == hold
    assert deployed.run("holds", "list", "--state", "open").out == ""
    ran = deployed.run("holds", "show", "h9")
    assert (ran.code, ran.err) == (
        1,
        "doorward: error: there is no hold h9\ndoorward: hint: see `doorward holds list`\n",
    )
