import base64
import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core.redaction.disguises import Disguises

DISGUISES = Disguises([b"a/b", b'"'])


def readings(data: bytes) -> list[bytes]:
    return list(DISGUISES.readings(data))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b'{"a": 1}\n{"b": 2}\n',
        b"a &amp; b &lt; c &copy;",  # writes no character of the texts
        b"short\nlines\nof words",
        b"0123456789abcdef\n",  # nothing goes on behind it
        b"0123456789abcdef\n{",
        b"a \\n b",
    ],
)
def test_no_copy_is_made_where_there_is_no_disguise(data: bytes) -> None:
    assert readings(data) == []


def test_references_of_html_are_undone() -> None:
    assert readings(b"&#97;&#x2F;&#0098 &quot;&amp;") == [b'a/b "&']
    assert readings(b"&sol;") == [b"/"]
    assert readings(b"&#233;") == ["é".encode()]


def test_a_reference_without_end_costs_nothing() -> None:
    data = b"&#" + b"9" * 1_000_000 + b";"
    assert readings(data) == [data]
    assert readings(b"&#xD800;&#1114112;") != []


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_wide_characters_are_read(encoding: str) -> None:
    assert readings("a/b".encode(encoding)) == [b"a/b"]


@given(st.text(max_size=20))
def test_what_html_escapes_is_read(text: str) -> None:
    data = html.escape(text).encode() + b"&#97;"
    assert readings(data)[0] == html.unescape(data.decode()).encode()


@given(st.binary(min_size=120, max_size=400), st.integers(16, 76), st.sampled_from([b"\n", b"\r\n", b"\n\t ", b"\\n"]))
def test_wrapped_base64_is_one_line(raw: bytes, width: int, end: bytes) -> None:
    encoded = base64.b64encode(raw).rstrip(b"=")
    wrapped = end.join(encoded[at : at + width] for at in range(0, len(encoded), width))
    assert readings(wrapped) == [encoded]
