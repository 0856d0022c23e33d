"""A record that commands are asked about: a ledger that runs while something is asked, and flows of every sort."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

from doorward.core.entry import Role
from doorward.core.recorded import Kept, Message, RecordedFlow
from doorward.ledger.client import LedgerClient
from doorward.model import Entry, Mask
from tests.ledger.conftest import RunningLedger
from tests.parts.command import Ran, Terminal

MASKS = [{"rule": "personal data", "path": "$['email']", "replacement": "sentinel", "count": 3}]


class Recorded:
    """A deployment whose ledger runs while something is asked."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.path = terminal.folder / "var"

    def during(self, *acts: Callable[[LedgerClient], Coroutine[Any, Any, object]], ask: tuple[str, ...] = ()) -> Ran:
        """Let a worker act, then run a command, with the ledger up."""

        async def run() -> Ran:
            ledger = RunningLedger(self.path, self.path / "run")
            await ledger.start()
            try:
                worker = await ledger.client(Role.WORKER)
                for act in acts:
                    await act(worker)
                    ledger.later(minutes=1)
                return await asyncio.to_thread(self.terminal.run, *ask) if ask else Ran(0, "", "")
            finally:
                await ledger.close()

        return asyncio.run(run())

    def ask(self, *command: str) -> Ran:
        """Run a command with the ledger up."""
        return self.during(ask=command)

    def entries(self, kind: str) -> list[Entry]:
        """What was recorded of a kind."""
        return [each for each in RunningLedger(self.path, self.path).entries() if each.kind == kind]


def recorded_flow(request: str = "r1", **changes: Any) -> RecordedFlow:
    """A PATCH with its answer, as the record tells of it."""
    json_body = (("content-type", "application/json"),)
    values: dict[str, Any] = {
        "at": datetime(2026, 11, 23, 12, tzinfo=UTC),
        "decision": "intent",
        "executed": "yes",
        "principal": "corp:agent-7",
        "owner": "corp:alice",
        "session": "s1",
        "label": None,
        "target": "billing",
        "method": "PATCH",
        "url": "https://billing.internal:443/v1/customers/1?page=2&q=a%20b",
        "risk": "medium",
        "rules": ("role writer",),
        "policy": "e" * 64,
        "hold": None,
        "status": 200,
        "cause": None,
        "duration_ms": 12,
        "count": 1,
        "masks": (Mask("personal data", "$['email']", "sentinel", 3),),
        "asked": Message(json_body, b'{"total": 1.10}', Kept.WHOLE, 15),
        "answered": Message(json_body, b'{"email": "doorward-masked-0"}', Kept.WHOLE, 30),
    }
    return RecordedFlow(request=request, **(values | changes))


NO_ANSWER: dict[str, Any] = {"answered": None, "status": None, "duration_ms": None, "masks": ()}
FLOWS = {
    "whole": recorded_flow(),
    "without bodies": recorded_flow(
        method="GET", asked=Message((), b"", Kept.NONE), answered=Message((), b"", Kept.NONE), status=204
    ),
    "bodies not kept": recorded_flow(
        asked=Message((), b"", Kept.NOT_KEPT), answered=Message((("content-length", "9"),), b"", Kept.NOT_KEPT)
    ),
    "truncated": recorded_flow(asked=Message((), b"abc", Kept.CUT, 3), answered=Message((), b"def", Kept.CUT, 3)),
    "deleted": recorded_flow(asked=Message((), b"", Kept.DELETED, 7), answered=Message((), b"", Kept.DELETED, 8)),
    "binary": recorded_flow(
        asked=Message((), b"\xff\x00", Kept.WHOLE, 2), answered=Message((), b"\x00\xfe", Kept.WHOLE, 2)
    ),
    "refused": recorded_flow(
        **NO_ANSWER | {"decision": "refused", "executed": "no", "cause": "policy", "status": 403},
        asked=Message((), b"", Kept.NOT_KEPT),
    ),
    "outcome unknown": recorded_flow(**NO_ANSWER | {"executed": "unknown"}),
    "withheld": recorded_flow(**NO_ANSWER | {"cause": "not-json", "status": 502}),
    "broken off": recorded_flow(cause="agent-gone"),
    "held": recorded_flow(**NO_ANSWER | {"decision": "held", "executed": "no", "hold": "h1"}),
    "counted": recorded_flow(
        "counted:7",
        **NO_ANSWER | {"decision": "refused", "executed": "no", "cause": "no-role", "count": 41, "policy": None},
        method="",
        url="",
        principal=None,
        target=None,
        risk=None,
        asked=Message((), b"", Kept.NOT_KEPT),
    ),
    "script in a page": recorded_flow(
        url="https://billing.internal:443/v1/%3Cscript%3E",
        answered=Message((("x-note", "</script>"),), b"</script><script>alert(1)</script>", Kept.WHOLE, 34),
    ),
}
