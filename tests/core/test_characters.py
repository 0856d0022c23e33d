import pytest

from doorward.core.characters import is_showable


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
