import pytest

from doorward.core.policy_file import lint_policy
from doorward.errors import Misconfigured

TARGETS = """targets:
  a: {kind: http, url: "https://a.internal", hosts: [a.internal]}
  b: {kind: http, url: "https://b.internal", hosts: [b.internal]}
"""
BOUND = "bindings: [{role: r, target: a, groups: ['corp:agents']}]\n"


def lint(text: str) -> list[Misconfigured]:
    return lint_policy({"p.yaml": TARGETS + text}, issuers=["corp"], credentials=[])


def role(rules: str) -> str:
    return BOUND + f"roles: {{r: [{rules}]}}\n"


def hold(match: str) -> str:
    return f"holds: [{{name: h, match: {{{match}}}, approvers: {{groups: ['corp:o']}}, expires: 1m}}]\n"


def deny(match: str) -> str:
    return f"denies: [{{name: d, match: {{{match}}}}}]\n"


def mask(match: str, more: str = "fields: ['$.a']") -> str:
    return f"masks: [{{name: m, match: {{{match}}}, {more}}}]\n"


FITTING = {
    "nothing": "",
    "a target that nobody may reach": role("{}"),
    "a hold on all": role("{}") + hold(""),
    "a hold on the target": role("{}") + hold("target: a"),
    "a hold on two targets, one of them reached": role("{}") + hold("target: [a, b]"),
    "methods that meet": role("{methods: [GET, PUT]}") + hold("methods: [PUT, DELETE]"),
    "paths that meet": role("{paths: [/v1/**]}") + hold("paths: [/v2, /*/x]"),
    "paths of a role alone": role("{paths: [/v1/**]}") + hold("methods: [GET]"),
    "query keys that meet": role("{query: [a, b]}") + hold("query: [b, c]"),
    "query keys that a lenient target takes for one": role("{query: [Force]}") + hold("query: [force]"),
    "the second rule meets": role("{methods: [GET]}, {paths: [/x]}") + hold("methods: [PUT], paths: [/x]"),
    "a risk of the methods": role("{methods: [DELETE]}") + hold("risk: [high]"),
    "a risk of any method": role("{}") + hold("risk: [medium]"),
    "a raised risk": role("{methods: [GET], raise_risk: high}") + hold("risk: [high]"),
    "a risk that another rule raises": role("{methods: [GET]}, {methods: [PUT], raise_risk: high}")
    + hold("methods: [GET], risk: [high]"),
    "a deny on what no role allows": role("{methods: [GET]}") + deny("methods: [PUT], paths: [/x]"),
    "a deny on a target that nobody reaches": role("{}") + deny("target: b"),
    "a deny on a risk that a role raises": role("{raise_risk: high}") + deny("methods: [GET], risk: [high]"),
    "a mask that keeps a part, read only": role("{methods: [GET]}") + mask("", "fields: ['$.a'], replace_with: hmac"),
    "a mask of the record alone": role("{}") + mask("", "fields: ['$.a'], replace_with: hmac, apply_to: record"),
    "a mask of texts with the sentinel": role("{}") + mask("", "texts: [{literal: a}]"),
    "a mask of texts that keeps a part, read only": role("{methods: [GET]}")
    + mask("", "texts: [{literal: a}], replace_with: hmac"),
    "a mask of headers alone": role("{}") + mask("", "headers: [x], replace_with: hmac"),
    "a sentinel where a role writes": role("{}") + mask("", "fields: ['$.a'], replace_with: sentinel"),
}  # fmt: skip


@pytest.mark.parametrize("text", FITTING.values(), ids=FITTING)
def test_what_fits_together(text: str) -> None:
    assert lint(text) == []


NEVER = "can never match"
HOLD, MASK, DENY = (f"p.yaml:6: {rule} {NEVER}" for rule in ("hold 'h'", "mask 'm'", "deny 'd'"))
UNKNOWN = "p.yaml:{}: unknown {} in a {}"
TEST = "tests: [{{given: {{principal: 'corp:x', target: {0}, method: GET, path: /}}, expect: deny, rule: {1}}}]\n"
BROKEN = {
    "an unknown role": (BOUND, "p.yaml:4: unknown role 'r' in a binding"),
    "an unknown target of a binding": (role("{}").replace(": a,", ": z,"), UNKNOWN.format(4, "target 'z'", "binding")),
    "a role that is bound to nobody": ("roles: {r: [{}]}\n", f"p.yaml:4: role 'r' {NEVER}"),
    "an unknown target of a hold": (role("{}") + hold("target: [a, z]"), "p.yaml:6: unknown target 'z' in hold 'h'"),
    "an unknown target of a deny": (role("{}") + deny("target: z"), "p.yaml:6: unknown target 'z' in deny 'd'"),
    "an unknown target of a mask": (role("{}") + mask("target: z"), "p.yaml:6: unknown target 'z' in mask 'm'"),
    "a hold without roles": (hold(""), f"p.yaml:4: hold 'h' {NEVER}"),
    "a hold on a target that nobody reaches": (role("{}") + hold("target: b"), HOLD),
    "a mask on a target that nobody reaches": (role("{}") + mask("target: b"), MASK),
    "methods that do not meet": (role("{methods: [GET]}") + hold("methods: [PUT]"), HOLD),
    "a slip in a path": (role("{paths: [/v1/customers/*]}") + hold("paths: [/v1/custmers/*]"), HOLD),
    "a slip in the path of a mask": (role("{paths: [/v1/**]}") + mask("paths: [/v2/**]"), MASK),
    "query keys that no role lets pass": (role("{query: [a]}") + hold("query: [b]"), HOLD),
    "fields that meet in different rules": (
        role("{methods: [GET], paths: [/x]}, {methods: [PUT], paths: [/y]}") + hold("methods: [GET], paths: [/y]"),
        HOLD,
    ),
    "a risk that the methods do not have": (role("{methods: [GET]}") + hold("risk: [high]"), HOLD),
    "a risk that is always raised": (role("{raise_risk: high}") + hold("risk: [low]"), HOLD),
    "a deny on a risk that its methods do not have": (role("{}") + deny("methods: [GET], risk: [high]"), DENY),
    "a mask that keeps a part where a role writes": (
        role("{methods: [GET]}, {methods: [PATCH]}") + mask("", "fields: ['$.a'], replace_with: keep-last-4"),
        "p.yaml:6: mask 'm' replaces with keep-last-4 where a role may write",
    ),
    "a mask of texts that keeps a part where a role may write": (
        role("{}") + mask("", "texts: [{literal: a}], replace_with: hmac"),
        "p.yaml:6: mask 'm' replaces with hmac where a role may write",
    ),
    "a mask that removes where a role may do anything": (
        role("{}") + mask("target: a", "fields: ['$.a'], replace_with: remove"),
        "p.yaml:6: mask 'm' replaces with remove where a role may write",
    ),
    "a test of an unknown target": (role("{}") + TEST.format("z", "r"), UNKNOWN.format(6, "target 'z'", "test")),
    "a test of an unknown rule": (role("{}") + TEST.format("a", "hold x"), "p.yaml:6: unknown rule 'hold x' in a test"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BROKEN.values(), ids=BROKEN)
def test_what_does_not(text: str, message: str) -> None:
    problems = lint(text)
    assert [problem.message for problem in problems] == [message]
    assert problems[0].hint


@pytest.mark.parametrize("rule", ["r", "role r", "h", "hold h", "d", "deny d", "default deny"])
def test_rules_that_a_test_may_name(rule: str) -> None:
    assert lint(role("{}") + hold("") + deny("") + TEST.format("a", rule)) == []
