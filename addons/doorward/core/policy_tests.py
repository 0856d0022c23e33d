"""The `tests:` of a policy: requests written down with what must come of them.

A test takes the same way as a request of an agent, through the strict reading and `decide`, so a
path that is refused before any rule counts as a deny. No target is asked, and nothing is held.
Read by `core.policy_file`; run by `check` and `policy test`.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import quote

from doorward.core.plain_http import read_action
from doorward.core.policy import Policy, PolicyTest, decide
from doorward.core.policy_fields import fields_of, mapping, one_of, qualified, text, texts
from doorward.core.policy_yaml import Items, Node, Scalar
from doorward.errors import Misconfigured, Refused
from doorward.model import Principal, Verdict


@dataclass(frozen=True, slots=True)
class PolicyTestOutcome:
    """What came of one test."""

    test: PolicyTest
    verdict: Verdict
    rules: tuple[str, ...]
    reason: str

    @property
    def passed(self) -> bool:
        """Whether verdict, and the rule where one is named, are the expected ones."""
        rule = self.test.rule
        named = rule is None or any(rule in {written, written.partition(" ")[2]} for written in self.rules)
        return self.verdict is self.test.expect and named


def read_test(node: Node, issuers: Collection[str]) -> PolicyTest:
    """Read one test; raises Misconfigured."""
    fields = fields_of(node, "a test", required=("given", "expect"), optional=("rule",))
    given = fields_of(
        fields["given"],
        "given",
        required=("principal", "target", "method", "path"),
        optional=("groups", "query", "body"),
    )
    alias, _, subject = qualified(given["principal"], "principal", issuers).partition(":")
    groups = texts(given["groups"], "groups") if "groups" in given else ()
    return PolicyTest(
        principal=Principal(alias, subject, tuple(_group(group, alias, issuers) for group in groups)),
        target=text(given["target"], "target"),
        method=text(given["method"], "method"),
        raw_target=_path(given["path"]) + (_query(given["query"]) if "query" in given else ""),
        body=_json(given["body"]).encode() if "body" in given else b"",
        expect=Verdict(one_of(fields["expect"], "value of expect", list(Verdict))),
        rule=text(fields["rule"], "rule") if "rule" in fields else None,
        where=node.where,
    )


def run_policy_tests(policy: Policy) -> list[PolicyTestOutcome]:
    """Run every test of a policy, in the order of the files."""
    return [_run(policy, test) for test in policy.tests]


def _run(policy: Policy, test: PolicyTest) -> PolicyTestOutcome:
    headers = [("Content-Type", "application/json")] if test.body else []
    try:
        action = read_action(
            test.principal,
            policy.targets[test.target],
            test.method,
            test.raw_target,
            headers,
            test.body,
            credential_header=None,
            body_mask=policy.has_body_masks(test.target),
        )
    except Refused as refusal:
        return PolicyTestOutcome(test, Verdict.DENY, (f"refused {refusal.cause}",), refusal.message)
    decision = decide(policy, test.principal, action, test.body)
    return PolicyTestOutcome(test, decision.verdict, decision.rules, decision.reason)


def _group(group: str, alias: str, issuers: Collection[str]) -> str:
    """A group without a known alias is one of the principal's own issuer."""
    return group if group.partition(":")[0] in issuers and ":" in group else f"{alias}:{group}"


def _path(node: Node) -> str:
    path = text(node, "path")
    if "?" in path:
        raise Misconfigured("path holds ?", where=node.where, hint="write the query under `query:`")
    return path


def _query(node: Node) -> str:
    pairs = []
    for key, value in mapping(node, "query").fields.items():
        if not isinstance(value, Scalar):
            raise Misconfigured("a query value is not plain", where=value.where, hint="write a string or a number")
        pairs.append(f"{quote(key, safe='')}={quote(value.text, safe='')}")
    return "?" + "&".join(pairs)


def _json(node: Node) -> str:
    """A node as JSON, numbers as they were written."""
    if isinstance(node, Scalar):
        return json.dumps(node.value) if isinstance(node.value, str) else node.text
    if isinstance(node, Items):
        return f"[{','.join(map(_json, node.items))}]"
    return f"{{{','.join(f'{json.dumps(key)}:{_json(value)}' for key, value in node.fields.items())}}}"
