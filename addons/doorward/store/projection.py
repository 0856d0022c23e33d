"""Writes the index: what entries mean for the tables `flows`, `parts`, `holds` and `masks`.

Fed by the ledger after it has acknowledged, and by `rebuild` from the segments alone: both
give the same tables. Kept consistent, not flushed at each commit; what a crash loses is
projected again. The tables are described in docs/ledger.md; `index` reads them.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from doorward.model import Entry
from doorward.store.database import Database
from doorward.store.migrate import migrate
from doorward.store.migrations.index import index as index_tables
from doorward.store.rows import format_time

_INTENT: Final = """
    INSERT INTO flows (request, seq, time, decision, executed, principal, owner, session, label, target, verb, risk,
        rules, digest, policy, hold, credential, generation, client, count, intent_seq, changed_seq, sent_bytes,
        request_truncated, bodies)
    VALUES (:request, :seq, :time, 'intent', 'unknown', :principal, :owner, :session, :label, :target, :verb, :risk,
        :rules, :digest, :policy, :hold, :credential, :generation, :client, 1, :seq, :seq, :sent_bytes,
        :request_truncated, :bodies)
    ON CONFLICT (request) DO UPDATE SET decision = 'intent', executed = 'unknown', session = excluded.session,
        label = excluded.label, verb = excluded.verb, risk = excluded.risk, rules = excluded.rules,
        digest = excluded.digest, policy = excluded.policy, hold = excluded.hold, credential = excluded.credential,
        generation = excluded.generation, client = excluded.client, intent_seq = excluded.seq,
        changed_seq = excluded.seq, cause = NULL, status = NULL, sent_bytes = excluded.sent_bytes,
        request_truncated = excluded.request_truncated,
        bodies = json_patch(bodies, excluded.bodies)"""
_REFUSED: Final = """
    INSERT INTO flows (request, seq, time, decision, executed, principal, owner, session, label, target, verb, risk,
        rules, digest, policy, hold, client, status, cause, count, changed_seq, bodies)
    VALUES (:request, :seq, :time, 'refused', :executed, :principal, :owner, :session, :label, :target, :verb, :risk,
        :rules, :digest, :policy, :hold, :client, :status, :cause, :count, :seq, :bodies)
    ON CONFLICT (request) DO UPDATE SET decision = 'refused', executed = excluded.executed, rules = excluded.rules,
        client = excluded.client, status = excluded.status, cause = excluded.cause, count = excluded.count,
        changed_seq = excluded.changed_seq,
        bodies = json_patch(bodies, excluded.bodies)"""
_HELD: Final = """
    INSERT INTO flows (request, seq, time, decision, executed, principal, owner, target, verb, risk, rules, digest,
        hold, count, changed_seq, bodies)
    VALUES (:request, :seq, :time, 'held', 'no', :principal, :owner, :target, :verb, :risk, :rules, :digest,
        :hold, 1, :seq, :bodies)
    ON CONFLICT (request) DO UPDATE SET decision = 'held', hold = excluded.hold, changed_seq = excluded.changed_seq,
        bodies = json_patch(bodies, excluded.bodies)"""
_OUTCOME: Final = """
    UPDATE flows SET executed = :executed, status = :status, cause = :cause, duration_ms = :duration_ms,
        outcome_seq = :seq, changed_seq = :seq, truncated = :truncated, kept = :kept,
        bodies = json_patch(bodies, :bodies) WHERE request = :request"""
_PART: Final = """
    INSERT OR REPLACE INTO parts VALUES (:request, :part, :seq, :time, :pieces, :digest, :bytes)"""
_GOES_ON: Final = """
    UPDATE flows SET executed = 'yes', status = :status, parts = :part, changed_seq = :seq,
        bodies = json_patch(bodies, :head) WHERE request = :request"""
_MASK: Final = "INSERT OR REPLACE INTO masks VALUES (:seq, :position, :request, :rule, :path, :replacement, :count)"
_OPENED: Final = """
    INSERT OR REPLACE INTO holds (hold, seq, state, opened_at, changed_at, expires_at, principal, owner, target,
        digest, request, asks, approvals, bodies)
    VALUES (:hold, :seq, 'open', :time, :time, :expires_at, :principal, :owner, :target,
        :digest, :request, :asks, '[]', :bodies)"""
_ANSWERED: Final = """
    UPDATE holds SET state = :state, changed_at = :time, expires_at = coalesce(:expires_at, expires_at),
        approvals = json_insert(approvals, '$[#]', json(:approval)) WHERE hold = :hold"""
_ENDED: Final = """
    UPDATE holds SET state = :state, changed_at = :time, used_by = :request, cause = :cause WHERE hold = :hold"""


class Projection:
    """The index, open for writing; `seq` is the last entry that it holds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.seq: int = database.rows("SELECT seq FROM progress")[0][0]
        self._since_checkpoint = 0

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open or create; raises Unavailable if the file is damaged."""
        database = Database.writer(path, synchronous="NORMAL")
        try:
            migrate(database, index_tables)
            return cls(database)
        except BaseException:
            database.close()
            raise

    def project(self, entries: Iterable[Entry]) -> None:
        """Add entries, in order, in one transaction."""
        last = self.seq
        with self._database.transaction():
            for entry in entries:
                write = _WRITERS.get(entry.kind)
                if write is not None:
                    for statement, values in write(_values(entry)):
                        self._database.rows(statement, values)
                last = entry.seq
            self._database.rows("UPDATE progress SET seq = ?", (last,))
        self._since_checkpoint += last - self.seq
        self.seq = last

    def checkpoint(self, at_least: int = 1) -> None:
        """Fold the write-ahead log in, if at least so many entries came since the last time."""
        if self._since_checkpoint >= at_least:
            self._since_checkpoint = 0
            self._database.checkpoint()

    def close(self) -> None:
        """Close the file."""
        self._database.close()


type _Values = dict[str, Any]
type _Writes = list[tuple[str, _Values]]


def _values(entry: Entry) -> _Values:
    bodies = entry.fields.get("bodies", {})
    return {**entry.fields, "seq": entry.seq, "time": format_time(entry.time), "bodies": _json(bodies)}


def _intent(values: _Values) -> _Writes:
    cut = values.get("truncated", False)
    return [(_INTENT, {**values, "rules": _json(values["rules"]), "request_truncated": cut})]


def _refused(values: _Values) -> _Writes:
    absent = dict.fromkeys(("owner", "session", "label", "risk", "digest", "policy", "hold"))
    request = values["request"] or f"counted:{values['seq']}"  # many refusals in one row
    return [(_REFUSED, {**absent, **values, "request": request, "rules": _json(values["rules"])})]


def _outcome(values: _Values) -> _Writes:
    writes: _Writes = [(_OUTCOME, {"kept": True, **values})]
    for position, mask in enumerate(values["masks"]):
        known = dict.fromkeys(("rule", "path", "replacement", "count"))
        known.update((name, mask[name]) for name in known.keys() & mask.keys())
        writes.append((_MASK, {**known, "seq": values["seq"], "position": position, "request": values["request"]}))
    return writes


def _part(values: _Values) -> _Writes:
    bodies = msgspec.json.decode(values["bodies"])
    part = bodies.pop("part", {"digest": None, "bytes": 0})
    row = {**values, **part, "pieces": _json(values["pieces"])}
    return [(_PART, row), (_GOES_ON, {**values, "head": _json(bodies)})]


def _opened(values: _Values) -> _Writes:
    held = {"verb": None, "risk": None, **values, "rules": _json([ask["rule"] for ask in values["asks"]])}
    return [(_HELD, held), (_OPENED, {**values, "asks": _json(values["asks"])})]


def _answered(state: str) -> Callable[[_Values], _Writes]:
    def write(values: _Values) -> _Writes:
        approval = {name: values[name] for name in ("person", "groups", "reason", "time")}
        approval["verdict"] = "deny" if state == "denied" else "approve"
        row = {
            "hold": values["hold"],
            "time": values["time"],
            "state": "open" if values.get("missing") else state,
            "expires_at": values.get("expires_at"),
            "approval": _json(approval),
        }
        return [(_ANSWERED, row)]

    return write


def _ended(state: str) -> Callable[[_Values], _Writes]:
    def write(values: _Values) -> _Writes:
        return [(_ENDED, {"request": None, "cause": None, **values, "state": state})]

    return write


_WRITERS: Final[dict[str, Callable[[_Values], _Writes]]] = {
    "request.intent": _intent,
    "request.refused": _refused,
    "request.outcome": _outcome,
    "stream.part": _part,
    "hold.opened": _opened,
    "hold.approved": _answered("approved"),
    "hold.denied": _answered("denied"),
    "hold.expired": _ended("expired"),
    "hold.withdrawn": _ended("withdrawn"),
    "hold.used": _ended("used"),
}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
