"""Entries as a gateway would write them, for tests of the store and the ledger."""

from datetime import UTC, datetime
from typing import Any

from doorward.core.entry import BodyRef, entry_bytes
from doorward.evidence.merkle import leaf_hash
from doorward.ledger.frames import HoldRequest
from doorward.model import Approvers, Ask, NewEntry, Principal
from doorward.store.bodies import pack_body
from doorward.store.rows import BodyRow, EntryRow, format_time

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DIGEST = "d" * 64
ASK = Ask("change a customer", Approvers(groups=("corp:owners",)), 1, 900)
BOB = Principal("corp", "bob", ("corp:owners", "corp:gym"))


def intent_fields(request: str = "r1", **changes: Any) -> dict[str, Any]:
    return {
        "request": request,
        "principal": "corp:agent-7",
        "owner": "corp:alice",
        "session": "s1",
        "token": "t1",
        "label": None,
        "target": "billing",
        "verb": "PATCH",
        "risk": "medium",
        "open_ended": False,
        "digest": DIGEST,
        "policy": "e" * 64,
        "rules": ["billing-editor"],
        "hold": None,
        "credential": "billing-token",
        "generation": "a" * 16,
        "client": "127.0.0.1",
        "sent_bytes": 2,
    } | changes


def intent(request: str = "r1", bodies: dict[str, bytes] | None = None, **changes: Any) -> NewEntry:
    return NewEntry("request.intent", intent_fields(request, **changes), bodies or {})


def outcome(request: str = "r1", bodies: dict[str, bytes] | None = None, **changes: Any) -> NewEntry:
    fields: dict[str, Any] = {
        "request": request,
        "status": 200,
        "executed": "yes",
        "duration_ms": 12,
        "masks": [],
        "echo": 0,
        "cause": None,
        "truncated": False,
    }
    return NewEntry("request.outcome", fields | changes, bodies or {})


def part(request: str = "r1", number: int = 1, body: bytes = b"", **changes: Any) -> NewEntry:
    fields: dict[str, Any] = {"request": request, "part": number, "status": 200, "pieces": [[0, len(body)]]}
    bodies = {"part": body} if body else {}
    if number == 1:
        bodies["response_head"] = b'{"status": 200, "headers": []}'
    return NewEntry("stream.part", fields | changes, bodies)


def refused(request: str | None = "r1", **changes: Any) -> NewEntry:
    fields: dict[str, Any] = {
        "request": request,
        "cause": "no-role",
        "status": 403,
        "principal": "corp:agent-7",
        "target": "billing",
        "verb": "GET",
        "rules": [],
        "executed": "no",
        "client": "127.0.0.1",
        "count": 1,
    }
    return NewEntry("request.refused", fields | changes)


def held(digest: str = DIGEST, request: str = "r1", *asks: Ask, **changes: Any) -> HoldRequest:
    values: dict[str, Any] = {
        "principal": "corp:agent-7",
        "owner": "corp:alice",
        "target": "billing",
        "summary": {"verb": "PATCH", "risk": "medium", "path": "/v1/customers/1"},
        "bodies": {"request_head": b"{}", "request_body": b"body"},
    }
    return HoldRequest(digest=digest, request=request, asks=asks or (ASK,), **(values | changes))


def rows(
    seq: int, kind: str, fields: dict[str, Any], bodies: dict[str, bytes] | None = None, at: datetime = NOW
) -> tuple[EntryRow, list[BodyRow]]:
    """Return one entry and its bodies as the ledger would store them."""
    packed = {name: pack_body(plain) for name, plain in (bodies or {}).items()}
    refs = {name: BodyRef(body.digest, body.size) for name, body in packed.items()}
    text = entry_bytes(seq, format_time(at), kind, fields, refs)
    entry = EntryRow(seq, format_time(at), kind, text.decode(), leaf_hash(text))
    return entry, [BodyRow(b.digest, seq, name, b.salt, None, b.size, b.zstd) for name, b in packed.items()]
