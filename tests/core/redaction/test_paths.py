import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doorward.core.redaction.conditions import Condition
from doorward.core.redaction.paths import Anything, Matching, Names, Positions, Span, Step, parse_path
from doorward.errors import Misconfigured


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("$", ()),
        ("$.a.b", (Step(Names(("a",))), Step(Names(("b",))))),
        ("$['a', 'b']", (Step(Names(("a", "b"))),)),
        ('$["a.b"]', (Step(Names(("a.b",))),)),
        ("$.*[*]", (Step(Anything()), Step(Anything()))),
        ("$['*']", (Step(Names(("*",))),)),
        ("$[0,-1]", (Step(Positions((0, -1))),)),
        ("$[1:3:2]", (Step(Span(1, 3, 2)),)),
        ("$..a.b", (Step(Names(("a",)), deep=True), Step(Names(("b",))))),
        ("$.a..b..[0]", (Step(Names(("a",))), Step(Names(("b",)), deep=True), Step(Positions((0,)), deep=True))),
        ("$.(a..b)", (Step(Names(("a",))), Step(Names(("b",)), deep=True))),
        ("$..['']", (Step(Names(("",)), deep=True),)),
        ("$..['😀']", (Step(Names(("😀",)), deep=True),)),
        ("$['it\\'s \\\\ \"']", (Step(Names(("it's \\ \"",))),)),
        ('$["it\'s"]', (Step(Names(("it's",))),)),
        ("$[?(@.a == 0)]", (Step(Matching((Condition(("a",), "==", 0),))),)),
        ("$[?(@.a1 == -0.5)]", (Step(Matching((Condition(("a1",), "==", -0.5),))),)),
        ("$.null.true", (Step(Names(("null",))), Step(Names(("true",))))),
        ("$..[?(@.a == 1)].b", (Step(Matching((Condition(("a",), "==", 1),)), deep=True), Step(Names(("b",))))),
        ("$[?(@.a == 'x' & @.b)]", (Step(Matching((Condition(("a",), "==", "x"), Condition(("b",))))),)),
        ("$[?(@.a && @.b)]", (Step(Matching((Condition(("a",)), Condition(("b",))))),)),
    ],
)  # fmt: skip
def test_steps_of_a_path(path: str, steps: tuple[Step, ...]) -> None:
    assert parse_path(path) == steps


@pytest.mark.parametrize(
    "path",
    [
        "", "$.", "$..", "a", "a.b", "@.a", "$..ä", "$.where", "$ $",
        "$.a | $.b", "$.a where b", "$.a wherenot b", "$.a & $.b",
        "$.`parent`", "$.`this`", "$.a.`len`", "$.`keys`", "$.`sorted`", "$.a[/b]", "$.`sub(/a/, b)`", "$.`nothing`",
        "$.a + 1", "$.a - $.b", "$.a.$", "$.a.$.b", "$.a[1,'b']", "$[::0]", "$[0:1:2:3]",
        "$['\\u0061']", "$['\\n']", "$[?(@.a == '\\u0061')]", "$['\ud800']",
        "$[?(@.a =~ 'x')]", "$[?(@.a == 1 || @.b == 2)]", "$[?(!@.a)]", "$[?(@.a = 1)]", "$[?(@.a == 1e3)]",
        "$[?(@.a == @.b)]", "$[?(1 == @.a)]", "$[?($.a == 1)]", "$[?(a == 1)]", "$[?(@.a == x)]",
        "$[?(@..a)]", "$[?(@.*)]", "$[?(@[0,1])]", "$[?(@['a','b'])]", "$[?(@.a[?(@.b)])]", "$[?(@.a == [1])]",
        " $", "$ ", "$. a", "$..\ta", "$.1", "$.a1.5", "$..1", "$[01]", "$[-0]", "$[-01:]", "$[:00]",
        "$[9007199254740992]",
        "$[?(@.a == 01)]", "$['\x01']", "$['\\\"']", '$["\\\'"]', '$["a\nb"]',
        "$[?(@.a & @.b)]", "$" + ".a" * 5000, "$[" + "1" * 5000 + "]", "$.`sub(/a/`",
    ],
)  # fmt: skip
def test_what_is_not_supported_is_refused_with_a_hint(path: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        parse_path(path)
    assert caught.value.cause == "unsupported-jsonpath"
    assert caught.value.hint


def test_positions_of_an_array() -> None:
    assert Positions((0, -1, 5, -5)).among(3) == {0, 2}
    assert Positions((0,)).among(0) == set()
    assert Span(None, None, -1).among(3) == range(2, -1, -1)


PIECES = st.sampled_from(
    [*"$.[]a*?()@!<&|,:1+-/\\~'\"`é ", "..", "==", "&&", "||", "1.5", "true", "null", "where", "[?(@.a", "`str("]
)


@given(st.lists(PIECES, max_size=8).map("".join) | st.text(max_size=10))
@settings(deadline=None)
def test_no_text_raises_anything_but_misconfigured(text: str) -> None:
    for path in (text, "$" + text):
        with contextlib.suppress(Misconfigured):
            assert all(isinstance(step, Step) for step in parse_path(path))
