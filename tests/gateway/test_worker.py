"""A whole worker in this process, with a real ledger: what it writes before it listens, and what it takes up later."""

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from doorward.core.entry import Role
from doorward.errors import Misconfigured
from doorward.gateway import worker as module
from doorward.gateway.worker import make_master, run_worker
from doorward.ledger.channel import socket_path, unix_connect
from doorward.pki.deployment_key import load_or_create_key
from doorward.pki.files import create_root
from doorward.settings import load_settings
from doorward.supervisor import bind_listener
from tests.ledger.conftest import RunningLedger
from tests.parts.gateway import SECRET
from tests.parts.policies import policy_for
from tests.parts.raw_target import RawTarget

BEGINNING = ["gateway.started", "settings.loaded", "credential.loaded", "policy.loaded"]


@pytest.fixture
def folder(tmp_path: Path, target: RawTarget) -> Path:
    settings = {
        "issuers": {"corp": {"issuer": "http://127.0.0.1:9", "audience": "doorward"}},  # nobody listens there
        "credentials": {"target-token": {"secret": {"file": "secret"}}},
    }
    (tmp_path / "doorward.yaml").write_text(json.dumps(settings))
    (tmp_path / "policies").mkdir()
    write(tmp_path / "policies" / "p.yaml", json.dumps(policy_for(target)))
    write(tmp_path / "secret", SECRET)
    load_or_create_key(tmp_path / "var" / "deployment.key")
    create_root(tmp_path / "certs", datetime.now(UTC))
    return tmp_path


def write(file: Path, text: str) -> None:
    new = file.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_text(text)
    new.rename(file)


class Running:
    def __init__(self, folder: Path, ledger: RunningLedger) -> None:
        self.loaded = load_settings(folder / "doorward.yaml")
        self.ledger = ledger
        self.listening = bind_listener(("127.0.0.1", 0))
        self.at: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        connect = unix_connect(socket_path(ledger.runtime, Role.WORKER))
        work = run_worker(self.loaded, connect=connect, listen=self.listening, on_ready=self.at.set_result)
        self.task = asyncio.create_task(work)

    async def ready(self) -> str:
        at: asyncio.Future[Any] = self.at
        await asyncio.wait([self.task, at], return_when=asyncio.FIRST_COMPLETED, timeout=20)
        if self.task.done():
            self.task.result()
        return self.at.result()

    def kinds(self) -> list[str]:
        return self.ledger.kinds()

    async def until(self, *kinds: str) -> Any:
        async with asyncio.timeout(10):
            while self.kinds()[-len(kinds) :] != list(kinds):
                await asyncio.sleep(0.05)
        return self.ledger.entries()[-1].fields


@pytest.fixture
async def running(
    folder: Path,
    ledger: RunningLedger,  # the fixture
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Running]:
    monkeypatch.setattr(module, "_LOOK_AT_SECRETS_S", 0.05)
    made = Running(folder, ledger)
    yield made
    if not made.task.done():
        os.kill(os.getpid(), signal.SIGTERM)
    with contextlib.suppress(Misconfigured):
        await asyncio.wait_for(made.task, 20)
    made.listening.close()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().remove_signal_handler(number)


async def test_the_options_that_the_promises_rest_on_are_locked() -> None:
    options = make_master().options
    for name, value in {
        "connection_strategy": "lazy",
        "upstream_cert": False,
        "stream_large_bodies": None,
        "body_size_limit": None,
        "rawtcp": False,
        "websocket": False,
        "http3": False,
        "validate_inbound_headers": True,
        "server": False,
    }.items():
        assert getattr(options, name) == value, name
    for name in ("emudhra", "emudhra_old"):
        assert not getattr(options, name, False)


async def test_no_addon_of_mitmproxy_runs() -> None:
    assert [type(each).__name__ for each in make_master().addons.chain] == ["Proxyserver"]


async def test_what_a_worker_writes_before_it_listens_and_when_it_stops(running: Running) -> None:
    at = await running.ready()
    assert running.kinds() == BEGINNING
    started, settings, credential, policy = running.ledger.entries()
    assert started.fields["worker"] == str(os.getpid())
    options: Any = started.fields["options"]
    assert options["connection_strategy"] == "lazy"
    assert settings.fields["settings"] == hashlib.sha256(running.loaded.text.encode()).hexdigest()
    assert credential.fields["credential"] == "target-token"
    assert policy.fields["files"] == ["p.yaml"]
    assert SECRET not in repr(running.ledger.entries())
    host, _, port = at.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=5):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(running.task, 20)
    assert running.kinds() == [*BEGINNING, "gateway.stopped"]


async def test_a_rotated_secret_and_a_new_policy_are_entries(running: Running, folder: Path, target: RawTarget) -> None:
    await running.ready()
    before = running.ledger.entries()[2].fields["generation"]
    write(folder / "secret", SECRET[::-1])
    rotated = await running.until(*BEGINNING, "credential.loaded")
    assert rotated["generation"] != before
    policy = policy_for(target)
    del policy["denies"]
    write(folder / "policies" / "p.yaml", json.dumps(policy))
    os.kill(os.getpid(), signal.SIGHUP)
    await running.until("credential.loaded", "policy.loaded")
    write(folder / "policies" / "p.yaml", "targets: [")
    os.kill(os.getpid(), signal.SIGHUP)
    rejected = await running.until("policy.loaded", "policy.rejected")
    assert "p.yaml:1" in rejected["message"]


@pytest.mark.parametrize("wrong", ["secret", "policies/p.yaml", "certs/doorward-root.pem", "var/deployment.key"])
async def test_a_worker_does_not_listen_without(folder: Path, ledger: RunningLedger, wrong: str) -> None:
    (folder / wrong).unlink()
    starting = Running(folder, ledger)
    with pytest.raises(Misconfigured):
        await starting.ready()
    assert not starting.at.done()
    assert "policy.loaded" not in starting.kinds()
    starting.listening.close()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().remove_signal_handler(number)
