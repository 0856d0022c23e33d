"""What an entry of the ledger is: the kinds, their fields, who may write them, the bytes.

`KINDS` is the one table; `docs/ledger.md` shows it to people, and a test holds the two
together. The ledger checks each entry against it (`check_entry`) and builds the bytes
(`entry_bytes`), which are final: they are what leaf hashes and proofs are over. Not here:
numbers and times of entries, salts, storing (the ledger and the store).
"""

import enum
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from doorward.core.canonical import canonical_bytes, malformed
from doorward.errors import Refused, TooLarge
from doorward.model import Json

MAX_ENTRY_BYTES: Final = 16 * 1024


class Role(enum.StrEnum):
    """Who speaks on a channel to the ledger."""

    WORKER = "worker"
    CONSOLE = "console"
    SUPERVISOR = "supervisor"
    COMMAND = "command"


class BodyRef(NamedTuple):
    """How an entry names a body that stands beside it."""

    digest: str  # SHA-256 over salt and plain bytes, hex
    size: int  # of the plain bytes


type Through = Literal["append", "open_hold", "decide_hold", "set_block", "read_body", "read_bodies", "ledger"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table: by whom, through which request, and with what."""

    writers: frozenset[Role]  # empty: the ledger alone
    through: Through  # the request that leads to such an entry; "append" takes it as it is
    fields: Mapping[str, str]  # all required; type names joined by "|"
    optional: Mapping[str, str] = field(default_factory=dict)
    bodies: tuple[str, ...] = ()  # names that may stand beside it; ("*",) is any name


_TYPES: Final[Mapping[str, type]] = {
    "text": str,
    "number": int,
    "flag": bool,
    "list": list,
    "object": dict,
    "null": type(None),
}
_RESERVED: Final = frozenset({"v", "seq", "time", "kind", "bodies"})

_WORKER = frozenset({Role.WORKER})
_CONSOLE = frozenset({Role.CONSOLE})
_STARTERS = frozenset({Role.WORKER, Role.SUPERVISOR})
_PARTS = frozenset({Role.WORKER, Role.SUPERVISOR, Role.CONSOLE})
_READERS = frozenset({Role.CONSOLE, Role.COMMAND})
_COMMAND = frozenset({Role.COMMAND})
_NOBODY: frozenset[Role] = frozenset()

_BUILD = {"versions": "object", "program": "text", "lock": "text|null", "uid": "number", "options": "object"}

KINDS: Final[Mapping[str, Kind]] = {
    "gateway.started": Kind(_STARTERS, "append", _BUILD, {"worker": "text"}),
    "gateway.stopped": Kind(_STARTERS, "append", {"cause": "text"}, {"worker": "text"}),
    "settings.loaded": Kind(_PARTS, "append", {"settings": "text"}, bodies=("settings",)),
    "policy.loaded": Kind(_STARTERS, "append", {"policy": "text", "files": "list"}, bodies=("*",)),
    "policy.rejected": Kind(_STARTERS, "append", {"cause": "text", "message": "text"}),
    "credential.loaded": Kind(_STARTERS, "append", {"credential": "text", "generation": "text"}),
    "login.succeeded": Kind(_CONSOLE, "append", {"person": "text"}, {"groups": "list", "client": "text"}),
    "login.failed": Kind(_CONSOLE, "append", {"person": "text|null", "cause": "text"}, {"client": "text"}),
    "connection.refused": Kind(
        _WORKER,
        "append",
        {"cause": "text", "client": "text", "count": "number"},
        {"principal": "text", "target": "text"},
    ),
    "request.refused": Kind(
        _WORKER,
        "append",
        {
            "request": "text|null",  # null where refusals of one cause from one place are counted
            "cause": "text",
            "status": "number|null",
            "principal": "text|null",
            "target": "text|null",
            "verb": "text|null",
            "rules": "list",
            "executed": "text",
            "client": "text",
            "count": "number",
        },
        {
            "owner": "text|null",
            "session": "text|null",
            "token": "text|null",
            "label": "text|null",
            "risk": "text",
            "digest": "text",
            "policy": "text",
            "hold": "text|null",
        },
        bodies=("request_head",),
    ),
    "request.intent": Kind(
        _WORKER,
        "append",
        {
            "request": "text",
            "principal": "text",
            "owner": "text|null",
            "session": "text|null",
            "token": "text|null",
            "label": "text|null",
            "target": "text",
            "verb": "text",
            "risk": "text",
            "open_ended": "flag",
            "digest": "text",
            "policy": "text",
            "rules": "list",
            "hold": "text|null",
            "credential": "text|null",
            "generation": "text|null",
            "client": "text",
            "sent_bytes": "number",
        },
        {"truncated": "flag"},  # true: the record keeps only the beginning of the body; absent is false
        bodies=("request_head", "request_body"),
    ),
    "request.outcome": Kind(
        _WORKER,
        "append",
        {
            "request": "text",
            "status": "number|null",
            "executed": "text",
            "duration_ms": "number",
            "masks": "list",
            "echo": "number|flag",
            "cause": "text|null",
            "truncated": "flag",
        },
        # kept false: no body of an answer of this target is kept; absent is true. parts: the body, and the head, stand
        # in so many entries `stream.part`.
        {"kept": "flag", "parts": "number"},
        bodies=("response_head", "response_body"),
    ),
    "stream.part": Kind(
        _WORKER,
        "append",
        {
            "request": "text",
            "part": "number",  # from 1, without a gap
            "status": "number",
            "pieces": "list",  # of [milliseconds since the head, bytes]: when how much of the body came
        },
        bodies=("response_head", "part"),
    ),
    "hold.opened": Kind(
        _WORKER,
        "open_hold",
        {
            "hold": "text",
            "request": "text",
            "principal": "text",
            "owner": "text|null",
            "target": "text",
            "digest": "text",
            "asks": "list",
            "expires_at": "text",
        },
        {"verb": "text", "risk": "text"},
        bodies=("summary", "request_head", "request_body"),
    ),
    "hold.approved": Kind(
        _CONSOLE,
        "decide_hold",
        {"hold": "text", "person": "text", "groups": "list", "reason": "text", "digest": "text", "missing": "list"},
        {"expires_at": "text"},
    ),
    "hold.denied": Kind(
        _CONSOLE,
        "decide_hold",
        {"hold": "text", "person": "text", "groups": "list", "reason": "text", "digest": "text"},
    ),
    "hold.expired": Kind(_NOBODY, "ledger", {"hold": "text"}),
    "hold.withdrawn": Kind(_WORKER, "append", {"hold": "text", "cause": "text"}),
    "hold.used": Kind(_WORKER, "append", {"hold": "text", "request": "text", "digest": "text"}, {"asks": "list"}),
    "principal.blocked": Kind(
        _COMMAND, "set_block", {"principal": "text", "person": "text", "uid": "number", "reason": "text"}
    ),
    "principal.unblocked": Kind(
        _COMMAND, "set_block", {"principal": "text", "person": "text", "uid": "number", "reason": "text"}
    ),
    "record.read": Kind(
        _READERS, "read_body", {"reader": "text", "why": "text", "digest": "text"}, {"request": "text"}
    ),
    "bodies.read": Kind(_READERS, "read_bodies", {"reader": "text", "why": "text", "digests": "list"}),
    "export.made": Kind(
        _COMMAND,
        "append",
        {
            "reader": "text",
            "why": "text",
            "format": "text",
            "flows": "number",
            "bytes": "number",
            "sha256": "text",
        },
        bodies=("filter",),
    ),
    "segment.sealed": Kind(
        _NOBODY,
        "ledger",
        {"segment": "text", "digest": "text", "bytes": "number", "first": "number|null", "last": "number|null"},
    ),
}


def _types_of(fields: Mapping[str, str]) -> dict[str, tuple[type, ...]]:
    return {name: tuple(_TYPES[one] for one in types.split("|")) for name, types in fields.items()}


_ALLOWED: Final = {kind: (_types_of(row.fields), _types_of(row.optional)) for kind, row in KINDS.items()}


def check_writer(kind: str, role: Role, through: Through) -> None:
    """Raise Refused unless this role may bring about such an entry through such a request."""
    row = KINDS.get(kind)
    if row is None or role not in row.writers or row.through != through:
        raise Refused(f"a {role} may not write {kind[:40]!r} here", cause="kind-not-allowed")


def check_entry(kind: str, fields: Mapping[str, Json], bodies: Collection[str]) -> None:
    """Raise Refused unless fields and body names are exactly what the kind has."""
    row, (required, optional) = KINDS[kind], _ALLOWED[kind]
    for name, types in required.items():
        if name not in fields:
            raise malformed(f"{kind} lacks the field {name!r}")
        if type(fields[name]) not in types:
            raise malformed(f"{kind}: {name} is not {row.fields[name].replace('|', ' or ')}")
    if len(fields) > len(required):
        for name in fields.keys() - required.keys():
            if name not in optional:
                raise malformed(f"{kind} has no field {name[:40]!r}")
            if type(fields[name]) not in optional[name]:
                raise malformed(f"{kind}: {name} is not {row.optional[name].replace('|', ' or ')}")
    for name in bodies:
        if name not in row.bodies and row.bodies != ("*",):
            raise malformed(f"{kind} has no body {name[:40]!r}")


def entry_bytes(
    seq: int, time: str, kind: str, fields: Mapping[str, Json], bodies: Mapping[str, BodyRef] | None = None
) -> bytes:
    """Return the RFC 8785 bytes of one entry; `time` is RFC 3339 in UTC with microseconds.

    Raises Refused for what the form cannot hold (a float, a huge number, a broken string),
    and TooLarge above MAX_ENTRY_BYTES.
    """
    if not _RESERVED.isdisjoint(fields):
        raise malformed(f"{kind} uses a reserved field name")
    whole: dict[str, Json] = {"v": 1, "seq": seq, "time": time, "kind": kind, **fields}
    if bodies:
        whole["bodies"] = {name: {"digest": ref.digest, "bytes": ref.size} for name, ref in bodies.items()}
    result = canonical_bytes(whole)
    if len(result) > MAX_ENTRY_BYTES:
        raise TooLarge(
            f"an entry of {len(result)} bytes, the limit is {MAX_ENTRY_BYTES}",
            cause="entry-too-large",
            hint="put what is long into a body",
        )
    return result
