"""A whole doorward in a folder of its own: `doorward serve` with real processes, on ports of its own."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx

from doorward.core.entry import Role
from doorward.ledger.channel import socket_path, unix_connect
from doorward.ledger.client import LedgerClient
from doorward.model import Entry
from doorward.store.index import FlowRow, Index
from doorward.store.rebuild import SEGMENTS
from tests.parts.provider import Provider
from tests.parts.record import read_bodies, read_entries

SECRET = "s3cr3t-of-the-target-0123456789"


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Deployment:
    """`with Deployment(provider, policy) as deployment:`; `stop()` and `start()` in between keep the record."""

    def __init__(
        self,
        provider: Provider,
        policy: Mapping[str, Any],
        *,
        console: bool = False,
        under: Path | None = None,
        **settings: Any,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="dw-", dir=under))
        self.provider = provider
        self.port = free_port()
        self.console_port = free_port() if console else 0
        self.process: subprocess.Popen[bytes] | None = None
        self.environment: dict[str, str] = {}
        self._settings: dict[str, Any] = {
            "listen": f"127.0.0.1:{self.port}",
            "issuers": {"corp": {"issuer": provider.url, "audience": provider.audience, "owner": "owner"}},
            "ledger": {"path": "var"},
            "credentials": {
                "target-token": {"value": "Bearer {secret}", "secret": {"file": "secrets/target"}},
            },
        }
        if console:
            self._settings["console"] = {
                "listen": f"127.0.0.1:{self.console_port}",
                "issuer": "corp",
                "client_id": "doorward-console",
                "roles": {"viewer": ["corp:staff"], "reviewer": ["corp:owners"]},
            }
        self._settings |= settings
        self.write_secret(SECRET)
        self.write_policy(policy)
        (self.folder / "doorward.yaml").write_text(json.dumps(self._settings, indent=2))
        self.command("init")

    @property
    def var(self) -> Path:
        return self.folder / "var"

    @property
    def root(self) -> str:
        return str(self.folder / "certs" / "doorward-root.pem")

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def write_policy(self, policy: Mapping[str, Any] | str, name: str = "policy.yaml") -> None:
        """Put a policy in place at one stroke, as careful editors do."""
        (self.folder / "policies").mkdir(exist_ok=True)
        new = self.folder / "policies" / f".{name}.new"
        new.write_text(policy if isinstance(policy, str) else json.dumps(policy))
        new.rename(self.folder / "policies" / name)

    def write_secret(self, secret: str) -> None:
        file = self.folder / "secrets" / "target"
        file.parent.mkdir(mode=0o700, exist_ok=True)
        new = file.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(secret + "\n")
        new.rename(file)

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a doorward command to its end."""
        line = [sys.executable, "-m", "doorward", "--config", str(self.folder / "doorward.yaml"), *arguments]
        done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        line = [sys.executable, "-m", "doorward", "--config", str(self.folder / "doorward.yaml"), "serve"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                line, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**os.environ, **self.environment}
            )
        wanted = ["gateway listening", *(["console listening"] if self.console_port else [])]
        self.wait_for(lambda: all(each in self.log for each in wanted), 120)

    def wait_for(self, true: Any, seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            ended = self.process is not None and self.process.poll() is not None
            if ended or time.monotonic() > deadline:
                raise AssertionError(f"{'serve ended' if ended else 'waited in vain'}; its log:\n{self.log}")
            time.sleep(0.05)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
            self.process = None

    def pids(self, part: str) -> list[int]:
        """Process ids of a part: `ledger`, `gateway` or `console`."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        found = []
        for pid in children:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended just now
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if part.encode() in words:
                    found.append(int(pid))
        return found

    def proxy(self, token: str | None = None, label: str = "agent") -> str:
        token = self.provider.token() if token is None else token
        return f"http://{label}:{token}@127.0.0.1:{self.port}"

    def agent(self, token: str | None = None, **options: Any) -> httpx.Client:
        """An agent as httpx makes one."""
        context = ssl.create_default_context(cafile=self.root)
        return httpx.Client(proxy=self.proxy(token), verify=context, trust_env=False, timeout=60, **options)

    def raw(self) -> socket.socket:
        """A plain connection to the gateway."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        connection.settimeout(20)
        return connection

    def flows(self) -> list[FlowRow]:
        """What the index knows, oldest first."""
        index = Index(self.var / "index.db")
        try:
            return index.flows(1000)[::-1]
        finally:
            index.close()

    def entries(self, kind: str | None = None) -> list[Entry]:
        """The entries of all segments, in order; while the ledger runs, as read-only reader."""
        return [each for each in read_entries(self.var / SEGMENTS) if kind is None or each.kind == kind]

    def wait_for_entry(self, kind: str, **fields: Any) -> Entry:
        """The first entry of a kind with these fields; waits for it a little."""
        deadline = time.monotonic() + 10
        while True:
            for entry in self.entries(kind):
                if all(entry.fields.get(name) == value for name, value in fields.items()):
                    return entry
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"no {kind} with {fields}; there are {[e.kind for e in self.entries()]}\n{self.log}"
                )
            time.sleep(0.05)

    def body(self, entry: Entry, name: str) -> bytes:
        """A recorded body, read through the ledger as a command does."""

        async def read() -> bytes:
            client = LedgerClient(unix_connect(socket_path(self.var / "run", Role.COMMAND)), Role.COMMAND)
            await client.start()
            try:
                digest = entry.fields["bodies"][name]["digest"]  # type: ignore[index,call-overload]
                return await client.read_body(str(digest), reader="test", why="test")
            finally:
                await client.close()

        return asyncio.run(read())

    def streamed(self, outcome: Entry) -> bytes:
        """The body of an answer that streamed, whether it had time for parts or not."""
        request = outcome.fields["request"]
        parts = [part for part in self.entries("stream.part") if part.fields["request"] == request]
        found = [self.body(part, "part") for part in parts]
        if not parts:
            found.append(self.body(outcome, "response_body"))
        return b"".join(found)

    def everything_on_disk(self) -> bytes:
        """All bytes under var/, with the bodies decompressed beside, to look for what must not be there."""
        raw = b"".join(file.read_bytes() for file in sorted(self.var.rglob("*")) if file.is_file())
        return raw + b"".join(read_bodies(self.var / SEGMENTS)) + self.log.encode()
