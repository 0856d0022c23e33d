"""Rows of a segment and what they say: stored text to `Entry` and back to its proof.

Called by `segments`, which reads and writes the rows; knows no database.
"""

from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from doorward.errors import Unavailable
from doorward.evidence.merkle import leaf_hash
from doorward.model import Entry

_HEAD = ("v", "seq", "time", "kind")


class EntryRow(NamedTuple):
    """One row of `entries`; `entry` holds the RFC 8785 bytes as text."""

    seq: int
    time: str
    kind: str
    entry: str
    leaf: bytes


class BodyRow(NamedTuple):
    """One row of `bodies`."""

    digest: str
    seq: int
    name: str
    salt: bytes
    key_id: str | None
    size: int
    zstd: bytes


def entry_from_row(row: EntryRow) -> Entry:
    """Return the entry; raises Unavailable if the row is not what its leaf hash says.

    `fields` hold everything but v, seq, time and kind: `bodies` too, if there are any.
    """
    text = row.entry.encode()
    if leaf_hash(text) != row.leaf:
        raise Unavailable(
            f"entry {row.seq} is not what its leaf hash says",
            cause="store-damaged",
            hint="put the segment back from a backup; keep the damaged file",
        )
    fields = msgspec.json.decode(text)
    return Entry(row.seq, parse_time(row.time), row.kind, {k: v for k, v in fields.items() if k not in _HEAD})


def format_time(at: datetime) -> str:
    """Return RFC 3339 in UTC with microseconds: 2026-11-23T08:00:00.000000Z."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime:
    """Return the aware time of an entry."""
    return datetime.fromisoformat(text)
