"""Whether the items of a policy fit together, over all of its files.

Every name that is used must exist, and a rule that can never match is an error: a slip in the path
of a hold or a mask would otherwise leave open in silence what it was written to guard. So for each
hold and mask some bound role must be able to allow a request that it means. A deny needs no role,
since it also guards against roles to come. It judges rules, never requests. Called by
`core.policy_file`.
"""

from collections.abc import Iterable, Iterator

from doorward.core.matching import METHODS, READING, loose_key
from doorward.core.plain_http import risk_of
from doorward.core.policy import DEFAULT_DENY, DenyRule, MaskRule, Match, Policy, RoleRule
from doorward.core.redaction.rules import Replacement
from doorward.errors import Misconfigured
from doorward.model import Risk

_WRITING = METHODS - READING - {"DELETE"}


def lint(policy: Policy) -> Iterator[Misconfigured]:
    """Yield every way in which the items do not fit together."""
    yield from _bindings(policy)
    yield from _matches(policy)
    for mask in policy.masks:
        if mask.masks_bodies and mask.apply_to == "all" and mask.replace_with is not Replacement.SENTINEL:
            yield from _writable(policy, mask)
    yield from _tests(policy)


def _bindings(policy: Policy) -> Iterator[Misconfigured]:
    for binding in policy.bindings:
        if binding.role not in policy.roles:
            yield _unknown(f"role {binding.role!r} in a binding", binding.where, policy.roles)
        if binding.target not in policy.targets:
            yield _unknown(f"target {binding.target!r} in a binding", binding.where, policy.targets)
    bound = {binding.role for binding in policy.bindings}
    for role in policy.roles.values():
        if role.name not in bound:
            yield _never(f"role {role.name!r}", role.where, "it is bound to nobody: add a binding, or leave it out")


def _matches(policy: Policy) -> Iterator[Misconfigured]:
    for kind, rules in (("hold", policy.holds), ("deny", policy.denies), ("mask", policy.masks)):
        for rule in rules:
            what = f"{kind} {rule.name!r}"
            match = rule.match
            unknown = [target for target in match.targets or () if target not in policy.targets]
            if unknown:
                yield _unknown(f"target {unknown[0]!r} in {what}", rule.where, policy.targets)
            elif isinstance(rule, DenyRule):
                if not _risk_is_possible(policy, match, RoleRule()):
                    yield _never(what, rule.where, "its methods have other risks, and no bound role raises them")
            elif not any(_meet(policy, match, allowing) for allowing in _reaching(policy, match)):
                yield _never(
                    what,
                    rule.where,
                    "no bound role allows what it means: compare target, methods, paths, query and risk with the roles",
                )


def _reaching(policy: Policy, match: Match) -> Iterator[RoleRule]:
    """The rules of roles that are bound on a target which the match means."""
    for binding in policy.bindings:
        if binding.role in policy.roles and (match.targets is None or binding.target in match.targets):
            yield from policy.roles[binding.role].rules


def _meet(policy: Policy, match: Match, rule: RoleRule) -> bool:
    """Whether the rule can allow a request that the match means."""
    return (
        _share(match.methods, rule.methods)
        and (
            match.query is None
            or rule.query is None
            or _share(set(map(loose_key, match.query)), map(loose_key, rule.query))
        )
        and (
            match.paths is None
            or rule.paths is None
            or any(mine.meets(other) for mine in match.paths for other in rule.paths)
        )
        and _risk_is_possible(policy, match, rule)
    )


def _share(one: Iterable[str] | None, other: Iterable[str] | None) -> bool:
    return one is None or other is None or not set(one).isdisjoint(other)


def _risk_is_possible(policy: Policy, match: Match, rule: RoleRule) -> bool:
    """Whether a request that both mean can have a listed risk, however far roles raise it."""
    if match.risk is None:
        return True
    methods = {method for method in METHODS if _share([method], match.methods) and _share([method], rule.methods)}
    raises = {Risk.LOW, *(other.raise_risk for other in _reaching(policy, match))}
    return any(max(risk_of(method), rule.raise_risk, other) in match.risk for method in methods for other in raises)


def _writable(policy: Policy, mask: MaskRule) -> Iterator[Misconfigured]:
    if any(
        not _WRITING.isdisjoint(METHODS if rule.methods is None else rule.methods)
        for rule in _reaching(policy, mask.match)
    ):
        yield Misconfigured(
            f"mask {mask.name!r} replaces with {mask.replace_with} where a role may write",
            cause="mask-destroys",
            where=mask.where,
            hint="an agent could write the replacement back: replace with sentinel, or say `apply_to: record`",
        )


def _tests(policy: Policy) -> Iterator[Misconfigured]:
    names = {DEFAULT_DENY}
    for kind, rules in (
        ("role", policy.roles.values()),
        ("hold", policy.holds),
        ("deny", policy.denies),
    ):
        names |= {written for rule in rules for written in (rule.name, f"{kind} {rule.name}")}
    for test in policy.tests:
        if test.target not in policy.targets:
            yield _unknown(f"target {test.target!r} in a test", test.where, policy.targets)
        if test.rule is not None and test.rule not in names:
            yield _unknown(f"rule {test.rule!r} in a test", test.where, names)


def _unknown(what: str, where: str, known: Iterable[str]) -> Misconfigured:
    return Misconfigured(
        f"unknown {what}", cause="unknown-name", where=where, hint=f"known: {', '.join(sorted(known)) or 'none'}"
    )


def _never(what: str, where: str, hint: str) -> Misconfigured:
    return Misconfigured(f"{what} can never match", cause="never-matches", where=where, hint=hint)


def _share_keys(match: Iterable[str] | None, rule: Iterable[str] | None) -> bool:
    return match is None or rule is None or not {*map(loose_key, match)}.isdisjoint(map(loose_key, rule))
