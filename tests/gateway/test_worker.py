import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from doorward.core.entry import Role
from doorward.errors import Misconfigured, Unavailable
from doorward.gateway import worker as module
from doorward.gateway.worker import make_master, run_worker
from doorward.ledger.channel import socket_path, unix_connect
from doorward.pki.deployment_key import load_or_create_key
from doorward.pki.files import ROOT_KEY_FILE, create_root
from doorward.private_files import write_file
from doorward.settings import deployment_key_file, load_settings
from tests.ledger.conftest import RunningLedger
from tests.parts.entries import NOW
from tests.parts.gateway import SECRET, Agent, get
from tests.parts.policies import policy_for
from tests.parts.provider import Provider
from tests.parts.raw_target import RawTarget


class Worker:
    """One worker in this process, from a folder as `init` leaves it."""

    def __init__(self, folder: Path, ledger: RunningLedger, provider: Provider, policy: dict[str, Any]) -> None:
        self.folder = folder
        self.ledger = ledger
        self.provider = provider
        (folder / "policies").mkdir()
        self.write_policy(policy)
        (folder / "secrets").mkdir()
        self.write_secret(SECRET)
        self.settings: dict[str, Any] = {
            "issuers": {"corp": {"issuer": provider.url, "audience": provider.audience}},
            "credentials": {"target-token": {"value": "Bearer {secret}", "secret": {"file": "secrets/target"}}},
        }
        self.write_settings()
        self.loaded = load_settings(folder / "doorward.yaml")
        self.loaded.settings.ledger.path.mkdir(exist_ok=True)
        load_or_create_key(deployment_key_file(self.loaded.settings))
        create_root(self.loaded.settings.ca, NOW)
        self.listen = socket.socket()
        self.listen.bind(("127.0.0.1", 0))
        self.listen.listen()
        self.listen.setblocking(False)
        self.at: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.task: asyncio.Task[None] | None = None
        self._agents: list[Agent] = []

    def write_policy(self, policy: dict[str, Any]) -> None:
        write_file(self.folder / "policies" / "policy.yaml", json.dumps(policy).encode())

    def write_secret(self, secret: str) -> None:
        write_file(self.folder / "secrets" / "target", secret.encode())

    def write_settings(self) -> None:
        (self.folder / "doorward.yaml").write_text(json.dumps(self.settings))

    def start(self) -> None:
        self.loaded = load_settings(self.folder / "doorward.yaml")
        connect = unix_connect(socket_path(self.ledger.runtime, Role.WORKER))
        self.task = asyncio.create_task(
            run_worker(self.loaded, connect=connect, listen=self.listen, on_ready=self.at.set_result)
        )

    async def ready(self) -> str:
        assert self.task is not None
        await asyncio.wait((self.task, self.at), timeout=10, return_when=asyncio.FIRST_COMPLETED)
        if self.task.done():
            self.task.result()
        return await self.at

    async def ask(self) -> int:
        host, _, port = (await self.ready()).rpartition(":")
        agent = Agent(*await asyncio.open_connection(host, int(port)))
        self._agents.append(agent)
        token = f"Proxy-Authorization: Bearer {self.provider.token()}"
        return (await agent.ask(get("http://billing.internal/v1/a", token))).status

    async def until(self, true: Any) -> None:
        async with asyncio.timeout(5):
            while not true():
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        for agent in self._agents:
            agent.close()
        if self.task is not None and not self.task.done():
            os.kill(os.getpid(), signal.SIGTERM)
        if self.task is not None:
            await asyncio.gather(self.task, return_exceptions=True)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().remove_signal_handler(number)
        self.listen.close()


@pytest.fixture
async def one(
    tmp_path: Path, ledger: RunningLedger, provider: Provider, target: RawTarget, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Worker]:
    monkeypatch.setattr(module, "_LOOK_AT_SECRETS_S", 0.02)
    made = Worker(tmp_path, ledger, provider, policy_for(target))
    yield made
    await made.stop()


async def test_what_runs_is_in_the_ledger_before_the_first_connection(one: Worker) -> None:
    one.start()
    at = await one.ready()
    assert one.ledger.kinds() == ["gateway.started", "settings.loaded", "credential.loaded", "policy.loaded"]
    published = json.loads((one.folder / "var/run/gateway.json").read_text())
    assert published == {"listen": at, "pid": os.getpid()}
    assert await one.ask() == 200
    await one.stop()
    assert one.ledger.kinds()[-1] == "gateway.stopped"
    everything = b"".join(file.read_bytes() for file in (one.folder / "var").rglob("*") if file.is_file())
    assert SECRET.encode() not in everything


async def test_a_rotated_secret_has_an_entry(one: Worker, target: RawTarget) -> None:
    one.start()
    assert await one.ask() == 200
    one.write_secret("the-next-secret-of-the-target")
    await one.until(lambda: one.ledger.kinds().count("credential.loaded") == 2)
    assert await one.ask() == 200
    assert b"the-next-secret-of-the-target" in target.got[-1]


async def test_a_hangup_reloads_the_policy(one: Worker, target: RawTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doorward.gateway.policies._LOOK_EVERY_S", 60)
    one.start()
    assert await one.ask() == 200
    one.write_policy(policy_for(target, denies=[{"name": "all", "match": {"target": "billing"}}]))
    os.kill(os.getpid(), signal.SIGHUP)
    await one.until(lambda: one.ledger.kinds().count("policy.loaded") == 2)
    assert await one.ask() == 403


async def test_a_ledger_that_goes_away_stops_traffic_until_it_is_back(one: Worker, target: RawTarget) -> None:
    one.start()
    assert await one.ask() == 200
    await one.ledger.stop()
    assert await one.ask() == 503
    assert len(target.got) == 1
    await one.ledger.start()
    async with asyncio.timeout(30):
        while await one.ask() != 200:
            await asyncio.sleep(0.05)


async def test_without_a_ledger_it_does_not_start(one: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LEDGER_WAIT_S", 0.05)
    await one.ledger.stop()
    one.start()
    with pytest.raises(Unavailable) as away:
        await one.ready()
    assert away.value.cause == "ledger-away"


def _no_policy(one: Worker) -> None:
    (one.folder / "policies" / "policy.yaml").unlink()


def _no_root_key(one: Worker) -> None:
    (one.folder / "certs" / ROOT_KEY_FILE).unlink()


def _short_secret(one: Worker) -> None:
    one.write_secret("short")


def _no_key(one: Worker) -> None:
    deployment_key_file(one.loaded.settings).unlink()


def _no_certificate(one: Worker) -> None:
    one.settings["tls"] = {"cert": "absent.pem", "key": "secrets/target"}
    one.write_settings()


@pytest.mark.parametrize("spoil", [_no_policy, _no_root_key, _short_secret, _no_key, _no_certificate])
async def test_wrong_settings_end_it_before_it_listens(one: Worker, spoil: Any) -> None:
    spoil(one)
    one.start()
    with pytest.raises(Misconfigured):
        await one.ready()
    assert not one.at.done()


async def test_the_options_that_the_promises_rest_on() -> None:
    master = make_master()
    assert [type(each).__name__ for each in master.addons.chain] == ["Proxyserver"]
    options = master.options
    assert options.connection_strategy == "lazy"
    assert options.upstream_cert is False
    assert options.rawtcp is False
    assert options.websocket is False
    assert options.stream_large_bodies is None
    assert options.validate_inbound_headers is True
    assert options.http3 is False
    assert options.server is False
    assert options.body_size_limit is None
    assert not getattr(options, "emudhra", False)
    assert not getattr(options, "emudhra_old", False)
