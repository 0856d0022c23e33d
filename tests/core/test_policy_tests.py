import pytest

from doorward.core.policy import Policy
from doorward.core.policy_file import load_policy
from doorward.core.policy_tests import read_test, run_policy_tests
from doorward.core.policy_yaml import parse_yaml
from doorward.errors import Misconfigured
from doorward.model import Principal, Verdict

POLICY = """
targets: {a: {kind: http, url: "https://a.internal", hosts: [a.internal]}}
roles: {r: [{paths: [/x, /y]}]}
bindings: [{role: r, target: a, groups: ["corp:agents"]}]
holds: [{name: h, match: {body: {"$.n": [1.0]}}, approvers: {groups: ["corp:o"]}, expires: 1m}]
denies: [{name: d, match: {query: [purge]}}]
tests:
"""
AGENT = 'principal: "corp:agent-7", groups: [agents], target: a'


def policy(*tests: str) -> Policy:
    text = POLICY + "".join(f"  - {test}\n" for test in tests)
    return load_policy({"p.yaml": text}, issuers=["corp"], credentials=[])


@pytest.mark.parametrize(
    ("given", "expected", "passed"),
    [
        ("method: GET, path: /x", "expect: allow", True),
        ("method: GET, path: /x", "expect: allow, rule: role r", True),
        ("method: GET, path: /x", "expect: allow, rule: r", True),
        ("method: GET, path: /x", "expect: allow, rule: h", False),
        ("method: GET, path: /x", "expect: deny", False),
        ("method: GET, path: /z", "expect: deny, rule: default deny", True),
        ("method: GET, path: /x, query: {a: b, purge: 1}", "expect: deny, rule: d", True),
        ("method: POST, path: /x, body: {n: 1.0}", "expect: hold, rule: hold h", True),
        ("method: POST, path: /x, body: {n: 2}", "expect: allow", True),
        ('method: POST, path: /x, body: {m: [~, true, "\\"é", {k: -1}]}', "expect: allow", True),
        ("method: GET, path: /x/../y", "expect: deny", True),
        ("method: get, path: /x", "expect: deny", True),
    ],
)
def test_outcomes(given: str, expected: str, *, passed: bool) -> None:
    outcome, *others = run_policy_tests(policy(f"{{given: {{{AGENT}, {given}}}, {expected}}}"))
    assert not others
    assert outcome.passed is passed
    assert outcome.reason


def test_a_request_that_cannot_be_read_names_its_cause() -> None:
    (outcome,) = run_policy_tests(policy(f"{{given: {{{AGENT}, method: GET, path: /x//y}}, expect: deny}}"))
    assert (outcome.verdict, outcome.rules) == (Verdict.DENY, ("refused empty-segment",))


def test_outcomes_keep_the_order_of_the_file() -> None:
    tests = [f"{{given: {{{AGENT}, method: GET, path: /{path}}}, expect: allow}}" for path in "xzy"]
    assert [outcome.passed for outcome in run_policy_tests(policy(*tests))] == [True, False, True]


def read(given: str, more: str = "expect: allow") -> object:
    return read_test(parse_yaml("p.yaml", f"given: {{{given}}}\n{more}"), ["corp", "other"])


def test_what_a_test_says() -> None:
    test = read_test(
        parse_yaml(
            "p.yaml",
            "given: {principal: 'corp:x', groups: [a, 'other:b', 'c:d'], target: t, method: PUT, path: /p%20q, "
            "query: {'a b': 'c&d', page: 1.50, on: true}, body: [1.50, '1', {}]}\nexpect: hold\nrule: h",
        ),
        ["corp", "other"],
    )
    assert test.principal == Principal("corp", "x", ("corp:a", "other:b", "corp:c:d"))
    assert test.raw_target == "/p%20q?a%20b=c%26d&page=1.50&on=true"
    assert test.body == b'[1.50,"1",{}]'
    assert (test.expect, test.rule, test.where) == (Verdict.HOLD, "h", "p.yaml:1")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("target: t, method: GET, path: /", "given lacks 'principal'"),
        ("principal: x, target: t, method: GET, path: /", "principal 'x' names no issuer"),
        ("principal: 'z:x', target: t, method: GET, path: /", "principal names the unknown issuer 'z'"),
        ("principal: 'corp:x', target: t, method: GET, path: /a?b=c", "path holds ?"),
        ("principal: 'corp:x', target: t, method: GET, path: /, query: {a: [b]}", "a query value is not plain"),
        ("principal: 'corp:x', target: t, method: GET, path: /, headers: {}", "unknown key 'headers' in given"),
    ],
)
def test_tests_that_are_refused(given: str, message: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        read(given)
    assert caught.value.message == f"p.yaml:1: {message}"


def test_an_unknown_expectation() -> None:
    with pytest.raises(Misconfigured, match="unknown value of expect"):
        read("principal: 'corp:x', target: t, method: GET, path: /", "expect: maybe")
