from doorward.core.redaction.automaton import MAX_STATES
from doorward.core.redaction.rules import compile_rules
from doorward.core.redaction.steps import finish
from tests.core.redaction.reference import rules


def test_rules_that_cannot_hit_take_no_part() -> None:
    automaton = compile_rules(rules(("$.a.b", "remove"), ("$..c", "hmac"), ("$[0]", "remove")))
    assert finish(automaton.start(b'{"a":1,"b":2}', plain=True)).live == ((0, 0), (2, 0))
    assert finish(automaton.start(b'{"a":1}', plain=False)).live == ((0, 0), (1, 0), (2, 0))


def test_a_state_knows_its_strictest_leaf_and_whether_a_filter_follows() -> None:
    automaton = compile_rules(rules(("$.a", "hmac"), ("$..a", "sentinel"), ("$.a[?(@.b)]", "remove")))
    root = finish(automaton.start(b"", plain=False))
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
    assert finish(automaton.spells_plainly(b'"\\n\\u00e9"'))
    assert not finish(automaton.spells_plainly(b'"\\u0062"'))
    assert not finish(automaton.spells_plainly(b'"\\u00e9' + b" " * (1 << 19) + b'\\u0062"'))


def test_the_states_kept_are_limited() -> None:
    automaton = compile_rules(rules(("$..a" + "[*]" * 11, "remove")))
    level = [finish(automaton.start(b"", plain=False))]
    seen = {state.places for state in level}
    for _ in range(11):
        for state in level:
            automaton.expand(state)
        level = [child for state in level for child in (state.named["a"], state.other)]
        seen |= {state.places for state in level}
    assert len(seen) > MAX_STATES
    assert len(automaton._states) <= MAX_STATES


def test_a_state_narrows_to_what_can_hit_below() -> None:
    automaton = compile_rules(rules(("$..a.bb", "remove"), ("$..['c','dd']", "hmac"), ("$[0]", "remove")))
    root = finish(automaton.start(b"", plain=False))

    def narrowed(text: bytes) -> list[int]:
        state = automaton.narrow(root, text)
        assert state is finish(automaton.narrow_in_steps(root, b"xx" + text + b'"dd""bb"', 2, 2 + len(text)))
        return [rule for rule, _ in state.live] if state else []

    assert narrowed(b'{"bb":1}') == [0, 2]
    assert narrowed(b'{"c":1,"bb":1}') == narrowed(b'{"dd":1,"bb":1}') == [0, 1, 2]
    assert narrowed(b"{}") == [2]
    named = finish(compile_rules(rules(("$.a", "remove"))).start(b"", plain=False))
    assert automaton.narrow(named, b"{}") is None


def test_the_states_to_start_from_are_limited() -> None:
    names = [f"name{n}" for n in range(11)]
    automaton = compile_rules(rules(*((f"$..{name}", "remove") for name in names)))
    for chosen in range(1 << len(names)):
        body = "".join(f'"{name}"' for at, name in enumerate(names) if chosen >> at & 1)
        assert len(finish(automaton.start(body.encode(), plain=True)).live) == chosen.bit_count()
    assert len(automaton._starts) <= MAX_STATES


def test_many_names_are_looked_for_at_once() -> None:
    automaton = compile_rules(rules(*((f"$..name{n}", "remove") for n in range(9)), ("$..['x','y']", "remove")))
    root = finish(automaton.start(b"", plain=False))
    assert root.search is not None
    assert root.possible(b'"name3" "y"') == [n in (3, 9) for n in range(10)]
    assert root.possible(b'"name" x') == [False] * 10


def test_what_a_state_remembers_is_limited() -> None:
    automaton = compile_rules(rules(*((f"$..name{n}", "remove") for n in range(10)), ("$[0]", "remove")))
    root = finish(automaton.start(b"", plain=False))
    for chosen in range(1 << 10):
        body = "".join(f'"name{n}"' for n in range(10) if chosen >> n & 1)
        narrow = automaton.narrow(root, body.encode())
        assert narrow is not None
        assert len(narrow.live) == chosen.bit_count() + 1
        automaton.join(root, root, [(0, n) for n in range(chosen % 300)])
    assert max(len(root.narrowed), len(root.joined)) <= 256
