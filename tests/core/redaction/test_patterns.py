import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core.redaction.masks import Replacement
from doorward.core.redaction.patterns import LONGEST, TextRule, check_text, compile_texts
from doorward.errors import Misconfigured


def found(text: str, body: str, *, is_pattern: bool = True) -> tuple[list[str], int]:
    """What is found, and how many characters at the end may begin a match."""
    (one,) = compile_texts([TextRule("m", text, is_pattern)])
    data = body.encode()
    begun = one.begun.search(data)
    assert begun is not None
    return [each.group().decode() for each in one.pattern.finditer(data)], len(data[begun.start() :].decode())


@pytest.mark.parametrize(
    ("pattern", "body", "whole", "begun"),
    [
        ("secret", "xx secret se", ["secret"], 2),
        ("secret", "sesec", [], 3),
        ("secret", "a secret", ["secret"], 6),
        ("a+b", "aab caaa", ["aab"], 3),
        ("ab(?:.*c)?", "abxx", ["ab"], 4),
        ("ab|a[^;]*;", "xxabyy", ["ab"], 4),
        (r"[.-]\bfoo", "-", [], 1),
        (r"foo\b", "foo", ["foo"], 3),
        (r"foo\B", "foo", [], 3),
        ("foo$", "foo", ["foo"], 3),
        ("^foo", "foo\nfoo xfoo", ["foo", "foo"], 0),
        ("(?i)SeCret", "sEcRET SEC", ["sEcRET"], 3),
        ("(?is)a.b", "A\nB", ["A\nB"], 3),
        ("a.b", "a\n", [], 0),
        ("a{2,3}", "xa aaaa", ["aaa"], 3),
        ("a{2}", "aa a", ["aa"], 1),
        ("(?:ab){2,}", "xabab", ["abab"], 4),
        ("(ab|c)+?d", "abcabd", ["abcabd"], 6),
        ("(?P<name>a)b", "ab a", ["ab"], 1),
        ("é[à-ü]", "éà é", ["éà"], 1),
        (r"\x41\x{1F600}\p{Hebrew}", "A😀א A😀", ["A😀א"], 2),
        (r"[]a]\]", "]] ]", ["]]"], 1),
        (r"[^]a]b", "xb x", ["xb"], 1),
        (r"\d{3}-\d{2}", "123-45 12", ["123-45"], 2),
        ("a{0}b", "b", ["b"], 1),
        ("x}]", "x}] x}", ["x}]"], 2),
    ],
)
def test_what_a_pattern_finds_and_what_may_begin_it(pattern: str, body: str, whole: list[str], begun: int) -> None:
    assert found(pattern, body) == (whole, begun)


@pytest.mark.parametrize(
    ("literal", "body", "whole", "begun"),
    [("a.b", "aXb a.b a.", ["a.b"], 2), ("secret", "secret", ["secret"], 0), ("é", "éé", ["é", "é"], 0)],
)
def test_a_literal_is_itself(literal: str, body: str, whole: list[str], begun: int) -> None:
    assert found(literal, body, is_pattern=False) == (whole, begun)


@pytest.mark.parametrize(("literal", "step"), [("aa", 1), ("abab", 2), ("aba", 2), ("abc", 3), ("a", 1), ("é", 2)])
def test_how_near_the_same_literal_may_stand_again(literal: str, step: int) -> None:
    assert compile_texts([TextRule("m", literal, is_pattern=False)])[0].step == step


@pytest.mark.parametrize(
    "pattern",
    [
        "", "a*", "a?", "(?:)", "()", "a|", "|a", "(a*|b)?", "^", "$", r"\b", "^$", "a{0}", "a{0,3}", "(?i)", "(a|b*)",
        "a(?=b)", "(?<=a)b", "a(?!b)", r"(a)\1", "(?>a)", "a*+", "a**", "a+?+", "a{2}{3}", "*a", "(*a)", "^*", r"\b+a",
        "(a", "a)", "[a", "a{x", "a{,3}", r"\A", r"a\z", r"a\Z", r"\Qa\E", r"\K", r"\u0041", "\\", "(?x)a",
        "(?u:a)", "(?i:a)",
        "a(?i)", "(?P<1>a)", "(?P=a)", r"\p{Nothing}", "[b-a]", "[[:nothing:]]", "a{1001}",
        "(((a{100}){100}){100}){100}",
        "a" * (LONGEST + 1), "(" * 30 + "a" + ")" * 30, r"[\b]", "(?#a)b", r"\C",
    ],
)  # fmt: skip
def test_what_cannot_be_followed_is_refused_with_a_hint(pattern: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        check_text(pattern, is_pattern=True)
    assert caught.value.cause == "unsupported-pattern"
    assert caught.value.hint


def test_an_empty_or_endless_literal_is_refused() -> None:
    for literal in ("", "a" * (LONGEST + 1)):
        with pytest.raises(Misconfigured):
            check_text(literal, is_pattern=False)
    check_text("é" * LONGEST, is_pattern=False)


def test_a_rule_keeps_its_name_and_replacement() -> None:
    (one,) = compile_texts([TextRule("m", "a", is_pattern=False, replace_with=Replacement.HMAC)])
    assert (one.rule, one.replace_with) == ("m", Replacement.HMAC)


ATOMS = st.sampled_from(["a", "b", "c", "[ab]", "[^a]", ".", r"\d", "1", "é", r"\b", "^", "$", "(?:a|bc)", "(b)"])
REPEATS = st.sampled_from(["", "", "", "*", "+", "?", "+?", "{2}", "{1,2}", "{2,}"])
ROWS = st.lists(st.tuples(ATOMS, REPEATS).map("".join), min_size=1, max_size=4).map("".join)
PATTERNS = st.lists(ROWS, min_size=1, max_size=2).map("|".join)
BODIES = st.text("abc1é \n", max_size=12)


def supported(pattern: str) -> bool:
    try:
        check_text(pattern, is_pattern=True)
    except Misconfigured:
        return False
    return True


@given(PATTERNS.filter(supported), BODIES)
def test_patterns_mean_what_python_says(pattern: str, body: str) -> None:
    whole = [each.group() for each in re.compile(pattern, re.MULTILINE | re.ASCII).finditer(body) if each.group()]
    assert found(pattern, body)[0] == whole


@given(PATTERNS.filter(supported), BODIES, BODIES)
def test_a_match_that_is_not_whole_is_known_to_have_begun(pattern: str, body: str, more: str) -> None:
    """Whatever follows: a match across the border begins no earlier than is said."""
    if not body:
        return
    (one,) = compile_texts([TextRule("m", pattern, is_pattern=True)])
    data = body.encode()
    begun = one.begun.search(data)
    assert begun is not None
    for start in range(len(data)):
        across = one.pattern.match(data + more.encode(), start)
        if across is not None and across.end() > len(data):
            assert begun.start() <= start
