from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core.recorded import Message, mask_rows, parse_head, text_of
from tests.parts.recorded import FLOWS

HEAD = b'{"method": "GET", "url": "https://a/b", "headers": [["x-a", "1"], ["x-a", "2"]]}'


def test_a_head() -> None:
    assert parse_head(HEAD) == ("GET", "https://a/b", (("x-a", "1"), ("x-a", "2")))
    assert parse_head(b'{"status": 200, "headers": {"x-a": "1"}}') == ("", "", (("x-a", "1"),))


@pytest.mark.parametrize(
    "body", [None, b"", b"[]", b"{", b'"x"', b'{"url": 7, "headers": 7}', b'{"headers": [["a"], 7]}']
)
def test_what_is_no_head_is_empty(body: bytes | None) -> None:
    assert parse_head(body) == ("", "", ())


@given(st.binary())
def test_no_bytes_make_it_fail(body: bytes) -> None:
    parse_head(body)


def test_the_first_header_of_a_name() -> None:
    message = Message((("X-A", "1"), ("x-a", "2")))
    assert (message.header("x-a"), message.header("x-b")) == ("1", None)


def test_a_stream_without_an_end_is_said_to_have_none() -> None:
    assert text_of(replace(FLOWS["whole"], duration_ms=None)) == "the answer streams, or its end was never recorded"


def test_an_ordinary_flow_needs_no_words() -> None:
    assert text_of(FLOWS["whole"]) == ""
    assert mask_rows(FLOWS["whole"]) == [
        {"rule": "personal data", "path": "$['email']", "replacement": "sentinel", "count": 3}
    ]
