"""Rules that name fields of JSON documents, and their compilation.

A rule is a JSONPath and what to put where it ends. `compile_rules` turns all rules of a
policy into one automaton when the policy is loaded, and refuses there what the walk could
not do exactly. Called by the policy; the automaton goes to `walk`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from doorward.core.redaction.automaton import Automaton, Leaf
from doorward.core.redaction.masks import Replacement
from doorward.core.redaction.paths import parse_path

__all__ = ["Automaton", "FieldRule", "Replacement", "compile_rules"]


@dataclass(frozen=True, slots=True)
class FieldRule:
    """One path of one mask."""

    rule: str  # the mask's name, as entries and decisions write it
    path: str
    replace_with: Replacement


def compile_rules(rules: Sequence[FieldRule]) -> Automaton:
    """One automaton for all rules; raises Misconfigured (`unsupported-jsonpath`) with a hint."""
    leaves = [Leaf(rule.rule, rule.replace_with) for rule in rules]
    return Automaton(leaves, [parse_path(rule.path) for rule in rules])
