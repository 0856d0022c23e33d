"""Blocks in the ledger: their state, who may set them, and what it takes no more."""

import asyncio
import getpass
import os
import sqlite3
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core.entry import Role
from doorward.errors import Conflict, Refused, Unavailable
from doorward.ledger.blocks import BlockBook, person_of
from doorward.ledger.client import LedgerClient
from doorward.model import HoldState, NewEntry, Principal
from tests.ledger.conftest import RunningLedger
from tests.parts.entries import BOB, DIGEST, NOW, held, intent, outcome, refused

AGENT = "corp:agent-7"
NOBODY = 54321


def fields(principal: str) -> dict[str, Any]:
    return {"principal": principal, "person": "os/ann", "uid": 1, "reason": "it went wild"}


@pytest.fixture
async def command(ledger: RunningLedger) -> LedgerClient:
    return await ledger.client(Role.COMMAND)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc"))), st.integers(0, 20))
def test_what_is_taken_back_was_never_there(steps: list[tuple[bool, str]], kept: int) -> None:
    book, plain = BlockBook(), BlockBook()

    def apply(to: BlockBook, is_block: bool, name: str) -> None:
        try:
            to.apply("principal.blocked" if is_block else "principal.unblocked", fields(name), NOW)
        except Conflict:
            assert is_block == (name in [block.principal for block in to.blocks()])

    for step in steps[:kept]:
        apply(book, *step)
        apply(plain, *step)
    mark = book.mark()
    for step in steps[kept:]:
        apply(book, *step)
    book.undo(mark)
    assert {block.principal for block in book.blocks()} == {block.principal for block in plain.blocks()}
    for name in "abc":
        blocked = name in {block.principal for block in plain.blocks()}
        if blocked:
            with pytest.raises(Refused):
                book.check(name)
        else:
            book.check(name)


def test_only_blocks_have_a_state() -> None:
    with pytest.raises(Refused):
        BlockBook().apply("principal.admired", fields("a"), NOW)


def test_a_user_without_a_name_is_a_number() -> None:
    assert person_of(os.getuid()) == f"os/{getpass.getuser()}"
    assert person_of(NOBODY) == f"os/{NOBODY}"


async def test_a_block_names_the_user_behind_the_socket(ledger: RunningLedger, command: LedgerClient) -> None:
    await command.set_block(AGENT, is_block=True, reason="  it went wild ")
    (entry,) = ledger.entries()
    assert (entry.kind, dict(entry.fields)) == (
        "principal.blocked",
        {"principal": AGENT, "person": f"os/{getpass.getuser()}", "uid": os.getuid(), "reason": "it went wild"},
    )
    (block,), seq = await command.blocks()
    assert (block.principal, block.reason, block.at, seq) == (AGENT, "it went wild", ledger.now, 1)


async def test_nothing_of_a_blocked_principal_is_taken_any_more(
    ledger: RunningLedger, worker: LedgerClient, command: LedgerClient
) -> None:
    await worker.append(intent("before"))
    await command.set_block(AGENT, is_block=True, reason="it went wild")
    for asked in (worker.append(intent("after")), worker.open_hold(held())):
        with pytest.raises(Refused) as no:
            await asked
        assert (no.value.cause, no.value.status) == ("principal-blocked", 403)
    await worker.append(outcome("before"))  # what was on its way ends in the record
    await worker.append(refused())
    await worker.append(intent("other", principal="corp:agent-8"))
    await worker.append(intent("other", principal="corp:Agent-7"))  # subjects are told apart by case
    await command.set_block(AGENT, is_block=False, reason="mended")
    await worker.append(intent("again"))
    assert [e.fields["request"] for e in ledger.entries() if e.kind == "request.intent"] == [
        "before",
        "other",
        "other",
        "again",
    ]


async def test_holds_are_withdrawn_with_the_block(
    ledger: RunningLedger, worker: LedgerClient, console: LedgerClient, command: LedgerClient
) -> None:
    waiting = (await worker.open_hold(held("a" * 64))).hold
    approved = (await worker.open_hold(held("b" * 64, "r2"))).hold
    await console.decide_hold(approved.id, person=BOB, verdict="approve", reason="fine", digest=approved.digest)
    others = (await worker.open_hold(held("c" * 64, "r3", principal="corp:agent-8"))).hold
    wait = asyncio.create_task(worker.wait_hold(waiting.id, 20))
    await asyncio.sleep(0.02)
    done = await command.set_block(AGENT, is_block=True, reason="it went wild")
    assert len(done.seqs) == 3
    assert (await wait).state is HoldState.WITHDRAWN
    block, *withdrawn = ledger.entries()[-3:]
    assert [entry.fields for entry in withdrawn] == [
        {"hold": hold.id, "cause": "principal-blocked"} for hold in (waiting, approved)
    ]
    assert {entry.time for entry in withdrawn} == {block.time}
    assert (await worker.hold(others.id)).state is HoldState.OPEN
    with pytest.raises(Conflict) as late:
        await console.decide_hold(waiting.id, person=BOB, verdict="approve", reason="fine", digest=waiting.digest)
    assert late.value.cause == "hold-withdrawn"
    await command.set_block(AGENT, is_block=False, reason="mended")
    used = NewEntry("hold.used", {"hold": approved.id, "request": "r9", "digest": approved.digest})
    with pytest.raises(Conflict):  # an approval from before the block stays void
        await worker.append(used, intent("r9", hold=approved.id, digest=approved.digest))
    assert (await worker.open_hold(held("b" * 64, "r2"))).outcome == "opened"


async def test_a_blocked_person_decides_nothing(
    worker: LedgerClient, console: LedgerClient, command: LedgerClient
) -> None:
    hold = (await worker.open_hold(held())).hold
    await command.set_block("corp:bob", is_block=True, reason="lost the laptop")
    with pytest.raises(Refused) as no:
        await console.decide_hold(hold.id, person=BOB, verdict="approve", reason="fine", digest=DIGEST)
    assert no.value.cause == "principal-blocked"
    carol = Principal("corp", "carol", ("corp:owners",))
    await console.decide_hold(hold.id, person=carol, verdict="approve", reason="fine", digest=DIGEST)


@pytest.mark.parametrize(
    ("principal", "is_block", "reason", "cause"),
    [
        pytest.param("corp:old", True, "x", "blocked-already", id="twice"),
        pytest.param(AGENT, False, "x", "not-blocked", id="not blocked"),
        pytest.param(AGENT, True, " \u200b ", "reason-missing", id="no reason"),
        pytest.param(AGENT, True, "x" * 2001, "reason-too-long", id="a novel"),
        pytest.param("agent-7", True, "x", "principal-malformed", id="no issuer"),
        pytest.param("corp:a\u202eb", True, "x", "principal-malformed", id="not showable"),
    ],
)
async def test_what_cannot_be_blocked_leaves_no_entry(
    ledger: RunningLedger, command: LedgerClient, principal: str, is_block: bool, reason: str, cause: str
) -> None:
    await command.set_block("corp:old", is_block=True, reason="before")
    with pytest.raises(Refused) as no:
        await command.set_block(principal, is_block=is_block, reason=reason)
    assert no.value.cause == cause
    assert ledger.kinds() == ["principal.blocked"]


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.COMMAND])
@pytest.mark.parametrize("is_block", [True, False])
async def test_only_a_command_blocks(ledger: RunningLedger, role: Role, is_block: bool) -> None:
    client = await ledger.client(role)
    with pytest.raises(Refused) as no:
        await client.set_block(AGENT, is_block=is_block, reason="mine")
    assert no.value.cause == "kind-not-allowed"
    kind = "principal.blocked" if is_block else "principal.unblocked"
    with pytest.raises(Refused):
        await client.append(NewEntry(kind, fields(AGENT)))
    assert ledger.entries() == []


async def test_a_command_does_not_say_itself_who_it_is(ledger: RunningLedger, command: LedgerClient) -> None:
    with pytest.raises(Refused) as no:
        await command.append(NewEntry("principal.blocked", fields(AGENT)))
    assert no.value.cause == "kind-not-allowed"
    assert ledger.entries() == []


async def test_blocks_survive_restarts_and_midnight(ledger: RunningLedger, command: LedgerClient) -> None:
    await command.set_block(AGENT, is_block=True, reason="it went wild")
    await command.set_block("corp:agent-8", is_block=True, reason="it too")
    ledger.later(days=1)
    await command.set_block("corp:agent-8", is_block=False, reason="not it")
    await ledger.restart()
    blocks, _ = await command.blocks()
    assert [block.principal for block in blocks] == [AGENT]
    worker = await ledger.client()
    with pytest.raises(Refused):
        await worker.append(intent())


async def test_a_block_that_could_not_be_written_does_not_count(
    ledger: RunningLedger, command: LedgerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk refuses; then neither the block nor the withdrawn hold may be there."""
    worker = await ledger.client()
    hold = (await worker.open_hold(held())).hold
    segment = next((ledger.path / "segments").glob("*.db"))
    with sqlite3.connect(segment) as lock:
        lock.execute("BEGIN IMMEDIATE")  # somebody else writes: ours cannot
        with pytest.raises(Unavailable):
            await command.set_block(AGENT, is_block=True, reason="it went wild", timeout_s=60)
        lock.rollback()
    lock.close()
    assert (await command.blocks())[0] == ()
    assert (await worker.hold(hold.id)).state is HoldState.OPEN
    await worker.append(intent())
    await command.set_block(AGENT, is_block=True, reason="it went wild")


async def test_fifty_requests_race_with_a_block(
    ledger: RunningLedger, worker: LedgerClient, command: LedgerClient
) -> None:
    async def one(number: int) -> None:
        with suppress(Refused):
            await worker.append(intent(f"r{number}"))

    for round_ in range(10):
        asked = [asyncio.create_task(one(number)) for number in range(25)]
        block = asyncio.create_task(command.set_block(AGENT, is_block=True, reason="race"))
        asked += [asyncio.create_task(one(number)) for number in range(25, 50)]
        await asyncio.gather(*asked)
        seq = (await block).seqs[0]
        entries = ledger.entries()
        assert [e.seq for e in entries if e.kind == "request.intent" and e.seq > seq] == [], round_
        await command.set_block(AGENT, is_block=False, reason="next round")
    assert "request.intent" in ledger.kinds()
