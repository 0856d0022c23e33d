"""Each kind of bad input: a clear error, nothing forwarded, an entry."""

import gzip
import json
import socket
import ssl
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.parts.deployment import Deployment
from tests.parts.policies import policy_for
from tests.parts.provider import Provider
from tests.parts.raw_agent import ask, connect_head, exchange, tls_tunnel, tunnel
from tests.parts.target import Answer, Target, json_answer


@pytest.fixture(scope="module")
def deployment(provider: Provider, target: Target) -> Iterator[Deployment]:
    limits = {"request_body": "64KiB", "response_body": "128KiB", "header": "16KiB"}
    with Deployment(provider, policy_for(target), limits=limits) as running:
        yield running


@pytest.fixture
def untouched(target: Target) -> Iterator[None]:
    """Whatever the test sends, nothing reaches the target."""
    before = len(target.got)
    yield
    assert target.got[before:] == []


BAD_TOKENS: dict[str, tuple[Callable[[Provider], str], str]] = {
    "none": (lambda p: "", "token-malformed"),
    "garbage": (lambda p: "garbage", "token-malformed"),
    "expired": (lambda p: p.expired_token(), "token-expired"),
    "early": (lambda p: p.early_token(), "token-early"),
    "too-long-lived": (lambda p: p.long_lived_token(), "token-too-long-lived"),
    "wrong-audience": (lambda p: p.token(aud="somebody-else"), "wrong-audience"),
    "wrong-issuer": (lambda p: p.token(iss="https://evil.example"), "unknown-issuer"),
    "alg-none": (lambda p: p.unsigned_token(), "algorithm-not-allowed"),
    "key-confusion": (lambda p: p.confused_token(), "algorithm-not-allowed"),
    "forged": (lambda p: p.forged_token(), "bad-signature"),
}


@pytest.mark.parametrize("bad", BAD_TOKENS)
def test_a_bad_token_opens_no_tunnel(bad: str, deployment: Deployment, provider: Provider, untouched: None) -> None:
    make, cause = BAD_TOKENS[bad]
    answer = ask(deployment, connect_head(deployment, "billing.internal:443", make(provider)))
    assert answer.startswith(b"HTTP/1.1 407"), answer
    assert b"Proxy-Authenticate: Basic" in answer
    problem = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert problem["cause"] == cause
    assert problem["executed"] == "no"
    assert problem["next"]
    deployment.wait_for_entry("request.refused", cause=cause)


def test_no_token_at_all(deployment: Deployment, untouched: None) -> None:
    head = b"CONNECT billing.internal:443 HTTP/1.1\r\nHost: billing.internal:443\r\n\r\n"
    assert ask(deployment, head).startswith(b"HTTP/1.1 407")
    deployment.wait_for_entry("request.refused", cause="token-missing")


def test_two_proxy_authorizations_are_no_identity(deployment: Deployment, untouched: None) -> None:
    head = connect_head(deployment, "billing.internal:443")
    twice = head.replace(b"\r\nProxy-Authorization", b"\r\nProxy-Authorization: Basic eDp5\r\nProxy-Authorization")
    assert ask(deployment, twice).startswith(b"HTTP/1.1 407")


@pytest.mark.parametrize(
    "authority", ["elsewhere.internal:443", "billing.internal:8443", "127.0.0.1:{port}", "[::1]:443"]
)
def test_connect_to_what_is_no_target(authority: str, deployment: Deployment, target: Target, untouched: None) -> None:
    answer = ask(deployment, connect_head(deployment, authority.format(port=target.port)))
    assert answer.startswith(b"HTTP/1.1 403"), answer
    assert b"billing.internal:443" in answer  # the hint names what exists
    deployment.wait_for_entry("request.refused", cause="unknown-host")


def test_a_server_name_unlike_the_connect(deployment: Deployment, untouched: None) -> None:
    context = ssl.create_default_context(cafile=deployment.root)
    context.check_hostname = False
    with pytest.raises(OSError):  # noqa: PT011 # reset or end of file, as the moment has it
        context.wrap_socket(tunnel(deployment), server_hostname="other.internal")
    deployment.wait_for_entry("connection.refused", cause="sni-differs")


def test_no_server_name_where_the_target_has_one(deployment: Deployment, untouched: None) -> None:
    context = ssl.create_default_context(cafile=deployment.root)
    context.check_hostname = False
    with pytest.raises(OSError):  # noqa: PT011
        context.wrap_socket(tunnel(deployment))


_GET = b"GET /v1/x HTTP/1.1\r\nHost: billing.internal\r\n"
_POST = b"POST /v1/x HTTP/1.1\r\nHost: billing.internal\r\n"
_JSON = ("Content-Type", "application/json")
REQUESTS: dict[str, tuple[bytes, int, str]] = {
    "two-hosts": (b"GET /v1/x HTTP/1.1\r\nHost: billing.internal\r\nHost: evil.internal\r\n\r\n", 400, "host-count"),
    "no-host": (b"GET /v1/x HTTP/1.1\r\nX: y\r\n\r\n", 400, "host-count"),
    "other-host": (b"GET /v1/x HTTP/1.1\r\nHost: evil.internal\r\n\r\n", 400, "host-differs"),
    "absolute-form": (
        b"GET https://billing.internal/v1/x HTTP/1.1\r\nHost: billing.internal\r\n\r\n",
        400,
        "absolute-form",
    ),
    "absolute-form-elsewhere": (
        b"GET http://127.0.0.1:1/v1/x HTTP/1.1\r\nHost: billing.internal\r\n\r\n",
        400,
        "absolute-form",
    ),
    "upgrade": (
        b"GET /v1/x HTTP/1.1\r\nHost: billing.internal\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        403,
        "upgrade",
    ),
    "lower-case-method": (b"get /v1/x HTTP/1.1\r\nHost: billing.internal\r\n\r\n", 400, "method"),
    "obs-fold": (b"GET /v1/x HTTP/1.1\r\nHost: billing.internal\r\nX: a\r\n b\r\n\r\n", 400, "control-bytes"),
    "nul": (b"GET /v1/x HTTP/1.1\r\nHost: billing.internal\r\nX: a\x00b\r\n\r\n", 400, "control-bytes"),
    "bare-cr": (b"GET /v1/x HTTP/1.1\r\nHost: billing.internal\r\nX: a\rb\r\n\r\n", 400, "control-bytes"),
    "head-too-large": (_GET + b"X: " + b"a" * 20000 + b"\r\n\r\n", 413, "head-too-large"),
    "dot-segments": (b"GET /v1/../x HTTP/1.1\r\nHost: billing.internal\r\n\r\n", 400, ""),
    "length-and-chunked": (
        _POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "",
    ),
    "body-too-large": (
        b"POST /v1/x HTTP/1.1\r\nHost: billing.internal\r\nContent-Length: 70000\r\n\r\n" + b"a" * 70000,
        413,
        "request-too-large",
    ),
}


@pytest.mark.parametrize("kind", REQUESTS)
def test_a_request_that_is_not_one_clear_request(kind: str, deployment: Deployment, untouched: None) -> None:
    request, status, cause = REQUESTS[kind]
    with tls_tunnel(deployment) as connection:
        answer = exchange(connection, request)
    assert answer.startswith(f"HTTP/1.1 {status}".encode()), answer[:300]
    problem = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert problem["executed"] == "no"
    assert problem["detail"]
    if cause:
        assert problem["cause"] == cause


def test_raw_bytes_after_connect_go_nowhere(deployment: Deployment, untouched: None) -> None:
    with tunnel(deployment) as connection:
        assert b"HTTP/1.1 400" in exchange(connection, b"\x00\x01\x02 hello\r\n\r\n")
    deployment.wait_for_entry("connection.refused", cause="control-bytes")


def test_smtp_after_connect_goes_nowhere(deployment: Deployment, untouched: None) -> None:
    with tunnel(deployment) as connection:
        assert b"HTTP/1.1 400" in exchange(connection, b"EHLO there\r\nMAIL FROM:<a@b>\r\n\r\n")


def test_a_gzip_bomb_from_the_agent(deployment: Deployment, untouched: None) -> None:
    bomb = gzip.compress(b"a" * 10_000_000)
    with deployment.agent() as agent:
        answer = agent.post("https://billing.internal/v1/x", content=bomb, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 413
    assert answer.json()["executed"] == "no"


_UTF_16 = [("Content-Type", "application/json; charset=utf-16")]
BAD_ANSWERS: dict[str, tuple[Answer, str]] = {
    "no-json": (Answer(200, b"<p>ann@example.com</p>", [("Content-Type", "text/html")]), "not-json"),
    "says-json": (Answer(200, b'{"email": "ann@example.com"', [("Content-Type", "application/json")]), "not-json"),
    "gzip-bomb": (
        Answer(200, gzip.compress(b"[" + b"1," * 5_000_000 + b"1]"), [_JSON, ("Content-Encoding", "gzip")]),
        "response-too-large",
    ),
    "too-large": (Answer(200, b'"' + b"a" * 200_000 + b'"'), "response-too-large"),
    "partial": (Answer(206, b'{"email": "ann@example.com"}'), "partial-answer"),
    "utf-16": (
        Answer(200, '{"email": "ann@example.com"}'.encode("utf-16"), _UTF_16),
        "",
    ),
    "unknown-coding": (
        Answer(200, b'{"email": "ann@example.com"}', [_JSON, ("Content-Encoding", "rot13")]),
        "content-encoding",
    ),
}


@pytest.mark.parametrize("kind", BAD_ANSWERS)
def test_an_answer_that_cannot_be_cleared_is_withheld(kind: str, deployment: Deployment, target: Target) -> None:
    target.answer, cause = BAD_ANSWERS[kind]
    with deployment.agent() as agent:
        answer = agent.get("https://billing.internal/v1/customers")
    assert answer.status_code == 502, answer.text
    problem = answer.json()
    assert problem["executed"] == "yes"
    assert "ann@example.com" not in answer.text
    if cause:
        assert problem["cause"] == cause
    outcome = deployment.wait_for_entry("request.outcome", request=problem["request"])
    assert outcome.fields["cause"] == problem["cause"]
    assert "bodies" not in outcome.fields or not outcome.fields["bodies"]
    target.answer = Answer()


def test_a_target_that_is_down(provider: Provider, target: Target) -> None:
    policy = policy_for(target)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        policy["targets"]["billing"]["url"] = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with Deployment(provider, policy) as deployment, deployment.agent() as agent:
            answer = agent.get("https://billing.internal/v1/x")
            assert answer.status_code == 502
            assert answer.json()["executed"] == "no"
            outcome = deployment.wait_for_entry("request.outcome", request=answer.json()["request"])
            assert outcome.fields["executed"] == "no"


def test_a_policy_that_is_broken_on_reload_keeps_the_last_good(provider: Provider, target: Target) -> None:
    with Deployment(provider, policy_for(target)) as deployment, deployment.agent() as agent:
        target.answer = json_answer({"ok": 1})
        assert agent.get("https://billing.internal/v1/x").status_code == 200
        deployment.write_policy("targets: {billing: {kind: htp}}")
        rejected = deployment.wait_for_entry("policy.rejected")
        assert "policy.yaml:1" in str(rejected.fields["message"])
        assert agent.get("https://billing.internal/v1/x").status_code == 200
        policy = policy_for(target)
        policy["roles"]["reader"][0]["paths"] = ["/v2/**"]
        deployment.write_policy(policy)
        deployment.wait_for(lambda: len(deployment.entries("policy.loaded")) == 2)
        assert agent.get("https://billing.internal/v1/x").status_code == 403


def test_a_provider_that_is_down_from_the_start(target: Target) -> None:
    with Provider() as provider:
        token = provider.token()
        provider.go_away()
        with Deployment(provider, policy_for(target)) as deployment:
            head = connect_head(deployment, "billing.internal:443", token)
            answer = ask(deployment, head)
            assert answer.startswith(b"HTTP/1.1 407"), answer
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["cause"] == "provider-away"
            deployment.wait_for_entry("request.refused", cause="provider-away")
            provider.come_back()
            deployment.wait_for(lambda: _answers(deployment, token), 30)


def _answers(deployment: Deployment, token: str) -> bool:
    with deployment.agent(token) as agent:
        try:
            return agent.get("https://billing.internal/v1/x").status_code == 200
        except httpx.ProxyError:
            return False
