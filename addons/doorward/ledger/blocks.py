"""Which principals are blocked: exact, kept in the ledger process, rebuilt from the entries.

Each `principal.blocked` and `principal.unblocked` changes it, in the same way whether it
was just made or is read back at the start. Changes can be taken back until they are
committed, as those of `state`. `writer` asks before it takes an intent; `BlockOrder` is
what a command asks for, together with who it is.
"""

import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from doorward.core.blocks import refusal
from doorward.errors import Conflict, Refused
from doorward.model import Block


@dataclass(frozen=True, slots=True)
class BlockOrder:
    """A command's word, and the user behind its socket as the kernel tells it."""

    id: int
    principal: str
    is_block: bool  # else it ends one
    reason: str
    uid: int


class BlockBook:
    """The blocks that stand."""

    def __init__(self) -> None:
        self._blocks: dict[str, Block] = {}
        self._undo: list[tuple[str, Block | None]] = []

    def apply(self, kind: str, fields: Mapping[str, Any], at: datetime) -> None:
        """Take one entry in; raises Conflict if nothing would change."""
        principal = fields["principal"]
        before = self._blocks.get(principal)
        match kind:
            case "principal.blocked" if before is None:
                self._blocks[principal] = Block(principal, fields["person"], fields["reason"], at)
            case "principal.blocked":
                raise Conflict(
                    f"{principal} is blocked already", cause="blocked-already", hint="see `doorward principals list`"
                )
            case "principal.unblocked" if before is not None:
                del self._blocks[principal]
            case "principal.unblocked":
                raise Conflict(
                    f"{principal} is not blocked", cause="not-blocked", hint="see `doorward principals list`"
                )
            case _:
                raise Refused(f"{kind} says nothing about a block", cause="entry-malformed")
        self._undo.append((principal, before))

    def check(self, principal: str) -> None:
        """Raise Refused if the principal is blocked."""
        if principal in self._blocks:
            raise refusal()

    def blocks(self) -> tuple[Block, ...]:
        """Return the blocks, oldest first."""
        return tuple(self._blocks.values())

    def mark(self) -> int:
        """Return a point to which `undo` can go back."""
        return len(self._undo)

    def undo(self, mark: int) -> None:
        """Take back what was applied since the mark."""
        while len(self._undo) > mark:
            principal, before = self._undo.pop()
            if before is None:
                del self._blocks[principal]
            else:
                self._blocks[principal] = before

    def settle(self) -> None:
        """Forget how to undo, after a commit."""
        self._undo.clear()


@lru_cache(maxsize=64)
def person_of(uid: int) -> str:
    """Return how entries name a user of this machine; no issuer's alias holds a slash, so it is nobody else's name."""
    try:
        return f"os/{pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"os/{uid}"
