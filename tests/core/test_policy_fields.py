from collections.abc import Callable

import pytest

from doorward.core import policy_fields as fields
from doorward.core.policy_yaml import Node, parse_yaml
from doorward.errors import Misconfigured


def node(text: str) -> Node:
    return parse_yaml("p.yaml", text)


def reject(read: Callable[[], object]) -> str:
    with pytest.raises(Misconfigured) as caught:
        read()
    assert caught.value.where.startswith("p.yaml:")
    assert caught.value.hint
    return str(caught.value)


def test_known_keys() -> None:
    found = fields.fields_of(node("a: 1\nb: 2"), "a thing", required=["a"], optional=["b", "c"])
    assert set(found) == {"a", "b"}
    assert fields.fields_of(node("{}"), "a thing", optional=["b"]) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("b: 1", "p.yaml:1: a thing lacks 'a'; hint: add `a:`"),
        ("a: 1\nz: 2", "p.yaml:2: unknown key 'z' in a thing; hint: known: a, b"),
        ("a: 1\nnew: 2", "p.yaml:2: new is not supported yet; hint: leave it out for now"),
        ("[a]", "p.yaml:1: a thing is not a mapping; hint: write `key: value` pairs"),
    ],
)
def test_other_keys(text: str, message: str) -> None:
    later = {"new": "new is"}
    assert message == reject(
        lambda: fields.fields_of(node(text), "a thing", required=["a"], optional=["b"], later=later)
    )


@pytest.mark.parametrize("text", ["[]", "a", "{}", "~"])
def test_a_list_is_not_empty(text: str) -> None:
    reject(lambda: fields.items(node(text), "a list"))


@pytest.mark.parametrize("text", ["''", "1", "true", "~", "[a]", '"a\\tb"', '"a\\u202e"'])
def test_a_text_is_visible(text: str) -> None:
    reject(lambda: fields.text(node(text), "a text"))


def test_lists_hold_nothing_twice() -> None:
    assert fields.texts(node("[a, b]"), "a list") == ("a", "b")
    assert reject(lambda: fields.texts(node("- a\n- a"), "a list")).startswith("p.yaml:2")
    assert fields.each(node("[1, true]"), "a list", lambda item, _: getattr(item, "value", None)) == (1, True)


def test_one_or_more() -> None:
    assert fields.one_or_more(node("a"), "a list") == ("a",)
    assert fields.one_or_more(node("[a, b]"), "a list") == ("a", "b")


@pytest.mark.parametrize("text", ["a b", "-a", ".a", "ä", "a/b", '"a:b"', "a" * 64])
def test_names_that_are_refused(text: str) -> None:
    reject(lambda: fields.name(node(text), "a name"))


def test_names() -> None:
    assert fields.name(node("crm-token_2.x"), "a name") == "crm-token_2.x"
    assert fields.title(node("Kunden ändern"), "a name") == "Kunden ändern"


@pytest.mark.parametrize("text", ["' a'", "'a '", "a" * 101])
def test_titles_that_are_refused(text: str) -> None:
    reject(lambda: fields.title(node(text), "a name"))


@pytest.mark.parametrize("text", ["yes", "1", "'true'", "[true]"])
def test_a_flag_is_true_or_false(text: str) -> None:
    assert fields.flag(node("true"), "a flag")
    reject(lambda: fields.flag(node(text), "a flag"))


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "101", "1e9", "'1'", "true", "[1]"])
def test_a_count_is_a_small_whole_number(text: str) -> None:
    assert fields.count(node("2"), "a count") == 2
    reject(lambda: fields.count(node(text), "a count"))


@pytest.mark.parametrize("text", ["15", "15 m", "0m", "m", "'-1m'", "1w"])
def test_durations(text: str) -> None:
    assert fields.duration_s(node("15m"), "a duration") == 900
    reject(lambda: fields.duration_s(node(text), "a duration"))


@pytest.mark.parametrize("text", ["c", "A", "1", "[a]", "~"])
def test_one_of_a_few_words(text: str) -> None:
    assert fields.one_of(node("a"), "word", ["a", "b"]) == "a"
    assert "one of: a, b" in reject(lambda: fields.one_of(node(text), "word", ["a", "b"]))


@pytest.mark.parametrize("text", ["agents", "':agents'", "'corp:'", "'other:agents'", "'Corp:agents'"])
def test_qualified_names(text: str) -> None:
    assert fields.qualified(node("'corp:agents'"), "a group", ["corp"]) == "corp:agents"
    assert fields.qualified(node("'corp:system:x'"), "a group", ["corp"]) == "corp:system:x"
    reject(lambda: fields.qualified(node(text), "a group", ["corp"]))


def test_an_issuer_is_known_or_there_is_none() -> None:
    assert "known: none" in reject(lambda: fields.qualified(node("'corp:agents'"), "a group", []))
