"""A disk that is full or refuses to write: refused, told why, nothing lost, and it goes on afterwards."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from doorward.core.entry import Role
from doorward.errors import Unavailable
from doorward.ledger.channel import socket_path, unix_connect
from doorward.ledger.client import LedgerClient
from doorward.model import HoldState, NewEntry
from doorward.store.segments import read_entries, segment_paths
from tests.ledger.conftest import RunningLedger
from tests.ledger.process import LedgerProcess
from tests.parts.entries import BOB, held, intent


async def connect(runtime: Path, role: Role = Role.WORKER) -> LedgerClient:
    client = LedgerClient(unix_connect(socket_path(runtime, role)), role)
    await client.start()
    return client


async def fill(client: LedgerClient) -> tuple[list[int], Unavailable]:
    """Append until it fails; return the acknowledged numbers and the failure."""
    acknowledged: list[int] = []
    for number in range(2000):
        try:
            body = {"request_body": os.urandom(20_000)}
            acknowledged.extend((await client.append(intent(f"r{number}", body))).seqs)
        except Unavailable as error:
            return acknowledged, error
    raise AssertionError("it never became full")


def seqs(path: Path) -> list[int]:
    return [entry.seq for entry in read_entries(segment_paths(path / "segments"))]


async def test_a_ledger_that_may_not_write_more_goes_on_when_it_may(tmp_path: Path, runtime: Path) -> None:
    ledger = LedgerProcess(tmp_path / "var", runtime, file_bytes=2_000_000)  # RLIMIT_FSIZE
    client = await connect(runtime)
    acknowledged, error = await fill(client)
    assert error.cause in ("disk-full", "ledger-failed")
    assert len(acknowledged) > 20
    large = {"request_body": os.urandom(20_000)}  # twenty of them have no room left, wherever exactly the limit hit
    results = await asyncio.gather(*(client.append(intent(f"s{n}", large)) for n in range(20)), return_exceptions=True)
    assert any(isinstance(result, Unavailable) for result in results)
    acknowledged += [seq for result in results if not isinstance(result, BaseException) for seq in result.seqs]
    ledger.lift_limit()
    await asyncio.sleep(0.2)
    acknowledged.extend((await client.append(intent("again"))).seqs)
    await client.close()
    assert ledger.stop() == 0
    assert seqs(tmp_path / "var") == list(range(1, len(acknowledged) + 1)) == acknowledged


async def test_a_kill_after_a_failure_loses_nothing(tmp_path: Path, runtime: Path) -> None:
    ledger = LedgerProcess(tmp_path / "var", runtime, file_bytes=1_000_000)
    client = await connect(runtime)
    acknowledged, _ = await fill(client)
    ledger.kill()
    await client.close()
    ledger = LedgerProcess(tmp_path / "var", runtime)
    assert ledger.stop() == 0
    assert seqs(tmp_path / "var")[: len(acknowledged)] == acknowledged


async def test_the_reserve_is_kept_for_people(
    ledger: RunningLedger, worker: LedgerClient, console: LedgerClient
) -> None:
    hold = (await worker.open_hold(held())).hold
    await ledger.stop()
    await ledger.start(reserve_bytes=2**62)
    async with asyncio.timeout(10):
        while not (worker.ready and console.ready):
            await asyncio.sleep(0.01)
    for request in (worker.append(intent()), worker.open_hold(held("f" * 64))):
        with pytest.raises(Unavailable) as failed:
            await request
        assert failed.value.cause == "disk-full"
    await console.append(NewEntry("login.succeeded", {"person": "corp:bob"}))
    done = await console.decide_hold(hold.id, person=BOB, verdict="approve", reason="fine", digest=hold.digest)
    assert done.state is HoldState.APPROVED


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


async def test_a_full_disk_refuses_and_recovers(small_disk: Path, runtime: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_500_000))
    ledger = LedgerProcess(small_disk / "var", runtime)
    try:
        client = await connect(runtime)
        acknowledged, error = await fill(client)
        assert error.cause == "disk-full"
        ballast.unlink()
        acknowledged.extend((await client.append(intent("again"))).seqs)
        await client.close()
    finally:
        assert ledger.stop() == 0
    assert seqs(small_disk / "var") == acknowledged
