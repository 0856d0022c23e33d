"""Every option of a target, a mask and the listener changes what happens, seen from both ends."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.parts.certificates import TestAuthority
from tests.parts.deployment import Deployment
from tests.parts.policies import policy_for
from tests.parts.provider import Provider
from tests.parts.raw_agent import ask, connect_head
from tests.parts.target import Answer, Got, Target, json_answer

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "cookies": {"cookies": "pass"},
    "slash": {"encoded_slash": "allow"},
    "repeated": {"repeated_query": "allow"},
    "headers-only": {"record": "headers"},
}
MASKS: dict[str, dict[str, Any]] = {
    "keep": {"fields": ["$.iban"], "replace_with": "keep-last-4"},
    "hmac": {"fields": ["$.iban"], "replace_with": "hmac"},
    "null": {"fields": ["$.iban"], "replace_with": "json-null"},
    "remove": {"fields": ["$.iban"], "replace_with": "remove"},
    "record": {"fields": ["$.iban"], "apply_to": "record"},
    "pass": {"fields": ["$.iban"], "other_types": "pass"},
    "names": {"query": ["email"], "headers": ["x-person"]},
}
IBAN = "CH9300762011623852957"
SESSION = "sid=0123456789"


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with Target() as running:
        running.answer = answer
        yield running


def answer(got: Got) -> Answer:
    if got.path.endswith("/text"):
        return Answer(200, f"the iban is {IBAN}".encode(), [("Content-Type", "text/plain")])
    return json_answer({"iban": IBAN, "n": 1}, Set_Cookie=SESSION, X_Person="Ann Archer")


@pytest.fixture(scope="module")
def deployment(provider: Provider, target: Target) -> Iterator[Deployment]:
    names = [*OPTIONS, *MASKS]
    policy = policy_for(target)
    del policy["holds"], policy["denies"]
    policy["targets"] = {
        name: {"kind": "http", "url": target.url, "hosts": [f"{name}.internal"], **OPTIONS.get(name, {})}
        for name in names
    }
    policy["roles"] = {
        "reader": [{"methods": ["GET"], "paths": ["/v1/**"]}],
        "writer": [{"methods": ["POST"], "paths": ["/v1/**"]}],
    }
    everybody = {"groups": ["corp:agents"]}
    policy["bindings"] = [{"role": "reader", "target": name, **everybody} for name in names]
    policy["bindings"] += [{"role": "writer", "target": name, **everybody} for name in (*OPTIONS, "pass")]
    policy["masks"] = [{"name": name, "match": {"target": name}, **mask} for name, mask in MASKS.items()]
    with Deployment(provider, policy) as running:
        yield running


def get(deployment: Deployment, name: str, path: str = "/v1/x", **options: Any) -> Any:
    with deployment.agent() as agent:
        return agent.get(f"https://{name}.internal{path}", **options)


def recorded(deployment: Deployment, request: str, kind: str, body: str) -> str:
    return deployment.body(deployment.wait_for_entry(kind, request=request), body).decode()


def test_cookies_pass_only_where_the_target_says_so(deployment: Deployment, target: Target) -> None:
    for name, passes in (("plain", False), ("cookies", True)):
        got = get(deployment, name, headers={"Cookie": "a=b"})
        assert ("set-cookie" in got.headers) is passes
        assert any(header.lower() == "cookie" for header, _ in target.got[-1].headers) is passes
        request = got.headers["Doorward-Request"]
        assert SESSION not in recorded(deployment, request, "request.outcome", "response_head")


def test_an_encoded_slash_passes_only_where_allowed(deployment: Deployment, target: Target) -> None:
    assert get(deployment, "plain", "/v1/a%2Fb").status_code == 400
    assert get(deployment, "slash", "/v1/a%2Fb").status_code == 200
    assert target.got[-1].path == "/v1/a%2Fb"


def test_a_repeated_query_key_passes_only_where_allowed(deployment: Deployment, target: Target) -> None:
    assert get(deployment, "plain", "/v1/x?a=1&a=2").status_code == 400
    assert get(deployment, "repeated", "/v1/x?a=1&a=2").status_code == 200
    assert target.got[-1].path == "/v1/x?a=1&a=2"


def test_record_headers_keeps_no_bodies(deployment: Deployment) -> None:
    for name, kept in (("plain", True), ("headers-only", False)):
        with deployment.agent() as agent:
            got = agent.post(f"https://{name}.internal/v1/x", json={"prompt": "hello"})
        request = got.headers["Doorward-Request"]
        intent = deployment.wait_for_entry("request.intent", request=request)
        outcome = deployment.wait_for_entry("request.outcome", request=request)
        assert ("request_body" in intent.fields["bodies"]) is kept  # type: ignore[operator]
        assert ("response_body" in outcome.fields["bodies"]) is kept  # type: ignore[operator]


REPLACED = {
    "keep": "****2957",
    "null": None,
    "remove": "absent",
    "hmac": "hmac:",
    "record": IBAN,
    "pass": "doorward-masked-",
}


@pytest.mark.parametrize(("name", "expected"), REPLACED.items(), ids=REPLACED)
def test_each_replacement(name: str, expected: str | None, deployment: Deployment) -> None:
    got = get(deployment, name)
    document = got.json()
    assert str(document.get("iban", "absent")).startswith(str(expected)) or document["iban"] is expected
    kept = recorded(deployment, got.headers["Doorward-Request"], "request.outcome", "response_body")
    assert IBAN not in kept
    assert json.loads(kept)["n"] == 1


def test_other_types_pass_only_where_the_mask_says_so(deployment: Deployment) -> None:
    assert get(deployment, "pass", "/v1/text").text == f"the iban is {IBAN}"
    assert get(deployment, "keep", "/v1/text").status_code == 502


def test_names_of_a_mask_hide_query_and_header(deployment: Deployment, target: Target) -> None:
    got = get(
        deployment, "names", "/v1/x?email=ann@example.com", headers={"X-Person": "Ann", "X-Api-Token": "t0k3n-value"}
    )
    assert "email=ann@example.com" in target.got[-1].path.replace("%40", "@")
    assert got.headers["X-Person"].startswith("doorward-masked-")
    head = recorded(deployment, got.headers["Doorward-Request"], "request.intent", "request_head")
    assert "ann@example.com" not in head
    assert "ann%40example.com" not in head
    assert '"Ann"' not in head
    assert "t0k3n-value" not in head


def test_a_masked_value_that_is_written_back_is_refused(deployment: Deployment, target: Target) -> None:
    sentinel = get(deployment, "pass").json()["iban"]
    before = len(target.got)
    with deployment.agent() as agent:
        for body in (f'{{"iban": "{sentinel}"}}', json.dumps({"iban": sentinel}).replace("d", "\\u0064")):
            written = agent.post(
                "https://pass.internal/v1/x", content=body, headers={"Content-Type": "application/json"}
            )
            assert written.status_code == 422
            assert written.json()["executed"] == "no"
            assert "leave the masked fields out" in written.json()["next"]
    assert len(target.got) == before


def test_a_masked_value_goes_to_a_target_without_masks_of_fields(deployment: Deployment, target: Target) -> None:
    sentinel = get(deployment, "pass").json()["iban"]
    with deployment.agent() as agent:
        assert agent.post("https://plain.internal/v1/x", json={"said": sentinel}).status_code == 200
    assert sentinel.encode() in target.got[-1].body


def test_a_listener_with_tls_speaks_nothing_else(provider: Provider, target: Target, tmp_path: Path) -> None:
    authority = TestAuthority(tmp_path)
    cert, key = authority.pair("127.0.0.1")
    with Deployment(provider, policy_for(target), tls={"cert": str(cert), "key": str(key)}) as deployment:
        line = ["curl", "-sS", "--proxy-cacert", str(authority.ca), "--cacert", deployment.root, "--noproxy", ""]
        proxy = deployment.proxy().replace("http://", "https://")
        done = subprocess.run(
            [*line, "-x", proxy, "https://billing.internal/v1/x"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert '"n": 1' in done.stdout, done.stderr
        assert ask(deployment, connect_head(deployment, "billing.internal:443")) == b""
        deployment.wait_for_entry("connection.refused", cause="tls-required")
