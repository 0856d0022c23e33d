"""Stock clients with what `doorward agent env` prints and what their row says; TLS to the target.

The rows are in tests/parts/clients, and docs/clients.md has them as tables.
"""

import asyncio
import json
import re
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import httpx
import pytest

from tests.parts.certificates import TestAuthority
from tests.parts.clients.bench import Workbench, answers_in, read_until
from tests.parts.clients.client import Client
from tests.parts.clients.rows import CLIENTS, CURL, GIT, NODE_OLD, WGET, WITH_PROGRAM
from tests.parts.deployment import SECRET, Deployment
from tests.parts.git_target import GitTarget, git, has_http_backend
from tests.parts.policies import policy_for
from tests.parts.provider import Provider
from tests.parts.relay import Relay
from tests.parts.stream_target import StreamTarget
from tests.parts.target import Answer, Got, Target, json_answer

URL = "https://billing.internal/v1/customers/1"
REFUSED = "https://billing.internal/v1/secrets/1"
CODE = "https://code.internal"
DOCUMENT = {"name": "Ann", "email": "ann@example.com"}
EVENTS = [f'data: {{"n": {number}}}\n\n'.encode() for number in range(3)]

each_client = pytest.mark.parametrize("client", WITH_PROGRAM, ids=lambda client: str(client.key))
only_git = pytest.mark.parametrize("client", [GIT], ids=["git"])
type RecordProperty = Callable[[str, object], None]


def said(got: Got) -> Answer:
    """What billing says: a customer, or to a POST the name that it was told."""
    return json_answer(DOCUMENT if got.method == "GET" else {**DOCUMENT, "name": json.loads(got.body)["name"]})


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with Target() as running:
        running.answer = said
        yield running


@pytest.fixture(scope="module")
def events() -> Iterator[StreamTarget]:
    with StreamTarget() as running:
        yield running


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitTarget]:
    with GitTarget(tmp_path_factory.mktemp("code")) as running:
        yield running


@pytest.fixture(scope="module")
def deployment(provider: Provider, target: Target, events: StreamTarget, code: GitTarget) -> Iterator[Deployment]:
    policy = policy_for(target)
    policy["targets"]["events"] = {"kind": "http", "url": events.url, "hosts": ["events.internal"]}
    policy["targets"]["code"] = {"kind": "http", "url": code.url, "hosts": ["code.internal"]}
    policy["roles"]["git"] = [{"methods": ["GET", "POST"], "paths": ["/**"], "query": ["service"]}]
    agents = {"groups": ["corp:agents"]}
    policy["bindings"] += [
        {"role": "reader", "target": "events", **agents},
        {"role": "git", "target": "code", **agents},
    ]
    (hold,) = policy["holds"]
    policy["holds"].append(
        {**hold, "name": "push", "match": {"target": "code", "paths": ["/held.git/git-receive-pack"]}}
    )
    policy["denies"].append({"name": "no shut", "match": {"target": "code", "paths": ["/shut.git/**"]}})
    with Deployment(provider, policy, hold={"wait": "1s"}) as running:
        yield running


@pytest.fixture(scope="module")
def bench(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    return Workbench(deployment, tmp_path_factory.mktemp("clients"))


def masked(text: str, name: str = "Ann") -> bool:
    return f'"{name}"' in text and "doorward-masked-" in text and "ann@example.com" not in text and SECRET not in text


def has_token(relay: Relay) -> bool:
    """Whether a client that asked through the relay sent its token with the first word."""
    assert relay.begun[0].startswith(b"CONNECT ")
    return b"proxy-authorization: basic " in relay.begun[0].lower()


@each_client
def test_a_client(client: Client, bench: Workbench, target: Target, record_property: RecordProperty) -> None:
    """Masked answers, a body, a refusal and a hold, with nothing but the variables and the row."""
    version = bench.version(client)
    before = len(target.got)
    with Relay(bench.deployment.port) as relay:
        done = bench.run(client, "GET", URL, "GET", URL, "POST", URL, "GET", REFUSED, "DELETE", URL, port=relay.port)
    answers = answers_in(done.stdout)
    assert [answer.status for answer in answers] == [200, 200, 200, 403, 503], done.stdout + done.stderr
    assert {answer.http for answer in answers} == {client.http}
    first, second, posted, refused, held = answers
    assert masked(first.body)
    assert masked(second.body)
    assert masked(posted.body, "Bea")
    assert json.loads(refused.body)["cause"] == "policy"
    assert "no secrets" in refused.body
    assert held.headers["retry-after"] == "5"
    assert json.loads(held.body)["hold"] == held.headers["doorward-hold"]

    got = target.got[before:]
    assert [(each.method, dict(each.headers)["Authorization"]) for each in got] == [
        (method, f"Bearer {SECRET}") for method in ("GET", "GET", "POST")
    ]
    assert json.loads(got[2].body) == {"name": "Bea"}
    assert (len(relay.begun) < len(answers)) == client.keeps_alive, len(relay.begun)
    assert has_token(relay) == client.token_at_once
    record_property("version", version)


@each_client
def test_a_client_gets_an_answer_piece_by_piece(client: Client, bench: Workbench, events: StreamTarget) -> None:
    with bench.streaming(client, "GET", "https://events.internal/v1/events") as running:
        printed = b""
        for event in EVENTS:
            events.send(event)
            printed = read_until(running, event.strip(), printed)  # before the next is sent
        events.end()
        assert running.wait(60) == 0
    (answer,) = answers_in(printed.decode())
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")


@each_client
def test_a_client_tells_of_a_bad_token(client: Client, bench: Workbench, target: Target) -> None:
    before = len(target.got)
    done = bench.run(client, "GET", URL, token="no.good.token")
    assert client.bad_token in done.stdout + done.stderr
    assert "Ann" not in done.stdout
    assert len(target.got) == before


@each_client
def test_a_client_goes_past_only_where_its_row_says_so(client: Client, bench: Workbench, target: Target) -> None:
    """A host on loopback, which it could ask itself, and which is no target's."""
    before = len(target.got)
    done = bench.run(client, "GET", f"{target.url}/v1/customers/2")
    answers = answers_in(done.stdout)
    if client.goes_past:
        assert ([answer.status for answer in answers], len(target.got)) == ([200], before + 1)
        return
    assert len(target.got) == before
    if answers:
        assert [(answer.status, json.loads(answer.body)["cause"]) for answer in answers] == [(403, "unknown-host")]
    else:  # it asks for a tunnel to plain HTTP as well, and keeps the page to itself
        assert done.returncode != 0
        assert "403" in done.stderr


# The rows that say what a client does not do by itself


@pytest.mark.parametrize("client", [each for each in CLIENTS if each.past], ids=lambda client: str(client.key))
def test_without_what_its_row_says_it_goes_past(client: Client, bench: Workbench, target: Target) -> None:
    before = len(target.got)
    done = bench.run(client, "GET", f"{target.url}/v1/customers/2", line=client.past)
    (answer,) = answers_in(done.stdout)
    assert (answer.status, len(target.got)) == (200, before + 1)
    assert "Authorization" not in dict(target.got[-1].headers)  # nobody added what the gateway adds


def test_fetch_of_an_old_node_finds_no_host_that_only_the_gateway_knows(bench: Workbench) -> None:
    lost = bench.run(NODE_OLD, "GET", URL, line=NODE_OLD.past)
    assert lost.returncode != 0
    assert "fetch failed" in lost.stderr


@pytest.mark.parametrize(
    ("client", "line", "shown"),
    [
        pytest.param(CURL, "curl -sSf", False, id="curl -f"),
        pytest.param(CURL, "curl -sS --fail-with-body", True, id="curl --fail-with-body"),
        pytest.param(WGET, 'wget -nv --ca-certificate="$SSL_CERT_FILE" -O -', False, id="wget"),
    ],
)
def test_an_option_shows_or_hides_the_body_of_a_refusal(
    client: Client, line: str, shown: bool, bench: Workbench
) -> None:
    done = bench.run(client, line=f"{line} {REFUSED}")
    assert done.returncode != 0
    assert "403" in done.stderr
    assert ("no secrets" in done.stdout) == shown


def test_httpx_gives_up_after_5_s_if_not_told_otherwise() -> None:
    with httpx.Client() as client:
        assert client.timeout == httpx.Timeout(5)


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_curl_over_both_versions(version: str, bench: Workbench) -> None:
    done = bench.run(CURL, line=f"curl -sSi --suppress-connect-headers {version} {URL}")
    (answer,) = answers_in(done.stdout)
    assert masked(answer.body)
    assert answer.http == ("2" if version == "--http2" else "1.1")


def test_curl_over_plain_http(bench: Workbench) -> None:
    assert masked(bench.run(CURL, line=f"curl -sS {URL.replace('https', 'http')}").stdout)


async def test_aiohttp_with_several_requests_at_once(deployment: Deployment) -> None:
    context = ssl.create_default_context(cafile=deployment.root)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        answers = await asyncio.gather(*(_aiohttp_get(session, deployment.proxy()) for _ in range(5)))
    assert all(masked(each) for each in answers)


async def _aiohttp_get(session: aiohttp.ClientSession, proxy: str) -> str:
    async with session.get(URL, proxy=proxy) as answer:
        return await answer.text()


# git


@only_git
@pytest.mark.skipif(not has_http_backend(), reason="no git http-backend on this machine")
def test_git(client: Client, bench: Workbench, code: GitTarget, record_property: RecordProperty) -> None:
    version = bench.version(client)
    commits = {name: code.add(name, "README", f"This is {name}.\n" * 5000) for name in ("open", "held", "shut")}
    trace = "GIT_TRACE_CURL=1 GIT_TRACE_CURL_NO_DATA=1"
    with Relay(bench.deployment.port) as relay:
        listed = bench.run(client, line=f"{trace} git ls-remote {CODE}/open.git main", port=relay.port)
    assert has_token(relay) == client.token_at_once
    assert listed.stdout.split() == [commits["open"], "refs/heads/main"]
    assert re.findall(r"Recv header: HTTP/(\S+) 200", listed.stderr)[-1] == client.http

    for name in ("open", "held"):
        cloned = bench.run(client, line=f"git clone --quiet {CODE}/{name}.git {name} && cat {name}/README && pwd")
        assert cloned.stdout.startswith(f"This is {name}.\n"), cloned.stderr
        work = Path(cloned.stdout.splitlines()[-1]) / name
        (work / "NEW").write_bytes(bytes(range(256)) * 8192)  # more than git sends in one piece of known length
        git("add", "NEW", cwd=work)
        git("commit", "--quiet", "--message", "two", cwd=work)
    pushed = bench.run(client, line="git -C open push --quiet origin main")
    assert pushed.returncode == 0, pushed.stderr
    assert code.head("open") != commits["open"]

    held = bench.run(client, line="git -C held push --quiet origin main")
    assert "HTTP 503" in held.stderr
    assert code.head("held") == commits["held"]
    refused = bench.run(client, line=f"git clone --quiet {CODE}/shut.git shut")
    assert "The requested URL returned error: 403" in refused.stderr
    assert "no shut" not in refused.stderr  # it shows no body
    stranger = bench.run(client, line=f"git ls-remote {CODE}/open.git", token="no.good.token")
    assert client.bad_token in stranger.stderr
    record_property("version", version)


# The target's side


def test_a_target_over_tls_is_verified_by_its_own_authority(provider: Provider, tmp_path: Path) -> None:
    authority = TestAuthority(tmp_path)
    with Target(authority.pair("localhost")) as target:
        target.answer = json_answer(DOCUMENT)
        policy = policy_for(target)
        policy["targets"]["billing"] |= {"url": f"https://localhost:{target.port}", "ca": str(authority.ca)}
        with Deployment(provider, policy) as deployment:
            with deployment.agent() as agent:
                assert masked(agent.get(URL).text)
                plain = agent.get(URL.replace("https", "http").replace("internal", "internal:443"))
                assert plain.status_code in (400, 403)
            policy["targets"]["billing"]["ca"] = deployment.root  # an authority, but not this target's
            deployment.write_policy(policy)
            deployment.wait_for(lambda: len(deployment.entries("policy.loaded")) == 2)
            before = len(target.got)
            with deployment.agent() as agent:
                answer = agent.get(URL)
            assert answer.status_code == 502
            assert answer.json()["executed"] == "no"
            assert len(target.got) == before


def test_a_rotated_credential_is_used_at_once_and_the_old_one_is_still_caught(
    provider: Provider, target: Target
) -> None:
    with Deployment(provider, policy_for(target)) as deployment, deployment.agent() as agent:
        agent.get(URL)
        deployment.write_secret("an-entirely-new-secret-0987654321")
        deployment.wait_for_entry("credential.loaded", credential="target-token")
        deployment.wait_for(lambda: len(deployment.entries("credential.loaded")) == 2)
        target.answer = json_answer({"old": SECRET, "new": "an-entirely-new-secret-0987654321"}, X_Echo=SECRET)
        answer = agent.get(URL)
        target.answer = json_answer(DOCUMENT)
        assert target.got[-1].headers
        assert ("authorization", "Bearer an-entirely-new-secret-0987654321") in [
            (name.lower(), value) for name, value in target.got[-1].headers
        ]
        assert SECRET not in answer.text + str(answer.headers)
        assert "entirely-new" not in answer.text
        outcome = deployment.wait_for_entry("request.outcome", request=answer.headers["Doorward-Request"])
        assert outcome.fields["echo"] == 3
        assert SECRET.encode() not in deployment.everything_on_disk()
