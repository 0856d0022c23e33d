"""Parts that die, disks that fill: no traffic that is not recorded, nothing acknowledged lost, and back by itself."""

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.parts.deployment import Deployment
from tests.parts.policies import policy_for
from tests.parts.provider import Provider
from tests.parts.target import Target, json_answer

URL = "https://billing.internal/v1/customers/1"


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with Target() as running:
        running.answer = json_answer({"name": "Ann"})
        yield running


def test_a_killed_ledger_stops_traffic_until_it_is_back(provider: Provider, target: Target) -> None:
    with Deployment(provider, policy_for(target)) as deployment, deployment.agent() as agent:
        assert agent.get(URL).status_code == 200
        (ledger,) = deployment.pids("ledger")
        os.kill(ledger, signal.SIGSTOP)  # alive and silent: appends time out
        before = len(target.got)
        os.kill(ledger, signal.SIGKILL)
        answer = agent.get(URL)
        if answer.status_code != 200:  # it may be back already
            assert answer.status_code == 503
            assert answer.json()["executed"] == "no"
            assert len(target.got) == before
        deployment.wait_for(lambda: agent.get(URL).status_code == 200, 20)
        seqs = [entry.seq for entry in deployment.entries()]
        assert seqs == list(range(1, len(seqs) + 1))


def test_a_request_waits_for_a_ledger_that_is_started_again(provider: Provider, target: Target) -> None:
    with Deployment(provider, policy_for(target)) as deployment, deployment.agent() as agent:
        assert agent.get("https://billing.internal/v1/x").status_code == 200
        time.sleep(2.1)  # a part that lived so long is started again at once
        (ledger,) = deployment.pids("ledger")
        os.kill(ledger, signal.SIGKILL)
        deployment.wait_for(lambda: ledger not in deployment.pids("ledger"))
        assert agent.get("https://billing.internal/v1/x").status_code == 200
        assert len(deployment.entries("request.intent")) == len(deployment.entries("request.outcome")) == 2


def test_a_silent_ledger_means_503_and_nothing_dialled(provider: Provider, target: Target) -> None:
    with Deployment(provider, policy_for(target)) as deployment, deployment.agent() as agent:
        assert agent.get(URL).status_code == 200
        (ledger,) = deployment.pids("ledger")
        os.kill(ledger, signal.SIGSTOP)
        try:
            before = len(target.got)
            answer = agent.get(URL)
            assert answer.status_code == 503
            assert answer.json()["executed"] == "no"
            assert len(target.got) == before
        finally:
            os.kill(ledger, signal.SIGCONT)
        deployment.wait_for(lambda: agent.get(URL).status_code == 200, 20)


def test_a_killed_worker_and_a_killed_console_come_back(provider: Provider, target: Target) -> None:
    with Deployment(provider, policy_for(target), console=True) as deployment:
        for part in ("gateway", "console"):
            (pid,) = deployment.pids(part)
            os.kill(pid, signal.SIGKILL)
            deployment.wait_for(lambda part=part, pid=pid: [p for p in deployment.pids(part) if p != pid], 20)
        deployment.wait_for(lambda: deployment.log.count("gateway listening") == 2, 20)
        with deployment.agent() as agent:
            assert agent.get(URL).status_code == 200
        deployment.wait_for(lambda: deployment.log.count("console listening") == 2, 20)


def test_parts_end_with_a_supervisor_that_is_killed(provider: Provider, target: Target) -> None:
    with Deployment(provider, policy_for(target)) as deployment:
        pids = [*deployment.pids("ledger"), *deployment.pids("gateway")]
        assert deployment.process is not None
        deployment.process.kill()
        deployment.process.wait()
        deployment.process = None
        deadline = time.monotonic() + 20
        while any(_runs(pid) for pid in pids):
            assert time.monotonic() < deadline, "orphans"
            time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_kill_9_of_any_process_loses_no_acknowledged_entry(provider: Provider, target: Target) -> None:
    """An agent that got an answer finds intent and outcome in the record, whoever was killed meanwhile."""
    answered: list[str] = []
    stop = threading.Event()

    def send(deployment: Deployment, token: str) -> None:
        while not stop.is_set():
            with contextlib.suppress(httpx.HTTPError), deployment.agent(token) as agent:
                while not stop.is_set():
                    answer = agent.get(URL)
                    if answer.status_code == 200:
                        answered.append(answer.headers["Doorward-Request"])

    with Deployment(provider, policy_for(target)) as deployment:
        senders = [threading.Thread(target=send, args=(deployment, provider.token())) for _ in range(3)]
        for sender in senders:
            sender.start()
        try:
            for number in range(20):
                part = ("ledger", "gateway", "ledger")[number % 3]
                deployment.wait_for(lambda part=part: deployment.pids(part), 30)
                count = len(answered)
                deployment.wait_for(lambda count=count: len(answered) > count, 60)
                for pid in deployment.pids(part):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
        finally:
            stop.set()
            for sender in senders:
                sender.join(90)
        deployment.wait_for(lambda: deployment.pids("ledger"), 30)
        entries = deployment.entries()
        assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
        intents = {entry.fields["request"] for entry in entries if entry.kind == "request.intent"}
        outcomes = {entry.fields["request"] for entry in entries if entry.kind == "request.outcome"}
        assert len(answered) >= 20
        assert set(answered) <= intents
        assert set(answered) <= outcomes


def test_a_file_size_limit_is_a_full_disk(provider: Provider, target: Target) -> None:
    """RLIMIT_FSIZE on the running ledger: no traffic, a clear refusal, and traffic again when there is room."""
    with Deployment(provider, policy_for(target)) as deployment, deployment.agent() as agent:
        assert agent.get(URL).status_code == 200
        (ledger,) = deployment.pids("ledger")
        largest = max(file.stat().st_size for file in (deployment.var / "segments").iterdir())
        resource.prlimit(ledger, resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
        before = len(target.got)
        statuses = [agent.get(f"{URL}?n={n}").status_code for n in range(40)]
        refused = statuses.count(503)
        assert refused > 0, statuses
        assert len(target.got) - before == 40 - refused
        resource.prlimit(ledger, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        deployment.wait_for(lambda: agent.get(URL).status_code == 200, 20)


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system is mounted by root only")
def test_a_small_file_system_that_fills_up(provider: Provider, target: Target) -> None:
    with contextlib.ExitStack() as stack:
        deployment = Deployment(provider, policy_for(target), ledger={"path": "var", "reserve": "2MiB"})
        stack.callback(shutil.rmtree, deployment.folder, ignore_errors=True)
        key = (deployment.var / "deployment.key").read_bytes()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=6m,mode=700", "tmpfs", deployment.var], check=False
        )
        if mounted.returncode != 0:
            pytest.skip("this machine mounts no tmpfs")
        stack.callback(lambda: subprocess.run(["umount", "-l", deployment.var], check=True))
        (deployment.var / "deployment.key").touch(mode=0o600)
        (deployment.var / "deployment.key").write_bytes(key)
        deployment.start()
        stack.callback(deployment.stop)
        agent = stack.enter_context(deployment.agent())
        assert agent.get(URL).status_code == 200
        ballast = deployment.var / "ballast"
        ballast.write_bytes(os.urandom(_free(deployment.var) - (1 << 20)))
        before = len(target.got)
        answer = agent.get(URL)
        assert answer.status_code == 503
        assert answer.json()["cause"] == "disk-full"
        assert len(target.got) == before
        ballast.unlink()
        deployment.wait_for(lambda: agent.get(URL).status_code == 200, 20)


def _free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
