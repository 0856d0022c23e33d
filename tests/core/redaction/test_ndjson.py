import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core.redaction.ndjson import JsonLines
from doorward.core.redaction.rules import compile_rules
from doorward.core.redaction.walk import redact_json
from doorward.errors import Withheld
from doorward.model import Mask
from tests.core.redaction.reference import REPLACER, dump, redact, rules
from tests.core.redaction.strategies import ANY_RULES, DOCUMENTS
from tests.core.redaction.test_framing import EMAIL, body_masks

S = REPLACER.sentinel


def lines(limit: int = 2000, *, is_sequence: bool = False) -> JsonLines:
    return JsonLines(body_masks(EMAIL), REPLACER, limit, is_sequence=is_sequence)


def test_each_line_leaves_when_it_ends() -> None:
    stream = lines()
    assert stream.feed(b'{"a":1.0}\n{"ema') == [b'{"a":1.0}\n']
    assert stream.feed(b'il":1}') == []
    assert stream.feed(b"\r\n\n \n") == [f'{{"email":"{S}"}}\r\n'.encode(), b"\n", b" \n"]
    assert stream.feed(b"7") == []
    assert stream.end() == [b"7"]
    assert stream.masks == (Mask("rule 0", "$['email']", "sentinel", 1),)


def test_an_empty_end_gives_nothing() -> None:
    stream = lines()
    assert stream.feed(b"{}\n") == [b"{}\n"]
    assert stream.feed(b"") == []
    assert stream.end() == []


@pytest.mark.parametrize(
    "line",
    [
        b"x", b'{"email":1} {"email":2}', b'{"email":', b'\xef\xbb\xbf{"email":1}', b'"\xff"',
        b'{"a":NaN}', b'{"a":1,}',
        b'{"a":"\\ud800"}', b'{"a":01}', b"'a'", b'{"a":"\x00"}', b'{"email":1}\x0b',
        b"[" * 600 + b'{"email":1}' + b"]" * 600,
        '{"email":1}'.encode("utf-16-le"), b'\x1e{"email":1}', b'data: {"email":1}', b'{"email"/**/:1}',
    ],
)  # fmt: skip
def test_a_line_that_is_no_document_ends_the_stream(line: bytes) -> None:
    stream = lines()
    assert stream.feed(b"{}\n" + line + b"\n{}\n") == [b"{}\n"]
    with pytest.raises(Withheld):
        stream.feed(b"{}\n")
    with pytest.raises(Withheld):
        lines().feed(line + b"\n")
    last = lines()
    assert last.feed(line) == []
    with pytest.raises(Withheld):
        last.end()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"\\u0065mail":1}', f'{{"email":"{S}"}}'),
        ('{"email":1,"email":2}', f'{{"email":"{S}"}}'),
        ('{"x":{"email":1},"x":1}', '{"x":1}'),
        ('{"n":12345678901234567.89,"email":1}', f'{{"n":12345678901234567.89,"email":"{S}"}}'),
        ('{"n":1e400,"m":-0,"email":1}', f'{{"n":1e400,"m":-0,"email":"{S}"}}'),
        ('"email"', '"email"'),
        ('["email",{"em":{"ail":1}}]', '["email",{"em":{"ail":1}}]'),
    ],
)
def test_traps_in_a_line(line: str, expected: str) -> None:
    assert b"".join(lines().feed(line.encode() + b"\n")).decode() == expected + "\n"


def test_a_duplicate_where_a_filter_applies_ends_the_stream() -> None:
    stream = JsonLines(body_masks(("$[?(@.vip == true)].phone", "sentinel")), REPLACER, 1000)
    with pytest.raises(Withheld) as caught:
        stream.feed(b'[{"vip":true,"vip":false,"phone":1}]\n')
    assert caught.value.cause == "duplicate-key"


def test_a_line_that_is_too_long_ends_the_stream() -> None:
    stream = lines(20)
    for _ in range(4):
        assert stream.feed(b'{"a":"0123456789"}\n') == [b'{"a":"0123456789"}\n']
    assert stream.feed(b'{"a":"0123456') == []
    with pytest.raises(Withheld) as caught:
        stream.feed(b"789 1234")
    assert caught.value.cause == "event-too-large"


def test_a_sequence_keeps_its_separators() -> None:
    stream = lines(is_sequence=True)
    assert stream.feed(b'\x1e{"email":1}\n\x1e\x1e{"a":1}\n') == [
        f'\x1e{{"email":"{S}"}}\n'.encode(), b'\x1e\x1e{"a":1}\n',
    ]  # fmt: skip
    with pytest.raises(Withheld):
        lines().feed(b'\x1e{"email":1}\n')


CUTS = st.lists(st.integers(0, 400), max_size=8)


def in_pieces(body: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    return [body[start:end] for start, end in pairwise(places)]


@given(st.lists(DOCUMENTS, max_size=4), ANY_RULES, CUTS, st.sampled_from([b"\n", b"\r\n"]), st.booleans())
def test_a_stream_is_masked_like_each_of_its_documents(
    documents: list[Any], pairs: list[tuple[str, str]], cuts: list[int], end: bytes, ends: bool
) -> None:
    whole = end.join(map(dump, documents)) + (end if ends else b"")
    stream = JsonLines(body_masks(*pairs), REPLACER, 1 << 20)
    masked = b"".join([*(out for piece in in_pieces(whole, cuts) for out in stream.feed(piece)), *stream.end()])
    automaton = compile_rules(rules(*pairs))
    assert masked == end.join(redact_json(automaton, dump(each), REPLACER).body for each in documents) + (
        end if ends else b""
    )
    read = [json.loads(line) for line in masked.split(end) if line]
    assert read == [redact(rules(*pairs), document) for document in documents]
