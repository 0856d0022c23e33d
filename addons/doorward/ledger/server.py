"""The ledger process: opens the files, recalls holds and blocks, listens, and runs until told to stop.

`serve_ledger` is what `doorward ledger` runs. The order of requests and their commits are
in `sequencer`, what they mean in `writer`; sockets are made in `channel`.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Collection
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from doorward.core.entry import Role
from doorward.errors import DoorwardError, Refused, Unavailable
from doorward.ledger.blocks import BlockBook
from doorward.ledger.channel import listen_at, receive_channel, socket_path
from doorward.ledger.follower import Follower
from doorward.ledger.sequencer import Sequencer
from doorward.ledger.state import HoldBook
from doorward.ledger.writer import Writer
from doorward.model import Entry
from doorward.store.lock import writer_lock
from doorward.store.rebuild import SEGMENTS, open_index
from doorward.store.sealing import seal, unsealed
from doorward.store.segments import BLOCKS, HOLDS, Segments

_SEAL_AGAIN_S: Final = 2.0
_RESERVE_BYTES: Final = 16 * 1024 * 1024

log = logging.getLogger(__name__)


def utc_now() -> datetime:
    """Return the time of this machine."""
    return datetime.now(UTC)


async def serve_ledger(
    path: Path,
    *,
    runtime: Path | None = None,
    roles: Collection[Role] = tuple(Role),
    control: socket.socket | None = None,
    reserve_bytes: int = _RESERVE_BYTES,
    stop: asyncio.Event | None = None,
    started: Callable[[], None] | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> None:
    """Serve the ledger in `path` until `stop` is set, or the supervisor behind `control` is gone.

    Listens in `runtime` for `roles`, and takes channels from `control`; `started` is called
    once both are ready. Raises Unavailable if another ledger has the lock, a file is damaged
    or the ledger had to stop; Misconfigured if a segment is missing.
    """
    stop = stop or asyncio.Event()
    async with AsyncExitStack() as stack:
        sequencer, segments = await stack.enter_async_context(_opened(path, reserve_bytes, clock))
        if runtime is not None:
            for role in roles:
                await stack.enter_async_context(_listening(runtime, role, sequencer))
        if control is not None:
            stack.enter_context(_Control(control, sequencer, stop))
        thread = stack.enter_context(ThreadPoolExecutor(1, "seal"))  # its end is waited for before files are closed
        sealing = asyncio.create_task(_seal_days(sequencer, segments, thread))
        stack.push_async_callback(_ended, sealing)
        stopped = asyncio.create_task(stop.wait())
        stack.push_async_callback(_ended, stopped)
        if started is not None:
            started()
        await asyncio.wait((stopped, sealing, sequencer.failed), return_when=asyncio.FIRST_COMPLETED)
        if sealing.done():
            sealing.result()
        if sequencer.failed.done():
            sequencer.failed.result()


@asynccontextmanager
async def _opened(
    path: Path, reserve_bytes: int, clock: Callable[[], datetime]
) -> AsyncIterator[tuple[Sequencer, Segments]]:
    async with AsyncExitStack() as stack:
        stack.enter_context(writer_lock(path))
        segments = Segments.open(path / SEGMENTS)
        stack.callback(segments.close)
        book, blocks = recall(segments), recall_blocks(segments)
        writer = Writer(segments, book, blocks, clock=clock, reserve_bytes=reserve_bytes)
        follower = Follower(open_index(path, segments.last_seq), segments)
        stack.callback(follower.close)
        sequencer = Sequencer(writer, follower)
        stack.callback(sequencer.close)
        yield sequencer, segments


def recall(segments: Segments) -> HoldBook:
    """Rebuild the state of the holds from the entries; raises Unavailable if they make no sense."""
    book = HoldBook()
    summaries: dict[str, str] = {}
    for entry in segments.entries(where=HOLDS):
        fields: dict[str, Any] = dict(entry.fields)
        try:
            book.apply(entry.kind, fields, entry.time)
        except Refused as error:
            raise _unfit(entry, error) from error
        if entry.kind == "hold.opened":
            summaries[fields["hold"]] = fields["bodies"]["summary"]["digest"]
        book.settle()
        book.forget(entry.time)
    for hold in book.holds():
        summary = segments.body(summaries[hold.id])
        if summary is not None:
            book.describe(hold.id, msgspec.json.decode(summary))
    return book


def recall_blocks(segments: Segments) -> BlockBook:
    """Rebuild which principals are blocked; raises Unavailable if the entries make no sense."""
    blocks = BlockBook()
    for entry in segments.entries(where=BLOCKS):
        try:
            blocks.apply(entry.kind, entry.fields, entry.time)
        except Refused as error:
            raise _unfit(entry, error) from error
    blocks.settle()
    return blocks


def _unfit(entry: Entry, error: Refused) -> Unavailable:
    return Unavailable(f"entry {entry.seq} does not fit the ones before: {error.message}", cause="store-damaged")


@asynccontextmanager
async def _listening(runtime: Path, role: Role, sequencer: Sequencer) -> AsyncIterator[None]:
    listener = listen_at(runtime, role)
    server = await asyncio.get_running_loop().create_unix_server(lambda: sequencer.peer(role).stream, sock=listener)
    try:
        yield
    finally:
        server.close()
        with suppress(FileNotFoundError):
            socket_path(runtime, role).unlink()


class _Control:
    """Takes channels from the supervisor while the block runs."""

    def __init__(self, control: socket.socket, sequencer: Sequencer, stop: asyncio.Event) -> None:
        self._control = control
        self._sequencer = sequencer
        self._stop = stop
        self._connecting: set[asyncio.Task[Any]] = set()

    def __enter__(self) -> None:
        self._control.setblocking(False)
        asyncio.get_running_loop().add_reader(self._control.fileno(), self._take)

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._control.fileno())

    def _take(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while (received := receive_channel(self._control)) is not None:
                role, channel = received
                stream = self._sequencer.peer(role).stream
                task = loop.create_task(loop.create_unix_connection(lambda s=stream: s, sock=channel))  # type: ignore[misc]
                self._connecting.add(task)
                task.add_done_callback(self._connecting.discard)
        except Unavailable as error:
            log.warning("the ledger stops: %s", error)
            loop.remove_reader(self._control.fileno())
            self._stop.set()


async def _seal_days(sequencer: Sequencer, segments: Segments, thread: Executor) -> None:
    """Seal each day that is over; one that cannot be sealed yet (somebody reads it) is tried again."""
    loop = asyncio.get_running_loop()
    waiting = dict.fromkeys(unsealed(segments))
    while True:
        for name in tuple(waiting):
            try:
                answer = await sequencer.write(None, await loop.run_in_executor(thread, seal, segments, name))
                if isinstance(answer, DoorwardError):
                    raise answer
                del waiting[name]
            except (DoorwardError, OSError) as error:
                log.warning("%s is not sealed yet: %s", name, error)
        sequencer.day_over.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(sequencer.day_over.wait(), _SEAL_AGAIN_S if waiting else None)
        waiting.update(dict.fromkeys(tuple(segments.finished)))


async def _ended(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await task
