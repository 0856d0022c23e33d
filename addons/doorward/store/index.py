"""Reads the index: lists of flows, holds and masks for pages and commands.

Read-only, one short query a call. The index follows the ledger by some milliseconds and
proves nothing; the segments do. For what must be exact (may this be approved now?) ask the
ledger.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from doorward.model import Approval, Ask, HoldState
from doorward.store.database import Database
from doorward.store.flow_filter import FlowFilter
from doorward.store.rows import parse_time


@dataclass(frozen=True, slots=True)
class FlowRow:
    """One request of an agent, as far as the entries tell."""

    request: str
    seq: int  # of its first entry; lists are ordered by it
    time: datetime
    decision: str  # "intent", "refused" or "held"
    executed: str  # "no", "yes", "unknown": an intent without an outcome is unknown
    principal: str | None
    owner: str | None
    session: str | None
    label: str | None
    target: str | None
    verb: str | None
    risk: str | None
    rules: tuple[str, ...]
    digest: str | None
    policy: str | None
    hold: str | None
    credential: str | None
    client: str | None
    status: int | None
    cause: str | None
    duration_ms: int | None
    count: int  # refusals of one cause from one place are counted, not repeated
    intent_seq: int | None
    outcome_seq: int | None
    generation: str | None  # of the credential
    sent_bytes: int | None  # of the request's body, as it went to the target
    request_truncated: bool  # the record keeps only the beginning of the request's body
    truncated: bool  # the same of the answer's
    kept: bool  # False: bodies of answers of this target are not kept
    parts: int  # of an answer that streamed: so many entries hold its body
    bodies: Mapping[str, str]  # name -> digest, for LedgerClient.read_body
    sizes: Mapping[str, int]  # name -> bytes, of the plain body


@dataclass(frozen=True, slots=True)
class HoldRow:
    """One hold, whatever became of it."""

    hold: str
    seq: int
    state: HoldState  # as the entries say; an open hold whose time is over is told at once by the ledger
    opened_at: datetime
    changed_at: datetime
    expires_at: datetime
    principal: str
    owner: str | None
    target: str
    digest: str
    request: str
    asks: tuple[Ask, ...]
    approvals: tuple[Approval, ...]
    used_by: str | None
    cause: str | None
    bodies: Mapping[str, str]
    sizes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class MaskRow:
    """One masked field of one answer."""

    seq: int  # of the outcome
    position: int
    request: str
    rule: str | None
    path: str | None
    replacement: str | None
    count: int | None


@dataclass(frozen=True, slots=True)
class PartRow:
    """A part of an answer that streamed."""

    request: str
    part: int
    seq: int
    time: datetime
    pieces: tuple[tuple[int, int], ...]  # milliseconds since the head, and bytes
    digest: str | None
    bytes: int


_ANY: Final = FlowFilter()
_FLOW: Final = ", ".join(name for name in FlowRow.__dataclass_fields__ if name != "sizes")
_HOLD: Final = ", ".join(name for name in HoldRow.__dataclass_fields__ if name != "sizes")
_MASK: Final = ", ".join(MaskRow.__dataclass_fields__)
_PART: Final = ", ".join(PartRow.__dataclass_fields__)


class Index:
    """The index of one ledger, opened when first asked and again when the file was replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database: Database | None = None
        self._inode = 0

    def flows(
        self,
        limit: int = 100,
        wanted: FlowFilter = _ANY,
        *,
        before_seq: int | None = None,
        after_seq: int | None = None,
        oldest_first: bool = False,
    ) -> list[FlowRow]:
        """Return flows, newest first unless told otherwise; `before_seq` and `after_seq` page on.

        Raises Unavailable if there is no index yet.
        """
        where, values = wanted.condition()
        if before_seq is not None:
            where.append("seq < ?")
            values.append(before_seq)
        if after_seq is not None:
            where.append("seq > ?")
            values.append(after_seq)
        order = "seq" if oldest_first else "seq DESC"
        return [_flow(row) for row in self._select(_FLOW, "flows", where, values, order, limit)]

    def count_flows(self, wanted: FlowFilter = _ANY) -> int:
        """Return how many flows there are of a kind."""
        where, values = wanted.condition()
        rows = self._open().rows(f"SELECT count(*) FROM flows {_clause(where)}", values)  # noqa: S608 # names of this module
        return int(rows[0][0])

    def changed(self, after_seq: int, limit: int) -> tuple[int, list[str]]:
        """Return the last entry that the flows tell of, and the requests that entries above `after_seq` changed.

        The newest `limit` of them, oldest first.
        """
        statement = "SELECT changed_seq, request FROM flows WHERE changed_seq > ? ORDER BY changed_seq DESC LIMIT ?"
        rows = self._open().rows(statement, (after_seq, limit))
        return (rows[0][0] if rows else after_seq), [request for _, request in reversed(rows)]

    def flow(self, request: str) -> FlowRow | None:
        """Return one flow by its request id."""
        rows = self._select(_FLOW, "flows", ["request = ?"], [request], "seq", 1)
        return _flow(rows[0]) if rows else None

    def holds(
        self, limit: int = 100, *, before_seq: int | None = None, state: str | None = None, principal: str | None = None
    ) -> list[HoldRow]:
        """Return holds, newest first."""
        given = {"state = ?": state, "principal = ?": principal, "seq < ?": before_seq}
        where = [condition for condition, value in given.items() if value is not None]
        values = [value for value in given.values() if value is not None]
        return [_hold(row) for row in self._select(_HOLD, "holds", where, values, "seq DESC", limit)]

    def masks(self, request: str) -> list[MaskRow]:
        """Return what was masked in the answer to one request, in order."""
        statement = f"SELECT {_MASK} FROM masks WHERE request = ? ORDER BY seq, position"  # noqa: S608 # names of this module
        return [MaskRow(*row) for row in self._open().rows(statement, (request,))]

    def parts(self, request: str, after: int = 0) -> list[PartRow]:
        """Return the parts of a stream above `after`, in order."""
        statement = f"SELECT {_PART} FROM parts WHERE request = ? AND part > ? ORDER BY part"  # noqa: S608 # names of this module
        return [_part(row) for row in self._open().rows(statement, (request, after))]

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _select(
        self, columns: str, table: str, where: Sequence[str], values: Sequence[object], order: str, limit: int
    ) -> list[tuple[Any, ...]]:
        statement = f"SELECT {columns} FROM {table} {_clause(where)} ORDER BY {order} LIMIT ?"  # noqa: S608 # names of this module
        return self._open().rows(statement, (*values, limit))

    def _open(self) -> Database:
        if self._database is not None and _inode(self._path) != self._inode:
            self.close()
        if self._database is None:
            self._inode = _inode(self._path)
            self._database = Database.reader(self._path)
        return self._database


def _clause(where: Sequence[str]) -> str:
    return f"WHERE {' AND '.join(where)}" if where else ""


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def _named(columns: str, row: tuple[Any, ...]) -> dict[str, Any]:
    values = dict(zip(columns.split(", "), row, strict=True))
    bodies = msgspec.json.decode(values["bodies"])
    values["bodies"] = {name: ref["digest"] for name, ref in bodies.items()}
    values["sizes"] = {name: ref["bytes"] for name, ref in bodies.items()}
    return values


def _flow(row: tuple[Any, ...]) -> FlowRow:
    values = _named(_FLOW, row)
    values["time"] = parse_time(values["time"])
    values["rules"] = tuple(msgspec.json.decode(values["rules"]))
    for name in ("request_truncated", "truncated", "kept"):
        values[name] = bool(values[name])
    return FlowRow(**values)


def _hold(row: tuple[Any, ...]) -> HoldRow:
    values = _named(_HOLD, row)
    for name in ("opened_at", "changed_at", "expires_at"):
        values[name] = parse_time(values[name])
    values["state"] = HoldState(values["state"])
    values["asks"] = msgspec.json.decode(values["asks"], type=tuple[Ask, ...])
    values["approvals"] = tuple(
        Approval(a["person"], tuple(a["groups"]), a["verdict"], a["reason"], parse_time(a["time"]))
        for a in msgspec.json.decode(values["approvals"])
    )
    return HoldRow(**values)


def _part(row: tuple[Any, ...]) -> PartRow:
    values = dict(zip(PartRow.__dataclass_fields__, row, strict=True))
    values["time"] = parse_time(values["time"])
    values["pieces"] = msgspec.json.decode(values["pieces"], type=tuple[tuple[int, int], ...])
    return PartRow(**values)
