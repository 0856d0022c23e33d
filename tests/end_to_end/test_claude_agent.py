"""A real agent of the Claude Agent SDK behind the gateway, with a scripted model; the policy is that of the docs."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.certificates import TestAuthority
from tests.parts.clients.environment import environment
from tests.parts.deployment import SECRET, Deployment
from tests.parts.installed import python_with
from tests.parts.model import ScriptedModel
from tests.parts.provider import Provider
from tests.parts.target import Target, json_answer

POLICY = Path(__file__).parents[2] / "docs" / "examples" / "claude.yaml"
API_KEY = "sk-ant-the-real-key-0123456789abcdef"
PLACEHOLDER = "sk-ant-placeholder"
CUSTOMER = {"name": "Ann", "email": "ann@example.com", "phone": "+41 44 000 00 00"}
READ = "https://crm.internal/v1/customers/1"
AGENT = """
import asyncio
from claude_agent_sdk import ClaudeAgentOptions, query
from claude_agent_sdk.types import ResultMessage, StreamEvent

OPTIONS = ClaudeAgentOptions(
    allowed_tools=["Bash"], permission_mode="bypassPermissions", max_turns=4, include_partial_messages=True
)

async def main():
    async for message in query(prompt="Read customer 1", options=OPTIONS):
        if isinstance(message, StreamEvent):
            delta = message.event.get("delta") or {}
            print("part:", delta.get("text", ""), flush=True)
        elif isinstance(message, ResultMessage):
            print("result:", message.subtype, message.is_error, message.result, flush=True)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def python() -> Path:
    return python_with("claude")


@pytest.fixture
def crm() -> Iterator[Target]:
    with Target() as running:
        running.answer = json_answer(CUSTOMER)
        yield running


@pytest.fixture
def authority(tmp_path: Path) -> TestAuthority:
    return TestAuthority(tmp_path)


@pytest.fixture
def model(authority: TestAuthority) -> Iterator[ScriptedModel]:
    requests = f"import requests; print(requests.get('{READ}', timeout=60).text)"
    command = f'curl -sS {READ}; {sys.executable} -c "{requests}"; env'
    with ScriptedModel(authority.pair("127.0.0.1"), command) as running:
        yield running


@pytest.fixture
def deployment(provider: Provider, authority: TestAuthority, model: ScriptedModel, crm: Target) -> Iterator[Deployment]:
    policy = POLICY.read_text()
    for written, here in (
        ("url: https://api.anthropic.com\n", f"url: {model.url}\n    ca: {authority.ca}\n"),
        ("url: https://crm.internal\n", f"url: {crm.url}\n"),
    ):
        assert policy.count(written) == 1
        policy = policy.replace(written, here)
    credentials = {
        "anthropic-key": {"header": "x-api-key", "value": "{secret}", "secret": {"file": "secrets/anthropic"}},
        "crm-token": {"value": "Bearer {secret}", "secret": {"file": "secrets/target"}},
    }
    made = Deployment(provider, {}, credentials=credentials)
    key = made.folder / "secrets" / "anthropic"
    key.touch(mode=0o600)
    key.write_text(API_KEY + "\n")
    made.write_policy(policy)
    with made:
        yield made


def test_an_agent_of_the_sdk(
    python: Path, deployment: Deployment, model: ScriptedModel, crm: Target, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "agent.py").write_text(AGENT)
    clean = {"PATH": os.environ["PATH"], "HOME": str(home), "ANTHROPIC_API_KEY": PLACEHOLDER, "IS_SANDBOX": "1"}
    variables = environment(deployment, clean)
    said = []
    with subprocess.Popen(
        [str(python), str(tmp_path / "agent.py")],
        env=variables, cwd=home, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as agent:  # fmt: skip
        assert agent.stdout is not None
        for line in agent.stdout:
            said.append(line.strip())
            if line.startswith("part: all"):
                assert not model.heard.is_set()  # the next part is not sent yet
                model.heard.set()
        assert agent.wait(60) == 0, "\n".join(said[-30:])
    assert said[-1] == "result: success False all done", said
    assert "part: done" in said

    # The model got the real key, and the agent never had it.
    assert model.got
    for got in model.got:
        headers = {name.lower(): value for name, value in got.headers}
        assert headers["x-api-key"] == API_KEY
        assert PLACEHOLDER not in str(got.headers)
        assert got.path == "/v1/messages?beta=true"
    told = b"".join(got.body for got in model.got).decode()  # with what the tool printed, its environment among it
    assert PLACEHOLDER in told
    assert API_KEY not in told
    assert SECRET not in told

    # What the tool read is masked, by curl and by Python alike; the target got its token.
    assert told.count("doorward-masked-") >= 4
    assert CUSTOMER["email"] not in told
    assert CUSTOMER["phone"] not in told
    assert [dict(got.headers)["Authorization"] for got in crm.got] == [f"Bearer {SECRET}"] * 2

    # What it calls besides is refused and recorded; nothing of the conversation is kept.
    refused = deployment.entries("request.refused")  # the first of a kind as it was, more of them as a count
    urls = [json.loads(deployment.body(each, "request_head"))["url"] for each in refused if "bodies" in each.fields]
    assert any("/api/" in url for url in urls), urls
    assert {each.fields["executed"] for each in refused} == {"no"}
    kept = deployment.everything_on_disk()
    for text in (API_KEY, PLACEHOLDER, "Read customer 1", "toolu_1", CUSTOMER["email"]):
        assert text.encode() not in kept
    outcomes = deployment.entries("request.outcome")
    assert {each.fields["cause"] for each in outcomes} == {None}
    assert len(outcomes) == len(model.got) + 2
