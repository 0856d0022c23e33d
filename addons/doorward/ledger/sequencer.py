"""Puts requests in order and commits them in groups: what came in during one commit is the next.

Answers, pushes to subscribers, wake-ups and the index come only after the commit. Reading
requests are answered between commits, so nobody sees what is not durable. Runs in the loop
of the ledger's process, between `peer` (channels) and `writer` (entries).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine
from datetime import datetime
from typing import Any, Final, NamedTuple

from doorward.core.entry import Role, check_writer
from doorward.errors import DoorwardError, Refused
from doorward.ledger.blocks import BlockOrder
from doorward.ledger.follower import Follower
from doorward.ledger.frames import (
    MOST_BODIES,
    MOST_HEADS,
    Appended,
    AppendedFrame,
    BlocksFrame,
    BodiesFrame,
    BodyFrame,
    HoldAnswer,
    HoldsFrame,
    ListBlocks,
    ListHolds,
    Pushed,
    Read,
    ReadBodies,
    ReadBody,
    ReadHead,
    ReadHeads,
    Requested,
    SetBlock,
    ShowHold,
    Subscribe,
    WaitHold,
    format_frame,
    format_hold,
)
from doorward.ledger.peer import SUBSCRIPTIONS, Peer
from doorward.ledger.waiters import Waiters
from doorward.ledger.writer import Answer, Committed, Write, Writer

HEADS: Final = frozenset({"request_head", "response_head"})

_MAX_BATCH: Final = 512  # requests
_MAX_BATCH_BYTES: Final = 32 * 1024 * 1024
_FORGET_S: Final = 60.0
_LEAST_DELAY_S: Final = 0.02
_AFTER_FAILURE_S: Final = 1.0

log = logging.getLogger(__name__)


class _Item(NamedTuple):
    role: Role | None  # None is the ledger itself
    request: Write
    size: int
    answered: Peer | asyncio.Future[Answer]


class Sequencer:
    """The queue of one ledger; `failed` gets an exception when the ledger must stop."""

    def __init__(self, writer: Writer, follower: Follower) -> None:
        loop = asyncio.get_running_loop()
        self.failed: asyncio.Future[None] = loop.create_future()
        self.day_over = asyncio.Event()  # a segment waits for its seal
        self._writer = writer
        self._follower = follower
        self._waiters = Waiters(writer.book)
        self._queue: deque[_Item] = deque()
        self._reads: deque[tuple[Peer, Read, int]] = deque()
        self._planned = False
        self._peers: set[Peer] = set()
        self._searches: set[asyncio.Task[None]] = set()
        self._due: tuple[datetime, asyncio.TimerHandle] | None = None
        self._housekeeping = loop.call_later(_FORGET_S, self._forget)
        self._plan()

    def peer(self, role: Role) -> Peer:
        """Return the ledger's end of a new channel."""
        peer = Peer(role, requested=self._requested, closed=self._closed)
        self._peers.add(peer)
        return peer

    async def write(self, role: Role | None, request: Write) -> Answer:
        """Write one request and return its answer once it is durable."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.append(_Item(role, request, 0, answer))
        self._plan()
        return await answer

    def close(self) -> None:
        """Write what waits, then close every channel."""
        while self._queue and not self.failed.done():
            self._run()
        self._housekeeping.cancel()
        if self._due is not None:
            self._due[1].cancel()
        for search in self._searches:
            search.cancel()
        self._waiters.drop()
        for peer in list(self._peers):
            peer.flush()
            peer.stream.close()

    def _requested(self, peer: Peer, request: Requested, size: int) -> None:
        match request:
            case ReadBody() | ReadHead():
                self._begin(self._search(peer, request, size))
            case ReadBodies() | ReadHeads():
                self._begin(self._search_many(peer, request, size))
            case Subscribe():
                peer.done(size)
                if peer.role in SUBSCRIPTIONS:
                    peer.is_subscribed = True
                else:
                    peer.fail(request.id, Refused(f"a {peer.role} cannot subscribe", cause="kind-not-allowed"))
                    peer.flush()
            case ListHolds() | ShowHold() | WaitHold() | ListBlocks():
                self._reads.append((peer, request, size))
                self._plan()
            case SetBlock():
                uid = peer.stream.peer_uid()
                if uid is not None:  # else it is gone
                    order = BlockOrder(request.id, request.principal, request.is_block, request.reason, uid)
                    self._queue.append(_Item(peer.role, order, size, peer))
                    self._plan()
            case _:
                self._queue.append(_Item(peer.role, request, size, peer))
                self._plan()

    def _plan(self) -> None:
        if not self._planned:
            self._planned = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        """Commit one batch and answer; whatever goes wrong beyond a single request stops the ledger."""
        self._planned = False
        if self.failed.done():
            return
        try:
            self._commit(self._take())
        except Exception as error:  # it must not go on in a state that nobody understands
            log.exception("the ledger stops")
            self.failed.set_exception(error)

    def _commit(self, batch: list[_Item]) -> None:
        committed = self._writer.commit([(item.role, item.request) for item in batch])
        to_flush = self._settle(batch, committed)
        self._follower.committed(committed.entries)
        for peer in to_flush:
            peer.flush()
        if self._writer.segments.finished:
            self.day_over.set()
        if self._writer.segments.wants_checkpoint():
            self._checkpoint()
        self._arm(failed=committed.failed)
        if self._queue or self._reads:
            self._plan()

    def _take(self) -> list[_Item]:
        batch: list[_Item] = []
        size = 0
        while self._queue and len(batch) < _MAX_BATCH and size < _MAX_BATCH_BYTES:
            batch.append(self._queue.popleft())
            size += batch[-1].size
        return batch

    def _settle(self, batch: list[_Item], committed: Committed) -> set[Peer]:
        to_flush: set[Peer] = set()
        for item, answer in zip(batch, committed.answers, strict=True):
            if isinstance(item.answered, Peer):
                item.answered.done(item.size)
                if item.answered.is_open:
                    _tell(item.answered, item.request, answer)
                    to_flush.add(item.answered)
            elif not item.answered.done():
                item.answered.set_result(answer)
        for entry in committed.entries:
            wanting = [peer for peer in self._peers if peer.wants(entry.kind)]
            if wanting:
                frame = format_frame(Pushed(entry.seq, entry.time, entry.kind, dict(entry.fields)))
                for peer in wanting:
                    peer.push(frame)
                to_flush.update(wanting)
        # After the pushes: who waits for a hold of a blocked principal knows of the block when it is told.
        to_flush.update(self._waiters.changed(committed.holds))
        while self._reads:
            peer, request, size = self._reads.popleft()
            peer.done(size)
            if peer.is_open:
                self._read(peer, request)
                to_flush.add(peer)
        return to_flush

    def _read(self, peer: Peer, request: Read) -> None:
        book = self._writer.book
        try:
            match request:
                case ListHolds():
                    holds = tuple(format_hold(hold) for hold in book.holds(request.state))
                    peer.answer(HoldsFrame(request.id, holds, ""))
                case ShowHold():
                    peer.answer(HoldsFrame(request.id, (format_hold(book.hold(request.hold)),), ""))
                case WaitHold():
                    self._waiters.add(peer, request)
                case ListBlocks():
                    blocks, seq = self._writer.blocks.blocks(), self._writer.segments.last_seq
                    peer.answer(BlocksFrame(request.id, blocks, seq))
        except DoorwardError as error:
            peer.fail(request.id, error)

    async def _search(self, peer: Peer, request: ReadBody | ReadHead, size: int) -> None:
        """Find a body in a thread, record that it is read unless it is a head, and only then give it."""
        names = HEADS if isinstance(request, ReadHead) else None
        try:
            check_writer("record.read", peer.role, "read_body")
            plain = await asyncio.to_thread(self._writer.segments.body, request.digest, names)
            if plain is None:
                raise Refused("no such body, or it was deleted", cause="body-unknown")
            if isinstance(request, ReadBody):
                answer = await self.write(peer.role, request)
                if isinstance(answer, DoorwardError):
                    raise answer
            peer.answer(BodyFrame(request.id, plain))
        except DoorwardError as error:
            peer.fail(request.id, error)
        peer.done(size)
        peer.flush()

    async def _search_many(self, peer: Peer, request: ReadBodies | ReadHeads, size: int) -> None:
        """As `_search`, for many at once; one entry names all bodies that are given."""
        is_recorded = isinstance(request, ReadBodies)
        try:
            check_writer("bodies.read", peer.role, "read_bodies")
            if len(request.digests) > (MOST_BODIES if is_recorded else MOST_HEADS):
                raise Refused("too many bodies at once", cause="frame-too-large", hint="ask for fewer")
            names = None if is_recorded else HEADS
            found = await asyncio.to_thread(self._writer.segments.bodies, request.digests, names)
            there = [digest for digest in request.digests if digest in found]
            answer = format_frame(BodiesFrame(request.id, [found.get(digest) for digest in request.digests]))
            if isinstance(request, ReadBodies) and there:
                written = await self.write(peer.role, ReadBodies(request.id, there, request.reader, request.why))
                if isinstance(written, DoorwardError):
                    raise written
            peer.answer_formatted(answer)
        except DoorwardError as error:
            peer.fail(request.id, error)
        peer.done(size)
        peer.flush()

    def _begin(self, search: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(search)
        self._searches.add(task)
        task.add_done_callback(self._searches.discard)

    def _checkpoint(self) -> None:
        try:
            self._writer.segments.checkpoint()
        except DoorwardError as error:
            log.warning("no checkpoint of the segment: %s", error)

    def _arm(self, *, failed: bool) -> None:
        """See to it that a hold whose time is over is told so, without anybody asking."""
        due = self._writer.book.next_due()
        if self._due is not None and self._due[0] != due:
            self._due[1].cancel()
            self._due = None
        if due is not None and self._due is None:
            wait_s = (due - self._writer.now()).total_seconds()
            wait_s = min(max(wait_s, _AFTER_FAILURE_S if failed else _LEAST_DELAY_S), _FORGET_S)
            self._due = (due, asyncio.get_running_loop().call_later(wait_s, self._is_due))

    def _is_due(self) -> None:
        self._due = None
        self._plan()

    def _forget(self) -> None:
        self._writer.book.forget(self._writer.now())
        self._housekeeping = asyncio.get_running_loop().call_later(_FORGET_S, self._forget)

    def _closed(self, peer: Peer) -> None:
        self._peers.discard(peer)
        self._waiters.drop(peer)


def _tell(peer: Peer, request: Write, answer: Answer) -> None:
    request_id = getattr(request, "id", 0)
    match answer:
        case Appended():
            peer.answer(AppendedFrame(request_id, answer.seqs, answer.time))
        case HoldAnswer():
            peer.answer(HoldsFrame(request_id, (format_hold(answer.hold),), answer.outcome))
        case DoorwardError():
            peer.fail(request_id, answer)
        case hold:
            peer.answer(HoldsFrame(request_id, (format_hold(hold),), ""))
