import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core.policy_yaml import Fields, Items, Node, Scalar, parse_yaml
from doorward.errors import Misconfigured


def plain(node: Node) -> object:
    match node:
        case Scalar():
            return node.value
        case Items():
            return [plain(item) for item in node.items]
        case Fields():
            return {key: plain(value) for key, value in node.fields.items()}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", {}),
        ("# nothing yet\n", {}),
        ("---\n", None),
        ("a: b", {"a": "b"}),
        ("a: [1, -2, 1.50, 1e3]", {"a": [Decimal(1), Decimal(-2), Decimal("1.50"), Decimal(1000)]}),
        ("a: [true, False, TRUE]", {"a": [True, False, True]}),
        ("a: [~, null, ]\nb:", {"a": [None, None], "b": None}),
        ("a: ['1', \"true\", '~']", {"a": ["1", "true", "~"]}),
        ("a: [yes, no, on, off]", {"a": ["yes", "no", "on", "off"]}),
        ("a: |\n  1\n", {"a": "1\n"}),
        ("a: [2026-11-23, 1.2.3, 15m, 10.0.0.1]", {"a": ["2026-11-23", "1.2.3", "15m", "10.0.0.1"]}),
        ("- {a: [], b: {}}", [{"a": [], "b": {}}]),
        ("a: é\u3042", {"a": "é\u3042"}),
        ("%YAML 1.2\n---\na: b\n", {"a": "b"}),
        ("a: b\n...\n", {"a": "b"}),
    ],
    ids=ascii,
)
def test_values(text: str, value: object) -> None:
    assert plain(parse_yaml("p.yaml", text)) == value


def test_nodes_know_their_lines() -> None:
    node = parse_yaml("p.yaml", "# c\na:\n  - 1\n  - b: c\n")
    assert isinstance(node, Fields)
    items = node.fields["a"]
    assert isinstance(items, Items)
    assert (node.places["a"], items.where, items.items[1].where) == ("p.yaml:2", "p.yaml:3", "p.yaml:4")


def test_numbers_keep_their_text() -> None:
    node = parse_yaml("p.yaml", "1.10")
    assert isinstance(node, Scalar)
    assert node.text == "1.10"


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "p.yaml:3", "the key 'a' stands twice"),
        ("a: {b: 1,\n b: 2}", "p.yaml:2", "the key 'b' stands twice"),
        ("a: &x 1\nb: *x\n", "p.yaml:1", "anchors and aliases are not supported"),
        ("b: *x\n", "p.yaml:1", "anchors and aliases are not supported"),
        ("a: !!str 1\n", "p.yaml:1", "tags are not supported"),
        ("a: !python/object x\n", "p.yaml:1", "tags are not supported"),
        ("a: !!map {}\n", "p.yaml:1", "tags are not supported"),
        ("a: 1\n---\nb: 2\n", "p.yaml:1", "a second document begins"),
        ("1: a\n", "p.yaml:1", "a key is not a string"),
        ("~: a\n", "p.yaml:1", "a key is not a string"),
        ("? [a]\n: b\n", "p.yaml:1", "a key is not a string"),
        ("? {a: b}\n: b\n", "p.yaml:1", "a key is not a string"),
        ("a:\n  - [\n", "p.yaml:3", "this is not YAML"),
        ("a: b: c\n", "p.yaml:1", "this is not YAML"),
        ("a: 1\n\tb: 2\n", "p.yaml:2", "this is not YAML"),
        ("a: \x00\n", "p.yaml:1", "this is not YAML"),
        ("a: \ud800\n", "p.yaml:1", "this is not YAML"),
        ("a: 0x1F\n", "p.yaml:1", "'0x1F' is not written as JSON writes numbers"),
        ("a: 0o17\n", "p.yaml:1", "'0o17' is not written as JSON writes numbers"),
        ("a: 017\n", "p.yaml:1", "'017' is not written as JSON writes numbers"),
        ("a: 1_000\n", "p.yaml:1", "'1_000' is not written as JSON writes numbers"),
        ("a: +1\n", "p.yaml:1", "'+1' is not written as JSON writes numbers"),
        ("a: .5\n", "p.yaml:1", "'.5' is not written as JSON writes numbers"),
        ("a: .inf\n", "p.yaml:1", "'.inf' is not written as JSON writes numbers"),
        ("a: .nan\n", "p.yaml:1", "'.nan' is not written as JSON writes numbers"),
        ("a: 1e99999999999999999999\n", "p.yaml:1", "the exponent of a number is too large"),
        ("[" * 40 + "]" * 40, "p.yaml:1", "the file is nested too deeply"),
        ("- " * 40 + "a", "p.yaml:1", "the file is nested too deeply"),
        ("#" * (256 * 1024 + 1), "p.yaml:1", "the file is longer than 262144 characters"),
    ],
    ids=lambda text: ascii(text)[:30],
)
def test_what_is_refused(text: str, where: str, message: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        parse_yaml("p.yaml", text)
    assert caught.value.where == where
    assert caught.value.message == f"{where}: {message}"
    assert caught.value.hint


def test_a_text_of_brackets_alone_ends_early() -> None:
    started = time.monotonic()
    with pytest.raises(Misconfigured):
        parse_yaml("p.yaml", "[" * 262144)
    assert time.monotonic() - started < 20


_PIECES = st.sampled_from(
    ["a", "b", "%", "1", "~", ": ", "- ", "\n", "  ", "[", "]", "{", "}", ",", "'", '"', "#", "|", ">",
     "&a", "*a", "!t", "? ", "---\n"]
)  # fmt: skip


@given(st.text(max_size=60) | st.lists(_PIECES, max_size=25).map("".join))
def test_no_text_raises_anything_else(text: str) -> None:
    try:
        plain(parse_yaml("p.yaml", text))
    except Misconfigured as refusal:
        assert refusal.where.startswith("p.yaml:")  # noqa: PT017 - most texts are refused, some are not
