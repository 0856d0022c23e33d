"""Recorded flows as JSON lines: one object a flow, with names that stay (docs/looking-back.md lists them).

For programs. A body that is UTF-8 is `text`, any other is `base64`. Pure.
"""

import base64
import json
from typing import Any, Final

from doorward.core.recorded import Kept, Message, RecordedFlow, mask_rows

FORM: Final = "doorward/flow/1"


def json_line(flow: RecordedFlow) -> bytes:
    """Return one line, with its end."""
    line: dict[str, Any] = {
        "schema": FORM,
        "request": flow.request,
        "time": flow.at.isoformat(),
        "decision": flow.decision,
        "executed": flow.executed,
        "principal": flow.principal,
        "owner": flow.owner,
        "session": flow.session,
        "label": flow.label,
        "target": flow.target,
        "method": flow.method or None,
        "url": flow.url or None,
        "risk": flow.risk,
        "rules": list(flow.rules),
        "policy": flow.policy,
        "hold": flow.hold,
        "status": flow.status,
        "cause": flow.cause,
        "duration_ms": flow.duration_ms,
        "count": flow.count,
        "masks": mask_rows(flow),
        "asked": _message(flow.asked),
        "answered": _message(flow.answered) if flow.answered is not None else None,
    }
    return json.dumps(line).replace("<", "\\u003c").encode() + b"\n"


def _message(message: Message) -> dict[str, Any]:
    told: dict[str, Any] = {"headers": [list(pair) for pair in message.headers], "body": message.kept.value}
    if message.kept in (Kept.WHOLE, Kept.CUT):
        try:
            told["text"] = message.body.decode()
        except UnicodeDecodeError:
            told["base64"] = base64.b64encode(message.body).decode()
    return told
