"""The main path through real processes: an agent reads masked data, is refused, and all of it is recorded."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.deployment import SECRET, Deployment
from tests.parts.policies import policy_for
from tests.parts.provider import Provider
from tests.parts.target import Target, json_answer


@pytest.fixture(scope="module")
def deployment(provider: Provider, target: Target) -> Iterator[Deployment]:
    with Deployment(provider, policy_for(target)) as running:
        yield running


def test_an_agent_reads_with_the_credential_it_never_sees(deployment: Deployment, target: Target) -> None:
    target.answer = json_answer({"name": "Ann", "email": "ann@example.com", "total": 1.10})
    with deployment.agent() as agent:
        answer = agent.get("https://billing.internal/v1/customers/1?page=2")
    assert answer.status_code == 200
    assert answer.json()["name"] == "Ann"
    assert answer.json()["email"].startswith("doorward-masked-")
    assert "1.10" in json.dumps(answer.text) or answer.json()["total"] == 1.1
    got = target.got[-1]
    assert got.path == "/v1/customers/1?page=2"
    assert ("authorization", f"Bearer {SECRET}") in [(n.lower(), v) for n, v in got.headers]
    request = answer.headers["Doorward-Request"]
    intent = deployment.wait_for_entry("request.intent", request=request)
    outcome = deployment.wait_for_entry("request.outcome", request=request)
    assert intent.seq < outcome.seq
    assert intent.fields["principal"] == "corp:agent-7"
    assert outcome.fields["masks"] == [
        {"rule": "personal data", "path": "$['email']", "replacement": "sentinel", "count": 1}
    ]
    assert b"ann@example.com" not in deployment.everything_on_disk()
    assert SECRET.encode() not in deployment.everything_on_disk()


def test_what_no_rule_allows_is_refused_and_never_reaches_the_target(deployment: Deployment, target: Target) -> None:
    before = len(target.got)
    with deployment.agent() as agent:
        answer = agent.put("https://billing.internal/v1/customers/1", json={})
    assert answer.status_code == 403
    problem = answer.json()
    assert problem["executed"] == "no"
    assert problem["rules"] == ["default deny"]
    assert len(target.got) == before
    deployment.wait_for_entry("request.refused", request=problem["request"])


def test_a_folder_with_a_long_path_does_as_well(provider: Provider, target: Target, tmp_path: Path) -> None:
    long = tmp_path / "a-name-of-forty-characters-or-thereabouts" / "and-another-one-of-that-length-below-it"
    long.mkdir(parents=True)
    with Deployment(provider, policy_for(target), under=long) as deployment, deployment.agent() as agent:
        assert agent.get("https://billing.internal/v1/x").status_code == 200
        assert deployment.command("status").stdout.startswith("ledger ")


def test_a_new_host_is_served_by_every_worker_after_a_reload(provider: Provider, target: Target) -> None:
    """The authority is issued anew for the new host, by one worker, and both answer with it."""
    policy = policy_for(target)
    with Deployment(provider, policy, workers=3) as deployment:
        deployment.wait_for(lambda: deployment.log.count("gateway listening") == 3)
        policy["targets"]["billing"]["hosts"].append("invoices.internal")
        deployment.write_policy(policy)
        deployment.wait_for(lambda: len(deployment.entries("policy.loaded")) == 6)
        for _ in range(24):
            for host in ("billing.internal", "invoices.internal"):
                with deployment.agent() as agent:
                    assert agent.get(f"https://{host}/v1/x").status_code == 200
