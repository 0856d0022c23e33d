import json

import pytest

from tests.parts.command import Terminal

AGENT = ("--as", "corp:agent-7", "--group", "corp:agents")


def test_the_tests_of_the_policy(deployed: Terminal) -> None:
    ran = deployed.run("policy", "test")
    assert (ran.code, ran.out, ran.err) == (0, "3 passed, 0 failed\n", "")
    file = deployed.folder / "policies/example.yaml"
    file.write_text(file.read_text().replace("expect: deny", "expect: allow"))
    ran = deployed.run("policy", "test")
    assert ran.code == 1
    assert "POST /v1/things as corp:agent-7: expected allow, got deny" in ran.out
    assert ran.out.endswith("2 passed, 1 failed\n")
    found = json.loads(deployed.run("policy", "test", "--json").out)
    assert (found["passed"], len(found["failed"])) == (2, 1)
    assert found["failed"][0]["rules"] == ["default deny"]


@pytest.mark.parametrize(
    ("method", "url", "code", "verdict"),
    [
        ("GET", "https://example.internal/v1/things?page=2", 0, "allow"),
        ("GET", "https://EXAMPLE.internal:443/v1/things", 0, "allow"),
        ("DELETE", "https://example.internal/v1/things/1", 0, "hold"),
        ("GET", "https://example.internal/v1/things?secret=1", 1, "deny"),
        ("GET", "https://example.internal", 1, "deny"),
        ("GET", "https://example.internal/v1/../things", 1, "deny"),
        ("get", "https://example.internal/v1/things", 1, "deny"),
        ("GET", "https://other.internal/v1/things", 1, "deny"),
    ],
)
def test_explain(deployed: Terminal, method: str, url: str, code: int, verdict: str) -> None:
    ran = deployed.run("policy", "explain", method, url, *AGENT, "--json")
    found = json.loads(ran.out)
    assert (ran.code, found["verdict"], ran.err) == (code, verdict, "")
    assert found["reason"]
    assert verdict in deployed.run("policy", "explain", method, url, *AGENT).out


def test_explain_names_who_must_approve(deployed: Terminal) -> None:
    ran = deployed.run("policy", "explain", "DELETE", "https://example.internal/v1/things/1", *AGENT)
    assert "delete a thing: 1 of corp:owners" in ran.out
    assert "personal data" in ran.out


@pytest.mark.parametrize("url", ["example.internal/v1", "https://", "https:///v1", "https://example.internal:x/"])
def test_what_is_no_url_is_wrong_usage(deployed: Terminal, url: str) -> None:
    ran = deployed.run("policy", "explain", "GET", url, *AGENT)
    assert (ran.code, ran.out) == (2, "")
    assert "URL" in ran.err


def test_nobody_is_wrong_usage(deployed: Terminal) -> None:
    ran = deployed.run("policy", "explain", "GET", "https://example.internal/", "--as", "agent-7")
    assert ran.code == 2
    assert "--as ISSUER-ALIAS:SUBJECT" in ran.err
