"""Keeps mitmweb's view in step with the record: copies come, change and go, nothing else does.

Each entry that the ledger pushes only says which request to look at again; what is shown is
read from the index and from the ledger's holds. A look every few seconds at the newest rows
makes good for pushes that were lost. Many changes at once are taken together, and the oldest
are left out, so that a flood of requests costs the view its completeness and nobody their
traffic. Run by `web`.
"""

import asyncio
import logging
from collections import OrderedDict
from contextlib import suppress

from mitmproxy.addons.view import View

from doorward.console.cards import comment_of
from doorward.console.copies import BodyPlace, Shown, copy_of, flow_id
from doorward.console.heads import Heads
from doorward.errors import DoorwardError
from doorward.ledger.client import LedgerClient
from doorward.model import Entry, Hold, HoldState
from doorward.store.index import FlowRow, Index

PAUSE_S = 0.1
LOOK_EVERY_S = 5.0
TRIES = 20

logger = logging.getLogger(__name__)


class Feed:
    """The view, the record, and what has to be looked at again."""

    def __init__(self, view: View, client: LedgerClient, index: Index, heads: Heads, *, recent: int, most: int) -> None:
        self._heads = heads
        self._view = view
        self._client = client
        self._index = index
        self._recent = recent
        self._most = most
        self._due: OrderedDict[str, int] = OrderedDict()  # request -> tries left
        self._woken = asyncio.Event()
        self._looks_now = asyncio.Event()
        self._requests: dict[str, str] = {}  # hold -> the request that opened it
        self._shown: dict[str, tuple[object, object]] = {}  # flow id -> what its copy was made from

    def note(self, entry: Entry) -> None:
        """Take note of a committed entry; called on the loop for each push."""
        fields = entry.fields
        names = [fields.get("request")] if entry.kind.startswith(("request.", "hold.")) else []
        if entry.kind.startswith("hold."):
            hold, request = str(fields.get("hold")), fields.get("request")
            if entry.kind == "hold.opened":
                self._requests[hold] = str(request)
            names.append(self._requests.get(hold))
        for name in names:
            if isinstance(name, str):
                self._look_again(name)

    async def run(self) -> None:
        """Load the recent flows, then keep up until cancelled."""
        self._client.subscribe(self.note, on_gap=self._looks_now.set)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._look_around())
            tasks.create_task(self._keep_up())

    async def _keep_up(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            await asyncio.sleep(PAUSE_S)  # the index follows the ledger by some milliseconds
            await self._catch_up()

    async def _look_around(self) -> None:
        limit = self._recent
        while True:
            try:
                for hold in await self._client.holds():
                    self._requests[hold.id] = hold.request
                    if (held := self._index.flow(hold.request)) is not None:
                        self._compare(held, (hold.state, len(hold.approvals)))
                for row in reversed(self._index.flows(limit)):
                    self._compare(row, None)
                limit = min(self._recent, 50)
            except DoorwardError as error:
                logger.info("the record cannot be read now: %s", error.message)
            self._looks_now.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._looks_now.wait(), LOOK_EVERY_S)

    def _compare(self, row: FlowRow, hold: object) -> None:
        """Look again at what is not shown as it is."""
        shown = self._shown.get(flow_id(row.request))
        if shown is None or shown[0] != _state(row) or (hold is not None and shown[1] != hold):
            self._look_again(row.request)

    def _look_again(self, request: str) -> None:
        self._due[request] = TRIES
        self._due.move_to_end(request)
        while len(self._due) > self._most:
            self._due.popitem(last=False)
        self._woken.set()

    async def _catch_up(self) -> None:
        again: list[tuple[str, int]] = []
        while self._due:
            request, tries = self._due.popitem(last=False)
            try:
                row = self._index.flow(request)
                if row is not None:
                    await self._show(row)
                elif tries > 1:
                    again.append((request, tries - 1))
            except DoorwardError as error:
                logger.info("a flow cannot be shown now: %s", error.message)
            except Exception:  # what one agent sent must not take the view from everybody
                logger.exception("request %s cannot be shown", request)
        for request, tries in again:
            self._due.setdefault(request, tries)
            self._woken.set()
        self._drop_oldest()

    async def _show(self, row: FlowRow) -> None:
        hold = await self._hold(row.hold)
        own = hold if hold is not None and hold.request == row.request else None
        copy = copy_of(
            Shown(
                request=row.request,
                at=row.time,
                verb=row.verb or "",
                target=row.target or "",
                comment=_comment(row, own),
                held=own is not None and own.state is HoldState.OPEN,
                client=row.client or "",
                request_head=await self._heads.read(row.bodies.get("request_head")),
                request_body=_place(row, "request_body"),
                status=row.status,
                duration_ms=row.duration_ms or 0,
                response_head=await self._heads.read(row.bodies.get("response_head")),
                response_body=_place(row, "response_body"),
            )
        )
        self._shown[copy.id] = (_state(row), (own.state, len(own.approvals)) if own else None)
        there = self._view.get_by_id(copy.id)
        if there is None:
            self._view.add([copy])
        else:
            there.set_state(copy.get_state())
            self._view.update([there])

    async def _hold(self, hold_id: str | None) -> Hold | None:
        if hold_id is None:
            return None
        try:
            return await self._client.hold(hold_id)
        except DoorwardError:
            return None  # it ended long ago, or the ledger is away: the row says enough

    def _drop_oldest(self) -> None:
        surplus = len(self._view) - self._most
        if surplus <= 0:
            return
        finished = sorted(
            (flow for flow in self._view if not flow.intercepted), key=lambda flow: flow.timestamp_created
        )
        for flow in finished[:surplus]:
            self._view.remove([flow])
            self._shown.pop(flow.id, None)


def _state(row: FlowRow) -> tuple[object, ...]:
    return (row.decision, row.status, row.cause, row.outcome_seq, row.count, row.hold)


def _place(row: FlowRow, name: str) -> BodyPlace | None:
    digest = row.bodies.get(name)
    return BodyPlace(digest, row.sizes[name], row.request) if digest else None


def _comment(row: FlowRow, hold: Hold | None) -> str:
    """Say why this flow is as it is: context for everybody, never a person's reason."""
    if hold is not None and (row.decision == "held" or hold.state in (HoldState.OPEN, HoldState.APPROVED)):
        return comment_of(hold)
    who = (row.principal or "nobody known") + (f" for {row.owner}" if row.owner else "")
    times = f" · {row.count} times" if row.count > 1 else ""
    rules = f" · {', '.join(row.rules)}" if row.rules else ""
    if row.decision == "refused":
        return f"refused: {row.cause} · {who}{rules}{times}"
    went = {"yes": "sent", "no": "not executed", "unknown": "sent, outcome unknown"}.get(row.executed, row.executed)
    through = f" · on hold {row.hold}" if row.hold else ""
    return f"{went}{f' ({row.cause})' if row.cause else ''} · {who}{rules}{through}"
