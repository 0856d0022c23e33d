import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core.redaction.cutting import Large, Nested, NotCut, Sizes, cut
from doorward.core.redaction.steps import finish

SIZES = [Sizes(0, 1), Sizes(4, 4), Sizes(16, 8), Sizes(64, 256), Sizes(200, 100)]


def rebuilt(body: bytes, large: Large) -> Any:
    """What the parts say, read by another parser."""
    children: list[Any] = []
    for part in large.parts:
        if isinstance(part, Nested):
            value = rebuilt(body, part.value)
            children.append((part.key, value) if large.is_object else value)
        else:
            run = body[part.start : part.end]
            inner = b"{" + run + b"}" if large.is_object else b"[" + run + b"]"
            children += json.loads(inner, object_pairs_hook=Pairs)
    assert body[large.start : large.start + 1] + body[large.end - 1 : large.end] in (b"{}", b"[]")
    return Pairs(children) if large.is_object else children


class Pairs(list[Any]):
    """The members of an object, duplicates included."""


class TestTheParsersReports:
    """What cutting leans on; a new msgspec that says it otherwise is noticed here."""

    @pytest.mark.parametrize(
        ("text", "report"),
        [
            (b'{"a":1} ,2', "JSON is malformed: trailing characters (byte 9)"),
            (b"123,", "JSON is malformed: trailing characters (byte 4)"),
            (b"  1  ]", "JSON is malformed: trailing characters (byte 6)"),
            (b'"a":1', "JSON is malformed: trailing characters (byte 4)"),
            (b"truex", "JSON is malformed: trailing characters (byte 5)"),
        ],
    )
    def test_what_stands_behind_a_value_is_told_by_its_place(self, text: bytes, report: str) -> None:
        with pytest.raises(msgspec.DecodeError) as caught:
            msgspec.json.Decoder(msgspec.Raw).decode(memoryview(text))
        assert str(caught.value) == report

    @pytest.mark.parametrize(
        "text",
        [
            b"",
            b"  ",
            b'{"a":',
            b'"abc',
            b'"ab\\u00',
            b"tru",
            b"-",
            b"1e",
            b"1.",
            b"[1,2",
            b"]",
            b"[1}",
            b"[1,]",
            b"[,1]",
        ],
    )
    def test_nothing_else_is_said_in_these_words(self, text: bytes) -> None:
        with pytest.raises(msgspec.DecodeError) as caught:
            msgspec.json.Decoder(msgspec.Raw).decode(memoryview(text))
        assert "trailing characters" not in str(caught.value)


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(-10, 10) | st.text(max_size=30) | st.just('",{"a":[1,]}')
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=12) | st.dictionaries(st.text(max_size=5), inner, max_size=8),
    max_leaves=60,
)


@given(DOCUMENTS, st.sampled_from(SIZES), st.sampled_from([None, 1]), st.booleans())
def test_the_parts_are_the_document(document: Any, sizes: Sizes, indent: int | None, ascii_only: bool) -> None:
    body = json.dumps(document, indent=indent, ensure_ascii=ascii_only).encode()
    large = finish(cut(body, sizes))
    if large is None:
        assert len(body) <= sizes.large or not isinstance(document, dict | list)
    else:
        assert rebuilt(body, large) == json.loads(body, object_pairs_hook=Pairs)


SLIPS = [b"", b",", b"]", b"}", b'"', b"\\", b"[", b"0", b":", b"{"]


@given(DOCUMENTS, st.sampled_from(SIZES), st.data())
def test_what_one_call_refuses_is_refused_in_pieces(document: Any, sizes: Sizes, data: st.DataObject) -> None:
    body = bytearray(json.dumps(document).encode())
    at = data.draw(st.integers(0, len(body) - 1))
    body[at : at + data.draw(st.integers(0, 2))] = data.draw(
        st.sampled_from([b"", b",", b"]", b"}", b'"', b"\\", b"[", b"0", b":", b"{"])
    )
    try:
        msgspec.json.decode(bytes(body), type=msgspec.Raw)
        is_json = True
    except msgspec.DecodeError:
        is_json = False
    if len(body) <= sizes.large or not body.startswith((b"[", b"{")):
        return
    try:
        large = finish(cut(bytes(body), sizes))
    except NotCut:
        assert not is_json
    else:
        assert is_json
        assert large is not None
        assert rebuilt(bytes(body), large) == json.loads(bytes(body), object_pairs_hook=Pairs)


def test_runs_hold_several_children() -> None:
    body = json.dumps([{"id": n, "tags": ["a", "b"]} for n in range(2000)]).encode()
    large = finish(cut(body, Sizes(1000, 1000)))
    assert large is not None
    assert 20 < len(large.parts) < 120


def test_commas_in_strings_mislead_nobody() -> None:
    body = json.dumps([[n, '],["x', ',"],["x"'] for n in range(500)]).encode()
    large = finish(cut(body, Sizes(300, 300)))
    assert large is not None
    assert rebuilt(body, large) == json.loads(body)


def test_one_step_is_bounded() -> None:
    body = json.dumps([["x" * 100] * 100] * 500).encode()
    steps = list(cut(body, Sizes()))
    assert len(steps) > len(body) / (1 << 20)


def test_space_and_long_values_are_passed_in_steps() -> None:
    gap = b" " * (1 << 20)
    body = gap + b"[" + gap + b'"' + b"x" * (1 << 20) + b'"' + gap + b"," + gap + b"12" + gap + b"]" + gap
    large = finish(cut(body, Sizes()))
    assert large is not None
    assert len(large.parts) >= 1
    assert rebuilt(body, large)[1] == 12


@pytest.mark.parametrize(
    "body",
    [
        b"[1,2", b"[1,2]x", b"[1,2}", b"[1,,2]", b"[1,]", b'{"a" 1,"b":2}', b'{a:1,"b":22}', b'{"a":1,}',
        b'{"a":1,2:3}', b"[1 2 3]", b"[-,1,1]", b'["a]', b"[",
    ],
)  # fmt: skip
def test_broken_documents_are_not_cut(body: bytes) -> None:
    with pytest.raises(NotCut, match="not-json"):
        finish(cut(body, Sizes(0, 1)))


def test_depth_has_an_end() -> None:
    for body in (b"[" * 600 + b"1" + b"]" * 600, b"[" * 200_000, b'{"a":' * 600 + b"1" + b"}" * 600):
        with pytest.raises(NotCut, match="too-deep"):
            finish(cut(body, Sizes(0, 1)))
