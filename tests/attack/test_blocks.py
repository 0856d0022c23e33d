"""Ways round a block: a worker that was taken over, one that hears nothing, old approvals, other tokens."""

import asyncio

import pytest

from doorward.core.entry import Role
from doorward.errors import DoorwardError
from doorward.ledger.client import LedgerClient
from doorward.model import HoldState, Json, NewEntry, Principal
from tests.ledger.conftest import RunningLedger
from tests.parts.gateway import Gateway, get
from tests.parts.raw_target import RawTarget

AGENT = "corp:agent-7"
BOB = Principal("corp", "bob", ("corp:owners",))
DELETE = get("/v1/a", method="DELETE")
ENTRY: dict[str, Json] = {"principal": AGENT, "person": "os/root", "uid": 0, "reason": "mine"}


@pytest.fixture
async def command(ledger: RunningLedger) -> LedgerClient:
    return await ledger.client(Role.COMMAND)


def deafen(gateway: Gateway) -> None:
    """Make a worker forget each block, as one that was taken over would."""
    gateway.blocks.on_block = lambda principal: None
    gateway.blocks.check = lambda principal: None  # type: ignore[method-assign]


@pytest.mark.parametrize("kind", ["principal.blocked", "principal.unblocked"])
async def test_a_worker_writes_no_entry_about_blocks(gateway: Gateway, command: LedgerClient, kind: str) -> None:
    await command.set_block(AGENT, is_block=True, reason="it went wild")
    with pytest.raises(DoorwardError) as refused:
        await gateway.client.append(NewEntry(kind, ENTRY))
    assert refused.value.cause == "kind-not-allowed"


@pytest.mark.parametrize("role", [Role.WORKER, Role.CONSOLE, Role.SUPERVISOR])
async def test_no_part_ends_a_block(gateway: Gateway, command: LedgerClient, role: Role) -> None:
    await command.set_block(AGENT, is_block=True, reason="it went wild")
    part = await gateway.ledger.client(role)
    with pytest.raises(DoorwardError) as refused:
        await part.set_block(AGENT, is_block=False, reason="mine")
    assert refused.value.cause == "kind-not-allowed"
    assert [block.principal for block in (await command.blocks())[0]] == [AGENT]


async def test_a_deaf_worker_sends_nothing(gateway: Gateway, command: LedgerClient, target: RawTarget) -> None:
    agent = await gateway.tunnel()
    deafen(gateway)
    await command.set_block(AGENT, is_block=True, reason="it went wild")
    for request in (get(), DELETE):
        answer = await agent.ask(request)
        assert (answer.status, answer.problem["cause"], answer.problem["executed"]) == (403, "principal-blocked", "no")
        agent = await gateway.tunnel()
    assert target.connections == 0


async def test_an_approval_of_before_is_void_in_a_deaf_worker_and_after_the_end_of_the_block(
    gateway: Gateway, command: LedgerClient, target: RawTarget
) -> None:
    agent = await gateway.tunnel()
    assert (await agent.ask(DELETE)).problem["cause"] == "held"
    (hold,) = await gateway.client.holds(HoldState.OPEN)
    console = await gateway.ledger.client(Role.CONSOLE)
    await console.decide_hold(hold.id, person=BOB, verdict="approve", reason="fine", digest=hold.digest)
    deafen(gateway)
    await command.set_block(AGENT, is_block=True, reason="it went wild")
    assert (await agent.ask(DELETE)).problem["cause"] == "principal-blocked"
    await command.set_block(AGENT, is_block=False, reason="mended")
    assert (await (await gateway.tunnel()).ask(DELETE)).problem["cause"] == "held"
    assert target.got == []


async def test_approving_while_the_block_is_on_its_way_lets_nothing_go(
    gateway: Gateway, command: LedgerClient, target: RawTarget
) -> None:
    """Approval and block at the same moment: either order ends without a DELETE after the block."""
    console = await gateway.ledger.client(Role.CONSOLE)
    for number in range(10):
        agent = await gateway.tunnel()
        await agent.send(get(f"/v1/{number}", method="DELETE"))
        async with asyncio.timeout(10):
            while not (open_ := await gateway.client.holds(HoldState.OPEN)):
                await asyncio.sleep(0.01)
        approving = console.decide_hold(
            open_[0].id, person=BOB, verdict="approve", reason="fine", digest=open_[0].digest
        )
        blocking = command.set_block(AGENT, is_block=True, reason="it went wild")
        first, second = (approving, blocking) if number % 2 else (blocking, approving)
        await asyncio.gather(first, second, return_exceptions=True)
        await agent.closed()
        (seq,) = [entry.seq for entry in gateway.entries("principal.blocked")][-1:]
        assert [entry for entry in gateway.entries("request.intent") if entry.seq > seq] == []
        await command.set_block(AGENT, is_block=False, reason="next round")


@pytest.mark.parametrize("groups", [("agents",), ("agents", "owners"), ("agents", "admins")])
async def test_another_token_of_the_same_subject_does_not_help(
    gateway: Gateway, command: LedgerClient, target: RawTarget, groups: tuple[str, ...]
) -> None:
    await command.set_block(AGENT, is_block=True, reason="it went wild")
    token = gateway.provider.token(groups=groups, owner="alice", jti="fresh")
    agent = await gateway.connect()
    head = b"GET http://billing.internal/v1/a HTTP/1.1\r\nHost: billing.internal\r\n"
    answer = await agent.ask(head + gateway.authorization(token) + b"\r\n")
    assert (answer.status, answer.problem["cause"]) == (403, "principal-blocked")
    assert target.connections == 0
