"""The ledger as the other parts see it: requests that return once they are durable.

One client a process and role. It never blocks the loop, sends requests as they come
without waiting for earlier ones, and connects again by itself, with growing pauses. While
the ledger is away a request waits as long as the client is told to be patient, since a ledger that died is
back in a second, and then fails with Unavailable(cause="ledger-away"): what to refuse then is the
caller's decision. A request whose answer got lost may still have
been written; an intent of that sort has no outcome, and is reported as unknown.
"""

import asyncio
import itertools
import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Literal, Self, cast

from doorward.core.entry import Role
from doorward.errors import DoorwardError, Refused, Unavailable
from doorward.ledger.channel import Connect
from doorward.ledger.frames import (
    VERSION,
    Append,
    Appended,
    AppendedFrame,
    BlocksFrame,
    BodiesFrame,
    BodyFrame,
    DecideHold,
    Failed,
    Gap,
    Hello,
    HoldAnswer,
    HoldOutcome,
    HoldRequest,
    HoldsFrame,
    ListBlocks,
    ListHolds,
    NewEntryFrame,
    OpenHold,
    Pushed,
    ReadBodies,
    ReadBody,
    ReadHead,
    ReadHeads,
    Request,
    SetBlock,
    ShowHold,
    Subscribe,
    WaitHold,
    Welcome,
    format_frame,
    parse_error,
    parse_from_ledger,
    parse_hold,
)
from doorward.ledger.framing import FrameStream
from doorward.model import Block, Entry, Hold, HoldState, NewEntry, Principal

__all__ = ["Appended", "HoldAnswer", "HoldRequest", "LedgerClient"]

_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 2.0
_WELCOME_S: Final = 5.0
_GRACE_S: Final = 5.0

log = logging.getLogger(__name__)


class LedgerClient:
    """A connection to the ledger that comes back; `await client.start()` first, `close()` at the end."""

    def __init__(self, connect: Connect, role: Role, *, patience_s: float = 0.0) -> None:
        """`patience_s`: how long a request waits for a ledger that is away, before it is sent."""
        self._patience_s = patience_s
        self._connect = connect
        self._role = role
        self._stream: FrameStream | None = None
        self._welcomed = asyncio.Event()
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._out: list[bytes] = []
        self._subscribers: list[tuple[Callable[[Entry], None], Callable[[], None] | None]] = []
        self._task: asyncio.Task[None] | None = None
        self._was_connected = False

    @classmethod
    async def over(cls, channel: socket.socket, role: Role) -> Self:
        """Return a started client on one connected socket; once that is gone, it stays away."""
        channels = iter([channel])

        async def connect() -> socket.socket:
            for one in channels:
                return one
            await asyncio.Event().wait()
            raise AssertionError

        client = cls(connect, role)
        await client.start()
        return client

    @property
    def ready(self) -> bool:
        """True while the ledger takes requests."""
        return self._welcomed.is_set()

    async def start(self, timeout_s: float = 5.0) -> None:
        """Begin to connect, and wait so long for the first success; `ready` says whether it came."""
        if self._task is None:
            self._task = asyncio.create_task(self._stay_connected())
        with suppress(TimeoutError):
            await asyncio.wait_for(self._welcomed.wait(), timeout_s)

    async def close(self) -> None:
        """Give up the connection; whatever waits fails."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def append(self, *entries: NewEntry, timeout_s: float = 5, patience_s: float | None = None) -> Appended:
        """Write entries in one transaction, and return when they are durable.

        Raises Unavailable (`ledger-away`, `disk-full`, `ledger-failed`), Conflict if the state
        of a hold forbids it, Refused if the role may not write it or its form is wrong.
        """
        frames = [NewEntryFrame(e.kind, dict(e.fields), dict(e.bodies)) for e in entries]
        answer = await self._ask(Append(next(self._ids), frames), timeout_s, patience_s)
        return Appended(answer.seqs, answer.time)

    async def open_hold(self, request: HoldRequest, timeout_s: float = 5) -> HoldAnswer:
        """Open a hold, or join, or learn that it is approved or was used; raises TooMany above the limit."""
        frame = OpenHold(
            next(self._ids),
            request.digest,
            request.principal,
            request.owner,
            request.target,
            request.request,
            request.asks,
            dict(request.summary),
            dict(request.bodies),
            request.repeat_s,
            request.open_per_principal,
        )
        answer = await self._ask(frame, timeout_s)
        return HoldAnswer(parse_hold(answer.holds[0]), cast("HoldOutcome", answer.outcome))

    async def wait_hold(self, hold_id: str, timeout_s: float) -> Hold:
        """Return the hold once it is open no longer, or as it is when the time is over."""
        answer = await self._ask(WaitHold(next(self._ids), hold_id, timeout_s), timeout_s + _GRACE_S)
        return parse_hold(answer.holds[0])

    async def decide_hold(
        self,
        hold_id: str,
        *,
        person: Principal,
        verdict: Literal["approve", "deny"],
        reason: str,
        digest: str,
        timeout_s: float = 5,
    ) -> Hold:
        """Answer a hold in a person's name (console only); raises Refused or Conflict if they may not."""
        frame = DecideHold(next(self._ids), hold_id, person, verdict, reason, digest)
        answer = await self._ask(frame, timeout_s)
        return parse_hold(answer.holds[0])

    async def holds(self, state: HoldState | None = None, timeout_s: float = 5) -> tuple[Hold, ...]:
        """Return the holds that the ledger keeps in mind: all open and approved ones, and those that ended lately."""
        answer = await self._ask(ListHolds(next(self._ids), state), timeout_s)
        return tuple(parse_hold(frame) for frame in answer.holds)

    async def hold(self, hold_id: str, timeout_s: float = 5) -> Hold:
        """Return one hold; raises Refused(cause="hold-unknown")."""
        answer = await self._ask(ShowHold(next(self._ids), hold_id), timeout_s)
        return parse_hold(answer.holds[0])

    async def set_block(self, principal: str, *, is_block: bool, reason: str, timeout_s: float = 5) -> Appended:
        """Block a principal or end its block (commands only); of a block the holds that it withdrew are numbered too.

        Raises Conflict if it is so already, Refused for a name or reason that says nothing.
        """
        answer = await self._ask(SetBlock(next(self._ids), principal, is_block, reason), timeout_s)
        return Appended(answer.seqs, answer.time)

    async def blocks(self, timeout_s: float = 5) -> tuple[tuple[Block, ...], int]:
        """Return the blocks that stand, oldest first, and as of which entry."""
        answer = await self._ask(ListBlocks(next(self._ids)), timeout_s)
        return answer.blocks, answer.seq

    async def read_body(
        self, digest: str, *, reader: str, why: str, request: str | None = None, timeout_s: float = 30
    ) -> bytes:
        """Return a stored body, after a durable `record.read`; raises Refused(cause="body-unknown")."""
        answer = await self._ask(ReadBody(next(self._ids), digest, reader, why, request), timeout_s)
        return cast("bytes", answer.body)

    async def read_head(self, digest: str, timeout_s: float = 30) -> bytes:
        """Return a stored head (masked URL and headers) for a list; raises Refused for anything that is no head.

        Not recorded: the console shows it in every list. Bodies are another matter (`read_body`).
        """
        answer = await self._ask(ReadHead(next(self._ids), digest), timeout_s)
        return cast("bytes", answer.body)

    async def read_bodies(
        self, digests: Sequence[str], *, reader: str, why: str, timeout_s: float = 60
    ) -> list[bytes | None]:
        """Return many stored bodies, after one durable `bodies.read`; None for what is not there (any more).

        At most MOST_BODIES at once, and what fits into a frame.
        """
        answer = await self._ask(ReadBodies(next(self._ids), list(digests), reader, why), timeout_s)
        return cast("list[bytes | None]", answer.bodies)

    async def read_heads(self, digests: Sequence[str], timeout_s: float = 60) -> list[bytes | None]:
        """Return many stored heads, at most MOST_HEADS at once; not recorded, as `read_head`."""
        answer = await self._ask(ReadHeads(next(self._ids), list(digests)), timeout_s)
        return cast("list[bytes | None]", answer.bodies)

    def subscribe(self, callback: Callable[[Entry], None], *, on_gap: Callable[[], None] | None = None) -> None:
        """Call back for each entry that is committed from now on, as far as the role may see them.

        `on_gap` is called when entries may have been missed (we were too slow, or the
        connection is a new one): read again from the index or from `holds` then.
        """
        self._subscribers.append((callback, on_gap))
        if self.ready and len(self._subscribers) == 1:
            self._send_subscribe()

    async def _ask(self, frame: Request, timeout_s: float, patience_s: float | None = None) -> Any:
        patience_s = min(self._patience_s if patience_s is None else patience_s, timeout_s)
        if not self.ready and patience_s:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._welcomed.wait(), patience_s)
        if not self.ready or self._stream is None:
            raise _away("the ledger is away")
        if self._stream.is_slow:
            raise _away("the ledger does not keep up")
        payload = format_frame(frame)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._waiting[frame.id] = answer
        late = loop.call_later(timeout_s, _is_late, answer, timeout_s)
        self._send(payload)
        try:
            return await answer
        finally:
            late.cancel()
            self._waiting.pop(frame.id, None)

    def _send(self, payload: bytes) -> None:
        """Send with whatever else is asked for in this turn of the loop."""
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out.append(payload)

    def _flush(self) -> None:
        if self._stream is not None:
            self._stream.send(b"".join(self._out))
        self._out.clear()

    def _send_subscribe(self) -> None:
        self._send(format_frame(Subscribe(next(self._ids))))

    async def _stay_connected(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                await self._one_connection()
                pause_s = _FIRST_PAUSE_S
            except (DoorwardError, OSError, TimeoutError) as error:
                log.info("no channel to the ledger: %s", error)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _one_connection(self) -> None:
        """Connect, say hello, and return when the connection is lost; raises if the ledger gives no welcome."""
        channel = await self._connect()
        gone = asyncio.Event()
        stream = FrameStream(self._received, gone.set)
        try:
            await asyncio.get_running_loop().create_unix_connection(lambda: stream, sock=channel)
        except BaseException:
            channel.close()
            raise
        self._stream = stream
        stream.send(format_frame(Hello(self._role, VERSION)))
        lost = asyncio.create_task(gone.wait())
        try:
            welcomed = asyncio.create_task(self._welcomed.wait())
            await asyncio.wait((lost, welcomed), timeout=_WELCOME_S, return_when=asyncio.FIRST_COMPLETED)
            welcomed.cancel()
            if not self._welcomed.is_set():
                raise _away("the ledger gave no welcome")
            await lost
        finally:
            lost.cancel()
            self._welcomed.clear()
            self._stream = None
            self._out.clear()
            stream.abort()
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(_away("the ledger went away"))

    def _received(self, payload: bytes) -> None:
        frame = parse_from_ledger(payload)
        match frame:
            case Welcome():
                self._is_welcomed()
            case Pushed():
                entry = Entry(frame.seq, frame.time, frame.kind, frame.fields)
                for callback, _ in self._subscribers:
                    try:
                        callback(entry)
                    except Exception:  # a broken subscriber must not cost us the channel
                        log.exception("a subscriber failed on entry %d", entry.seq)
            case Gap():
                self._tell_gap()
            case Failed():
                self._settle(frame.id, parse_error(frame))
            case AppendedFrame() | HoldsFrame() | BlocksFrame() | BodyFrame() | BodiesFrame():
                self._settle(frame.id, frame)

    def _is_welcomed(self) -> None:
        self._welcomed.set()
        if self._subscribers:
            self._send_subscribe()
            if self._was_connected:
                self._tell_gap()
        self._was_connected = True

    def _tell_gap(self) -> None:
        for _, on_gap in self._subscribers:
            if on_gap is not None:
                on_gap()

    def _settle(self, request_id: int, result: object) -> None:
        answer = self._waiting.get(request_id)
        if answer is None:
            if isinstance(result, Refused):
                log.warning("the ledger refused: %s", result)
        elif not answer.done():
            if isinstance(result, DoorwardError):
                answer.set_exception(result)
            else:
                answer.set_result(result)


def _is_late(answer: asyncio.Future[Any], timeout_s: float) -> None:
    if not answer.done():
        answer.set_exception(_away(f"the ledger did not answer within {timeout_s:g} s"))


def _away(message: str) -> Unavailable:
    return Unavailable(message, cause="ledger-away", hint="the same request works again once the ledger is back")
