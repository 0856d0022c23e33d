"""The transaction that is being put together: entries, bodies, and their effect on holds and blocks.

One draft a batch. Each request adds to it and is taken back alone if it fails
(`mark`, `undo`); at the end `writer` commits it as a whole or drops it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from doorward.core.entry import BodyRef, check_entry, entry_bytes
from doorward.evidence.merkle import leaf_hash
from doorward.ledger.blocks import BlockBook
from doorward.ledger.state import HoldBook
from doorward.model import Entry, Json
from doorward.store.bodies import pack_body
from doorward.store.rows import BodyRow, EntryRow, format_time


@dataclass(slots=True)
class Draft:
    """Rows to be committed at one time, and the entries as subscribers get them."""

    book: HoldBook
    blocks: BlockBook
    seq: int  # of the last entry before, then of the last one added
    time: datetime
    rows: list[EntryRow] = field(default_factory=list)
    bodies: list[BodyRow] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    time_text: str = ""

    def __post_init__(self) -> None:
        self.time_text = format_time(self.time)

    def add(
        self,
        kind: str,
        fields: Mapping[str, Any],
        bodies: Mapping[str, bytes] | None = None,
        summary: Mapping[str, Json] | None = None,
    ) -> int:
        """Add one entry and return its number; raises Refused if its form or the state of a hold forbids it."""
        named = bodies or {}
        check_entry(kind, fields, named)
        packed = {name: pack_body(plain) for name, plain in named.items()}
        refs = {name: BodyRef(body.digest, body.size) for name, body in packed.items()}
        text = entry_bytes(self.seq + 1, self.time_text, kind, fields, refs)
        if kind.startswith("hold."):
            self.book.apply(kind, fields, self.time, summary)
        elif kind.startswith("principal."):
            self.blocks.apply(kind, fields, self.time)
        self.seq += 1
        self.rows.append(EntryRow(self.seq, self.time_text, kind, text.decode(), leaf_hash(text)))
        self.bodies.extend(
            BodyRow(body.digest, self.seq, name, body.salt, None, body.size, body.zstd) for name, body in packed.items()
        )
        pushed = dict(fields)
        if refs:
            pushed["bodies"] = {name: {"digest": ref.digest, "bytes": ref.size} for name, ref in refs.items()}
        self.entries.append(Entry(self.seq, self.time, kind, pushed))
        return self.seq

    def mark(self) -> tuple[int, int, int, int]:
        """Return a point to which `undo` can go back."""
        return len(self.rows), len(self.bodies), self.book.mark(), self.blocks.mark()

    def undo(self, mark: tuple[int, int, int, int]) -> None:
        """Take back what was added since the mark."""
        rows, bodies, holds, blocks = mark
        self.seq -= len(self.rows) - rows
        del self.rows[rows:], self.entries[rows:], self.bodies[bodies:]
        self.book.undo(holds)
        self.blocks.undo(blocks)
