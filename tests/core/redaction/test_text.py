import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doorward.core.redaction.masks import Replacement
from doorward.core.redaction.patterns import TextRule, compile_texts
from doorward.core.redaction.steps import finish
from doorward.core.redaction.text import MOST_HELD, TextMasking, mask_text
from doorward.errors import Withheld
from doorward.model import Mask
from tests.core.redaction.reference import REPLACER
from tests.core.redaction.test_patterns import PATTERNS, supported

S = REPLACER.sentinel


def literal(text: str, how: str = "sentinel", rule: str = "m") -> TextRule:
    return TextRule(rule, text, is_pattern=False, replace_with=Replacement(how))


def pattern(text: str, how: str = "sentinel", rule: str = "m") -> TextRule:
    return TextRule(rule, text, is_pattern=True, replace_with=Replacement(how))


def masked(body: str, *rules: TextRule) -> str:
    done = finish(mask_text(compile_texts(rules), body.encode(), REPLACER))
    return b"".join(done.pieces).decode()


def in_pieces(pieces: list[bytes], *rules: TextRule) -> list[str]:
    masking = TextMasking(compile_texts(rules), REPLACER)
    return [*(masking.feed(piece).decode() for piece in pieces), masking.end().decode()]


@pytest.mark.parametrize(
    ("body", "rule", "expected"),
    [
        ("a secret here", literal("secret"), f"a {S} here"),
        ("secret", literal("secret"), S),
        ("ababa", literal("aba"), S),
        ("aXbXa", literal("X"), f"a{S}b{S}a"),
        ("token=abc123;", pattern(r"token=\w+"), f"{S};"),
        ("mail ann@example.com!", pattern(r"[\w.+-]+@[\w-]+\.[\w.]+"), f"mail {S}!"),
        ("ccc 12345678", pattern(r"\d{8}", "keep-last-4"), "ccc ****5678"),
        ("ccc 1234", pattern(r"\d+", "keep-last-4"), f"ccc {S}"),
        ("ccc 1234", pattern(r"\d+", "remove"), f"ccc {S}"),
        ("x\n--BEGIN KEY--\nabc\n--END KEY--\ny", pattern(r"(?s)--BEGIN KEY--.*?--END KEY--"), f"x\n{S}\ny"),
        ("nothing", literal("secret"), "nothing"),
        ("", literal("secret"), ""),
    ],
)  # fmt: skip
def test_what_is_found_is_replaced(body: str, rule: TextRule, expected: str) -> None:
    assert masked(body, rule) == expected
    assert masked(expected, rule) == expected


def test_hmac_tells_equal_texts() -> None:
    one, other = masked("a=1 a=2 a=1", pattern(r"\d", "hmac")).split()[0], masked("a=1", pattern(r"\d", "hmac"))
    assert one == other
    assert one.startswith("a=hmac:")


def test_matches_that_overlap_are_one_and_the_strictest_rule_names_it() -> None:
    rules = [pattern(r"\d{8}", "keep-last-4", "part"), pattern(r"id \d{4}", "sentinel", "whole")]
    masking = TextMasking(compile_texts(rules), REPLACER)
    assert masking.feed(b"id 12345678.") + masking.end() == f"{S}.".encode()
    assert masking.masks == (Mask("whole", "text", "sentinel", 1),)


def test_only_what_may_begin_a_match_waits() -> None:
    assert in_pieces([b"line one\n", b"a sec", b"t!", b" sec", b"ret", b"!"], literal("secret")) == [
        "line one\n", "a ", "sect!", " ", S, "!", "",
    ]  # fmt: skip
    assert in_pieces([b"id 12", b"34", b" x"], pattern(r"\d+")) == ["id ", "", f"{S} x", ""]
    assert in_pieces([b"id 12"], pattern(r"\d+")) == ["id ", S]


def test_a_character_in_two_pieces() -> None:
    data = "sé😀crét".encode()
    assert "".join(in_pieces([data[n : n + 1] for n in range(len(data))], literal("é😀c"))) == f"s{S}rét"


@pytest.mark.parametrize("pieces", [[b"a\xff"], [b"\xc3", b"a"], [b"a\xc3"], [b"\xed\xa0\x80"]])
def test_what_is_not_utf_8_is_withheld(pieces: list[bytes]) -> None:
    with pytest.raises(Withheld) as caught:
        in_pieces(pieces, literal("secret"))
    assert caught.value.cause == "not-utf-8"


def test_a_match_without_an_end_is_withheld() -> None:
    masking = TextMasking(compile_texts([pattern("(?s)BEGIN.*END")]), REPLACER)
    masking.feed(b"BEGIN")
    masking.feed(b"x" * (MOST_HELD - 100))
    with pytest.raises(Withheld) as caught:
        masking.feed(b"x" * 1000)
    assert caught.value.cause == "match-too-long"


@pytest.mark.parametrize("text", ["(a+)+b", "(a|aa)+b", "(x+x+)+y", r"[\w.+-]+@[\w-]+\.\w+"])
def test_a_hostile_text_costs_no_more_than_another(text: str) -> None:
    body = ("a" * 4000 + "x" * 4000 + ".") * 10
    assert masked(body, pattern(text)) == body


def test_in_steps_it_gives_no_empty_pieces() -> None:
    texts, body = compile_texts([literal("secret")]), b"secret x " * 50_000
    assert len(list(mask_text(texts, body, REPLACER))) > 20
    done = finish(mask_text(texts, body, REPLACER))
    assert all(done.pieces)
    assert done.masks[0].count == 50_000


BODIES = st.text("abc1é \n", max_size=40)
CUTS = st.lists(st.integers(0, 60), max_size=8)
RULES = st.lists(
    st.one_of(
        PATTERNS.filter(supported).map(lambda text: pattern(text, rule=text)),
        st.text("abc1é", min_size=1, max_size=4).map(lambda text: literal(text, "hmac", rule=text)),
    ),
    min_size=1,
    max_size=3,
)


@given(BODIES, RULES, CUTS)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_cuts_make_no_difference(body: str, rules: list[TextRule], cuts: list[int]) -> None:
    data = body.encode()
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[start:end] for start, end in itertools.pairwise(places)]
    assert "".join(in_pieces(pieces, *rules)) == masked(body, *rules)


@given(st.lists(st.sampled_from(["secret", "sec", "ret", "s", "\n", "é", "ecre"])), CUTS)
def test_no_literal_leaves(words: list[str], cuts: list[int]) -> None:
    data = "".join(words).encode()
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[start:end] for start, end in itertools.pairwise(places)]
    assert "secret" not in "".join(in_pieces(pieces, literal("secret")))
