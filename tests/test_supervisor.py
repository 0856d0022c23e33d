"""Real parts under a supervisor in this process."""

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from doorward.errors import Misconfigured, Unavailable
from doorward.pki.deployment_key import load_or_create_key
from doorward.pki.files import create_root
from doorward.supervisor import Supervisor, bind_listener

POLICY = "targets: {t: {kind: http, url: 'http://127.0.0.1:9', hosts: [t.internal]}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    settings = {
        "issuers": {"corp": {"issuer": "http://127.0.0.1:9", "audience": "doorward"}},  # nobody listens there
        "ledger": {"reserve": "1B"},
    }
    (tmp_path / "doorward.yaml").write_text(json.dumps(settings))
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.yaml").write_text(POLICY)
    (tmp_path / "var").mkdir(mode=0o700)
    load_or_create_key(tmp_path / "var" / "deployment.key")
    create_root(tmp_path / "certs", datetime.now(UTC))
    return tmp_path


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with bind_listener(("127.0.0.1", 0)) as made:
        yield made


@contextlib.asynccontextmanager
async def running(folder: Path, listener: socket.socket) -> AsyncIterator[asyncio.Task[None]]:
    supervisor = Supervisor(folder / "doorward.yaml", workers=1, console=False, listen=listener)
    task = asyncio.create_task(supervisor.run())
    try:
        yield task
    finally:
        if not task.done():
            os.kill(os.getpid(), signal.SIGTERM)  # as systemd would: the loop has a handler for it
        with contextlib.suppress(Misconfigured):
            await asyncio.wait_for(task, 30)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().remove_signal_handler(number)


async def until[T](look: Callable[[], T]) -> T:
    for _ in range(600):
        with contextlib.suppress(OSError, ValueError):
            if found := look():
                return found
        await asyncio.sleep(0.05)
    raise AssertionError("waited in vain")


def children(word: str) -> list[int]:
    pids = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in pids if word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def served(listener: socket.socket) -> bytes:
    """What an agent without a token is told, as long as a worker serves."""
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(b"CONNECT t.internal:443 HTTP/1.1\r\nHost: t.internal:443\r\n\r\n")
    answer = await asyncio.wait_for(reader.readline(), 30)
    writer.close()
    return answer


async def test_a_dead_part_is_started_again_and_all_end_at_the_stop(folder: Path, listener: socket.socket) -> None:
    published = folder / "var" / "run" / "gateway.json"

    def gateway() -> int:
        return int(json.loads(published.read_text())["pid"])

    async with running(folder, listener):
        first = await until(gateway)
        assert children("gateway") == [first]
        (ledger,) = children("ledger")
        assert (await served(listener)).startswith(b"HTTP/1.1 407")
        os.kill(first, signal.SIGKILL)
        second = await until(lambda: gateway() if gateway() != first else 0)
        assert children("ledger") == [ledger]
        os.kill(ledger, signal.SIGKILL)
        await until(lambda: [pid for pid in children("ledger") if pid != ledger])
        assert (await served(listener)).startswith(b"HTTP/1.1 407")
        parts = [second, *children("ledger")]
    assert not any(map(alive, parts))


async def test_a_policy_that_is_wrong_at_the_start_ends_the_service(folder: Path, listener: socket.socket) -> None:
    (folder / "policies" / "p.yaml").write_text("targets: {t: {kind: htp}}\n")
    async with running(folder, listener) as task:
        with pytest.raises(Misconfigured, match="gateway-1 cannot start") as error:
            await asyncio.wait_for(asyncio.shield(task), 30)
        assert error.value.exit_code == 2
        assert children("doorward") == []


def test_an_address_that_is_taken() -> None:
    with bind_listener(("127.0.0.1", 0)) as first:
        port = first.getsockname()[1]
        with pytest.raises(Unavailable, match=f"cannot listen on 127.0.0.1:{port}"):
            bind_listener(("127.0.0.1", port))


def test_the_listener_may_be_of_ipv6() -> None:
    try:
        made = bind_listener(("::1", 0))
    except Unavailable:
        pytest.skip("no IPv6 here")
    with made:
        assert made.family == socket.AF_INET6
        assert not made.getblocking()
