"""Sets the stage: a folder with settings, keys and the policy; provider, target and `doorward serve` as processes."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from doorward.cli.demo.identity import agent_token, start_provider
from doorward.cli.demo.target import Target
from doorward.errors import Misconfigured, Unavailable
from doorward.private_files import write_file
from doorward.settings import load_settings, runtime_folder

_TARGET_IN_POLICY = "127.0.0.1:8090"  # PocketBase's usual port; the demo's own is put in its place
_SETTINGS = """\
listen: 127.0.0.1:{gateway}
issuers:
  corp: {{issuer: "{issuer}", audience: doorward, algorithms: [RS256], longest: 1h, groups: groups, owner: owner}}
console:
  listen: 127.0.0.1:{console}
  issuer: corp
  client_id: doorward-console
  roles: {{viewer: ["corp:staff"], reviewer: ["corp:crm-owners"]}}
ledger: {{path: var/}}
policies: policies/
ca: certs/
credentials:
  crm-token: {{header: Authorization, value: "{{secret}}", secret: {{file: secrets/crm-token}}}}
hold: {{wait: 45s, repeat: 10m}}
"""


@dataclass(frozen=True, slots=True)
class World:
    """What the story is played on."""

    folder: Path
    gateway: str  # host:port
    console: str  # URL
    issuer: str
    target: Target
    token: str  # the agent's

    @property
    def settings(self) -> Path:
        """The settings file."""
        return self.folder / "doorward.yaml"

    @property
    def root(self) -> Path:
        """The certificate that agents trust."""
        return self.folder / "certs" / "doorward-root.pem"

    def doorward(self, *arguments: str) -> str:
        """Run a command of doorward; its standard output."""
        line = [sys.executable, "-m", "doorward", "--config", str(self.settings), *arguments]
        done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 # ourselves
        if done.returncode != 0:
            raise Misconfigured(f"doorward {arguments[0]} failed: {done.stderr.strip()}", cause="demo")
        return done.stdout


@contextlib.contextmanager
def made_world(folder: Path, policies: Path, say: Callable[[str], None]) -> Iterator[World]:
    """Start everything, and stop it at the end; the folder with the record stays."""
    folder.mkdir(parents=True, exist_ok=True)
    gateway, console, provider, target_port = _free_ports(4)
    issuer = f"http://127.0.0.1:{provider}"
    (folder / "doorward.yaml").write_text(_SETTINGS.format(gateway=gateway, console=console, issuer=issuer))
    _copy_policies(policies, folder / "policies", f"127.0.0.1:{target_port}")
    target = Target(folder, target_port)
    with contextlib.ExitStack() as stack:
        log = stack.enter_context((folder / "demo.log").open("ab")).fileno()
        for process in (start_provider(provider, log), target.start(log)):
            stack.callback(_stop, process)
        _wait_for(f"{issuer}/.well-known/openid-configuration")
        _wait_for(f"http://{target.address}/api/health")
        target.fill()
        (folder / "secrets").mkdir(mode=0o700, exist_ok=True)
        write_file(folder / "secrets" / "crm-token", target.secret.encode() + b"\n")
        world = World(folder, f"127.0.0.1:{gateway}", f"http://127.0.0.1:{console}", issuer, target, "")
        world.doorward("init")
        say(world.doorward("check").strip())
        for file in _addresses(world):
            file.unlink(missing_ok=True)  # of an earlier demo
        line = [sys.executable, "-m", "doorward", "--config", str(world.settings), "serve"]
        serve = subprocess.Popen(line, stdout=log, stderr=log, stdin=subprocess.DEVNULL)  # noqa: S603 # ourselves
        stack.callback(_stop, serve)
        _wait_until_served(world, serve)
        yield World(folder, world.gateway, world.console, issuer, target, agent_token(issuer, "doorward"))


def fresh_folder(place: Path) -> Path:
    """An empty folder for the demo; what an earlier demo left there is taken away."""
    if (place / "demo.log").exists():
        shutil.rmtree(place)
    if place.exists() and any(place.iterdir()):
        raise Misconfigured(f"{place} is not empty, and not from a demo", hint="name another with --folder")
    return place


def _copy_policies(source: Path, into: Path, target: str) -> None:
    files = sorted(source.glob("*.yaml"))
    if not files:
        raise Misconfigured(f"no policies in {source}", hint="name a folder with --policies")
    into.mkdir(exist_ok=True)
    for file in files:
        (into / file.name).write_text(file.read_text().replace(_TARGET_IN_POLICY, target))


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def _wait_for(url: str) -> None:
    with httpx.Client(trust_env=False, timeout=2) as client:
        for _ in range(300):
            with contextlib.suppress(httpx.TransportError):
                if client.get(url).status_code == 200:
                    return
            time.sleep(0.1)
    raise Unavailable(f"nothing answers at {url}", cause="demo", hint="see demo.log in the demo's folder")


def _addresses(world: World) -> list[Path]:
    """What gateway and console write once they answer."""
    run = runtime_folder(load_settings(world.settings).settings)
    return [run / name for name in ("gateway.json", "console.json")]


def _wait_until_served(world: World, serve: subprocess.Popen[bytes]) -> None:
    for _ in range(400):
        if all(file.exists() for file in _addresses(world)):
            return
        if serve.poll() is not None:
            break
        time.sleep(0.1)
    raise Unavailable("doorward did not start", cause="demo", hint=f"see {world.folder / 'demo.log'}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def clean_environment() -> dict[str, str]:
    """The environment without proxies, for processes that get their own."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
