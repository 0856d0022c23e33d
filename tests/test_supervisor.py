import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from doorward import supervisor as module
from doorward.errors import Misconfigured, Unavailable
from doorward.supervisor import Supervisor, bind_listener

# Stands in for `python -m doorward --config FILE PART ...`: notes that it runs, and ends as the file PART says.
PART = f"""#!{sys.executable}
import os, signal, socket, sys, time
folder, arguments = os.path.dirname(sys.argv[4]), sys.argv[5:]
name = arguments[0]
with open(os.path.join(folder, name + ".runs"), "a") as runs:
    runs.write(str(os.getpid()) + " " + " ".join(arguments) + "\\n")
control = socket.socket(fileno=int(arguments[arguments.index("--control-fd") + 1]))
if "--listen-fd" in arguments:
    socket.socket(fileno=int(arguments[arguments.index("--listen-fd") + 1])).getsockname()
try:
    with open(os.path.join(folder, name)) as say:
        codes = say.read().split()
except FileNotFoundError:
    codes = []
if codes:
    with open(os.path.join(folder, name), "w") as say:
        say.write(" ".join(codes[1:]))
    sys.exit(int(codes[0]))
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda got, _: (open(os.path.join(folder, name + ".got"), "a").write(str(got) + " "),
                                          got == signal.SIGTERM and os._exit(0)))
if name != "ledger":
    control.send(b"channel")
while True:
    message, fds, _, _ = socket.recv_fds(control, 64, 1)
    if not message:
        break
    with open(os.path.join(folder, name + ".channels"), "a") as channels:
        channels.write(message.decode() + "\\n")
    for fd in fds:
        os.close(fd)
time.sleep(60)
"""


class Parts:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.listener = bind_listener(("127.0.0.1", 0))
        self.supervisor = Supervisor(folder / "doorward.yaml", workers=1, console=True, listen=self.listener)
        self.task: asyncio.Task[None] | None = None

    def say(self, part: str, *codes: int) -> None:
        (self.folder / part).write_text(" ".join(map(str, codes)))

    def lines(self, name: str) -> list[str]:
        file = self.folder / name
        return file.read_text().splitlines() if file.exists() else []

    def pids(self, part: str) -> list[int]:
        return [int(line.split()[0]) for line in self.lines(f"{part}.runs")]

    def start(self) -> None:
        self.task = asyncio.create_task(self.supervisor.run())

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not true():
                assert self.task is None or not self.task.done()
                await asyncio.sleep(0.02)


@pytest.fixture
async def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Parts]:
    program = tmp_path / "program"
    program.write_text(PART)
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(module, "_FIRST_PAUSE_S", 0.02)
    made = Parts(tmp_path)
    yield made
    made.listener.close()
    if made.task is not None and not made.task.done():
        os.kill(os.getpid(), signal.SIGTERM)
    if made.task is not None:
        await asyncio.gather(made.task, return_exceptions=True)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().remove_signal_handler(number)
    for part in ("ledger", "gateway", "console"):
        for pid in made.pids(part):
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)


async def test_each_part_has_its_channel_and_stops_before_the_ledger(parts: Parts) -> None:
    parts.start()
    await parts.until(lambda: parts.lines("gateway.channels") and parts.lines("console.channels"))
    await parts.until(lambda: {"worker", "console"} <= set(parts.lines("ledger.channels")))
    assert parts.lines("gateway.runs")[0].split()[1:3] == ["gateway", "--listen-fd"]
    os.kill(os.getpid(), signal.SIGTERM)
    assert parts.task is not None
    await parts.task
    assert [parts.lines(f"{part}.got") for part in ("ledger", "gateway", "console")] == [["15 "]] * 3


@pytest.mark.parametrize("part", ["ledger", "gateway", "console"])
async def test_a_part_that_dies_is_started_again_and_gets_a_channel(parts: Parts, part: str) -> None:
    parts.start()
    await parts.until(lambda: parts.lines("gateway.channels") and parts.lines("console.channels"))
    before = len(parts.lines("gateway.channels"))
    os.kill(parts.pids(part)[0], signal.SIGKILL)
    await parts.until(lambda: len(parts.pids(part)) == 2)
    if part == "ledger":
        await parts.until(lambda: len(parts.lines("gateway.channels")) > before)
    assert [len(parts.pids(each)) for each in ("ledger", "gateway", "console") if each != part] == [1, 1]


async def test_a_part_that_fails_again_and_again_is_started_with_growing_pauses(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    parts.say("gateway", 3, 3, 1, -9)
    parts.start()
    await parts.until(lambda: len(parts.pids("gateway")) == 5)
    pauses = [float(line.rpartition("again in ")[2].split()[0]) for line in caplog.messages if "again in" in line]
    assert pauses == sorted(pauses)


@pytest.mark.parametrize("part", ["ledger", "gateway", "console"])
async def test_wrong_settings_end_the_service_at_its_first_start(parts: Parts, part: str) -> None:
    parts.say(part, 2)
    parts.start()
    assert parts.task is not None
    with pytest.raises(Misconfigured) as wrong:
        await parts.task
    assert part in wrong.value.message
    assert wrong.value.exit_code == 2


async def test_wrong_settings_of_later_do_not_end_it(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    parts.start()
    await parts.until(lambda: parts.lines("gateway.channels"))
    await asyncio.sleep(1.1)  # it counts as started
    parts.say("gateway", 2, 2)
    os.kill(parts.pids("gateway")[0], signal.SIGKILL)
    await parts.until(lambda: len(parts.pids("gateway")) == 4)


async def test_a_reload_goes_to_the_workers_alone(parts: Parts) -> None:
    parts.start()
    await parts.until(lambda: parts.lines("gateway.channels") and parts.lines("console.channels"))
    os.kill(os.getpid(), signal.SIGHUP)
    await parts.until(lambda: parts.lines("gateway.got"))
    assert parts.lines("gateway.got") == ["1 "]
    assert parts.lines("console.got") == []


async def test_a_program_that_cannot_be_started_is_no_success(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(parts.folder / "absent"))
    parts.start()
    assert parts.task is not None
    with pytest.raises(OSError, match="absent"):
        await parts.task


def test_a_taken_address_says_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(Unavailable) as error:
            bind_listener(taken.getsockname())
    assert "cannot listen on 127.0.0.1" in error.value.message


def test_the_listener_may_be_of_ipv6() -> None:
    try:
        made = bind_listener(("::1", 0))
    except Unavailable:
        pytest.skip("no IPv6 here")
    with made:
        assert made.family == socket.AF_INET6
        assert not made.getblocking()
