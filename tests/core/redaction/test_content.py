import gzip
import zlib

import brotli
import pytest
import zstandard

from doorward.core.redaction.content import MediaType, decode_content, is_json, media_type
from doorward.errors import TooLarge, Withheld


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", MediaType("application/json")),
        ("APPLICATION/JSON; Charset=UTF-8", MediaType("application/json", frozenset({"utf-8"}))),
        (' text/json ;a="b;charset=x"; charset="utf-8"', MediaType("text/json", frozenset({"utf-8"}))),
        ("text/html;charset=a;charset=b", MediaType("text/html", frozenset({"a", "b"}))),
        ("application/json, text/html", MediaType()),
        ("json", MediaType()),
        ("", MediaType()),
        (None, MediaType()),
    ],
)
def test_media_type(content_type: str | None, expected: MediaType) -> None:
    assert media_type(content_type) == expected


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "APPLICATION/JSON",
        "text/json",
        "application/problem+json",
        "application/Merge-Patch+JSON;x=1",
    ],
)
@pytest.mark.parametrize("body", [b"", b"1", b"{}", b"not json"])
def test_json_by_its_type_whatever_it_holds(content_type: str, body: bytes) -> None:
    assert is_json(content_type, body)


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/octet-stream", "application/json, text/html"]
)
def test_json_by_its_bytes_whatever_it_is_called(content_type: str | None) -> None:
    assert is_json(content_type, b' \r\n{"password": "x"}')
    assert is_json(content_type, b"[1]")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/event-stream", b'data: {"a":1}\n\n'),
        ("application/x-ndjson", b'{"a":1}\n{"a":2}\n'),
        ("multipart/mixed; boundary=x", b"--x\r\n\r\n{}\r\n--x--"),
        ("text/plain", b"{not json}"),
        ("text/plain", b"17"),
        (None, b""),
    ],
)
def test_not_json(content_type: str | None, body: bytes) -> None:
    assert not is_json(content_type, body)


@pytest.mark.parametrize("charset", ["utf-16", "utf-7", "iso-8859-1", "rot13", "utf-8;charset=utf-16", '"utf-16"', ""])
def test_json_in_another_charset_is_withheld(charset: str) -> None:
    with pytest.raises(Withheld) as caught:
        is_json(f"application/json; charset={charset}", b"{}")
    assert caught.value.cause == "charset"


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf8"', "us-ascii"])
def test_utf_8_and_ascii_are_read(charset: str) -> None:
    assert is_json(f"application/json; charset={charset}", b"{}")


BODY = b'{"a": 1}' * 100


@pytest.mark.parametrize(
    ("coding", "raw"),
    [
        (None, BODY),
        ("", BODY),
        (" Identity ", BODY),
        ("gzip", gzip.compress(BODY, mtime=0)),
        ("X-GZIP", gzip.compress(BODY, mtime=0)),
        ("deflate", zlib.compress(BODY)),
        ("br", brotli.compress(BODY)),
        ("zstd", zstandard.compress(BODY)),
    ],
)
def test_codings_that_are_read(coding: str | None, raw: bytes) -> None:
    assert decode_content(raw, coding, len(BODY)) == BODY
    with pytest.raises(TooLarge):
        decode_content(raw, coding, len(BODY) - 1)


@pytest.mark.parametrize(
    "coding",
    ["gzip, br", "gzip, gzip", "identity, gzip", "compress", "hex", "base64", "bz2", "rot13", "utf-8", "gzip;q=1"],
)
def test_codings_that_are_not_read(coding: str) -> None:
    with pytest.raises(Withheld) as caught:
        decode_content(b"", coding, 10)
    assert caught.value.cause == "content-encoding"
