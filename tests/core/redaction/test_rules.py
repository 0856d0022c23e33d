import pytest

from doorward.core.redaction.rules import FieldRule, Replacement, compile_rules
from doorward.errors import Misconfigured


def test_the_order_of_strictness() -> None:
    assert list(Replacement) == ["remove", "sentinel", "json-null", "hmac", "keep-last-4"]


def test_one_automaton_for_all_rules() -> None:
    automaton = compile_rules(
        [FieldRule("mail", "$..email", Replacement.SENTINEL), FieldRule("all", "$", Replacement.REMOVE)]
    )
    assert [leaf.rule for leaf in automaton.leaves] == ["mail", "all"]


def test_one_bad_path_refuses_all() -> None:
    with pytest.raises(Misconfigured):
        compile_rules([FieldRule("a", "$.a", Replacement.REMOVE), FieldRule("b", "$.a|$.b", Replacement.REMOVE)])
