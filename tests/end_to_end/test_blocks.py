"""The kill switch through `doorward serve`: one command, and within a second nothing of the principal lives."""

import contextlib
import os
import signal
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from doorward.model import Entry
from tests.end_to_end.test_holds import Waiting
from tests.parts.deployment import Deployment
from tests.parts.person import Person
from tests.parts.policies import policy_for
from tests.parts.provider import Provider
from tests.parts.raw_agent import exchange, tls_tunnel
from tests.parts.target import Answer, Got, Target, json_answer

AGENT = "corp:agent-7"
URL = "https://billing.internal/v1/customers/1"
GET = b"GET /v1/customers/1 HTTP/1.1\r\nHost: billing.internal\r\n\r\n"


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with Target() as running:
        running.answer = json_answer({"name": "Ann"})
        yield running


@pytest.fixture(scope="module")
def serving(provider: Provider, target: Target) -> Iterator[Deployment]:
    with Deployment(provider, policy_for(target), console=True, workers=2, hold={"wait": "60s"}) as running:
        yield running


@pytest.fixture
def deployment(serving: Deployment, target: Target) -> Iterator[Deployment]:
    """Two workers, and nobody blocked before nor after."""
    yield serving
    target.answer = json_answer({"name": "Ann"})
    serving.command("principals", "unblock", AGENT, "--reason", "the test is over", check=False)


def block(deployment: Deployment, principal: str = AGENT) -> float:
    """Block, and return when the entry was durable, by the clock of this machine."""
    deployment.command("principals", "block", principal, "--reason", "it went wild about Ann")
    return last(deployment, "principal.blocked").time.timestamp()


def last(deployment: Deployment, kind: str) -> Entry:
    return deployment.entries(kind)[-1]


class Tunnel:
    """A kept tunnel that notes when it was closed."""

    def __init__(self, deployment: Deployment) -> None:
        self.socket: ssl.SSLSocket = tls_tunnel(deployment)
        assert exchange(self.socket, GET).startswith(b"HTTP/1.1 200")
        self.closed_at = 0.0
        self.got = b""
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        with contextlib.suppress(OSError):
            while chunk := self.socket.recv(65536):
                self.got += chunk
        self.closed_at = time.time()

    def wait(self) -> float:
        self._thread.join(20)
        self.socket.close()
        assert self.closed_at
        return self.closed_at


def test_kept_tunnels_are_cut_within_a_second_in_all_workers(deployment: Deployment) -> None:
    tunnels = [Tunnel(deployment) for _ in range(8)]  # the kernel spreads them over both workers
    with deployment.agent(deployment.provider.token("agent-8")) as other:
        assert other.get(URL).status_code == 200
        at = block(deployment)
        assert all(tunnel.wait() - at < 1 for tunnel in tunnels)
        assert {tunnel.got for tunnel in tunnels} == {b""}
        assert other.get(URL).status_code == 200


def test_a_good_token_is_refused_after_the_block_and_served_after_its_end(
    deployment: Deployment, target: Target
) -> None:
    token = deployment.provider.token()
    block(deployment)
    before = len(target.got)
    for each in (token, deployment.provider.token(groups=("agents", "owners"))):
        with deployment.agent(each) as agent, pytest.raises(httpx.ProxyError, match="403"):
            agent.get(URL)
    with httpx.Client(proxy=deployment.proxy(token), trust_env=False) as plain:
        answer = plain.get("http://billing.internal/v1/customers/1")
        assert (answer.status_code, answer.json()["cause"]) == (403, "principal-blocked")
        assert "Ann" not in answer.text
    assert len(target.got) == before
    refused = deployment.wait_for_entry("request.refused", cause="principal-blocked", verb="CONNECT")
    assert (refused.fields["principal"], refused.fields["status"]) == (AGENT, 403)
    deployment.command("principals", "unblock", AGENT, "--reason", "mended")
    with deployment.agent(token) as agent:
        assert agent.get(URL).status_code == 200


def test_a_held_request_is_refused_within_a_second_and_nobody_can_approve_it_after(
    deployment: Deployment, target: Target
) -> None:
    waiting = Waiting(deployment, "held")
    with Person(deployment, "bob", "owners") as bob:
        hold = bob.wait_for_hold()
        waiting.answer.add_done_callback(lambda _: ended.append(time.time()))
        ended: list[float] = []
        at = block(deployment)
        answer = waiting.result()
        assert ended[0] - at < 1
        assert (answer.status_code, answer.json()["cause"]) == (403, "principal-blocked")
        assert answer.json()["executed"] == "no"
        assert bob.holds() == []
        assert bob.answer(hold).status_code == 409
        deployment.command("principals", "unblock", AGENT, "--reason", "mended")
        assert bob.answer(hold).status_code == 409
    withdrawn = deployment.wait_for_entry("hold.withdrawn", hold=hold["id"])
    assert withdrawn.fields["cause"] == "principal-blocked"
    assert withdrawn.time.timestamp() == at
    assert not any(got.method == "DELETE" for got in target.got)


def test_a_request_in_flight_is_cut_off_and_its_outcome_recorded(deployment: Deployment, target: Target) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def slow(_: Got) -> Answer:
        arrived.set()
        go_on.wait(20)
        return json_answer({"name": "Ann"})

    target.answer = slow
    with ThreadPoolExecutor(1) as pool, deployment.agent() as agent:
        sent = pool.submit(agent.get, URL)
        assert arrived.wait(20)
        ended: list[float] = []
        sent.add_done_callback(lambda _: ended.append(time.time()))
        at = block(deployment)
        with pytest.raises(httpx.HTTPError):
            sent.result(20)
        go_on.set()
        assert ended[0] - at < 1
    outcome = deployment.wait_for_entry("request.outcome", cause="principal-blocked")
    assert (outcome.fields["executed"], outcome.fields["status"]) == ("unknown", 403)
    assert outcome.time.timestamp() - at < 1


def test_a_block_survives_a_kill_of_the_ledger_and_of_the_workers(deployment: Deployment, target: Target) -> None:
    block(deployment)
    for part in ("ledger", "gateway"):
        old = deployment.pids(part)
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        deployment.wait_for(lambda part=part, old=old: len(set(deployment.pids(part)) - set(old)) == len(old), 30)
    token, other = deployment.provider.token(), deployment.provider.token("agent-8")

    def serves() -> bool:
        with contextlib.suppress(httpx.HTTPError), deployment.agent(other) as agent:
            return agent.get(URL).status_code == 200
        return False

    deployment.wait_for(serves, 30)
    before = len(target.got)
    for _ in range(6):  # whichever worker takes it
        with deployment.agent(token) as agent, pytest.raises(httpx.ProxyError, match="403"):
            agent.get(URL)
    assert len(target.got) == before
    assert AGENT in deployment.command("principals", "list").stdout


def test_fifty_requests_race_with_a_block(deployment: Deployment) -> None:
    token = deployment.provider.token()
    start = threading.Barrier(51)

    def send(number: int) -> int:
        with deployment.agent(token) as agent:
            agent.get(URL)
            start.wait(60)
            try:
                for _ in range(20):
                    agent.get(f"{URL}?race={number}")
            except httpx.HTTPError:
                return 0
            return 200

    with ThreadPoolExecutor(50) as pool:
        sent = [pool.submit(send, number) for number in range(50)]
        start.wait(60)
        block(deployment)
        ended = [each.result(60) for each in sent]
    seq = last(deployment, "principal.blocked").seq
    intents = [entry.seq for entry in deployment.entries("request.intent") if entry.fields["principal"] == AGENT]
    assert intents
    assert [each for each in intents if each > seq] == []
    assert 0 in ended  # or nothing was racing
