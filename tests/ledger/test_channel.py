"""Channels under a supervisor: handed out, asked for, and replaced when one side starts again."""

import asyncio
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from doorward.core.entry import Role
from doorward.errors import Misconfigured, Refused, Unavailable
from doorward.ledger.channel import (
    control_pair,
    hand_out,
    inherited_connect,
    listen_at,
    receive_channel,
    socket_path,
    take_asks,
    unix_connect,
)
from doorward.ledger.client import LedgerClient
from doorward.ledger.server import serve_ledger
from doorward.model import NewEntry
from tests.parts.entries import intent

type Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def ledger_control() -> Iterator[Pair]:
    pair = control_pair()
    yield pair
    for end in pair:
        end.close()


@pytest.fixture
def child_control() -> Iterator[Pair]:
    pair = control_pair()
    yield pair
    for end in pair:
        end.close()


def test_both_ends_of_a_channel_arrive(ledger_control: Pair, child_control: Pair) -> None:
    assert hand_out(Role.CONSOLE, ledger=ledger_control[0], child=child_control[0])
    ledger_control[1].setblocking(False)
    received = receive_channel(ledger_control[1])
    assert received is not None
    role, ledger_end = received
    assert role is Role.CONSOLE
    assert receive_channel(ledger_control[1]) is None
    child_end = asyncio.run(_next(child_control[1]))
    with ledger_end, child_end:
        child_end.setblocking(True)
        ledger_end.sendall(b"hello")
        assert child_end.recv(5) == b"hello"
        assert not os.get_inheritable(ledger_end.fileno())


async def _next(control: socket.socket) -> socket.socket:
    return await asyncio.wait_for(inherited_connect(control)(), 5)


def test_nothing_is_handed_to_who_is_gone(ledger_control: Pair, child_control: Pair) -> None:
    ledger_control[1].close()
    assert not hand_out(Role.WORKER, ledger=ledger_control[0], child=child_control[0])


def test_the_newest_of_several_channels_is_taken(ledger_control: Pair, child_control: Pair) -> None:
    for _ in range(3):
        assert hand_out(Role.WORKER, ledger=ledger_control[0], child=child_control[0])
    child_end = asyncio.run(_next(child_control[1]))
    ledger_ends = []
    ledger_control[1].setblocking(False)
    while (received := receive_channel(ledger_control[1])) is not None:
        ledger_ends.append(received[1])
    with child_end:
        child_end.setblocking(True)
        assert [end.recv(1) for end in ledger_ends[:2]] == [b"", b""]  # the older ones were closed
        ledger_ends[2].sendall(b"x")
        assert child_end.recv(1) == b"x"
    for end in ledger_ends:
        end.close()


async def test_a_child_asks_when_nothing_lies_ready(ledger_control: Pair, child_control: Pair) -> None:
    assert take_asks(child_control[0]) == 0
    waiting = asyncio.create_task(_next(child_control[1]))
    async with asyncio.timeout(5):
        while take_asks(child_control[0]) == 0:
            await asyncio.sleep(0.01)
    assert hand_out(Role.WORKER, ledger=ledger_control[0], child=child_control[0])
    (await waiting).close()


async def test_each_side_notices_that_the_other_is_gone(ledger_control: Pair, child_control: Pair) -> None:
    child_control[1].close()
    assert take_asks(child_control[0]) is None
    ledger_control[0].close()
    with pytest.raises(Unavailable) as gone:
        receive_channel(ledger_control[1])
    assert gone.value.cause == "supervisor-away"
    with pytest.raises(Unavailable):
        await _next(ledger_control[1])


class Supervisor:
    """What a supervisor does with this module, and no more."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.children: dict[socket.socket, Role] = {}
        self.ledger: socket.socket | None = None
        self.task: asyncio.Task[None] | None = None
        self._inherited: list[socket.socket] = []  # what the children hold

    def start_child(self, role: Role) -> LedgerClient:
        ours, theirs = control_pair()
        self.children[ours] = role
        self._inherited.append(theirs)
        asyncio.get_running_loop().add_reader(ours.fileno(), self._asked, ours)
        return LedgerClient(inherited_connect(theirs), role)

    def _asked(self, child: socket.socket) -> None:
        if take_asks(child) is None:
            asyncio.get_running_loop().remove_reader(child.fileno())
        elif self.ledger is not None:
            hand_out(self.children[child], ledger=self.ledger, child=child)

    async def start_ledger(self) -> None:
        self.ledger, theirs = control_pair()
        self._inherited.append(theirs)
        up = asyncio.Event()
        self.task = asyncio.create_task(serve_ledger(self.path, control=theirs, reserve_bytes=0, started=up.set))
        await up.wait()
        for child, role in self.children.items():
            hand_out(role, ledger=self.ledger, child=child)

    async def stop_ledger(self) -> None:
        assert self.ledger is not None
        assert self.task is not None
        self.ledger.close()
        self.ledger = None
        await self.task  # ends because its supervisor is gone

    def close(self) -> None:
        for child in self.children:
            asyncio.get_running_loop().remove_reader(child.fileno())
        for control in (*self.children, *self._inherited):
            control.close()


async def ready(client: LedgerClient) -> None:
    async with asyncio.timeout(10):
        while not client.ready:
            await asyncio.sleep(0.01)


async def test_ledger_and_children_start_again_in_any_order(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path / "var")
    worker = supervisor.start_child(Role.WORKER)
    await worker.start(timeout_s=0.05)
    assert not worker.ready  # no ledger yet
    await supervisor.start_ledger()
    await ready(worker)
    assert (await worker.append(intent("r1"))).seqs == (1,)
    await supervisor.stop_ledger()
    with pytest.raises(Unavailable) as away:
        await worker.append(intent("r2"))
    assert away.value.cause == "ledger-away"
    await supervisor.start_ledger()
    await ready(worker)
    assert (await worker.append(intent("r2"))).seqs == (2,)
    console = supervisor.start_child(Role.CONSOLE)  # a child that starts later asks by itself
    await console.start()
    assert (await console.append(NewEntry("login.succeeded", {"person": "corp:bob"}))).seqs == (3,)
    with pytest.raises(Refused):
        await worker.append(NewEntry("login.succeeded", {"person": "corp:bob"}))
    await worker.close()
    await console.close()
    await supervisor.stop_ledger()
    supervisor.close()


def test_sockets_are_for_their_owner(runtime: Path) -> None:
    with listen_at(runtime, Role.WORKER):
        assert stat.S_IMODE(runtime.stat().st_mode) == 0o700
        assert stat.S_IMODE(socket_path(runtime, Role.WORKER).stat().st_mode) == 0o600
    listen_at(runtime, Role.WORKER).close()  # over what an earlier ledger left


def test_a_directory_that_others_enter_is_refused(runtime: Path) -> None:
    runtime.mkdir(mode=0o755)
    with pytest.raises(Misconfigured, match="open to others"):
        listen_at(runtime, Role.WORKER)


def test_a_path_too_long_for_a_socket_is_told(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="too long"):
        listen_at(tmp_path / ("x" * 100), Role.WORKER)


async def test_no_ledger_is_told(runtime: Path) -> None:
    with pytest.raises(Unavailable) as away:
        await unix_connect(runtime / "worker.sock")()
    assert away.value.cause == "ledger-away"
