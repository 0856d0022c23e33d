import pytest
from msgspec import Raw

from doorward.core.redaction.children import elements_of, may_hold, members_of
from doorward.core.redaction.document import open_array, open_object
from doorward.core.redaction.rules import compile_rules
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
    state = automaton.start(body, plain=False)
    automaton.expand(state)
    if body.startswith(b"{"):
        children = members_of(automaton, state, open_object(body))
    else:
        children = elements_of(automaton, state, open_array(body))
    assert [key for key, _, child in children if child.leaf] == hit


def test_what_may_hold_a_hit() -> None:
    automaton = compile_rules(rules(("$..password", "remove")))
    state = automaton.start(b"", plain=False)
    without = Raw(b'{"a":"' + b"x" * 400 + b'"}')
    assert not may_hold(state, without, plain=True)
    assert may_hold(state, without, plain=False)
    assert not may_hold(state, Raw(b'"password"'), plain=True)
    assert may_hold(state, Raw(b'{"a":{"password":"................"}}'), plain=True)
    assert may_hold(compile_rules(rules(("$[0]", "remove"))).start(b"", plain=True), without, plain=True)
