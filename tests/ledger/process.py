"""Ledgers and writers as real processes, which tests may kill.

Forked from a server that has loaded everything already: a process of its own takes
milliseconds to start, and twenty rounds of killing stay short.
"""

import asyncio
import multiprocessing
import os
import resource
import signal
from multiprocessing.connection import Connection
from pathlib import Path

from doorward.core.entry import Role
from doorward.ledger.channel import socket_path, unix_connect
from doorward.ledger.client import LedgerClient
from doorward.ledger.server import serve_ledger
from tests.parts.entries import intent, outcome

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.ledger.process"])


class LedgerProcess:
    """`serve_ledger` in a process of its own; `file_bytes` limits what it may write until SIGUSR1."""

    def __init__(self, path: Path, runtime: Path, *, file_bytes: int = 0) -> None:
        up, told = _FORKS.Pipe(duplex=False)
        self.child = _FORKS.Process(target=_run_ledger, args=(path, runtime, file_bytes, told))
        self.child.start()
        told.close()
        with up:
            assert up.recv() == "up"

    def kill(self) -> None:
        self.child.kill()
        self.child.join(20)
        self.child.close()

    def lift_limit(self) -> None:
        assert self.child.pid is not None
        os.kill(self.child.pid, signal.SIGUSR1)

    def stop(self) -> int | None:
        self.child.terminate()
        self.child.join(20)
        code = self.child.exitcode
        self.child.close()
        return code


class WriterProcess:
    """Writes pairs as fast as they are acknowledged, and tells which."""

    def __init__(self, runtime: Path, name: str) -> None:
        self._acknowledged, told = _FORKS.Pipe(duplex=False)
        self.child = _FORKS.Process(target=_run_writer, args=(runtime, name, told))
        self.child.start()
        told.close()

    def acknowledged(self) -> tuple[str, int, int]:
        request, first, second = self._acknowledged.recv()
        return request, first, second

    def kill(self) -> None:
        self.child.kill()
        self.child.join(20)
        self.child.close()
        self._acknowledged.close()


def _run_ledger(path: Path, runtime: Path, file_bytes: int, told: Connection) -> None:
    asyncio.run(_ledger(path, runtime, file_bytes, told))


def _run_writer(runtime: Path, name: str, told: Connection) -> None:
    asyncio.run(_writer(runtime, name, told))


async def _ledger(path: Path, runtime: Path, file_bytes: int, told: Connection) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    if file_bytes:
        free = resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, free))
        loop.add_signal_handler(signal.SIGUSR1, resource.setrlimit, resource.RLIMIT_FSIZE, (free, free))
    await serve_ledger(path, runtime=runtime, stop=stop, reserve_bytes=0, started=lambda: told.send("up"))


async def _writer(runtime: Path, name: str, told: Connection) -> None:
    client = LedgerClient(unix_connect(socket_path(runtime, Role.WORKER)), Role.WORKER)
    await client.start()
    number = 0
    while client.ready:
        number += 1
        request = f"{name}-{number}"
        done = await client.append(intent(request, {"request_body": request.encode() * 50}), outcome(request))
        told.send((request, *done.seqs))
