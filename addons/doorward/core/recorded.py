"""One request of the record as a value: what was asked, what was answered, and how much of both is there.

Everything in it is masked, since the record holds nothing else. What is missing is said
(`Kept`), never left to look like an empty body. Made by `ledger.reader`; `core.har`,
`core.json_lines` and the planes turn it into their own forms.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from doorward.model import Mask

LONGEST_URL = 64 << 10


class Kept(enum.StrEnum):
    """How much of a body the record holds."""

    WHOLE = "whole"
    CUT = "truncated"  # the beginning; `limits.recorded_body`
    NONE = "none"  # there was no body
    NOT_KEPT = "not-kept"  # `record: headers`, or the request was refused
    DELETED = "deleted"  # it was kept, and is gone


@dataclass(frozen=True, slots=True)
class Message:
    """One half of an exchange, masked."""

    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    kept: Kept = Kept.NONE
    size: int = 0  # of the recorded body, also where it was not read

    def header(self, name: str) -> str | None:
        """Return the first value of a header; None if it is not there."""
        return next((value for found, value in self.headers if found.lower() == name), None)


@dataclass(frozen=True, slots=True)
class RecordedFlow:
    """One request with its answer."""

    request: str
    at: datetime
    decision: str
    executed: str
    principal: str | None
    owner: str | None
    session: str | None
    label: str | None
    target: str | None
    method: str  # "" if it is not recorded
    url: str  # "" if it is not recorded
    risk: str | None
    rules: tuple[str, ...]
    policy: str | None
    hold: str | None
    status: int | None
    cause: str | None
    duration_ms: int | None
    count: int  # more than one: refusals of one cause from one place
    masks: tuple[Mask, ...]
    asked: Message
    answered: Message | None  # None: the record holds no answer of the target


def parse_head(body: bytes | None) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    """Return method, URL and headers of a recorded head; empty for what is not one."""
    try:
        value = msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return "", "", ()
    if not isinstance(value, Mapping):
        return "", "", ()
    return _text(value.get("method")), _text(value.get("url"))[:LONGEST_URL], _pairs(value.get("headers"))


def text_of(flow: RecordedFlow) -> str:
    """Return one sentence on what is unusual about a flow, for forms that have room for a comment; else empty."""
    said = []
    if flow.count > 1:
        said.append(f"stands for {flow.count} refusals of one cause from one place")
    if flow.decision == "refused":
        said.append(f"refused by the gateway ({flow.cause}); nothing was sent")
    elif flow.decision == "held":
        said.append(f"waits for a person (hold {flow.hold}); nothing was sent")
    elif flow.executed == "unknown":
        said.append("sent, and whether the target acted is unknown")
    elif flow.cause is not None and flow.answered is not None:
        said.append(f"the answer was broken off ({flow.cause})")
    elif flow.cause is not None:
        said.append(f"the answer was not handed on ({flow.cause})")
    elif flow.answered is not None and flow.duration_ms is None:
        said.append("the answer streams, or its end was never recorded")
    for side, message in (("request", flow.asked), ("answer", flow.answered)):
        if message is not None and message.kept not in (Kept.WHOLE, Kept.NONE):
            said.append(f"body of the {side}: {message.kept}")
    return "; ".join(said)


def mask_rows(flow: RecordedFlow) -> list[dict[str, Any]]:
    """Return the masks as JSON has them."""
    return [{"rule": m.rule, "path": m.path, "replacement": m.replacement, "count": m.count} for m in flow.masks]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _pairs(value: Any) -> tuple[tuple[str, str], ...]:
    if isinstance(value, Mapping):
        value = list(value.items())
    if not isinstance(value, list):
        return ()
    return tuple((str(pair[0]), str(pair[1])) for pair in value if isinstance(pair, list | tuple) and len(pair) == 2)
