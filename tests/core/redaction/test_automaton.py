from doorward.core.redaction.automaton import MAX_STATES
from doorward.core.redaction.rules import compile_rules
from tests.core.redaction.reference import rules


def test_rules_that_cannot_hit_take_no_part() -> None:
    automaton = compile_rules(rules(("$.a.b", "remove"), ("$..c", "hmac"), ("$[0]", "remove")))
    assert automaton.start(b'{"a":1,"b":2}', plain=True).live == ((0, 0), (2, 0))
    assert automaton.start(b'{"a":1}', plain=False).live == ((0, 0), (1, 0), (2, 0))


def test_a_state_knows_its_strictest_leaf_and_whether_a_filter_follows() -> None:
    automaton = compile_rules(rules(("$.a", "hmac"), ("$..a", "sentinel"), ("$.a[?(@.b)]", "remove")))
    root = automaton.start(b"", plain=False)
    automaton.expand(root)
    assert root.guarded
    assert root.leaf is None
    a = root.named["a"]
    assert a.accepted == (0, 1)
    assert a.leaf is automaton.leaves[1]
    assert a.guarded
    assert not root.other.guarded


def test_names_with_escapes_are_spelled_plainly_where_no_escape_writes_them() -> None:
    automaton = compile_rules(rules(("$..abc", "remove")))
    assert automaton.spells_plainly(b'"\\n\\u00e9"')
    assert not automaton.spells_plainly(b'"\\u0062"')


def test_the_states_kept_are_limited() -> None:
    automaton = compile_rules(rules(("$..a" + "[*]" * 11, "remove")))
    level = [automaton.start(b"", plain=False)]
    seen = {state.places for state in level}
    for _ in range(11):
        for state in level:
            automaton.expand(state)
        level = [child for state in level for child in (state.named["a"], state.other)]
        seen |= {state.places for state in level}
    assert len(seen) > MAX_STATES
    assert len(automaton._states) <= MAX_STATES
