"""The agent of `demo --auto`: plain curl, and a Python client, with nothing but environment variables set."""

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from doorward.cli.demo.world import World, clean_environment
from doorward.errors import Unavailable

_PYTHON = """\
import sys, requests
answer = requests.request(sys.argv[1], sys.argv[2], json=eval(sys.argv[3]), timeout=90)
print(answer.status_code)
print(answer.text)
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client printed: status (0 where the proxy refused the tunnel) and body."""

    status: int
    text: str

    @property
    def document(self) -> Any:
        """The body as JSON, None where it is none."""
        try:
            return json.loads(self.text)
        except ValueError:
            return None

    def says(self, **facts: object) -> bool:
        """Whether the body is an object with these facts."""
        return isinstance(self.document, dict) and all(self.document.get(name) == fact for name, fact in facts.items())


class Agent:
    """Environment variables and two stock clients."""

    def __init__(self, world: World, *, token: str | None = None) -> None:
        proxy = f"http://agent:{world.token if token is None else token}@{world.gateway}"
        root = str(world.root)
        self._environment = {
            **clean_environment(),
            "HTTPS_PROXY": proxy,
            "CURL_CA_BUNDLE": root,
            "REQUESTS_CA_BUNDLE": root,
            "SSL_CERT_FILE": root,
        }

    def curl(self, *arguments: str) -> Answer:
        """Run curl; the status of the proxy where it opened no tunnel."""
        line = ["curl", "--silent", "--max-time", "90", "--write-out", "\n%{http_code} %{http_connect}", *arguments]
        try:
            done = self._run(line)
        except FileNotFoundError:
            raise Unavailable("the demo needs curl", cause="demo", hint="install curl") from None
        text, _, codes = done.rpartition("\n")
        final, _, tunnel = codes.partition(" ")
        return Answer(int(final) or int(tunnel or 0), text)

    def python(self, method: str, url: str, body: object = None) -> Answer:
        """Run a Python program that uses requests."""
        status, _, text = self._run([sys.executable, "-c", _PYTHON, method, url, repr(body)]).partition("\n")
        return Answer(int(status or 0), text)

    def start_python(self, method: str, url: str, body: object = None) -> "subprocess.Popen[str]":
        """The same, without waiting; for a request that is held."""
        line = [sys.executable, "-c", _PYTHON, method, url, repr(body)]
        return subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=self._environment)  # noqa: S603 # ourselves

    def _run(self, line: list[str]) -> str:
        done = subprocess.run(line, capture_output=True, text=True, env=self._environment, timeout=120, check=False)  # noqa: S603 # curl and ourselves
        return done.stdout


def finish(process: "subprocess.Popen[str]") -> Answer:
    """The answer of a started Python client."""
    out, _ = process.communicate(timeout=120)
    status, _, text = out.partition("\n")
    return Answer(int(status or 0), text)
