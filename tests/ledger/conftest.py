"""A ledger in this process, on real sockets and real files, with a clock that tests can move."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from doorward.core.entry import Role
from doorward.ledger.channel import socket_path, unix_connect
from doorward.ledger.client import LedgerClient
from doorward.ledger.server import serve_ledger
from doorward.model import Entry
from doorward.store.segments import read_entries, segment_paths
from tests.parts.entries import NOW


class RunningLedger:
    """Start, stop, ask, and look at what it wrote."""

    def __init__(self, path: Path, runtime: Path) -> None:
        self.path = path
        self.runtime = runtime
        self.now = NOW
        self._stop = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self._clients: list[LedgerClient] = []

    async def start(self, **options: Any) -> None:
        up = asyncio.Event()
        self._stop = asyncio.Event()
        self.task = asyncio.create_task(
            serve_ledger(
                self.path,
                runtime=self.runtime,
                stop=self._stop,
                started=up.set,
                clock=lambda: self.now,
                **{"reserve_bytes": 0, **options},
            )
        )
        waiting = asyncio.create_task(up.wait())
        await asyncio.wait((self.task, waiting), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self.task.done():
            self.task.result()

    async def stop(self) -> None:
        self._stop.set()
        if self.task is not None:
            await self.task
            self.task = None

    async def restart(self) -> None:
        await self.stop()
        await self.start()
        async with asyncio.timeout(10):
            while not all(client.ready for client in self._clients):
                await asyncio.sleep(0.01)

    async def client(self, role: Role = Role.WORKER) -> LedgerClient:
        client = LedgerClient(unix_connect(socket_path(self.runtime, role)), role)
        await client.start()
        assert client.ready
        self._clients.append(client)
        return client

    async def close(self) -> None:
        for client in self._clients:
            await client.close()
        with suppress(Exception):
            await self.stop()

    def later(self, **delta: float) -> datetime:
        self.now += timedelta(**delta)
        return self.now

    def entries(self) -> list[Entry]:
        return list(read_entries(segment_paths(self.path / "segments")))

    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.entries()]


@pytest.fixture
def runtime() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="dw-"))  # short: paths of sockets are limited
    yield made / "run"
    shutil.rmtree(made)


@pytest.fixture
async def ledger(tmp_path: Path, runtime: Path) -> AsyncIterator[RunningLedger]:
    made = RunningLedger(tmp_path / "var", runtime)
    await made.start()
    yield made
    await made.close()


@pytest.fixture
async def worker(ledger: RunningLedger) -> LedgerClient:
    return await ledger.client(Role.WORKER)


@pytest.fixture
async def console(ledger: RunningLedger) -> LedgerClient:
    return await ledger.client(Role.CONSOLE)
