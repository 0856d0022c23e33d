import asyncio
from collections.abc import Callable

import pytest

from doorward.core.entry import Role
from doorward.errors import Refused, Unavailable
from doorward.gateway.blocks import Blocks
from doorward.model import Block, Entry, Principal
from tests.ledger.conftest import RunningLedger
from tests.parts.entries import NOW

AGENT = Principal("corp", "agent-7")
OTHER = Principal("corp", "agent-8")


class Said:
    """A ledger whose answers and pushes come in the order that a test wants."""

    def __init__(self) -> None:
        self.answer: tuple[tuple[Block, ...], int] | Exception = ((), 0)
        self.meanwhile: list[Entry] = []  # pushed after the answer was made, heard before it is read
        self.asked = 0
        self.hear: Callable[[Entry], None]
        self.gap: Callable[[], None]

    def subscribe(self, callback: Callable[[Entry], None], *, on_gap: Callable[[], None] | None = None) -> None:
        assert on_gap is not None
        self.hear, self.gap = callback, on_gap

    async def blocks(self) -> tuple[tuple[Block, ...], int]:
        self.asked += 1
        for entry in self.meanwhile:
            self.hear(entry)
        self.meanwhile = []
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def entry(seq: int, principal: Principal, *, is_block: bool = True) -> Entry:
    return Entry(seq, NOW, "principal.blocked" if is_block else "principal.unblocked", {"principal": principal.name})


def block(principal: Principal) -> Block:
    return Block(principal.name, "os/ann", "why", NOW)


def is_blocked(blocks: Blocks, principal: Principal) -> bool:
    try:
        blocks.check(principal)
    except Refused as error:
        return error.cause == "principal-blocked"
    return False


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_the_list_is_read_before_anything_else() -> None:
    said = Said()
    said.answer = ((block(AGENT),), 5)
    blocks = Blocks(said)
    await blocks.start()
    assert (is_blocked(blocks, AGENT), is_blocked(blocks, OTHER)) == (True, False)


async def test_without_a_ledger_it_does_not_start() -> None:
    said = Said()
    said.answer = Unavailable("away", cause="ledger-away")
    with pytest.raises(Unavailable):
        await Blocks(said).start()


async def test_pushes_are_told_once() -> None:
    said, told = Said(), list[str]()
    blocks = Blocks(said)
    blocks.on_block = told.append
    await blocks.start()
    said.hear(entry(1, AGENT))
    said.hear(entry(2, OTHER))
    said.hear(entry(3, OTHER, is_block=False))
    assert (is_blocked(blocks, AGENT), is_blocked(blocks, OTHER)) == (True, False)
    said.hear(entry(4, OTHER))
    assert told == ["corp:agent-7", "corp:agent-8", "corp:agent-8"]


async def test_a_push_that_overtakes_the_list_wins() -> None:
    """The list is as of entry 5; entry 6 was heard before the list was read."""
    said = Said()
    said.answer = ((block(OTHER),), 5)
    said.meanwhile = [entry(4, OTHER), entry(6, AGENT), entry(7, OTHER, is_block=False)]
    blocks = Blocks(said)
    await blocks.start()
    assert (is_blocked(blocks, AGENT), is_blocked(blocks, OTHER)) == (True, False)


async def test_a_list_that_is_newer_than_a_push_wins() -> None:
    said = Said()
    blocks = Blocks(said)
    await blocks.start()
    said.hear(entry(3, AGENT))
    said.answer = ((block(OTHER),), 9)
    keeping = asyncio.create_task(blocks.keep_up_for_ever())
    said.gap()
    await until(lambda: is_blocked(blocks, OTHER))
    assert not is_blocked(blocks, AGENT)
    keeping.cancel()


async def test_after_a_gap_the_list_is_read_until_that_works() -> None:
    said, told = Said(), list[str]()
    blocks = Blocks(said)
    blocks.on_block = told.append
    await blocks.start()
    said.answer = Unavailable("away", cause="ledger-away")
    keeping = asyncio.create_task(blocks.keep_up_for_ever())
    said.gap()
    await until(lambda: said.asked >= 3)
    said.answer = ((block(AGENT),), 9)
    await until(lambda: is_blocked(blocks, AGENT))
    assert told == ["corp:agent-7"]
    keeping.cancel()


async def test_what_happened_while_the_ledger_was_away_is_known_after(ledger: RunningLedger) -> None:
    command = await ledger.client(Role.COMMAND)
    blocks = Blocks(await ledger.client())
    await blocks.start()
    keeping = asyncio.create_task(blocks.keep_up_for_ever())
    await command.set_block(AGENT.name, is_block=True, reason="why")
    await until(lambda: is_blocked(blocks, AGENT))
    await ledger.restart()
    await command.set_block(OTHER.name, is_block=True, reason="why")
    await until(lambda: is_blocked(blocks, OTHER))
    assert is_blocked(blocks, AGENT)
    keeping.cancel()
