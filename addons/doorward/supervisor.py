"""Starts, watches and restarts the processes of `doorward serve`; knows them by command line, imports none.

Binds the agents' listening socket and hands it to the workers, and passes channels between
the parts and the ledger. A part that dies is started again with growing pauses; one that
says its settings are wrong (exit code 2) ends the service at its first start.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from doorward.core.entry import Role
from doorward.errors import Misconfigured, Unavailable
from doorward.ledger.channel import control_pair, hand_out, take_asks

_log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 10.0
_STABLE_S = 2.0  # a part that lived so long starts with the first pause again
_STOP_S = 15.0
_WRONG_SETTINGS = 2


@dataclass(slots=True)
class Part:
    """One process to keep alive."""

    name: str
    role: Role | None  # its channel to the ledger; None for the ledger itself
    arguments: tuple[str, ...]
    inherited: tuple[int, ...] = ()
    process: asyncio.subprocess.Process | None = None
    control: socket.socket | None = field(default=None, repr=False)
    started_before: bool = False


class Supervisor:
    """Runs the parts until told to stop."""

    def __init__(
        self,
        config: Path,
        *,
        workers: int,
        console: bool,
        listen: socket.socket,
        secrets: Mapping[Role, Collection[str]] = MappingProxyType({}),
    ) -> None:
        self._config = config
        self._secrets = secrets  # variables of the environment that only the parts of a role get
        self._ledger = Part("ledger", None, ("ledger",))
        fd = listen.fileno()
        self._parts = [
            self._ledger,
            *(
                Part(f"gateway-{number}", Role.WORKER, ("gateway", "--listen-fd", str(fd)), (fd,))
                for number in range(1, workers + 1)
            ),
            *([Part("console", Role.CONSOLE, ("console",))] if console else []),
        ]
        self._stopping = asyncio.Event()
        self._wrong: Misconfigured | None = None

    async def run(self, on_started: Callable[[Sequence[str]], None] = lambda names: None) -> None:
        """Keep all parts alive until SIGTERM or SIGINT; raises Misconfigured if one cannot start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        keepers = [asyncio.create_task(self._keep(part)) for part in self._parts]
        on_started([part.name for part in self._parts])
        stopped = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([stopped, *keepers], return_when=asyncio.FIRST_COMPLETED)
        self._stopping.set()
        await self._stop([part for part in self._parts if part is not self._ledger])
        await self._stop([self._ledger])
        for keeper in (*keepers, stopped):
            keeper.cancel()
        ended = await asyncio.gather(*keepers, return_exceptions=True)
        if self._wrong is not None:
            raise self._wrong
        for failure in ended:
            if isinstance(failure, Exception):  # a keeper that failed, and no cancellation
                raise failure

    async def _keep(self, part: Part) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._stopping.is_set():
            begun = time.monotonic()
            code = await self._run_once(part)
            if self._stopping.is_set():
                return
            if code == _WRONG_SETTINGS and not part.started_before:
                self._wrong = Misconfigured(f"the {part.name} cannot start", hint="see its message above")
                return
            lived_s = time.monotonic() - begun
            part.started_before = part.started_before or lived_s > 1
            pause_s = _FIRST_PAUSE_S if lived_s > _STABLE_S else min(2 * pause_s, _LONGEST_PAUSE_S)
            _log.error("the %s ended with %s, and is started again in %.1f s", part.name, code, pause_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)

    async def _run_once(self, part: Part) -> int:
        ours, theirs = control_pair()
        command = [sys.executable, "-m", "doorward", "--config", str(self._config), *part.arguments]
        with ours:
            with theirs:
                part.process = await asyncio.create_subprocess_exec(
                    *command,
                    "--control-fd",
                    str(theirs.fileno()),
                    pass_fds=(theirs.fileno(), *part.inherited),
                    stdin=asyncio.subprocess.DEVNULL,
                    env=self._environment(part),
                )
            part.control = ours
            loop = asyncio.get_running_loop()
            if part is self._ledger:
                for other in self._parts:
                    self._connect(other)
            else:
                self._connect(part)
                loop.add_reader(ours.fileno(), self._asked, part)
            try:
                return await part.process.wait()
            finally:
                loop.remove_reader(ours.fileno())
                part.control = None

    def _environment(self, part: Part) -> dict[str, str]:
        mine = self._secrets.get(part.role, ()) if part.role is not None else ()
        others = {name for names in self._secrets.values() for name in names}.difference(mine)
        return {name: value for name, value in os.environ.items() if name not in others}

    def _connect(self, part: Part) -> None:
        """Give a part and the ledger the two ends of a fresh channel, if both are there."""
        if part.role is not None and part.control is not None and self._ledger.control is not None:
            hand_out(part.role, ledger=self._ledger.control, child=part.control)

    def _asked(self, part: Part) -> None:
        asks = take_asks(part.control) if part.control is not None else None
        if asks is None:
            if part.control is not None:
                asyncio.get_running_loop().remove_reader(part.control.fileno())
        elif asks:
            self._connect(part)

    def _reload(self) -> None:
        for part in self._parts:
            if part.role is Role.WORKER and part.process is not None and part.process.returncode is None:
                part.process.send_signal(signal.SIGHUP)

    async def _stop(self, parts: Sequence[Part]) -> None:
        alive = [part.process for part in parts if part.process is not None and part.process.returncode is None]
        for process in alive:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        if not alive:
            return
        _, late = await asyncio.wait([asyncio.create_task(each.wait()) for each in alive], timeout=_STOP_S)
        for process in alive:
            if late and process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()


def bind_listener(address: tuple[str, int]) -> socket.socket:
    """The agents' listening socket; raises Unavailable where the address is taken."""
    host, port = address
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise Unavailable(
            f"cannot listen on {host}:{port}: {error.strerror}", cause="listen", hint="stop what listens there"
        ) from None
    return listener
