"""Nothing that steers or hides is left in what a person reads."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core.characters import is_drawn, is_showable, visible


@pytest.mark.parametrize("text", ["", "alice", "a b", "Ågot Müller", "日本", "a/b:c", "🙂"], ids=repr)
def test_ordinary_text_is_showable(text: str) -> None:
    assert is_showable(text)


@pytest.mark.parametrize(
    "text",
    ["a\x00", "a\nb", "\x7f", "\x85", "a\u202eb", "a\u2066b", "a\u200bb", "\ufeffa", "\u2028", "\ud800", "\ue000"],
    ids=ascii,
)
def test_invisible_and_reordering_characters_are_not(text: str) -> None:
    assert not is_showable(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/v1/customers/1", "/v1/customers/1"),
        ("Zoë Müller 漢字 🙂", "Zoë Müller 漢字 🙂"),
        ("a\u202eb", "a\\u202eb"),
        ("a\u2066b\u2069", "a\\u2066b\\u2069"),
        ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),
        ("a\x00\x1b[31m\x7f\x9b", "a\\x00\\x1b[31m\\x7f\\x9b"),
        ("a\nb\tc\r", "a\\x0ab\\x09c\\x0d"),
        ("a\u2028b", "a\\u2028b"),
        ("a\u00a0b\u3000", "a\\xa0b\\u3000"),
        ("\U000e0041\ufe0f\u3164", "\\U000e0041\\ufe0f\\u3164"),
        ("\ud800", "\\ud800"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_lines_and_length() -> None:
    assert visible("a\nb\tc\u202e", lines=True) == "a\nb\tc\\u202e"
    assert visible("abcdef", longest=3) == "abc…"
    assert visible("abc", longest=3) == "abc"


@given(st.text())
def test_no_text_steers(text: str) -> None:
    shown = visible(text)
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in shown)
    assert visible(shown) == shown
    shown.encode()


@given(st.characters())
def test_what_is_drawn_is_printable(char: str) -> None:
    assert char.isprintable() or not is_drawn(char)
