"""Which principals are blocked, as this worker knows from the ledger's pushes.

Read whole before the first connection and after each gap, kept up by the entries in
between. The ledger itself takes no intent of a blocked principal, so what this worker has
not heard yet makes a refusal later, never a request that goes out.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from doorward.core.blocks import refusal
from doorward.errors import DoorwardError
from doorward.model import Block, Entry, Principal

_log = logging.getLogger(__name__)
_AGAIN_S = 0.2


class BlockLedger(Protocol):
    """The part of the ledger that tells of blocks."""

    def subscribe(self, callback: Callable[[Entry], None], *, on_gap: Callable[[], None] | None = None) -> None:
        """Call back for each entry that is committed from now on."""

    async def blocks(self) -> tuple[tuple[Block, ...], int]:
        """The blocks that stand, and as of which entry."""


class Blocks:
    """The blocked principals; `on_block` is called with each that is new."""

    def __init__(self, ledger: BlockLedger) -> None:
        self.on_block: Callable[[str], None] = lambda principal: None
        self._ledger = ledger
        self._blocked: frozenset[str] = frozenset()
        self._heard: dict[str, tuple[int, bool]] = {}  # since the last reading: by which entry, and whether blocked
        self._gap = asyncio.Event()

    async def start(self) -> None:
        """Hear of changes, and read the list; raises Unavailable without a ledger."""
        self._ledger.subscribe(self._hear, on_gap=self._gap.set)
        await self._read()

    def check(self, principal: Principal) -> None:
        """Raise Refused if the principal is blocked."""
        if principal.name in self._blocked:
            raise refusal()

    async def keep_up_for_ever(self) -> None:
        """Read the list again after each gap, until that works; cancelled at the stop."""
        while True:
            await self._gap.wait()
            self._gap.clear()
            try:
                await self._read()
            except DoorwardError as error:
                _log.info("the blocks cannot be read now: %s", error.message)
                self._gap.set()
                await asyncio.sleep(_AGAIN_S)

    async def _read(self) -> None:
        blocks, seq = await self._ledger.blocks()
        # What was pushed while the answer was on its way is newer than the answer.
        self._heard = {name: heard for name, heard in self._heard.items() if heard[0] > seq}
        self._become({block.principal for block in blocks})

    def _hear(self, entry: Entry) -> None:
        principal = str(entry.fields["principal"])
        self._heard[principal] = (entry.seq, entry.kind == "principal.blocked")
        self._become(self._blocked)

    def _become(self, blocked: set[str] | frozenset[str]) -> None:
        heard_yes = {name for name, (_, is_blocked) in self._heard.items() if is_blocked}
        now = frozenset(blocked - self._heard.keys()) | heard_yes
        new = now - self._blocked
        self._blocked = now
        for principal in new:
            self.on_block(principal)
