"""The process around the writer: days, locks, subscribers, the index, hostile clients."""

import asyncio
import hashlib
import os
import socket
import stat
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doorward.core.entry import Role
from doorward.errors import Conflict, Misconfigured, Unavailable
from doorward.ledger.channel import socket_path
from doorward.ledger.client import LedgerClient
from doorward.ledger.frames import LENGTH, MAX_FRAME_BYTES, VERSION, Hello, format_frame
from doorward.ledger.server import serve_ledger
from doorward.model import Entry, HoldState, NewEntry
from doorward.store.flow_filter import FlowFilter
from doorward.store.index import Index
from doorward.store.segments import segment_paths
from tests.ledger.conftest import RunningLedger
from tests.parts.entries import BOB, held, intent, outcome


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_the_day_before_is_sealed_after_midnight(ledger: RunningLedger, worker: LedgerClient) -> None:
    await worker.append(intent("r1"))
    ledger.later(days=1)
    await worker.append(intent("r2"))
    first, second = segment_paths(ledger.path / "segments")
    await until(lambda: not first.stat().st_mode & 0o222)  # reading the file meanwhile would put the seal off
    await until(lambda: "segment.sealed" in ledger.kinds())
    sealed = ledger.entries()[-1].fields
    assert (sealed["segment"], sealed["first"], sealed["last"]) == (first.name, 1, 1)
    assert sealed["digest"] == hashlib.sha256(first.read_bytes()).hexdigest()
    assert stat.S_IMODE(first.stat().st_mode) == 0o400
    assert [entry.seq for entry in ledger.entries()] == [1, 2, 3]
    assert second.name == "2026-11-24.db"


async def test_a_day_that_a_crash_left_unsealed_is_sealed_at_the_start(
    ledger: RunningLedger, worker: LedgerClient
) -> None:
    await worker.append(intent("r1"))
    await ledger.stop()
    (ledger.path / "segments" / "2026-11-24.db").touch(mode=0o600)  # begun, and nothing written
    ledger.later(days=1)
    await ledger.start()
    await until(lambda: not (ledger.path / "segments" / "2026-11-23.db").stat().st_mode & 0o222)
    await until(lambda: ledger.kinds() == ["request.intent", "segment.sealed"])
    await ledger.restart()
    await asyncio.sleep(0.1)
    assert ledger.kinds() == ["request.intent", "segment.sealed"]


async def test_two_ledgers_do_not_write_one_directory(ledger: RunningLedger, runtime: Path) -> None:
    with pytest.raises(Unavailable) as refused:
        await serve_ledger(ledger.path, runtime=runtime)
    assert refused.value.cause == "ledger-locked"


async def test_a_missing_segment_stops_the_start(ledger: RunningLedger, worker: LedgerClient) -> None:
    for _ in range(3):
        await worker.append(intent())
        ledger.later(days=1)
    await ledger.stop()
    (ledger.path / "segments" / "2026-11-24.db").unlink()
    with pytest.raises(Misconfigured) as refused:
        await ledger.start()
    assert refused.value.cause == "segment-missing"


async def test_the_index_follows(ledger: RunningLedger, worker: LedgerClient) -> None:
    for n in range(600):
        await worker.append(intent(f"r{n}"), outcome(f"r{n}"))
    index = Index(ledger.path / "index.db")
    await until(lambda: len(index.flows(1000, FlowFilter(executed="yes"))) == 600)
    await ledger.stop()
    index.close()
    for file in ledger.path.glob("index.db*"):
        file.unlink()
    await ledger.start()
    assert len(index.flows(1000)) == 600
    index.close()


async def test_subscribers_get_what_their_role_may_see(
    ledger: RunningLedger, worker: LedgerClient, console: LedgerClient
) -> None:
    seen: dict[Role, list[Entry]] = {Role.WORKER: [], Role.CONSOLE: [], Role.COMMAND: []}
    worker.subscribe(seen[Role.WORKER].append)
    console.subscribe(seen[Role.CONSOLE].append)
    command = await ledger.client(Role.COMMAND)
    command.subscribe(seen[Role.COMMAND].append)
    await asyncio.sleep(0.05)
    await worker.append(intent("r1", {"request_head": b"{}"}))
    hold = (await worker.open_hold(held())).hold
    await console.decide_hold(hold.id, person=BOB, verdict="deny", reason="no", digest=hold.digest)
    await command.set_block("corp:agent-9", is_block=True, reason="it went wild")
    await command.set_block("corp:agent-9", is_block=False, reason="it is mended")
    await until(lambda: len(seen[Role.CONSOLE]) == 2)
    await until(lambda: len(seen[Role.WORKER]) == 2)
    assert [entry.kind for entry in seen[Role.WORKER]] == ["principal.blocked", "principal.unblocked"]
    assert seen[Role.CONSOLE] == ledger.entries()[1:3]  # of requests the index tells
    assert seen[Role.COMMAND] == []


async def test_a_subscriber_that_fails_keeps_its_channel(worker: LedgerClient, console: LedgerClient) -> None:
    seen: list[Entry] = []
    console.subscribe(lambda entry: [][1])
    console.subscribe(seen.append)
    await worker.open_hold(held())
    await until(lambda: seen)
    assert console.ready


async def test_a_subscriber_is_told_of_a_gap_after_a_restart(
    ledger: RunningLedger, worker: LedgerClient, console: LedgerClient
) -> None:
    gaps: list[int] = []
    seen: list[Entry] = []
    console.subscribe(seen.append, on_gap=lambda: gaps.append(1))
    await ledger.restart()
    assert gaps == [1]
    await until(lambda: worker.ready)
    await worker.open_hold(held())
    await until(lambda: seen)


async def block(command: LedgerClient, principal: str) -> None:
    """An entry of six kilobytes that every worker gets."""
    await command.set_block(principal, is_block=True, reason="語" * 2000)


async def test_a_subscriber_that_does_not_read_stalls_nobody(ledger: RunningLedger) -> None:
    reader, writer = await asyncio.open_unix_connection(socket_path(ledger.runtime, Role.WORKER), limit=2**16)
    subscribe = msgspec.msgpack.encode(["Subscribe", 1])
    writer.write(format_frame(Hello(Role.WORKER, VERSION)) + LENGTH.pack(len(subscribe)) + subscribe)
    await asyncio.sleep(0.05)
    command = await ledger.client(Role.COMMAND)
    numbers = iter(range(1600))
    for _ in range(32):
        await asyncio.gather(*(block(command, f"corp:{next(numbers)}") for _ in range(50)))
    received: list[str] = []
    last = 0
    async with asyncio.timeout(20):
        while "Gap" not in received:
            (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
            frame = msgspec.msgpack.decode(await reader.readexactly(length))
            received.append(frame[0])
            last = frame[1] if frame[0] == "Pushed" else last
    assert received[0] == "Welcome"
    assert last < 1600
    await block(command, "corp:after")
    async with asyncio.timeout(5):
        await reader.readexactly(LENGTH.size)
    writer.close()


async def test_waiting_ends_with_its_time_or_its_client(ledger: RunningLedger, worker: LedgerClient) -> None:
    hold = (await worker.open_hold(held())).hold
    assert (await worker.wait_hold(hold.id, 0)).state is HoldState.OPEN
    assert (await worker.wait_hold(hold.id, 0.05)).state is HoldState.OPEN
    other = await ledger.client(Role.WORKER)
    leaving = asyncio.create_task(other.wait_hold(hold.id, 30))
    await asyncio.sleep(0.05)
    await other.close()
    with pytest.raises(Unavailable):
        await leaving
    await worker.append(NewEntry("hold.withdrawn", {"hold": hold.id, "cause": "agent-left"}))
    assert (await worker.wait_hold(hold.id, 30)).state is HoldState.WITHDRAWN
    with pytest.raises(Conflict):
        await worker.append(NewEntry("hold.withdrawn", {"hold": hold.id, "cause": "agent-left"}))


def hostile(runtime: Path, payload: bytes) -> bytes:
    """Send bytes as a worker and return what comes back until the ledger closes or is silent."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(0.3)
        channel.connect(str(socket_path(runtime, Role.WORKER)))
        answer = b""
        try:
            channel.sendall(payload)
            channel.shutdown(socket.SHUT_WR)
            while chunk := channel.recv(65536):
                answer += chunk
        except (TimeoutError, ConnectionError, BrokenPipeError):
            pass
        return answer


def framed(value: Any) -> bytes:
    payload = msgspec.msgpack.encode(value)
    return LENGTH.pack(len(payload)) + payload


HELLO = format_frame(Hello(Role.WORKER, VERSION))
BAD = [
    pytest.param(framed(["Hello", "console", VERSION]), id="hello of another role"),
    pytest.param(framed(["Hello", "worker", 99]), id="hello of another version"),
    pytest.param(framed(["ListHolds", 1, None]), id="no hello"),
    pytest.param(HELLO + HELLO, id="two hellos"),
    pytest.param(HELLO + LENGTH.pack(MAX_FRAME_BYTES + 1), id="too large"),
    pytest.param(HELLO + LENGTH.pack(3) + b"\xc1\xc1\xc1", id="no msgpack"),
    pytest.param(HELLO + framed(["Format", 1]), id="unknown frame"),
    pytest.param(HELLO + framed(["Append", "x", []]), id="wrong type"),
    pytest.param(HELLO + framed(["DecideHold", 1, "h", {"issuer": 1}, "approve", "r", "d"]), id="no person"),
    pytest.param(HELLO + LENGTH.pack(100_000) + b"\x91" * 100_000, id="deep nesting"),
    pytest.param(HELLO + b"\x00\x00", id="half a length"),
]


@pytest.mark.parametrize("payload", BAD)
async def test_a_malformed_frame_closes_its_own_channel(
    ledger: RunningLedger, worker: LedgerClient, payload: bytes
) -> None:
    await asyncio.to_thread(hostile, ledger.runtime, payload)
    assert (await worker.append(intent())).seqs == (1,)


ODD: list[Any] = [
    ["Append", 1, [["request.intent", {"request": [{}]}, {}]]],
    ["Append", 1, [["hold.used", {"hold": {}, "request": 1, "digest": None}, {}]]],
    ["Append", 1, [["hold.withdrawn", {"hold": "", "cause": msgspec.msgpack.Ext(5, b"x")}, {}]]],
    ["Append", 1, [["request.intent", {}, {"request_head": b"x" * 100}]] * 50],
    ["OpenHold", 1, "d", "p", None, "t", "r", [["r", [["g"], []], 1, 60]], {"verb": 1}, {}, 1, 20],
    ["WaitHold", 1, "h", float("nan")],
    ["ReadBody", 1, "\x00", "", "", None],
    ["Subscribe", 1],
]
WORDS = st.sampled_from(
    ["Append", "OpenHold", "DecideHold", "ReadBody", "ReadHead", "WaitHold", "ListHolds", "ShowHold"]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("frame", ODD, ids=lambda frame: str(frame)[:40])
async def test_an_odd_request_does_not_stop_the_ledger(
    ledger: RunningLedger, worker: LedgerClient, frame: list[Any]
) -> None:
    await asyncio.to_thread(hostile, ledger.runtime, HELLO + framed(frame))
    assert (await worker.append(intent())).seqs[0] >= 1


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(WORDS, st.lists(VALUES, max_size=8)), min_size=1, max_size=20))
def test_no_frames_stop_the_ledger(frames: list[tuple[str, list[Any]]]) -> None:
    async def attempt(directory: Path) -> None:
        ledger = RunningLedger(directory / "var", directory / "run")
        await ledger.start()
        worker = await ledger.client()
        for word, values in frames:
            channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            channel.connect(str(socket_path(ledger.runtime, Role.WORKER)))
            channel.sendall(HELLO + framed([word, *values]))
            await asyncio.sleep(0.001)
            channel.close()
        assert (await worker.append(intent())).seqs
        await ledger.close()

    with tempfile.TemporaryDirectory(prefix="dw-") as directory:
        asyncio.run(attempt(Path(directory)))


async def test_a_large_frame_comes_in_pieces(
    worker: LedgerClient, console: LedgerClient, ledger: RunningLedger
) -> None:
    body = os.urandom(5_000_000)
    await worker.append(intent("r1", {"request_body": body}))
    bodies: Any = ledger.entries()[0].fields["bodies"]
    assert await console.read_body(bodies["request_body"]["digest"], reader="corp:bob", why="test") == body
