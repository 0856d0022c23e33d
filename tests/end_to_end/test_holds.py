"""Holds through real processes: the connection waits, a person decides, the approval is good for just that, once."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.parts.deployment import Deployment
from tests.parts.person import Person
from tests.parts.policies import policy_for
from tests.parts.provider import Provider
from tests.parts.target import Target, json_answer

URL = "https://billing.internal/v1/customers"


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with Target() as running:
        running.answer = json_answer({"gone": True, "email": "ann@example.com"})
        yield running


@pytest.fixture(scope="module")
def deployment(provider: Provider, target: Target) -> Iterator[Deployment]:
    hold = {"wait": "4s", "repeat": "10m", "open_per_principal": 3}
    with Deployment(provider, policy_for(target), console=True, hold=hold) as running:
        yield running


class Waiting:
    """A request that is sent in the background."""

    def __init__(self, deployment: Deployment, path: str, *, method: str = "DELETE", **options: Any) -> None:
        self._pool = ThreadPoolExecutor(1)
        self.answer: Future[httpx.Response] = self._pool.submit(self._send, deployment, path, method, options)

    def _send(self, deployment: Deployment, path: str, method: str, options: Any) -> httpx.Response:
        with deployment.agent(options.pop("token", None)) as agent:
            return agent.request(method, f"{URL}/{path}", **options)

    def result(self) -> httpx.Response:
        found = self.answer.result(40)
        self._pool.shutdown()
        return found


def deletes(target: Target, path: str) -> int:
    return sum(got.method == "DELETE" and got.path == f"/v1/customers/{path}" for got in target.got)


def test_approved_by_a_named_person_and_executed_exactly_once(deployment: Deployment, target: Target) -> None:
    waiting = Waiting(deployment, "1", token=deployment.provider.token(owner="alice"))
    with Person(deployment, "bob", "owners") as bob:
        hold = bob.wait_for_hold()
        assert deletes(target, "1") == 0
        assert hold["principal"] == "corp:agent-7"
        assert bob.answer(hold).status_code == 200
    answer = waiting.result()
    assert answer.status_code == 200
    assert answer.json()["email"].startswith("doorward-masked-")
    assert deletes(target, "1") == 1
    approved = deployment.wait_for_entry("hold.approved", hold=hold["id"])
    assert approved.fields["person"] == "corp:bob"
    assert approved.fields["reason"] == "because the customer asked"
    used = deployment.wait_for_entry("hold.used", hold=hold["id"])
    intent = deployment.wait_for_entry("request.intent", hold=hold["id"])
    assert used.seq + 1 == intent.seq
    assert used.time == intent.time  # one transaction
    with deployment.agent() as agent:
        again = agent.delete(f"{URL}/1")
    assert again.status_code == 409
    assert again.json()["executed"] == "no"
    assert str(intent.fields["request"]) in again.json()["detail"]
    assert deletes(target, "1") == 1


def test_denied_with_the_reason(deployment: Deployment, target: Target) -> None:
    waiting = Waiting(deployment, "2")
    with Person(deployment, "bob", "owners") as bob:
        assert bob.answer(bob.wait_for_hold(), "deny", reason="not on a Friday").status_code == 200
    answer = waiting.result()
    assert answer.status_code == 403
    assert "corp:bob" in answer.json()["detail"]
    assert "not on a Friday" in answer.json()["detail"]
    assert deletes(target, "2") == 0


def test_nobody_in_time_gives_a_ticket_and_the_same_request_goes_on(deployment: Deployment, target: Target) -> None:
    with deployment.agent() as agent, Person(deployment, "bob", "owners") as bob:
        first = agent.delete(f"{URL}/3")
        assert first.status_code == 503
        assert first.headers["Retry-After"]
        assert "hold delete" in first.json()["rules"]
        assert first.json()["title"] == "waits for a person"
        assert first.json()["executed"] == "no"
        hold = bob.wait_for_hold()
        assert first.json()["hold"] == hold["id"]
        assert hold["path"] == "/v1/customers/3"  # the refusal that carries the ticket does not take its place
        assert f"/approvals/{hold['id']}" in first.json()["detail"]
        assert bob.answer(hold).status_code == 200
        second = agent.delete(f"{URL}/3")
        assert second.status_code == 200
        assert deletes(target, "3") == 1


def test_one_approval_is_used_once_by_thirty_requests_at_once(deployment: Deployment, target: Target) -> None:
    token = deployment.provider.token()
    with Person(deployment, "bob", "owners") as bob:
        with deployment.agent(token) as agent:
            assert agent.delete(f"{URL}/4").status_code == 503
        assert bob.answer(bob.wait_for_hold()).status_code == 200
    start = threading.Barrier(30)

    def send() -> int:
        with deployment.agent(token) as agent:
            start.wait(30)
            return agent.delete(f"{URL}/4").status_code

    with ThreadPoolExecutor(30) as pool:
        statuses = sorted(each.result(60) for each in [pool.submit(send) for _ in range(30)])
    assert statuses.count(200) == 1, statuses
    assert set(statuses) <= {200, 409}
    assert deletes(target, "4") == 1


def test_an_approval_is_for_this_body_and_no_other(deployment: Deployment, target: Target) -> None:
    with Person(deployment, "bob", "owners") as bob, deployment.agent() as agent:
        shown = agent.request("DELETE", f"{URL}/5", json={"reason": "a"})
        assert shown.status_code == 503
        hold = bob.wait_for_hold()
        assert bob.answer(hold).status_code == 200
        other = agent.request("DELETE", f"{URL}/5", json={"reason": "b"})
        assert other.status_code == 503
        assert other.json()["hold"] != hold["id"]
        bob.answer(bob.wait_for_hold(), "deny")
        assert deletes(target, "5") == 0


def test_another_agent_cannot_use_the_approval(deployment: Deployment, target: Target) -> None:
    with Person(deployment, "bob", "owners") as bob:
        with deployment.agent() as agent:
            assert agent.delete(f"{URL}/6").status_code == 503
        assert bob.answer(bob.wait_for_hold()).status_code == 200
        with deployment.agent(deployment.provider.token("agent-8")) as stranger:
            answer = stranger.delete(f"{URL}/6")
            assert answer.status_code == 503
            assert deletes(target, "6") == 0
        bob.answer(bob.wait_for_hold(), "deny")


@pytest.mark.parametrize(("sub", "groups"), [("alice", ("owners",)), ("agent-7", ("owners",)), ("eve", ("staff",))])
def test_who_may_not_decide(sub: str, groups: tuple[str, ...], deployment: Deployment, target: Target) -> None:
    path = f"not-{sub}"
    with deployment.agent(deployment.provider.token(owner="alice")) as agent:
        assert agent.delete(f"{URL}/{path}").status_code == 503
    with Person(deployment, sub, *groups) as person, Person(deployment, "bob", "owners") as bob:
        hold = bob.wait_for_hold()
        assert person.answer(hold).status_code == 403
        assert bob.answer(hold, "deny").status_code == 200
    assert deletes(target, path) == 0


def test_open_holds_of_one_principal_are_bounded(deployment: Deployment) -> None:
    token = deployment.provider.token("agent-flood")
    with ThreadPoolExecutor(3) as pool:
        first = [pool.submit(_delete, deployment, token, f"flood-{n}") for n in range(3)]
        assert {each.result(30).status_code for each in first} == {503}
    answer = _delete(deployment, token, "flood-4")
    assert answer.status_code == 429
    assert answer.json()["executed"] == "no"


def _delete(deployment: Deployment, token: str, path: str) -> httpx.Response:
    with deployment.agent(token) as agent:
        return agent.delete(f"{URL}/{path}")


def test_a_newer_deny_wins_over_the_approval(provider: Provider, target: Target) -> None:
    with Deployment(provider, policy_for(target), console=True, hold={"wait": "20s"}) as deployment:
        waiting = Waiting(deployment, "7")
        with Person(deployment, "bob", "owners") as bob:
            hold = bob.wait_for_hold()
            never = [{"name": "never", "match": {"target": "billing", "methods": ["DELETE"]}}]
            deployment.write_policy(policy_for(target, denies=never))
            deployment.wait_for(lambda: len(deployment.entries("policy.loaded")) == 2)
            assert bob.answer(hold).status_code == 200
        answer = waiting.result()
        assert answer.status_code == 403
        assert answer.json()["rules"] == ["deny never"]
        assert deletes(target, "7") == 0


def test_an_approval_survives_a_restart_of_everything(provider: Provider, target: Target) -> None:
    with Deployment(provider, policy_for(target), console=True, hold={"wait": "1s"}) as deployment:
        with deployment.agent() as agent:
            assert agent.delete(f"{URL}/8").status_code == 503
        with Person(deployment, "bob", "owners") as bob:
            assert bob.answer(bob.wait_for_hold()).status_code == 200
        deployment.stop()
        (deployment.folder / "log").write_bytes(b"")
        deployment.start()
        with deployment.agent() as agent:
            assert agent.delete(f"{URL}/8").status_code == 200
            assert agent.delete(f"{URL}/8").status_code == 409
        assert deletes(target, "8") == 1


def test_two_of_n_distinct_persons(provider: Provider, target: Target) -> None:
    policy = policy_for(target)
    policy["holds"][0]["approvers"]["count"] = 2
    with Deployment(provider, policy, console=True, hold={"wait": "20s"}) as deployment:
        waiting = Waiting(deployment, "9")
        with Person(deployment, "bob", "owners") as bob, Person(deployment, "carol", "owners") as carol:
            hold = bob.wait_for_hold()
            assert bob.answer(hold).status_code == 200
            assert bob.answer(hold).status_code == 409
            assert not waiting.answer.done()
            assert carol.answer(hold).status_code == 200
        assert waiting.result().status_code == 200
        assert deletes(target, "9") == 1
