from collections.abc import Callable
from decimal import Decimal

import pytest

from doorward.core.matching import parse_pattern
from doorward.core.policy import Binding, DenyRule, HoldRule, MaskedText, MaskRule, Match, Principals, RoleRule
from doorward.core.policy_rules import read_binding, read_deny, read_hold, read_mask, read_match, read_role
from doorward.core.policy_yaml import Node, parse_yaml
from doorward.core.redaction.rules import Replacement
from doorward.errors import Misconfigured
from doorward.model import Approvers, Risk

ISSUERS = ["corp", "other"]


def node(text: str) -> Node:
    return parse_yaml("p.yaml", text)


def reject(read: Callable[[], object]) -> Misconfigured:
    with pytest.raises(Misconfigured) as caught:
        read()
    assert caught.value.where.startswith("p.yaml:")
    assert caught.value.hint
    return caught.value


def test_a_role() -> None:
    role = read_role(
        "r",
        "p.yaml:9",
        node(
            "- {methods: [GET], paths: [/a, /b/**], query: [page], raise_risk: high}\n"
            '- {body: {"$.a": [1, "x", true, ~], "$..b": [2]}}\n'
            "- {}\n"
        ),
    )
    first, second, third = role.rules
    assert (role.name, role.where) == ("r", "p.yaml:9")
    assert first == RoleRule(("GET",), (parse_pattern("/a"), parse_pattern("/b/**")), ("page",), (), Risk.HIGH)
    assert [(condition.path, condition.accepted) for condition in second.body] == [
        ("$.a", (Decimal(1), "x", True, None)),
        ("$..b", (Decimal(2),)),
    ]
    assert third == RoleRule()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "role r is an empty list"),
        ("{}", "role r is not a list"),
        ("[x]", "a rule of role r is not a mapping"),
        ("[{method: [GET]}]", "unknown key 'method' in a rule of role r"),
        ("[{methods: []}]", "methods is an empty list"),
        ("[{methods: GET}]", "methods is not a list"),
        ("[{methods: [get]}]", "unknown method 'get'"),
        ("[{methods: [DELTE]}]", "unknown method 'DELTE'"),
        ("[{methods: [CONNECT]}]", "unknown method 'CONNECT'"),
        ("[{methods: [HEAD]}]", "HEAD stands in a list of methods"),
        ("[{methods: [GET, GET]}]", "methods lists a value twice"),
        ("[{paths: []}]", "paths is an empty list"),
        ("[{paths: [a]}]", "bad path pattern 'a'"),
        ("[{paths: [1]}]", "paths is not a text"),
        ("[{query: []}]", "query is an empty list"),
        ("[{query: [1]}]", "query is not a text"),
        ("[{raise_risk: highest}]", "unknown raise_risk"),
        ("[{body: {}}]", "body is empty"),
        ("[{body: [a]}]", "body is not a mapping"),
        ("[{body: {'$.a': []}}]", "the list at $.a is an empty list"),
        ("[{body: {'$.a': x}}]", "the list at $.a is not a list"),
        ("[{body: {'$.a': [[1]]}}]", "the list at $.a holds more than plain values"),
        ("[{body: {'a b': [1]}}]", "unsupported JSONPath 'a b'"),
        ("[{verbs: [get]}]", "'verbs' is a word of rules for Kubernetes, which are not supported yet"),
        ("[{resources: [pods]}]", "'resources' is a word of rules for Kubernetes, which are not supported yet"),
        ("[{nonresource: [/api]}]", "'nonresource' is a word of rules for Kubernetes, which are not supported yet"),
        ("[{namespaces: [x]}]", "'namespaces' is a word of rules for Kubernetes, which are not supported yet"),
    ],
)
def test_roles_that_are_refused(text: str, message: str) -> None:
    assert reject(lambda: read_role("r", "p.yaml:9", node(text))).message == f"p.yaml:1: {message}"


def test_a_role_has_a_name_for_commands() -> None:
    assert reject(lambda: read_role("a b", "p.yaml:9", node("[{}]"))).where == "p.yaml:9"


def test_a_binding() -> None:
    text = "role: r\ntarget: t\ngroups: ['corp:a']\nsubjects: ['other:b']"
    assert read_binding(node(text), ISSUERS) == Binding("r", "t", Principals(("corp:a",), ("other:b",)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{role: r, target: t}", "a binding names nobody"),
        ("{role: r, target: t, groups: []}", "group is an empty list"),
        ("{role: r, target: t, groups: [a]}", "group 'a' names no issuer"),
        ("{role: r, target: t, subjects: ['x:a']}", "subject names the unknown issuer 'x'"),
        ("{role: r, groups: ['corp:a']}", "a binding lacks 'target'"),
        ("{target: t, groups: ['corp:a']}", "a binding lacks 'role'"),
        ("{role: r, target: [t], groups: ['corp:a']}", "target is not a text"),
        ("{role: r, target: t, groups: ['corp:a'], grant: {}}", "a binding by grant is not supported yet"),
        ("{role: r, target: t, users: ['corp:a']}", "unknown key 'users' in a binding"),
    ],
)
def test_bindings_that_are_refused(text: str, message: str) -> None:
    assert reject(lambda: read_binding(node(text), ISSUERS)).message == f"p.yaml:1: {message}"


def test_a_match() -> None:
    text = (
        "{target: [a, b], methods: [PUT], paths: [/x], query: [q], risk: [low, high], "
        "to: {groups: ['corp:a'], subjects: ['corp:b']}}"
    )
    assert read_match(node(text), ISSUERS) == Match(
        ("a", "b"),
        ("PUT",),
        (parse_pattern("/x"),),
        ("q",),
        (Risk.LOW, Risk.HIGH),
        Principals(("corp:a",), ("corp:b",)),
    )
    assert read_match(node("{target: a}"), ISSUERS).targets == ("a",)
    assert read_match(node("{body: {'$.a': [1]}}"), ISSUERS).body[0].path == "$.a"
    assert read_match(node("{}"), ISSUERS) == Match()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{target: []}", "target is an empty list"),
        ("{risk: high}", "risk is not a list"),
        ("{risk: []}", "risk is an empty list"),
        ("{risk: [HIGH]}", "unknown risk"),
        ("{to: {}}", "to names nobody"),
        ("{to: {roles: [a]}}", "unknown key 'roles' in to"),
        ("{roles: [a]}", "unknown key 'roles' in match"),
        ("{namespaces: [kube-system]}", "'namespaces' is a word of rules for Kubernetes, which are not supported yet"),
        ("~", "match is not a mapping"),
    ],
)
def test_matches_that_are_refused(text: str, message: str) -> None:
    assert reject(lambda: read_match(node(text), ISSUERS)).message == f"p.yaml:1: {message}"


def test_a_hold() -> None:
    text = "{name: change a customer, match: {}, approvers: {subjects: ['corp:a', 'corp:b'], count: 2}, expires: 15m}"
    assert read_hold(node(text), ISSUERS) == HoldRule(
        "change a customer", Match(), Approvers((), ("corp:a", "corp:b")), 2, 900
    )
    one = read_hold(node("{name: h, match: {}, approvers: {groups: ['corp:a']}, expires: 1h}"), ISSUERS)
    assert (one.count, one.where) == (1, "p.yaml:1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{name: h, match: {}, expires: 1h}", "a hold lacks 'approvers'"),
        ("{name: h, match: {}, approvers: {groups: ['corp:a']}}", "a hold lacks 'expires'"),
        ("{name: h, approvers: {groups: ['corp:a']}, expires: 1h}", "a hold lacks 'match'"),
        ("{match: {}, approvers: {groups: ['corp:a']}, expires: 1h}", "a hold lacks 'name'"),
        ("{name: h, match: {}, approvers: {}, expires: 1h}", "approvers names nobody"),
        ("{name: h, match: {}, approvers: {count: 1}, expires: 1h}", "approvers names nobody"),
        ("{name: h, match: {}, approvers: {groups: ['corp:a'], count: 0}, expires: 1h}",
         "count is not a whole number from 1 to 100"),
        ("{name: h, match: {}, approvers: {subjects: ['corp:a'], count: 2}, expires: 1h}",
         "2 approvals are asked of 1 people"),
        ("{name: h, match: {}, approvers: {subjects: ['corp:a', 'corp:a'], count: 2}, expires: 1h}",
         "subject lists a value twice"),
        ("{name: h, match: {}, approvers: {groups: ['corp:a']}, expires: 15}", "expires is not a text"),
        ("{name: ' h', match: {}, approvers: {groups: ['corp:a']}, expires: 1h}", "the name of a hold is not a name"),
    ],
)  # fmt: skip
def test_holds_that_are_refused(text: str, message: str) -> None:
    assert reject(lambda: read_hold(node(text), ISSUERS)).message == f"p.yaml:1: {message}"


def test_a_deny() -> None:
    assert read_deny(node("{name: d, match: {}}"), ISSUERS) == DenyRule("d", Match())
    assert "approvers" in reject(lambda: read_deny(node("{name: d, match: {}, approvers: {}}"), ISSUERS)).message


def test_a_mask() -> None:
    assert read_mask(node("{name: m, match: {}, fields: ['$..email']}"), ISSUERS) == MaskRule(
        "m", Match(), ("$..email",)
    )
    text = (
        "{name: m, match: {}, fields: ['$.a'], query: [email], headers: [X-Customer], "
        "replace_with: keep-last-4, apply_to: record, other_types: pass}"
    )
    assert read_mask(node(text), ISSUERS) == MaskRule(
        "m", Match(), ("$.a",), ("email",), ("x-customer",), Replacement.KEEP_LAST_4, "record", "pass"
    )
    usual = "{name: m, match: {}, headers: [a], apply_to: all, other_types: withhold, replace_with: sentinel}"
    assert read_mask(node(usual), ISSUERS) == MaskRule("m", Match(), headers=("a",))


def mask_of(texts: str) -> str:
    return f"{{name: m, match: {{}}, texts: {texts}}}"


def test_a_mask_of_texts() -> None:
    text = mask_of("[{literal: a.b}, {pattern: 'a.b'}], replace_with: hmac")
    assert read_mask(node(text), ISSUERS) == MaskRule(
        "m", Match(), replace_with=Replacement.HMAC, texts=(MaskedText("a.b", False), MaskedText("a.b", True))
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{name: m, match: {}}", "a mask names nothing"),
        ("{name: m, match: {}, fields: []}", "fields is an empty list"),
        ("{name: m, match: {}, fields: ['$.a | $.b']}", "unsupported JSONPath '$.a | $.b'"),
        ("{name: m, match: {}, headers: ['a b']}", "this header cannot be masked"),
        ("{name: m, match: {}, headers: [Content-Type]}", "this header cannot be masked"),
        ("{name: m, match: {}, headers: [a, A]}", "headers lists a value twice"),
        ("{name: m, match: {}, fields: ['$.a'], replace_with: stars}", "unknown replacement"),
        ("{name: m, match: {}, fields: ['$.a'], apply_to: answer}", "unknown value of apply_to"),
        ("{name: m, match: {}, fields: ['$.a'], other_types: drop}", "unknown value of other_types"),
        ("{name: m, fields: ['$.a']}", "a mask lacks 'match'"),
        (mask_of("[]"), "texts is an empty list"),
        (mask_of("[secret]"), "an item of texts is not a mapping"),
        (mask_of("[{}]"), "an item of texts has to be one literal or one pattern"),
        (mask_of("[{literal: a, pattern: b}]"), "an item of texts has to be one literal or one pattern"),
        (mask_of("[{regex: a}]"), "unknown key 'regex' in an item of texts"),
        (mask_of("[{literal: ''}]"), "literal is not a text"),
        (mask_of("[{pattern: ''}]"), "pattern is not a text"),
        (mask_of("[{pattern: 'a*'}]"), "this text cannot be masked: it matches an empty text"),
        (mask_of("[{literal: a}, {literal: a}]"), "texts lists a value twice"),
        (mask_of("[{literal: a}], replace_with: remove"), "a mask with texts cannot replace with remove"),
        (mask_of("[{literal: a}], replace_with: json-null"), "a mask with texts cannot replace with json-null"),
    ],
)
def test_masks_that_are_refused(text: str, message: str) -> None:
    assert reject(lambda: read_mask(node(text), ISSUERS)).message == f"p.yaml:1: {message}"
