"""The texts of `policies/*.yaml` -> one Policy, or every error with file, line and hint.

Any section may stand in any file; a name stands in one place of all. What is wrong with one item
does not hide what is wrong with the next, so `lint_policy` lists all errors and `load_policy`
raises the first. It reads no files: callers hand over texts by name, and keep the last good policy
when a new one is bad. Called by the gateway's reload, `check` and `policy test|explain`.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

from doorward.core.policy import Binding, DenyRule, HoldRule, MaskRule, Policy, PolicyTest, Role
from doorward.core.policy_fields import checked_qualified, items, mapping, qualified
from doorward.core.policy_lint import lint
from doorward.core.policy_rules import read_binding, read_deny, read_hold, read_mask, read_role
from doorward.core.policy_targets import read_target
from doorward.core.policy_tests import PolicyTestOutcome, read_test, run_policy_tests
from doorward.core.policy_yaml import Node, parse_yaml
from doorward.errors import Misconfigured
from doorward.model import Target

__all__ = ["PolicyTestOutcome", "lint_policy", "load_policy", "policy_digest", "run_policy_tests"]


def load_policy(files: Mapping[str, str], *, issuers: Collection[str], credentials: Collection[str]) -> Policy:
    """Read and check texts by file name; raises the first Misconfigured.

    `issuers` and `credentials` are the aliases that the settings know.
    """
    draft = _Draft(issuers, credentials)
    policy = draft.read(files)
    if draft.problems:
        raise draft.problems[0]
    return policy


def lint_policy(
    files: Mapping[str, str], *, issuers: Collection[str], credentials: Collection[str]
) -> list[Misconfigured]:
    """Return everything that is wrong; nothing means that `load_policy` takes the same texts.

    Whether items fit together is judged once each of them can be read.
    """
    draft = _Draft(issuers, credentials)
    draft.read(files)
    return draft.problems


def policy_digest(files: Mapping[str, str]) -> str:
    """Return what `sha256sum *.yaml | sha256sum` prints in the folder of the files (C locale)."""
    lines = (
        f"{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}  {name}\n"
        for name, text in sorted(files.items())
    )
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


class _Draft:
    """What was read so far, and what was wrong with the rest."""

    def __init__(self, issuers: Collection[str], credentials: Collection[str]) -> None:
        self.issuers = issuers
        self.credentials = credentials
        self.targets: dict[str, Target] = {}
        self.roles: dict[str, Role] = {}
        self.bindings: list[Binding] = []
        self.holds: list[HoldRule] = []
        self.denies: list[DenyRule] = []
        self.masks: list[MaskRule] = []
        self.tests: list[PolicyTest] = []
        self.owners: dict[str, str] = {}
        self.places: dict[tuple[str, str], str] = {}  # what is unique -> where it stands
        self.problems: list[Misconfigured] = []

    def read(self, files: Mapping[str, str]) -> Policy:
        """Read all files, then check the whole."""
        for name in sorted(files):
            with self.collecting():
                file = mapping(parse_yaml(name, files[name]), "a policy file")
                for section, node in file.fields.items():
                    with self.collecting():
                        self.read_section(section, file.places[section], node)
        policy = Policy(
            targets=self.targets,
            roles=self.roles,
            bindings=tuple(self.bindings),
            holds=tuple(self.holds),
            denies=tuple(self.denies),
            masks=tuple(self.masks),
            tests=tuple(self.tests),
            owners=self.owners,
            digest=policy_digest(files),
        )
        if not self.problems:  # else names that could not be read would be reported as unknown
            self.problems.extend(lint(policy))
        return policy

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Keep what is wrong with one item, and go on with the next."""
        try:
            yield
        except Misconfigured as problem:
            self.problems.append(problem)

    def read_section(self, section: str, where: str, node: Node) -> None:
        """Read one top-level key of one file."""
        named: dict[str, Callable[[str, str, Node], None]] = {
            "targets": self.add_target,
            "roles": self.add_role,
            "owners": self.add_owner,
        }
        listed: dict[str, Callable[[Node], None]] = {
            "bindings": lambda item: self.bindings.append(read_binding(item, self.issuers)),
            "holds": lambda item: self.add_rule("hold", self.holds, read_hold(item, self.issuers)),
            "denies": lambda item: self.add_rule("deny", self.denies, read_deny(item, self.issuers)),
            "masks": lambda item: self.add_rule("mask", self.masks, read_mask(item, self.issuers)),
            "tests": lambda item: self.tests.append(read_test(item, self.issuers)),
        }
        if section in named:
            fields = mapping(node, section)
            for key, value in fields.fields.items():
                with self.collecting():
                    named[section](key, fields.places[key], value)
        elif section in listed:
            for item in items(node, section):
                with self.collecting():
                    listed[section](item)
        else:
            raise Misconfigured(
                f"unknown key {section!r} in a policy file",
                where=where,
                hint=f"known: {', '.join(sorted({*named, *listed}))}",
            )

    def add_target(self, key: str, where: str, node: Node) -> None:
        """Add a target; no two may be asked for by the same host and port."""
        target = read_target(key, where, node, self.credentials)
        self.claim("target", key, where)
        for host, port in target.hosts:
            self.claim("host", f"{host}:{port}", where)
        self.targets[key] = target

    def add_role(self, key: str, where: str, node: Node) -> None:
        """Add a role."""
        role = read_role(key, where, node)
        self.claim("role", key, where)
        self.roles[key] = role

    def add_owner(self, key: str, where: str, node: Node) -> None:
        """Add the owner of an agent."""
        checked_qualified(key, where, "an agent", self.issuers)
        self.claim("owner of", key, where)
        self.owners[key] = qualified(node, "an owner", self.issuers)

    def add_rule[R: (HoldRule, DenyRule, MaskRule)](self, kind: str, rules: list[R], rule: R) -> None:
        """Add a rule that has a name of its own."""
        self.claim(kind, rule.name, rule.where)
        rules.append(rule)

    def claim(self, kind: str, name: str, where: str) -> None:
        """Note what must be unique over all files; raises Misconfigured with both places."""
        if first := self.places.get((kind, name)):
            raise Misconfigured(
                f"{kind} {name!r} is given twice", where=where, hint=f"the first stands at {first}; keep one"
            )
        self.places[kind, name] = where
