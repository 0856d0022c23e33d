"""Reads roles, bindings, holds, denies and masks of a policy file, one item at a time.

Every function takes the node of one item and returns its type, or raises Misconfigured with file,
line and hint. Whether the items fit together is the question of `core.policy_lint`. What the design
names and this version does not know (rules for Kubernetes, grants) is refused in so many words.
Called by `core.policy_file`.
"""

from collections.abc import Collection, Mapping

from doorward.core.body_conditions import BodyCondition, compile_condition
from doorward.core.body_conditions import Scalar as Value
from doorward.core.headers import FRAMING, is_token
from doorward.core.matching import METHODS, PathPattern, parse_pattern
from doorward.core.policy import Binding, DenyRule, HoldRule, MaskedText, MaskRule, Match, Principals, Role, RoleRule
from doorward.core.policy_fields import (
    checked_name,
    count,
    duration_s,
    each,
    fields_of,
    items,
    mapping,
    name,
    one_of,
    one_or_more,
    qualified,
    text,
    texts,
    title,
)
from doorward.core.policy_yaml import Node, Scalar
from doorward.core.redaction.patterns import check_text
from doorward.core.redaction.rules import FieldRule, Replacement, compile_rules
from doorward.errors import Misconfigured
from doorward.model import Approvers, Risk

_KUBERNETES = {
    key: f"{key!r} is a word of rules for Kubernetes, which are"
    for key in ("verbs", "resources", "nonresource", "namespaces")
}
_GRANTS = {"grant": "a binding by grant is"}
_RISKS = {risk.name.lower(): risk for risk in Risk}


def read_role(key: str, where: str, node: Node) -> Role:
    """Read `NAME: [rules]`."""
    what = f"role {checked_name(key, where, 'the name of a role')}"
    return Role(key, tuple(_read_role_rule(item, f"a rule of {what}") for item in items(node, what)), where)


def _read_role_rule(node: Node, what: str) -> RoleRule:
    fields = fields_of(node, what, optional=("methods", "paths", "query", "body", "raise_risk"), later=_KUBERNETES)
    return RoleRule(
        methods=each(fields["methods"], "methods", _method) if "methods" in fields else None,
        paths=each(fields["paths"], "paths", _pattern) if "paths" in fields else None,
        query=texts(fields["query"], "query") if "query" in fields else None,
        body=_read_body(fields["body"]) if "body" in fields else (),
        raise_risk=_risk(fields["raise_risk"], "raise_risk") if "raise_risk" in fields else Risk.LOW,
    )


def read_binding(node: Node, issuers: Collection[str]) -> Binding:
    """Read one binding; it names groups, subjects or both."""
    fields = fields_of(node, "a binding", required=("role", "target"), optional=("groups", "subjects"), later=_GRANTS)
    return Binding(
        role=name(fields["role"], "role"),
        target=name(fields["target"], "target"),
        principals=_read_principals(node, fields, "a binding", issuers),
        where=node.where,
    )


def read_hold(node: Node, issuers: Collection[str]) -> HoldRule:
    """Read one hold; one that its approvers could never satisfy is an error."""
    fields = fields_of(node, "a hold", required=("name", "match", "approvers", "expires"))
    asked = fields_of(fields["approvers"], "approvers", optional=("groups", "subjects", "count"))
    people = _read_principals(fields["approvers"], asked, "approvers", issuers)
    needed = count(asked["count"], "count") if "count" in asked else 1
    if not people.groups and len(people.subjects) < needed:
        raise Misconfigured(
            f"{needed} approvals are asked of {len(people.subjects)} people",
            where=fields["approvers"].where,
            hint="list more subjects or a group, or lower the count",
        )
    return HoldRule(
        name=title(fields["name"], "the name of a hold"),
        match=read_match(fields["match"], issuers),
        approvers=Approvers(people.groups, people.subjects),
        count=needed,
        expires_s=duration_s(fields["expires"], "expires"),
        where=node.where,
    )


def read_deny(node: Node, issuers: Collection[str]) -> DenyRule:
    """Read one deny."""
    fields = fields_of(node, "a deny", required=("name", "match"))
    return DenyRule(title(fields["name"], "the name of a deny"), read_match(fields["match"], issuers), node.where)


def read_mask(node: Node, issuers: Collection[str]) -> MaskRule:
    """Read one mask; it names fields, texts, query keys, headers or several of these."""
    fields = fields_of(
        node,
        "a mask",
        required=("name", "match"),
        optional=("fields", "texts", "query", "headers", "replace_with", "apply_to", "other_types"),
    )
    if not {"fields", "texts", "query", "headers"} & fields.keys():
        raise Misconfigured(
            "a mask names nothing", where=node.where, hint="add `fields`, `texts`, `query` or `headers`"
        )
    called = title(fields["name"], "the name of a mask")
    how = Replacement.SENTINEL
    if "replace_with" in fields:
        how = Replacement(one_of(fields["replace_with"], "replacement", list(Replacement)))
    if "texts" in fields and how in (Replacement.REMOVE, Replacement.JSON_NULL):
        raise Misconfigured(
            f"a mask with texts cannot replace with {how}",
            where=fields["replace_with"].where,
            hint="what is left of a text would close up; use sentinel, hmac or keep-last-4, or a mask of its own",
        )
    return MaskRule(
        name=called,
        match=read_match(fields["match"], issuers),
        fields=each(fields["fields"], "fields", _json_path) if "fields" in fields else (),
        query=texts(fields["query"], "query") if "query" in fields else (),
        headers=each(fields["headers"], "headers", _header) if "headers" in fields else (),
        texts=each(fields["texts"], "texts", _masked_text) if "texts" in fields else (),
        replace_with=how,
        apply_to="record" if "apply_to" in fields and _word(fields, "apply_to", "all", "record") else "all",
        other_types="pass"
        if "other_types" in fields and _word(fields, "other_types", "withhold", "pass")
        else "withhold",
        where=node.where,
    )


def _masked_text(node: Node, what: str) -> MaskedText:
    fields = fields_of(node, f"an item of {what}", optional=("literal", "pattern"))
    if len(fields) != 1:
        raise Misconfigured(
            f"an item of {what} has to be one literal or one pattern",
            where=node.where,
            hint="write {literal: ...} or {pattern: ...}",
        )
    ((kind, value),) = fields.items()
    written = text(value, kind)
    try:
        check_text(written, is_pattern=kind == "pattern")
    except Misconfigured as error:
        raise Misconfigured(error.message, cause=error.cause, where=value.where, hint=error.hint) from None
    return MaskedText(written, kind == "pattern")


def _word(fields: Mapping[str, Node], key: str, usual: str, other: str) -> bool:
    """Whether the key says `other` and not the usual word."""
    return one_of(fields[key], f"value of {key}", [usual, other]) == other


def read_match(node: Node, issuers: Collection[str]) -> Match:
    """Read which requests a hold, deny or mask means; `{}` means every one."""
    fields = fields_of(
        node, "match", optional=("target", "methods", "paths", "query", "risk", "to", "body"), later=_KUBERNETES
    )
    to = None
    if "to" in fields:
        meant = fields_of(fields["to"], "to", optional=("groups", "subjects"))
        to = _read_principals(fields["to"], meant, "to", issuers)
    return Match(
        targets=one_or_more(fields["target"], "target") if "target" in fields else None,
        methods=each(fields["methods"], "methods", _method) if "methods" in fields else None,
        paths=each(fields["paths"], "paths", _pattern) if "paths" in fields else None,
        query=texts(fields["query"], "query") if "query" in fields else None,
        risk=each(fields["risk"], "risk", _risk) if "risk" in fields else None,
        to=to,
        body=_read_body(fields["body"]) if "body" in fields else (),
    )


def _read_principals(node: Node, fields: Mapping[str, Node], what: str, issuers: Collection[str]) -> Principals:
    def read(item: Node, kind: str) -> str:
        return qualified(item, kind, issuers)

    if not {"groups", "subjects"} & fields.keys():
        raise Misconfigured(f"{what} names nobody", where=node.where, hint="add `groups` or `subjects`")
    return Principals(
        groups=each(fields["groups"], "group", read) if "groups" in fields else (),
        subjects=each(fields["subjects"], "subject", read) if "subjects" in fields else (),
    )


def _read_body(node: Node) -> tuple[BodyCondition, ...]:
    conditions = []
    wanted = mapping(node, "body")
    if not wanted.fields:
        raise Misconfigured("body is empty", where=node.where, hint="name at least one, or leave the key out")
    for path, values in wanted.fields.items():
        _checked_json_path(path, wanted.places[path])
        conditions.append(compile_condition(path, each(values, f"the list at {path}", _value)))
    return tuple(conditions)


def _value(node: Node, what: str) -> Value:
    if not isinstance(node, Scalar):
        raise Misconfigured(
            f"{what} holds more than plain values", where=node.where, hint="list strings, numbers, true, false or null"
        )
    return node.value


def _json_path(node: Node, what: str) -> str:
    return _checked_json_path(text(node, what), node.where)


def _checked_json_path(path: str, where: str) -> str:
    try:
        compile_rules([FieldRule("", path, Replacement.SENTINEL)])
    except Misconfigured as error:
        raise Misconfigured(error.message, cause=error.cause, where=where, hint=error.hint) from None
    return path


def _method(node: Node, what: str) -> str:
    method = text(node, what)
    if method == "HEAD":
        raise Misconfigured(
            "HEAD stands in a list of methods", where=node.where, hint="write GET, which means HEAD too"
        )
    if method not in METHODS:
        raise Misconfigured(f"unknown method {method!r}", where=node.where, hint=f"known: {', '.join(sorted(METHODS))}")
    return method


def _pattern(node: Node, what: str) -> PathPattern:
    try:
        return parse_pattern(text(node, what))
    except Misconfigured as error:
        raise (
            error if error.where else Misconfigured(error.message, cause=error.cause, where=node.where, hint=error.hint)
        ) from None


def _risk(node: Node, what: str) -> Risk:
    return _RISKS[one_of(node, what, list(_RISKS))]


def _header(node: Node, what: str) -> str:
    header = text(node, what).lower()
    if not is_token(header) or header in FRAMING:
        raise Misconfigured(
            "this header cannot be masked", where=node.where, hint="name a header that does not frame the message"
        )
    return header
