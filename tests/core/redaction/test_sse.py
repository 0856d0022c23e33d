import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core.redaction.framing import BodyMasks
from doorward.core.redaction.sse import Events
from doorward.errors import Withheld
from doorward.model import Mask
from tests.core.redaction.reference import REPLACER, dump, redact, rules
from tests.core.redaction.strategies import ANY_RULES, DOCUMENTS
from tests.core.redaction.test_framing import EMAIL, body_masks
from tests.core.redaction.test_ndjson import CUTS, in_pieces

S = REPLACER.sentinel
SECRET = "plants-and-animals"


def masked(body: bytes, masks: BodyMasks | None = None, cuts: list[int] | None = None) -> bytes:
    stream = Events(masks or body_masks(EMAIL), REPLACER, 1 << 20)
    return b"".join([*(out for piece in in_pieces(body, cuts or []) for out in stream.feed(piece)), *stream.end()])


def dispatched(body: bytes) -> list[tuple[str, str, str]]:
    """What a client makes of it, after the letter of the standard: type, data, last id."""
    text = body.decode("utf-8", "replace").removeprefix("\ufeff")
    *lines, _ = re.split(r"\r\n|\n|\r", text)
    kind, data, last_id, events = "", "", "", []
    for line in lines:
        if not line:
            if data:
                events.append((kind or "message", data.removesuffix("\n"), last_id))
            kind = data = ""
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                data += value + "\n"
            elif name == "event":
                kind = value
            elif name == "id" and "\0" not in value:
                last_id = value
    return events


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('data: {"email":1}\n\n', f'data: {{"email":"{S}"}}\n\n'),
        ('data:{"a":1.0}\r\n\r\n', 'data: {"a":1.0}\r\n\r\n'),
        ('data: {"a":1}\r\r', 'data: {"a":1}\r\r'),
        ('\ufeffdata: {"a":1}\n\n', 'data: {"a":1}\n\n'),
        ('data: {"em\ndata: ail":1}\n\n', None),
        ('data: {"email":\ndata: 1,\ndata: "b":2}\n\n', f'data: {{"email":"{S}","b":2}}\n\n'),
        ('data: {"a":\ndata:  1}\n\n', 'data: {"a":\ndata:  1}\n\n'),
        ('event: add\nid: 7\ndata: {"a":1}\nretry: 10\n\n', 'event: add\nid: 7\ndata: {"a":1}\nretry: 10\n\n'),
        ('data: {"a":1}\nid\nevent:\ndata\n\n', 'data: {"a":1}\ndata: \nid: \nevent: \n\n'),
        (f": {SECRET}\n\n", ":\n\n"),
        (f':\n{SECRET}: x\nretry: {SECRET}\ndata: {{"a":1}}\n\n', ':\ndata: {"a":1}\n\n'),
        ("data\n\ndata:\n\n", "data: \n\ndata: \n\n"),
        ("data: [DONE]\n\n", "data: [DONE]\n\n"),
        ("\n\n\r\n", "\n\n\r\n"),
        ("data: \rdata: \n\n", "data: \ndata: \n\n"),
        ('data: {"a":1}\rx: 1\n\n', 'data: {"a":1}\n\n'),
        (f'data: {{"a":1}}\n\ndata: {SECRET}', 'data: {"a":1}\n\n'),
        (f'data: {{"a":1}}\n\ndata: {SECRET}\n', 'data: {"a":1}\n\n'),
        ("id: 7\n\n", "id: 7\n\n"),
        (f"Data: {SECRET}\n\n", "\n"),
    ],
)
def test_events(body: str, expected: str | None) -> None:
    if expected is None:  # a line feed in the middle of a key is no JSON
        with pytest.raises(Withheld) as caught:
            masked(body.encode())
        assert caught.value.cause == "not-json"
        return
    assert masked(body.encode()).decode() == expected
    for at in range(len(body.encode())):
        assert masked(body.encode(), cuts=[at]).decode() == expected


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (f"data: {SECRET}\n\n", "not-json"),
        (f'data: {{"email":"{SECRET}"\n\n', "not-json"),
        (f'data: {{"email":"{SECRET}"}} x\n\n', "not-json"),
        (f'event: {{"email":"{SECRET}"}}\ndata: {{}}\n\n', "event-field"),
        ("id: ann@example.com\ndata: {}\n\n", "event-field"),
        ("id: a b\n\n", "event-field"),
    ],
)
def test_what_cannot_be_cleared_ends_the_stream(body: str, cause: str) -> None:
    stream = Events(body_masks(EMAIL), REPLACER, 1000)
    assert stream.feed(b"data: {}\n\n" + body.encode()) == [b"data: {}\n\n"]
    with pytest.raises(Withheld) as caught:
        stream.end()
    assert caught.value.cause == cause


def test_bytes_that_are_not_utf_8_are_withheld_with_the_json_they_are_in() -> None:
    with pytest.raises(Withheld) as caught:
        masked(b'data: {"a":"\xff"}\n\n')
    assert caught.value.cause == "not-utf-8"


def test_an_event_leaves_when_it_is_complete() -> None:
    stream = Events(body_masks(EMAIL), REPLACER, 1000)
    assert stream.feed(b'data: {"email":1}\r') == []
    assert stream.feed(b"\n") == []
    assert stream.feed(b"\r") == [f'data: {{"email":"{S}"}}\r\n\r'.encode()]
    assert stream.feed(b"") == []
    assert stream.feed(b"\ndata: {}\n") == [b"\n"]
    assert stream.feed(b"\n") == [b"data: {}\n\n"]
    assert stream.end() == []
    assert stream.masks == (Mask("rule 0", "$['email']", "sentinel", 1),)


@pytest.mark.parametrize("body", [b"data: " + b"1" * 100, b"data: 1\n" * 20, b":" + b"x" * 60])
def test_an_event_that_is_too_large_ends_the_stream(body: bytes) -> None:
    stream = Events(body_masks(EMAIL), REPLACER, 50)
    with pytest.raises(Withheld) as caught:
        stream.feed(body)
    assert caught.value.cause == "event-too-large"


def test_the_limit_is_that_of_one_event() -> None:
    stream = Events(body_masks(EMAIL), REPLACER, 12)
    assert b"".join(stream.feed(b"data: {}\n\n" * 50)) == b"data: {}\n\n" * 50


def test_with_masks_of_texts_all_that_is_text_is_looked_at() -> None:
    texts = body_masks(EMAIL, texts=(SECRET,), text_passes=True)
    body = f": {SECRET}\nevent: {SECRET}\nid: {SECRET}\ndata: a {SECRET}\ndata: b\n\n"
    assert masked(body.encode(), texts).decode() == body.replace(SECRET, S)
    with pytest.raises(Withheld):
        masked(b"id: a b\n\n", texts)


def test_other_types_pass() -> None:
    body = b': hello\nevent: a b\ndata: hello\n\ndata: {"email":1}\n\n'
    assert masked(body, body_masks(EMAIL, others_pass=True)) == body.replace(b":1", f':"{S}"'.encode())


ENDS = st.sampled_from(["\n", "\r", "\r\n"])


@given(st.lists(DOCUMENTS, max_size=3), ANY_RULES, CUTS, ENDS, st.sampled_from([None, 1]))
def test_a_client_reads_the_masked_documents(
    documents: list[Any], pairs: list[tuple[str, str]], cuts: list[int], end: str, indent: int | None
) -> None:
    documents = [{"document": each} for each in documents]
    lines = [json.dumps(each, indent=indent).split("\n") for each in documents]
    text = "".join("".join(f"data: {line}{end}" for line in each) + end for each in lines)
    out = masked(text.encode(), body_masks(*pairs), cuts)
    assert [json.loads(data) for _, data, _ in dispatched(out)] == [redact(rules(*pairs), each) for each in documents]


PIECES = st.sampled_from([
    "data: ", "data", ": ", "id: ", "event: x", "retry: 3", "\n", "\r", "\r\n", "\n\n", "{", "}", '{"a":1}',
    '{"email":"', SECRET,
    '"}', "[DONE]", "\ufeff", "[", "]", "\0", "\\u0065mail", "x",
])  # fmt: skip


@given(st.lists(PIECES, max_size=25).map("".join), CUTS)
def test_cuts_make_no_difference_and_no_event_is_invented(text: str, cuts: list[int]) -> None:
    body = text.encode()
    one, other = outcome(body, []), outcome(body, cuts)
    assert one == other
    before = dispatched(body)
    after = dispatched(one[0])
    assert [kind for kind, _, _ in after] == [kind for kind, _, _ in before][: len(after)]
    for (_, masked_data, _), (_, data, _) in zip(after, before, strict=False):
        assert masked_data == data or json.loads(masked_data) != data
    if one[1] is None:
        assert len(after) == len(before)


def outcome(body: bytes, cuts: list[int]) -> tuple[bytes, str | None]:
    stream = Events(body_masks(EMAIL), REPLACER, 1 << 20)
    out: list[bytes] = []
    try:
        for piece in in_pieces(body, cuts):
            out += stream.feed(piece)
        out += stream.end()
    except Withheld as error:
        return b"".join(out), error.cause
    return b"".join(out), None


@given(DOCUMENTS, ENDS, CUTS)
def test_nothing_planted_leaves(document: Any, end: str, cuts: list[int]) -> None:
    planted = {"a": document, "email": [SECRET, {"x": SECRET}], SECRET.replace("-", "_"): 1}
    body = f": {SECRET}{end}x-{SECRET}: 1{end}data: {dump(planted).decode()}{end}{end}data: {SECRET}".encode()
    assert SECRET.encode() not in masked(body, cuts=cuts)
