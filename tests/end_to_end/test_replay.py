"""An agent's run again, without the target: answers come from the record, in order, and nobody is dialled."""

import base64
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.parts.deployment import Deployment
from tests.parts.policies import policy_for
from tests.parts.provider import Provider
from tests.parts.replay import Replay
from tests.parts.target import Answer, Got, Target, json_answer

URL = "https://billing.internal/v1"
MASKS = [{"name": "personal data", "match": {"target": "billing"}, "fields": ["$..email"], "query": ["email"]}]


class Count:
    """A target whose answers tell them apart."""

    def __init__(self) -> None:
        self.turn = 0

    def __call__(self, got: Got) -> Answer:
        self.turn += 1
        if got.path == "/v1/empty":
            return Answer(204, b"", [])
        if got.path == "/v1/long":
            return json_answer(["x" * 4096])
        return json_answer(
            {"turn": self.turn, "path": got.path.partition("?")[0], "email": "ann@example.com"}, X_Turn=str(self.turn)
        )


def run_of_an_agent(agent: httpx.Client) -> list[tuple[int, Any, str | None]]:
    """Some requests that a mask, a coding or an order makes hard to tell apart."""
    answers = [
        agent.get(f"{URL}/customers/1"),
        agent.get(f"{URL}/customers/1"),
        agent.get(f"{URL}/customers/1?email=ann@example.com&page=2"),
        agent.get(f"{URL}/customers/1?page=2"),
        agent.post(f"{URL}/customers", json={"email": "ann@example.com", "total": 1.5}),
        agent.post(f"{URL}/customers", json={"email": "ann@example.com", "total": 2.5}),
        agent.post(f"{URL}/notes", content=b"no json at all", headers={"Content-Type": "text/plain"}),
        agent.head(f"{URL}/customers/1"),
        agent.get(f"{URL}/empty"),
    ]
    return [(each.status_code, each.json() if each.content else None, each.headers.get("X-Turn")) for each in answers]


@pytest.fixture(scope="module")
def recorded(provider: Provider) -> Iterator[tuple[Deployment, list[Any], int]]:
    """A deployment whose agent made its run; by now the target is gone, and somebody else listens at its port."""
    with Target() as target:
        target.answer = Count()
        limits = {"recorded_body": "2KiB"}
        with Deployment(provider, policy_for(target, masks=MASKS), limits=limits) as deployment:
            with deployment.agent() as agent:
                run = run_of_an_agent(agent)
                assert agent.get(f"{URL}/long").status_code == 200
            deployment.wait_for(lambda: [row.executed for row in deployment.flows()].count("yes") == 10)
            target.__exit__()
            try:
                yield deployment, run, target.port
            finally:
                target.__enter__()


@pytest.fixture
def replay(recorded: tuple[Deployment, list[Any], int]) -> Iterator[Replay]:
    with Replay(recorded[0]) as running:
        yield running


@pytest.fixture
def in_the_targets_place(recorded: tuple[Deployment, list[Any], int]) -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", recorded[2])) as listening:
        listening.settimeout(0.5)
        yield listening


def assert_never_dialled(listening: socket.socket) -> None:
    with pytest.raises(TimeoutError):
        listening.accept()


def test_the_same_run_gets_the_same_answers_and_nobody_is_dialled(
    recorded: tuple[Deployment, list[Any], int], replay: Replay, in_the_targets_place: socket.socket
) -> None:
    deployment, run, _ = recorded
    assert (replay.told["answers"], replay.told["left_out"]) == (9, 1)
    with replay.agent() as agent:
        assert run_of_an_agent(agent) == run
        last = agent.get(f"{URL}/customers/1")
        assert last.json()["turn"] == 2, "after the recorded ones the last again"
        assert last.headers["Doorward-Request"] in [row.request for row in deployment.flows()]
        assert int(last.headers["Content-Length"]) == len(last.content)
        assert last.json()["email"].startswith("doorward-masked-")
    assert_never_dialled(in_the_targets_place)
    reads = [each for each in deployment.entries("bodies.read") if each.fields["why"] == "ticket 7"]
    assert reads
    assert b"ann@example.com" not in deployment.everything_on_disk()


@pytest.mark.parametrize(
    ("method", "url", "options"),
    [
        ("GET", f"{URL}/customers/2", {}),
        ("DELETE", f"{URL}/customers/1", {}),
        ("GET", f"{URL}/customers/1?page=3", {}),
        ("POST", f"{URL}/customers", {"json": {"email": "x@example.com", "total": 9}}),
        ("GET", f"{URL}/long", {}),
        ("GET", f"{URL}/a//b", {}),
        ("GET", "https://billing.internal:8443/v1/customers/1", {}),
        ("GET", "http://other.example/", {}),
        ("GET", "http://127.0.0.1:{port}/v1/customers/1", {}),
    ],
)
def test_what_is_not_recorded_is_refused_and_goes_nowhere(
    recorded: tuple[Deployment, list[Any], int],
    replay: Replay,
    in_the_targets_place: socket.socket,
    method: str,
    url: str,
    options: dict[str, Any],
) -> None:
    with replay.agent() as agent:
        try:
            answer = agent.request(method, url.format(port=recorded[2]), **options)
        except httpx.ConnectError:
            assert "127.0.0.1" in url, "our authority may sign every other name"
            assert_never_dialled(in_the_targets_place)
            return
        problem = answer.json()
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert problem["executed"] == "no"
        assert problem["cause"] in ("not-recorded", "empty-segment")
        assert answer.status_code == (400 if problem["cause"] == "empty-segment" else 502)
    assert_never_dialled(in_the_targets_place)


def test_raw_bytes_in_a_tunnel_go_nowhere(
    recorded: tuple[Deployment, list[Any], int], replay: Replay, in_the_targets_place: socket.socket
) -> None:
    proxy = urlsplit(replay.told["proxy"])
    login = base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
    port = recorded[2]
    for first in (
        b"\r\nGET / HTTP/1.1\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"\x00\x01\x02",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ):
        assert proxy.port is not None
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as raw:
            head = (
                f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nProxy-Authorization: Basic {login}\r\n"
            )
            raw.sendall(head.encode() + b"\r\n")
            assert raw.recv(4096).startswith(b"HTTP/1.1 200")
            raw.sendall(first)
            raw.settimeout(0.5)
            with suppress(TimeoutError):
                raw.recv(4096)
    assert_never_dialled(in_the_targets_place)


@pytest.mark.parametrize("login", ["", "replay:wrong@", "replay:@"])
def test_recorded_answers_are_not_for_everybody_on_the_machine(replay: Replay, login: str) -> None:
    proxy = urlsplit(replay.told["proxy"])
    with replay.agent(f"http://{login}127.0.0.1:{proxy.port}") as agent, pytest.raises(httpx.ProxyError, match="407"):
        agent.get(f"{URL}/customers/1")
    with replay.agent(f"http://{login}127.0.0.1:{proxy.port}") as agent:
        assert agent.get("http://billing.internal/v1/customers/1").status_code == 407


def test_only_what_the_filter_means_is_read_and_replayed(recorded: tuple[Deployment, list[Any], int]) -> None:
    with Replay(recorded[0], "--text", "page=2") as replay, replay.agent() as agent:
        assert replay.told["answers"] == 2
        assert agent.get(f"{URL}/customers/1?page=2").status_code == 200
        assert agent.get(f"{URL}/customers/1").json()["cause"] == "not-recorded"


def test_it_listens_on_loopback_alone(recorded: tuple[Deployment, list[Any], int]) -> None:
    for address in ("0.0.0.0:0", "[::]:0", "localhost", "192.0.2.1:80"):
        done = recorded[0].command("flows", "replay", "--why", "x", "--listen", address, check=False)
        assert done.returncode == 2
