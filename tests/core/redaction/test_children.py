import pytest
from msgspec import Raw

from doorward.core.redaction.children import element_state, elements_of, may_hold, member_state, members_of
from doorward.core.redaction.document import open_array, open_object
from doorward.core.redaction.rules import compile_rules
from doorward.core.redaction.steps import finish
from tests.core.redaction.reference import rules


@pytest.mark.parametrize(
    ("path", "body", "hit"),
    [
        ("$.a", b'{"a":1,"b":2}', ["a"]),
        ("$[?(@.x)]", b'{"a":{"x":1},"b":{}}', ["a"]),
        ("$[?(@.x)]", b'[{"x":1},{}]', [0]),
        ("$[-1,0]", b"[1,2,3]", [0, 2]),
        ("$[*]", b"[1,2]", [0, 1]),
        ("$.a", b"[1,2]", []),
    ],
)
def test_children_and_their_states(path: str, body: bytes, hit: list[str | int]) -> None:
    automaton = compile_rules(rules((path, "remove")))
    state = finish(automaton.start(body, plain=False))
    automaton.expand(state)
    if body.startswith(b"{"):
        children = members_of(automaton, state, open_object(body))
    else:
        children = elements_of(automaton, state, open_array(body))
    assert [key for key, _, child in children if child.leaf] == hit


def test_what_may_hold_a_hit() -> None:
    automaton = compile_rules(rules(("$..password", "remove")))
    state = finish(automaton.start(b"", plain=False))
    without = Raw(b'{"a":"' + b"x" * 400 + b'"}')
    assert not may_hold(state, without, plain=True)
    assert may_hold(state, without, plain=False)
    assert not may_hold(state, Raw(b'"password"'), plain=True)
    assert may_hold(state, Raw(b'{"a":{"password":"................"}}'), plain=True)
    assert may_hold(finish(compile_rules(rules(("$[0]", "remove"))).start(b"", plain=True)), without, plain=True)


def test_some_elements_of_a_longer_array() -> None:
    automaton = compile_rules(rules(("$[-1,1]", "remove"), ("$[2:4]", "hmac")))
    state = finish(automaton.start(b"", plain=False))
    automaton.expand(state)
    some = elements_of(automaton, state, open_array(b"[11,12,13]"), 1, 5)
    assert [[automaton.leaves[rule].rule for rule in child.accepted] for _, _, child in some] == [
        ["rule 0"], ["rule 1"], ["rule 1"],
    ]  # fmt: skip
    assert [element_state(automaton, state, at, 5, []).accepted for at in range(5)] == [(), (0,), (1,), (1,), (0,)]


def test_the_state_of_a_member_that_filters_chose() -> None:
    automaton = compile_rules(rules(("$.a", "remove"), ("$[?(@.x)]", "hmac")))
    state = finish(automaton.start(b"", plain=False))
    automaton.expand(state)
    ((_, place),) = state.matching
    assert member_state(automaton, state, "a", []).accepted == (0,)
    assert member_state(automaton, state, "a", [place]).accepted == (0, 1)
    assert element_state(automaton, state, 0, None, [place]).accepted == (1,)
