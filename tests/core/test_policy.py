import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core.matching import parse_pattern
from doorward.core.plain_http import read_action
from doorward.core.policy import (
    Binding,
    DenyRule,
    HoldRule,
    MaskRule,
    Match,
    Policy,
    Principals,
    Role,
    RoleRule,
    decide,
)
from doorward.core.policy_file import load_policy
from doorward.model import Action, Approvers, Ask, Decision, Principal, Risk, Target, Verdict

TARGETS = """
targets:
  billing: {kind: http, url: "https://billing.internal", hosts: [billing.internal, "pay.internal:8443"]}
  files:
    {kind: http, url: "https://files.internal", hosts: [files.internal], encoded_slash: allow, repeated_query: allow}
"""
BOUND = """
bindings:
  - {role: r, target: billing, groups: ["corp:agents"]}
  - {role: r, target: files, groups: ["corp:agents"]}
"""
AGENT = Principal("corp", "agent-7", ("corp:agents",))
OUTSIDER = Principal("corp", "agent-8", ("corp:staff",))
NAMESAKE = Principal("other", "agent-7", ("other:agents",))
ALLOW, HOLD, DENY = Verdict.ALLOW, Verdict.HOLD, Verdict.DENY
ROLE, DEFAULT = ("role r",), ("default deny",)
ASKED = "approvers: {groups: ['corp:owners']}, expires: 15m"


def policy_of(text: str) -> Policy:
    return load_policy({"policy.yaml": TARGETS + text}, issuers=["corp", "other"], credentials=[])


def action_of(policy: Policy, line: str, body: bytes, principal: Principal, content_type: str) -> Action:
    method, raw_target = line.split(" ", 1)
    target, at, path = raw_target.rpartition("@")
    headers = [("Content-Type", content_type)] if body else []
    return read_action(
        principal,
        policy.targets[target if at else "billing"],
        method,
        path,
        headers,
        body,
        credential_header=None,
        body_mask=False,
    )


def decided(
    text: str, line: str, body: bytes = b"", principal: Principal = AGENT, content_type: str = "application/json"
) -> Decision:
    policy = policy_of(text)
    return decide(policy, principal, action_of(policy, line, body, principal, content_type), body)


def role(rule: str) -> str:
    return BOUND + f"roles: {{r: [{rule}]}}\n"


ANY = role("{}")


def hold(*matches: str) -> str:
    """Holds named h, g, f in this order."""
    rules = (f"{{name: {name}, match: {{{match}}}, {ASKED}}}" for name, match in zip("hgf", matches, strict=False))
    return f"holds: [{', '.join(rules)}]\n"


def deny(match: str) -> str:
    return f"denies: [{{name: d, match: {{{match}}}}}]\n"


RAISED = role("{paths: [/a, /p/a/b], raise_risk: high}, {}") + hold("risk: [high]")
HELD, DENIED = (*ROLE, "hold h"), ("deny d",)

# id: policy, request, verdict, rules
MEANING = {
    # default deny, roles
    "no role, no rule": ("", "GET /a", DENY, DEFAULT),
    "role without fields allows any request": (ANY, "DELETE /a?b=c", ALLOW, ROLE),
    "role without fields allows an unknown method": (ANY, "PROPFIND /a", ALLOW, ROLE),
    "method listed": (role("{methods: [GET]}"), "GET /a", ALLOW, ROLE),
    "method not listed": (role("{methods: [GET]}"), "POST /a", DENY, DEFAULT),
    "one of several methods": (role("{methods: [GET, POST]}"), "POST /a", ALLOW, ROLE),
    "HEAD is GET in a role": (role("{methods: [GET]}"), "HEAD /a", ALLOW, ROLE),
    "OPTIONS is not GET": (role("{methods: [GET]}"), "OPTIONS /a", DENY, DEFAULT),
    "TRACE is not GET": (role("{methods: [GET]}"), "TRACE /a", DENY, DEFAULT),
    "OPTIONS is itself": (role("{methods: [OPTIONS]}"), "OPTIONS /a", ALLOW, ROLE),
    "path listed": (role("{paths: [/v1/customers]}"), "GET /v1/customers", ALLOW, ROLE),
    "path encoded otherwise": (role("{paths: [/v1/customers]}"), "GET /v1/%63ustomers", ALLOW, ROLE),
    "path with another case": (role("{paths: [/v1/customers]}"), "GET /v1/Customers", DENY, DEFAULT),
    "path below": (role("{paths: [/v1/customers]}"), "GET /v1/customers/1", DENY, DEFAULT),
    "one segment": (role("{paths: [/v1/customers/*]}"), "GET /v1/customers/1", ALLOW, ROLE),
    "two for one segment": (role("{paths: [/v1/customers/*]}"), "GET /v1/customers/1/notes", DENY, DEFAULT),
    "any depth": (role("{paths: [/v1/customers/**]}"), "GET /v1/customers/1/notes", ALLOW, ROLE),
    "any depth is one or more": (role("{paths: [/v1/customers/**]}"), "GET /v1/customers", DENY, DEFAULT),
    "the root is no segment": (role("{paths: [/**]}"), "GET /", DENY, DEFAULT),
    "the root by itself": (role("{paths: [/]}"), "GET /", ALLOW, ROLE),
    "all fields of a rule must match": (role("{methods: [GET], paths: [/a]}"), "GET /b", DENY, DEFAULT),
    "one rule of several is enough": (role("{methods: [GET], paths: [/a]}, {paths: [/b]}"), "GET /b", ALLOW, ROLE),
    "rules of a role do not mix": (role("{methods: [GET], paths: [/a]}, {methods: [PUT]}"), "GET /b", DENY, DEFAULT),
    # query
    "listed query keys": (role("{query: [page, limit]}"), "GET /a?limit=1&page=2", ALLOW, ROLE),
    "some of the listed query keys": (role("{query: [page, limit]}"), "GET /a?page=2", ALLOW, ROLE),
    "no query where keys are listed": (role("{query: [page]}"), "GET /a", ALLOW, ROLE),
    "another query key": (role("{query: [page]}"), "GET /a?page=1&filter=x", DENY, DEFAULT),
    "another case of a query key": (role("{query: [page]}"), "GET /a?Page=1", DENY, DEFAULT),
    "an encoded query key": (role("{query: [page]}"), "GET /a?p%61ge=1", ALLOW, ROLE),
    "an empty query key": (role("{query: [page]}"), "GET /a?page=1&", DENY, DEFAULT),
    "a query key without value": (role("{query: [watch]}"), "GET /a?watch", ALLOW, ROLE),
    "a repeated query key": (role("{query: [tag]}"), "GET files@/a?tag=1&tag=2", ALLOW, ROLE),
    "a hold on a query key": (ANY + hold("query: [force]"), "GET /a?x=1&force", HOLD, HELD),
    "a hold on a query key that is not sent": (ANY + hold("query: [force]"), "GET /a?x=1", ALLOW, ROLE),
    "a deny on one of two query keys": (ANY + deny("query: [force, purge]"), "GET /a?purge=1", DENY, DENIED),
    "a deny on another case of a query key": (ANY + deny("query: [force]"), "GET /a?Force=1", DENY, DENIED),
    "a deny on a query key with brackets": (ANY + deny("query: [force]"), "GET /a?force[]=1", DENY, DENIED),
    "a hold on a key that begins like it": (ANY + hold("query: [force]"), "GET /a?forced=1", ALLOW, ROLE),
    # holds, denies
    "a hold without fields": (ANY + hold(""), "GET /a", HOLD, HELD),
    "a hold never allows": (role("{methods: [GET]}") + hold(""), "POST /a", DENY, DEFAULT),
    "a hold on a method": (ANY + hold("methods: [DELETE]"), "DELETE /a", HOLD, HELD),
    "a hold on another method": (ANY + hold("methods: [DELETE]"), "PATCH /a", ALLOW, ROLE),
    "HEAD is GET in a hold": (ANY + hold("methods: [GET]"), "HEAD /a", HOLD, HELD),
    "HEAD is GET in a deny": (ANY + deny("methods: [GET]"), "HEAD /a", DENY, DENIED),
    "a hold on a path": (ANY + hold("paths: [/v1/**]"), "GET /v1/a", HOLD, HELD),
    "a hold on another path": (ANY + hold("paths: [/v1/**]"), "GET /v2/a", ALLOW, ROLE),
    "a hold on another target": (ANY + hold("target: files"), "GET /a", ALLOW, ROLE),
    "a hold on one of two targets": (ANY + hold("target: [files, billing]"), "GET /a", HOLD, HELD),
    "several holds": (
        ANY + hold("", "methods: [GET]", "methods: [PUT]"), "GET /a", HOLD, (*ROLE, "hold g", "hold h"),
    ),
    "a deny without fields": (ANY + deny(""), "GET /a", DENY, DENIED),
    "a deny over a hold over a role": (ANY + hold("") + deny("methods: [GET]"), "GET /a", DENY, DENIED),
    "a hold over a role": (ANY + hold("") + deny("methods: [PUT]"), "GET /a", HOLD, HELD),
    "a deny where no role allows": (deny(""), "GET /a", DENY, DENIED),
    "several denies": (
        ANY + "denies: [{name: z, match: {}}, {name: a, match: {}}, {name: x, match: {methods: [PUT]}}]",
        "GET /a", DENY, ("deny a", "deny z"),
    ),
    # risk
    "a hold on high risk": (ANY + hold("risk: [high]"), "DELETE /a", HOLD, HELD),
    "a hold on high risk, medium request": (ANY + hold("risk: [high]"), "POST /a", ALLOW, ROLE),
    "a hold on two levels": (ANY + hold("risk: [medium, high]"), "POST /a", HOLD, HELD),
    "an unknown method is high": (ANY + hold("risk: [high]"), "BREW /a", HOLD, HELD),
    "a rule raises the risk": (RAISED, "GET /a", HOLD, HELD),
    "a rule raises the risk of what it means": (RAISED, "GET /b", ALLOW, ROLE),
    "a rule never lowers the risk": (role("{raise_risk: low}") + hold("risk: [high]"), "DELETE /a", HOLD, HELD),
    "a raised risk leaves its level": (role("{raise_risk: medium}, {}") + deny("risk: [low]"), "GET /a", ALLOW, ROLE),
    "a deny on a raised risk": (role("{raise_risk: high}") + deny("risk: [high]"), "GET /a", DENY, DENIED),
    # encoded slashes
    "an encoded slash is one segment in a role": (role("{paths: [/p/*]}"), "GET files@/p/a%2Fb", ALLOW, ROLE),
    "an encoded slash is no separator in a role": (role("{paths: [/p/*/*]}"), "GET files@/p/a%2Fb", DENY, DEFAULT),
    "an encoded slash is one segment in a deny": (ANY + deny("paths: [/p/*]"), "GET files@/p/a%2Fb", DENY, DENIED),
    "an encoded slash is a separator in a deny": (ANY + deny("paths: [/p/a/**]"), "GET files@/p/a%2Fb", DENY, DENIED),
    "an encoded slash is a separator in a hold": (ANY + hold("paths: [/p/a/b]"), "GET files@/p/a%5Cb", HOLD, HELD),
    "an encoded slash may raise the risk": (RAISED, "GET files@/p/a%2Fb", HOLD, HELD),
}  # fmt: skip


@pytest.mark.parametrize(("text", "line", "verdict", "rules"), MEANING.values(), ids=MEANING)
def test_meaning(text: str, line: str, verdict: Verdict, rules: tuple[str, ...]) -> None:
    decision = decided(text, line)
    assert (decision.verdict, decision.rules) == (verdict, rules)
    assert bool(decision.asks) is (verdict is HOLD)
    assert decision.reason


VALUE = 'body: {"$.role": [reader]}'
BODIES = {
    "the value, role": (role(f"{{{VALUE}}}"), b'{"role": "reader"}', ALLOW),
    "another value, role": (role(f"{{{VALUE}}}"), b'{"role": "admin"}', DENY),
    "no such field, role": (role(f"{{{VALUE}}}"), b"{}", DENY),
    "no body, role": (role(f"{{{VALUE}}}"), b"", DENY),
    "a wider value, role": (role(f"{{{VALUE}}}"), b'{"role": ["reader", "admin"]}', DENY),
    "twice in the body, role": (role(f"{{{VALUE}}}"), b'{"role": "admin", "role": "reader"}', DENY),
    "unreadable, role": (role(f"{{{VALUE}}}"), b"role=reader", DENY),
    "two fields, role": (role('{body: {"$.a": [1], "$.b": [2]}}'), b'{"a": 1, "b": 2}', ALLOW),
    "one of two fields, role": (role('{body: {"$.a": [1], "$.b": [2]}}'), b'{"a": 1, "b": 3}', DENY),
    "the value, hold": (ANY + hold(VALUE), b'{"role": "reader"}', HOLD),
    "another value, hold": (ANY + hold(VALUE), b'{"role": "admin"}', ALLOW),
    "no such field, hold": (ANY + hold(VALUE), b"{}", ALLOW),
    "no body, hold": (ANY + hold(VALUE), b"", ALLOW),
    "a wider value, hold": (ANY + hold(VALUE), b'{"role": ["reader", "admin"]}', HOLD),
    "unreadable, hold": (ANY + hold(VALUE), b"role=reader", HOLD),
    "the value, deny": (ANY + deny(VALUE), b'{"role": "reader"}', DENY),
    "unreadable, deny": (ANY + deny(VALUE), b"\xff", DENY),
    "one of two fields, deny": (ANY + deny('body: {"$.a": [1], "$.b": [2]}'), b'{"a": 1, "b": 3}', ALLOW),
    "unclear body may raise the risk": (
        role(f"{{{VALUE}, raise_risk: high}}, {{}}") + hold("risk: [high]"),
        b"role=reader",
        HOLD,
    ),
    "clear body does not": (
        role(f"{{{VALUE}, raise_risk: high}}, {{}}") + hold("risk: [high]"),
        b'{"role": "x"}',
        ALLOW,
    ),
}


@pytest.mark.parametrize(("text", "body", "verdict"), BODIES.values(), ids=BODIES)
def test_body_conditions(text: str, body: bytes, verdict: Verdict) -> None:
    assert decided(text, "POST /a", body).verdict is verdict


@pytest.mark.parametrize(("text", "verdict"), [(role(f"{{{VALUE}}}"), DENY), (ANY + deny(VALUE), DENY)])
def test_json_under_another_type_is_unclear(text: str, verdict: Verdict) -> None:
    body = b'{"role": "reader"}'
    assert decided(text, "POST /a", body, content_type="application/x-www-form-urlencoded").verdict is verdict


def bound(who: str) -> str:
    return f"roles: {{r: [{{}}]}}\nbindings: [{{role: r, target: billing, {who}}}]\n"


GROUP, SUBJECT = bound("groups: ['corp:agents']"), bound("subjects: ['corp:agent-7']")
WHO = {
    "a group": (bound("groups: ['corp:agents']"), AGENT, ALLOW),
    "another group": (bound("groups: ['corp:agents']"), OUTSIDER, DENY),
    "a group of another issuer": (bound("groups: ['corp:agents']"), NAMESAKE, DENY),
    "a subject": (bound("subjects: ['corp:agent-7']"), AGENT, ALLOW),
    "another subject": (bound("subjects: ['corp:agent-7']"), OUTSIDER, DENY),
    "a subject of another issuer": (bound("subjects: ['corp:agent-7']"), NAMESAKE, DENY),
    "a group is no subject": (bound("subjects: ['corp:agents']"), AGENT, DENY),
    "a subject is no group": (bound("groups: ['corp:agent-7']"), AGENT, DENY),
    "groups or subjects": (bound("groups: ['corp:staff'], subjects: ['corp:agent-7']"), AGENT, ALLOW),
    "a binding on another target": (bound("groups: ['corp:agents']").replace("billing", "files"), AGENT, DENY),
    "a hold to a group": (SUBJECT + hold("to: {groups: ['corp:agents']}"), AGENT, HOLD),
    "a hold to another group": (SUBJECT + hold("to: {groups: ['corp:staff']}"), AGENT, ALLOW),
    "a hold to a subject": (GROUP + hold("to: {subjects: ['corp:agent-7']}"), AGENT, HOLD),
    "a deny to a subject": (GROUP + deny("to: {subjects: ['corp:agent-7']}"), AGENT, DENY),
    "a deny to another subject": (GROUP + deny("to: {subjects: ['corp:agent-8']}"), AGENT, ALLOW),
    "nobody": (bound("groups: ['corp:agents']"), Principal("corp", "x"), DENY),
}  # fmt: skip


@pytest.mark.parametrize(("text", "principal", "verdict"), WHO.values(), ids=WHO)
def test_who_is_meant(text: str, principal: Principal, verdict: Verdict) -> None:
    assert decided(text, "GET /a", principal=principal).verdict is verdict


def test_several_roles_are_all_named() -> None:
    text = (
        "roles: {b: [{}], a: [{methods: [GET]}], c: [{methods: [PUT]}]}\n"
        "bindings: [" + ", ".join(f"{{role: {r}, target: billing, groups: ['corp:agents']}}" for r in "bac") + "]\n"
    )
    assert decided(text, "GET /a") == Decision(ALLOW, "allowed by a, b", ("role a", "role b"))


def test_a_hold_carries_what_it_asks_for_and_the_raised_risk() -> None:
    text = role("{raise_risk: high}") + (
        "holds: [{name: two of them, match: {}, "
        "approvers: {groups: ['corp:owners'], subjects: ['corp:alice'], count: 2}, expires: 1h}]\n"
    )
    assert decided(text, "GET /a") == Decision(
        HOLD,
        "held by two of them",
        ("role r", "hold two of them"),
        asks=(Ask("two of them", Approvers(("corp:owners",), ("corp:alice",)), 2, 3600),),
        risk=Risk.HIGH,
    )


def test_reasons_say_what_is_missing() -> None:
    assert decided(ANY, "GET /a", principal=OUTSIDER).reason == "no role on billing is bound to corp:agent-8"
    assert (
        decided(role("{methods: [GET]}"), "PUT /a").reason == "no role of corp:agent-7 on billing (r) allows this PUT"
    )
    assert decided(ANY + deny(""), "PUT /a").reason == "denied by d"


MASKS = """
masks:
  - {name: m2, match: {target: billing}, fields: ["$..email"]}
  - {name: m1, match: {methods: [GET]}, headers: [X-Customer], apply_to: record}
  - {name: m3, match: {target: files}, query: [email]}
"""


def test_masks_that_apply_to_an_action() -> None:
    assert decided(ANY + MASKS, "GET /a").masks == ("m1", "m2")
    assert decided(ANY + MASKS, "PUT /a").masks == ("m2",)
    assert decided(ANY + MASKS + hold(""), "GET /a").masks == ("m1", "m2")
    assert decided(ANY + MASKS + deny(""), "GET /a").masks == ()


def test_an_unclear_body_does_not_get_round_a_mask() -> None:
    text = ANY + f"masks: [{{name: m, match: {{{VALUE}}}, fields: ['$.a']}}]\n"
    assert decided(text, "POST /a", b"{").masks == ("m",)
    assert decided(text, "POST /a", b'{"role": "x"}').masks == ()


def test_masks_of_a_target() -> None:
    policy = policy_of(ANY + MASKS)
    assert [mask.name for mask in policy.masks_on("billing")] == ["m2", "m1"]
    assert [mask.name for mask in policy.masks_on("files")] == ["m1", "m3"]
    assert [mask.name for mask in policy.mask_rules(["m3", "m2"])] == ["m2", "m3"]
    assert policy.has_body_masks("billing")
    assert not policy.has_body_masks("files")
    texts = policy_of(ANY + "masks: [{name: t, match: {target: files}, texts: [{literal: a}]}]\n")
    assert texts.has_body_masks("files")


@pytest.mark.parametrize(
    ("host", "port", "target"),
    [
        ("billing.internal", 443, "billing"),
        ("BILLING.internal", 443, "billing"),
        ("pay.internal", 8443, "billing"),
        ("files.internal", 443, "files"),
        ("pay.internal", 443, None),
        ("billing.internal", 80, None),
        ("billing.internal.", 443, None),
        ("internal", 443, None),
    ],
)
def test_the_target_that_is_asked_for(host: str, port: int, target: str | None) -> None:
    found = policy_of(ANY).target_for(host, port)
    assert (found.name if found else None) == target


# Rules as values, so that their order and number can be varied.

_METHODS = st.none() | st.sampled_from([("GET",), ("POST",), ("GET", "DELETE")])
_PATHS = st.none() | st.sampled_from([(parse_pattern("/a"),), (parse_pattern("/*"),), (parse_pattern("/a/**"),)])
_RISKS = st.none() | st.sampled_from([(Risk.LOW,), (Risk.HIGH, Risk.MEDIUM)])
_WHO = st.sampled_from([Principals(("corp:agents",)), Principals((), ("corp:agent-7",)), Principals(("corp:staff",))])
_QUERY = st.none() | st.just(("x",))
_MATCHES = st.builds(
    Match,
    st.none() | st.sampled_from([("billing",), ("files",)]),
    _METHODS,
    _PATHS,
    _QUERY,
    _RISKS,
    st.none() | _WHO,
)
_ROLE_RULES = st.builds(RoleRule, _METHODS, _PATHS, _QUERY, raise_risk=st.sampled_from(Risk))
_TARGETS = {
    name: Target(name, "https", f"{name}.internal", 443, ((f"{name}.internal", 443),)) for name in ("billing", "files")
}


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    roles = draw(st.lists(st.lists(_ROLE_RULES, min_size=1, max_size=2), min_size=1, max_size=3))
    named = {f"r{i}": Role(f"r{i}", tuple(rules)) for i, rules in enumerate(roles)}
    binding = st.builds(Binding, st.sampled_from(sorted(named)), st.sampled_from(["billing", "files"]), _WHO)
    matches = st.lists(_MATCHES, max_size=3)
    return Policy(
        _TARGETS,
        named,
        tuple(draw(st.lists(binding, max_size=4))),
        tuple(HoldRule(f"h{i}", m, Approvers(("corp:o",)), 1, 60) for i, m in enumerate(draw(matches))),
        tuple(DenyRule(f"d{i}", m) for i, m in enumerate(draw(matches))),
        tuple(MaskRule(f"m{i}", m, ("$.a",)) for i, m in enumerate(draw(matches))),
    )


@st.composite
def actions(draw: st.DrawFn) -> Action:
    raw = draw(st.sampled_from(["/a", "/b", "/a/b", "/a?x=1", "/a?y=1"]))
    method = draw(st.sampled_from(["GET", "HEAD", "POST", "DELETE"]))
    target = _TARGETS[draw(st.sampled_from(["billing", "files"]))]
    return read_action(AGENT, target, method, raw, [], b"", credential_header=None, body_mask=False)


@given(policies(), actions(), st.randoms(use_true_random=False))
def test_order_never_changes_a_decision(policy: Policy, action: Action, random: object) -> None:
    def shuffled[T](values: tuple[T, ...]) -> tuple[T, ...]:
        return tuple(sorted(values, key=lambda _: random.random()))  # type: ignore[attr-defined]

    other = replace(
        policy,
        roles={name: replace(role, rules=shuffled(role.rules)) for name, role in reversed(list(policy.roles.items()))},
        bindings=shuffled(policy.bindings),
        holds=shuffled(policy.holds),
        denies=shuffled(policy.denies),
        masks=shuffled(policy.masks),
    )
    assert decide(other, AGENT, action, b"") == decide(policy, AGENT, action, b"")


_WIDTH = {Verdict.DENY: 0, Verdict.HOLD: 1, Verdict.ALLOW: 2}


@given(policies(), actions(), _MATCHES)
def test_another_deny_or_hold_never_widens(policy: Policy, action: Action, match: Match) -> None:
    before = decide(policy, AGENT, action, b"")
    held = decide(
        replace(policy, holds=(*policy.holds, HoldRule("new", match, Approvers(("corp:o",)), 1, 60))),
        AGENT,
        action,
        b"",
    )
    denied = decide(replace(policy, denies=(*policy.denies, DenyRule("new", match))), AGENT, action, b"")
    assert _WIDTH[held.verdict] <= _WIDTH[before.verdict]
    assert _WIDTH[denied.verdict] <= _WIDTH[before.verdict]
    assert set(before.asks) <= set(held.asks)


@given(policies(), actions())
def test_without_a_binding_nothing_is_allowed(policy: Policy, action: Action) -> None:
    assert decide(replace(policy, bindings=()), AGENT, action, b"").verdict is DENY


@given(policies(), actions())
def test_masks_and_risk_only_grow_by_roles(policy: Policy, action: Action) -> None:
    decision = decide(policy, AGENT, action, b"")
    assert decision.risk >= action.risk
    assert bool(decision.asks) is (decision.verdict is HOLD)
    assert decision.rules


def test_the_table_is_long_enough() -> None:
    assert len(list(itertools.chain(MEANING, BODIES, WHO))) >= 60
