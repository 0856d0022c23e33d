"""`flows replay` as a process, and an agent that asks it."""

import json
import signal
import ssl
import subprocess
import sys
from typing import Any, Self

import httpx

from tests.parts.deployment import Deployment


class Replay:
    """`with Replay(deployment, "--target", "billing") as replay:` answers from the record."""

    def __init__(self, deployment: Deployment, *options: str) -> None:
        self._root = deployment.root
        line = [sys.executable, "-m", "doorward", "--config", str(deployment.folder / "doorward.yaml"), "flows"]
        self.process = subprocess.Popen(
            [*line, "replay", "--why", "ticket 7", "--json", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        lines = []
        for each in self.process.stdout:
            lines.append(each)
            if each == "}\n":
                break
        assert lines, self.process.communicate()[1]
        self.told: dict[str, Any] = json.loads("".join(lines))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.errors = self.process.communicate(timeout=30)[1]
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise

    def agent(self, proxy: str | None = None, **options: Any) -> httpx.Client:
        """An agent that is led to the replay."""
        context = ssl.create_default_context(cafile=self._root)
        return httpx.Client(proxy=proxy or self.told["proxy"], verify=context, trust_env=False, timeout=30, **options)
