"""Looking back through real processes: what agents did is found, exported, and sent again."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from mitmproxy.io import FlowReader

from tests.parts.deployment import Deployment
from tests.parts.person import Person
from tests.parts.policies import policy_for
from tests.parts.provider import Provider
from tests.parts.target import Target, json_answer

URL = "https://billing.internal/v1/customers"
MASKS = [{"name": "personal data", "match": {"target": "billing"}, "fields": ["$..email"], "query": ["email"]}]


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with Target() as running:
        running.answer = json_answer({"total": 1.10, "email": "ann@example.com"})
        yield running


@pytest.fixture(scope="module")
def deployment(provider: Provider, target: Target) -> Iterator[Deployment]:
    hold = {"wait": "1s", "repeat": "1s", "open_per_principal": 9}
    with Deployment(provider, policy_for(target, masks=MASKS), console=True, hold=hold) as running:
        yield running


def asked(deployment: Deployment, method: str = "GET", path: str = "/1", **options: Any) -> str:
    """Send as an agent; the request's id, once the record knows its outcome."""
    with deployment.agent() as agent:
        answer = agent.request(method, URL + path, **options)
    request = answer.headers["Doorward-Request"]
    deployment.wait_for(lambda: [row for row in deployment.flows() if row.request == request and row.outcome_seq])
    return request


def token_file(deployment: Deployment, **claims: Any) -> str:
    file = deployment.folder / "token"
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(deployment.provider.token(**claims))
    return str(file)


def resend(deployment: Deployment, request: str, **claims: Any) -> Any:
    file = token_file(deployment, **claims)
    return deployment.command("flows", "resend", request, "--why", "again", "--token-file", file, check=False)


def test_what_an_agent_did_is_found_and_exported_masked(deployment: Deployment, tmp_path: Path) -> None:
    request = asked(deployment, path="/17?email=ann@example.com")
    listed = deployment.command("flows", "list", "--text", "customers/17", "--since", "1h", "--urls").stdout
    assert [line.split("\t")[1] for line in listed.splitlines()] == [request]
    assert "email=doorward-masked-" in listed
    assert deployment.command("flows", "list", "--text", "ann@").stdout == ""
    for form in ("har", "mitmproxy", "jsonl"):
        deployment.command("flows", "export", "--format", form, "--output", str(tmp_path / form), "--why", "ticket 7")
        raw = (tmp_path / form).read_bytes()
        assert b"ann@example.com" not in raw
        assert b"doorward-masked-" in raw
        assert request.encode() in raw
    entries = json.loads((tmp_path / "har").read_text())["log"]["entries"]
    (entry,) = [each for each in entries if each["_doorward"]["request"] == request]
    assert json.loads(entry["response"]["content"]["text"])["total"] == 1.1
    with (tmp_path / "mitmproxy").open("rb") as file:
        assert request in [flow.metadata["doorward"]["request"] for flow in FlowReader(file).stream()]
    assert {each.fields["format"] for each in deployment.entries("export.made")} == {"har", "mitmproxy", "jsonl"}
    assert {each.fields["why"] for each in deployment.entries("bodies.read")} == {"ticket 7"}


def test_a_request_is_sent_again_as_whoever_the_token_names(deployment: Deployment, target: Target) -> None:
    request = asked(deployment, "POST", "/a%20b?x=1", content=b'{"total": 1.10}', headers={"X-Note": "kept"})
    first = target.got[-1]
    done = resend(deployment, request)
    assert (done.returncode, done.stderr) == (0, "")
    assert '"total": 1.1' in done.stdout
    second = target.got[-1]
    assert (second.method, second.path, second.body) == (first.method, first.path, first.body)
    assert sorted(map(str, second.headers)) == sorted(map(str, first.headers))
    again = done.stdout.splitlines()[0].split()[-1]
    assert again != request
    intents = {entry.fields["request"]: entry for entry in deployment.entries("request.intent")}
    assert intents[again].fields["label"] == "resend"
    assert intents[again].fields["digest"] == intents[request].fields["digest"]
    other = resend(deployment, request, sub="agent-8")
    assert other.returncode == 0
    assert "corp:agent-8" in deployment.command("flows", "show", other.stdout.splitlines()[0].split()[-1]).stdout


def test_identity_and_policy_apply_as_to_anybody(deployment: Deployment, target: Target) -> None:
    request = asked(deployment)
    before = len(target.got)
    stranger = resend(deployment, request, groups=["choir"])
    assert stranger.returncode == 1
    assert "(403, policy, executed: no)" in stranger.stderr
    expired = resend(deployment, request, lifetime_s=1, age_s=100)
    assert expired.returncode == 1
    assert "407" in expired.stderr
    assert len(target.got) == before


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/1?email=ann@example.com", {}),
        ("/1", {"headers": {"X-Api-Key": "0123456789"}}),
        ("/1", {"json": {"email": "ann@example.com"}, "method": "POST"}),
        ("/1", {"content": b"no json", "headers": {"Content-Type": "text/plain"}, "method": "POST"}),
    ],
    ids=["query", "header", "body", "body that is no JSON"],
)
def test_a_masked_part_is_never_sent(
    deployment: Deployment, target: Target, path: str, options: dict[str, Any]
) -> None:
    request = asked(deployment, options.pop("method", "GET"), path, **options)
    before = len(target.got)
    done = resend(deployment, request)
    assert done.returncode == 1
    assert "the record does not hold this request as it went out" in done.stderr
    assert len(target.got) == before


def approved(deployment: Deployment, path: str) -> httpx.Response:
    """A DELETE that a person allowed."""
    with deployment.agent() as agent, Person(deployment, "bob", "owners") as bob, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(agent.delete, URL + path)
        assert bob.answer(bob.wait_for_hold()).status_code == 200
        first = waiting.result(40)
        return first if first.status_code == 200 else agent.delete(URL + path)


def test_an_old_approval_lets_nothing_go_again(deployment: Deployment, target: Target) -> None:
    answer = approved(deployment, "/9")
    assert answer.status_code == 200
    request = answer.headers["Doorward-Request"]
    deployment.wait_for_entry("request.outcome", request=request)
    used = deployment.wait_for_entry("hold.used", request=request)
    before = len(target.got)
    time.sleep(1.2)  # over `hold.repeat`, within which it would be a 409
    done = resend(deployment, request)
    assert done.returncode == 1
    assert "executed: no" in done.stderr
    assert len(target.got) == before
    opened = [each for each in deployment.entries("hold.opened") if each.fields["digest"] == used.fields["digest"]]
    assert len(opened) == 2, "a fresh hold for a fresh request"
    assert opened[1].fields["hold"] != used.fields["hold"]
    with Person(deployment, "bob", "owners") as bob:
        assert bob.answer(bob.wait_for_hold()).status_code == 200
    done = resend(deployment, request)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(target.got) == before + 1
    assert deployment.wait_for_entry("hold.used", hold=opened[1].fields["hold"]).seq > used.seq


def test_without_a_token_or_a_reason_nothing_is_read(deployment: Deployment, target: Target) -> None:
    request = asked(deployment)
    before = (len(target.got), len(deployment.entries("bodies.read")))
    assert deployment.command("flows", "resend", request, "--why", "again", check=False).returncode == 2
    assert deployment.command("flows", "resend", request, check=False).returncode == 2
    loose = deployment.folder / "loose"
    loose.write_text(deployment.provider.token())
    loose.chmod(0o644)
    line = ("flows", "resend", request, "--why", "again", "--token-file", str(loose))
    assert deployment.command(*line, check=False).returncode == 2
    assert (len(target.got), len(deployment.entries("bodies.read"))) == before
