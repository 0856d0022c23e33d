"""Kill -9 in the middle of traffic: nothing that was acknowledged is missing, nothing is half there."""

import asyncio
import random
import sqlite3
from pathlib import Path

import pytest

from doorward.core.entry import Role
from doorward.errors import DoorwardError
from doorward.evidence.merkle import leaf_hash
from doorward.ledger.channel import socket_path, unix_connect
from doorward.ledger.client import LedgerClient
from doorward.store.flow_filter import FlowFilter
from doorward.store.index import Index
from doorward.store.segments import segment_paths
from tests.ledger.process import LedgerProcess, WriterProcess
from tests.parts.entries import intent, outcome

KILLS_OF_A_RECORD = 50  # a ledger reads its record when it starts: a long one would make the test slow


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var"


async def traffic(runtime: Path, acknowledged: dict[int, str], name: str) -> None:
    """Several requests at a time, until the ledger dies."""
    client = LedgerClient(unix_connect(socket_path(runtime, Role.WORKER)), Role.WORKER)
    await client.start()

    async def one(lane: int) -> None:
        number = 0
        while True:
            number += 1
            request = f"{name}-{lane}-{number}"
            pair = (intent(request, {"request_body": request.encode() * 50}), outcome(request))
            try:
                done = await client.append(*pair)
            except DoorwardError:
                return
            acknowledged.update(dict.fromkeys(done.seqs, request))

    await asyncio.gather(*(one(lane) for lane in range(8)))
    await client.close()


def check(path: Path, acknowledged: dict[int, str]) -> int:
    """Look at the files themselves; return the last number."""
    seqs: list[int] = []
    for segment in segment_paths(path / "segments"):
        raw = sqlite3.connect(segment)
        assert raw.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        for seq, kind, entry, leaf in raw.execute("SELECT seq, kind, entry, leaf FROM entries ORDER BY seq"):
            assert leaf_hash(entry.encode()) == leaf
            if seq in acknowledged:
                assert f'"request":"{acknowledged[seq]}"' in entry
            if seqs and kind == "request.outcome":
                assert seqs[-1] == seq - 1  # a request is there as a whole
            seqs.append(seq)
        lost = "SELECT count(*) FROM entries WHERE kind = 'request.intent' AND seq NOT IN (SELECT seq FROM bodies)"
        assert raw.execute(lost).fetchall() == [(0,)]
        raw.close()
    assert seqs == list(range(1, len(seqs) + 1))
    assert acknowledged.keys() <= set(seqs)
    assert len(seqs) % 2 == 0
    return len(seqs)


@pytest.mark.parametrize(
    "kills", [20, pytest.param(1000, marks=[pytest.mark.deep, pytest.mark.timeout(3600)])], ids=["short", "long"]
)
async def test_a_killed_ledger_loses_nothing_that_it_acknowledged(path: Path, runtime: Path, kills: int) -> None:
    chance = random.Random(4)
    for number in range(0, kills, KILLS_OF_A_RECORD):
        await kill_again_and_again(path / str(number), runtime, min(kills, KILLS_OF_A_RECORD), chance)


async def kill_again_and_again(path: Path, runtime: Path, kills: int, chance: random.Random) -> None:
    acknowledged: dict[int, str] = {}
    for number in range(kills):
        ledger = LedgerProcess(path, runtime)
        writing = asyncio.create_task(traffic(runtime, acknowledged, f"round{number}"))
        await asyncio.sleep(0.05 + 0.25 * chance.random())
        ledger.kill()
        await writing
    assert check(path, acknowledged) > 20 * kills
    ledger = LedgerProcess(path, runtime)
    assert ledger.stop() == 0
    last = check(path, acknowledged)
    index = Index(path / "index.db")
    assert len(index.flows(10**6, FlowFilter(executed="yes"))) == last // 2
    index.close()


def test_killed_writers_leave_whole_requests(path: Path, runtime: Path) -> None:
    ledger = LedgerProcess(path, runtime)
    acknowledged: dict[int, str] = {}
    for number in range(3):
        writer = WriterProcess(runtime, f"writer{number}")
        for _ in range(50):
            request, first, second = writer.acknowledged()
            acknowledged |= {first: request, second: request}
        writer.kill()
    assert ledger.stop() == 0
    assert check(path, acknowledged) >= 300
