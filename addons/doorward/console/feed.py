"""Keeps mitmweb's view in step with the record: copies come, change and go, nothing else does.

What is shown is read from the index and from the ledger's holds. The ledger pushes what
becomes of holds, which are shown at once; other changes are asked for, several times a
second, and shown from the newest on in a share of the time. A look every few seconds at the
holds makes good for pushes that were lost. Of many changes the oldest are left out, so that a
flood of requests costs the view its completeness and nobody their traffic. Run by `web`.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from contextlib import suppress

from mitmproxy import http
from mitmproxy.addons.view import View

from doorward.console.cards import comment_of
from doorward.console.copies import BodyPlace, Shown, copy_of, flow_id
from doorward.console.heads import Heads
from doorward.errors import DoorwardError
from doorward.ledger.client import LedgerClient
from doorward.model import Entry, Hold, HoldState
from doorward.store.index import FlowRow, Index

PAUSE_S = 0.1
SHARE_S = 0.01  # CPU time for each pause: a tenth of a core, however many requests there are
LOOK_EVERY_S = 0.25
HOLDS_EVERY_S = 5.0
TRIES = 20
_MOST_PARTS = 256  # of one stream that the view shows

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
        self._urgent: dict[str, int] = {}  # the same, of holds
        self._woken = asyncio.Event()
        self._looks_at_holds = asyncio.Event()
        self._requests: dict[str, str] = {}  # hold -> the request that opened it
        self._shown: dict[str, tuple[object, object]] = {}  # flow id -> what its copy was made from

    def note(self, entry: Entry) -> None:
        """Take note of what became of a hold; called on the loop for each push."""
        hold, request = str(entry.fields.get("hold")), entry.fields.get("request")
        if entry.kind == "hold.opened":
            self._requests[hold] = str(request)
        for name in (request, self._requests.get(hold)):
            if isinstance(name, str):
                self._urgent[name] = TRIES
                self._woken.set()

    async def run(self) -> None:
        """Load the recent flows, then keep up until cancelled."""
        self._client.subscribe(self.note, on_gap=self._looks_at_holds.set)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._look_at_holds())
            tasks.create_task(self._look_at_flows())
            tasks.create_task(self._keep_up())

    async def _keep_up(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            await asyncio.sleep(PAUSE_S)  # the index follows the ledger by some milliseconds
            await self._catch_up()

    async def _look_at_flows(self) -> None:
        seen, limit = 0, self._recent
        while True:
            try:
                seen, changed = self._index.changed(seen, limit)
                limit = self._most
                for request in changed:
                    self._look_again(request)
            except DoorwardError as error:
                logger.info("the record cannot be read now: %s", error.message)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look_at_holds(self) -> None:
        while True:
            try:
                for hold in await self._client.holds():
                    self._requests[hold.id] = hold.request
                    if (held := self._index.flow(hold.request)) is not None:
                        self._compare(held, (hold.state, len(hold.approvals)))
            except DoorwardError as error:
                logger.info("the holds cannot be read now: %s", error.message)
            self._looks_at_holds.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._looks_at_holds.wait(), HOLDS_EVERY_S)

    def _compare(self, row: FlowRow, hold: object) -> None:
        """Look again at a held request that is not shown as it is."""
        shown = self._shown.get(flow_id(row.request))
        if shown is None or shown[0] != _state(row) or shown[1] != hold:
            self._urgent[row.request] = TRIES
            self._woken.set()

    def _look_again(self, request: str) -> None:
        self._due[request] = TRIES
        self._due.move_to_end(request)
        while len(self._due) > self._most:
            self._due.popitem(last=False)
        self._woken.set()

    async def _catch_up(self) -> None:
        """Show what changed: holds at once, the rest from the newest on, in its share of the time."""
        urgent, self._urgent = self._urgent, {}
        for request, tries in urgent.items():
            if not await self._look(request) and tries > 1:
                self._urgent.setdefault(request, tries - 1)
        again: list[tuple[str, int]] = []
        until = time.process_time() + SHARE_S
        while self._due and time.process_time() < until:
            request, tries = self._due.popitem()
            if not await self._look(request) and tries > 1:
                again.append((request, tries - 1))
        for request, tries in again:
            self._due.setdefault(request, tries)
        if self._due or self._urgent:
            self._woken.set()
        self._drop_oldest()

    async def _look(self, request: str) -> bool:
        """Show a request as it is now; False where the index does not know it yet."""
        try:
            row = self._index.flow(request)
            if row is None:
                return False
            await self._show(row)
        except DoorwardError as error:
            logger.info("a flow cannot be shown now: %s", error.message)
        except Exception:  # what one agent sent must not take the view from everybody
            logger.exception("request %s cannot be shown", request)
        return True

    async def _show(self, row: FlowRow) -> None:
        hold = await self._hold(row.hold)
        own = hold if hold is not None and hold.request == row.request else None
        copy = await _copy(row, own, self._heads)
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


async def finished_copy(row: FlowRow, heads: Heads) -> http.HTTPFlow:
    """Return the copy of a request as the record tells of it, without a look at its hold."""
    return await _copy(row, None, heads)


async def _copy(row: FlowRow, own: Hold | None, heads: Heads) -> http.HTTPFlow:
    return copy_of(
        Shown(
            request=row.request,
            at=row.time,
            verb=row.verb or "",
            target=row.target or "",
            comment=_comment(row, own),
            held=own is not None and own.state is HoldState.OPEN,
            client=row.client or "",
            request_head=await heads.read(row.bodies.get("request_head")),
            request_body=_place(row, "request_body"),
            status=row.status,
            duration_ms=row.duration_ms or 0,
            response_head=await heads.read(row.bodies.get("response_head")),
            response_body=_parts(row, heads) if row.parts else _place(row, "response_body"),
        )
    )


def _state(row: FlowRow) -> tuple[object, ...]:
    return (row.decision, row.status, row.cause, row.outcome_seq, row.count, row.hold, row.parts)


def _place(row: FlowRow, name: str) -> BodyPlace | None:
    digest = row.bodies.get(name)
    return BodyPlace((digest,), row.sizes[name], row.request) if digest else None


def _parts(row: FlowRow, heads: Heads) -> BodyPlace | None:
    """The beginning of a stream; `flows show` has all of it."""
    parts = [part for part in heads.parts(row.request)[:_MOST_PARTS] if part.digest]
    digests = tuple(part.digest for part in parts if part.digest)
    return BodyPlace(digests, sum(part.bytes for part in parts), row.request) if digests else None


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
