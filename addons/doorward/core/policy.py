"""Policy + Principal + Action -> Decision, naming every rule that took part.

The meaning does not depend on the order of rules, files or bindings. A matching deny denies; else
nothing is allowed that no role bound to the principal allows; else every matching hold must be
satisfied; else it is allowed. Holds and denies narrow, they never allow. What is unclear counts
against the agent: it does not match in a role, and does in a deny, a hold or a mask. Texts are read
by `core.policy_file`; nothing here waits, asks or records. Called by `gateway.authorize`, `policy
explain` and the tests of a policy.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from doorward.core.body_conditions import BodyCondition, JsonBody
from doorward.core.matching import PathPattern, loose_key, method_for_rules, readings_of
from doorward.core.redaction.rules import Replacement
from doorward.model import Action, Approvers, Ask, Decision, Principal, Risk, Target, Verdict

DEFAULT_DENY = "default deny"
_MOST_NARROWED = 256  # an agent may make up methods


@dataclass(frozen=True, slots=True)
class Principals:
    """Who is meant: any listed subject, or any member of a listed group, both qualified."""

    groups: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()

    def include(self, principal: Principal) -> bool:
        """Whether the principal is meant."""
        return principal.name in self.subjects or not set(self.groups).isdisjoint(principal.groups)


@dataclass(frozen=True, slots=True)
class Asked:
    """One action as every rule looks at it; made once for all of them."""

    principal: Principal
    target: str
    method: str  # as rules name it
    readings: tuple[tuple[str, ...], ...]  # of the path, the plain one first
    query: frozenset[str]  # keys
    loose_query: frozenset[str]  # keys in the spelling under which they are compared
    body: JsonBody


def _asked(principal: Principal, action: Action, body: bytes) -> Asked:
    content_type = next((value for name, value in action.headers if name == "content-type"), None)
    keys = frozenset(key for key, _ in action.query)
    return Asked(
        principal=principal,
        target=action.target,
        method=method_for_rules(action.verb),
        readings=readings_of(action.path),
        query=keys,
        loose_query=frozenset(map(loose_key, keys)),
        body=JsonBody(content_type, body),
    )


@dataclass(frozen=True, slots=True)
class RoleRule:
    """One line of a role; a field that is None means any."""

    methods: tuple[str, ...] | None = None
    paths: tuple[PathPattern, ...] | None = None
    query: tuple[str, ...] | None = None  # the only keys that a request may carry
    body: tuple[BodyCondition, ...] = ()
    raise_risk: Risk = Risk.LOW

    def means(self, asked: Asked, paths: tuple[tuple[str, ...], ...]) -> bool:
        """Whether head and path are those of the rule; `paths` are the readings that count."""
        if self.methods is not None and asked.method not in self.methods:
            return False
        if self.paths is not None and not _any_matches(self.paths, paths):
            return False
        return self.query is None or asked.query.issubset(self.query)

    def allows(self, asked: Asked) -> bool:
        """Whether the rule clearly means this action."""
        return self.means(asked, asked.readings[:1]) and all(condition.accepts(asked.body) for condition in self.body)

    def raises(self, asked: Asked) -> Risk:
        """The risk to which the rule raises an action that it means, or may mean."""
        meant = self.means(asked, asked.readings) and all(condition.catches(asked.body) for condition in self.body)
        return self.raise_risk if meant else Risk.LOW


@dataclass(frozen=True, slots=True)
class Role:
    """A named list of what may be done; it allows nothing until it is bound."""

    name: str
    rules: tuple[RoleRule, ...]
    where: str = field(default="", compare=False)  # file:line, here and below


@dataclass(frozen=True, slots=True)
class Binding:
    """Gives a role on one target to principals."""

    role: str
    target: str
    principals: Principals
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Match:
    """Which requests a hold, deny or mask means; a field that is None means any."""

    targets: tuple[str, ...] | None = None
    methods: tuple[str, ...] | None = None
    paths: tuple[PathPattern, ...] | None = None
    query: tuple[str, ...] | None = None  # the request carries one of these keys, however spelt
    risk: tuple[Risk, ...] | None = None
    to: Principals | None = None
    body: tuple[BodyCondition, ...] = ()

    def may_mean(self, target: str, method: str) -> bool:
        """Whether target and method leave it open that a request is meant."""
        return (self.targets is None or target in self.targets) and (self.methods is None or method in self.methods)

    def catches(self, asked: Asked, risk: Risk) -> bool:
        """Whether the action is meant, or may be meant; `risk` is what the roles made of it."""
        if not self.may_mean(asked.target, asked.method):
            return False
        if self.paths is not None and not _any_matches(self.paths, asked.readings):
            return False
        if self.query is not None and asked.loose_query.isdisjoint(map(loose_key, self.query)):
            return False
        return (
            (self.risk is None or risk in self.risk)
            and (self.to is None or self.to.include(asked.principal))
            and all(condition.catches(asked.body) for condition in self.body)
        )


def _any_matches(patterns: tuple[PathPattern, ...], paths: tuple[tuple[str, ...], ...]) -> bool:
    for pattern in patterns:
        for path in paths:
            if pattern.matches(path):
                return True
    return False


@dataclass(frozen=True, slots=True)
class HoldRule:
    """Requests that wait for people."""

    name: str
    match: Match
    approvers: Approvers
    count: int
    expires_s: int
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class DenyRule:
    """Requests that nobody may make."""

    name: str
    match: Match
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class MaskedText:
    """One literal or pattern of a mask."""

    text: str
    is_pattern: bool


@dataclass(frozen=True, slots=True)
class MaskRule:
    """What is replaced in answers, and in the record of both directions."""

    name: str
    match: Match
    fields: tuple[str, ...] = ()  # JSONPath
    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()  # lower case
    replace_with: Replacement = Replacement.SENTINEL
    apply_to: Literal["all", "record"] = "all"
    other_types: Literal["withhold", "pass"] = "withhold"
    texts: tuple[MaskedText, ...] = ()
    where: str = field(default="", compare=False)

    @property
    def masks_bodies(self) -> bool:
        """Whether it says something about bodies."""
        return bool(self.fields or self.texts)


class Narrowed(NamedTuple):
    """What of a policy can concern one target and method."""

    bindings: tuple[tuple[Principals, Role], ...]
    denies: tuple[DenyRule, ...]
    holds: tuple[HoldRule, ...]
    masks: tuple[MaskRule, ...]


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """One line of `tests:`: a request as an agent would send it, and what must come of it."""

    principal: Principal
    target: str
    method: str
    raw_target: str
    body: bytes
    expect: Verdict
    rule: str | None = None
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Policy:
    """All files of one policy, checked against each other."""

    targets: Mapping[str, Target]
    roles: Mapping[str, Role]
    bindings: tuple[Binding, ...] = ()
    holds: tuple[HoldRule, ...] = ()
    denies: tuple[DenyRule, ...] = ()
    masks: tuple[MaskRule, ...] = ()
    tests: tuple[PolicyTest, ...] = ()
    owners: Mapping[str, str] = field(default_factory=dict)  # agent -> person, both qualified
    digest: str = ""  # SHA-256 over the texts; see core.policy_file
    _narrowed: dict[tuple[str, str], Narrowed] = field(default_factory=dict, init=False, repr=False, compare=False)

    def target_for(self, host: str, port: int) -> Target | None:
        """The target for which agents ask by this host and port; None where there is none."""
        asked = (host.lower(), port)
        return next((target for target in self.targets.values() if asked in target.hosts), None)

    def narrowed(self, target: str, method: str) -> Narrowed:
        """The rules that a request by this method to this target can meet; remembered."""
        known = self._narrowed.get((target, method))
        if known is None:
            if len(self._narrowed) >= _MOST_NARROWED:
                self._narrowed.clear()
            known = self._narrowed[target, method] = Narrowed(
                bindings=tuple(
                    (binding.principals, self.roles[binding.role])
                    for binding in self.bindings
                    if binding.target == target
                ),
                denies=tuple(rule for rule in self.denies if rule.match.may_mean(target, method)),
                holds=tuple(rule for rule in self.holds if rule.match.may_mean(target, method)),
                masks=tuple(rule for rule in self.masks if rule.match.may_mean(target, method)),
            )
        return known

    def mask_rules(self, names: Collection[str]) -> tuple[MaskRule, ...]:
        """The mask rules that a decision names."""
        return tuple(mask for mask in self.masks if mask.name in names)

    def masks_on(self, target: str) -> tuple[MaskRule, ...]:
        """Every mask that some request to this target may meet; before an action is read, and for refusals."""
        return tuple(mask for mask in self.masks if mask.match.targets is None or target in mask.match.targets)

    def has_body_masks(self, target: str) -> bool:
        """Whether the body of an answer of this target may be masked (`body_mask` of `read_action`)."""
        return any(mask.masks_bodies for mask in self.masks_on(target))


def decide(policy: Policy, principal: Principal, action: Action, body: bytes) -> Decision:
    """Decide one action; `body` is the request's, decoded from its content coding."""
    asked = _asked(principal, action, body)
    rules = policy.narrowed(asked.target, asked.method)
    bound = [role for principals, role in rules.bindings if principals.include(principal)]
    roles = sorted({role.name for role in bound if any(rule.allows(asked) for rule in role.rules)})
    risk = max([action.risk, *(rule.raises(asked) for role in bound for rule in role.rules if rule.raise_risk)])
    if denies := sorted(rule.name for rule in rules.denies if rule.match.catches(asked, risk)):
        return Decision(
            Verdict.DENY, f"denied by {', '.join(denies)}", tuple(f"deny {name}" for name in denies), risk=risk
        )
    if not roles:
        reason = _why_not(principal, action, sorted({role.name for role in bound}))
        return Decision(Verdict.DENY, reason, (DEFAULT_DENY,), risk=risk)
    masks = tuple(sorted(mask.name for mask in rules.masks if mask.match.catches(asked, risk)))
    holds = sorted((rule for rule in rules.holds if rule.match.catches(asked, risk)), key=lambda rule: rule.name)
    names = (*(f"role {name}" for name in roles), *(f"hold {rule.name}" for rule in holds))
    if not holds:
        return Decision(Verdict.ALLOW, f"allowed by {', '.join(roles)}", names, masks=masks, risk=risk)
    return Decision(
        Verdict.HOLD,
        f"held by {', '.join(rule.name for rule in holds)}",
        names,
        asks=tuple(Ask(rule.name, rule.approvers, rule.count, rule.expires_s) for rule in holds),
        masks=masks,
        risk=risk,
    )


def _why_not(principal: Principal, action: Action, bound: list[str]) -> str:
    if not bound:
        return f"no role on {action.target} is bound to {principal.name}"
    return f"no role of {principal.name} on {action.target} ({', '.join(bound)}) allows this {action.verb}"
