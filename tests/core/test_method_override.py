import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core.method_override import refuse_override
from doorward.errors import Unclear

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=b"
PART = b"--b\r\nContent-Disposition: form-data; %s\r\n\r\nDELETE\r\n--b--\r\n"
JSON = "application/json; charset=utf-8"

QUERIES = ["_method", "_METHOD", " _method", ".method", "_method[", "_method[]", "_method\0x"]
FORMS = [
    b"_method=DELETE",
    b"a=b&_method=DELETE",
    b"a=b;_method=delete",
    b"%5Fmethod=DELETE",
    b"%5f%6dethod=DELETE",
    b"+_method=DELETE",
    b".method=DELETE",
    b"_method%5B%5D=DELETE",
    b"_method%00=DELETE",
    b"_method=POST&_method=DELETE",
    b"_method",
]
PARTS = [b'name="_method"', b"name=_method", b"NAME = '_method'", b"name*=utf-8''%5Fmethod", b'name=" .method[]"']
DOCUMENTS = [
    b'{"_method": "DELETE"}',
    b'{"a": {"b": []}, "_method": "DELETE"}',
    b'{"\\u005fmethod": "DELETE"}',
    b'{"_method": "POST", "_method": "DELETE"}',
    b'{"_method": ["DELETE"]}',
    b'{"_method": "DELETE",}',
    b'{"_method": "DELETE"} ' + b"[" * 100_000,
]


def refused(query: str, content_type: str | None = None, body: bytes = b"", method: str = "POST") -> bool:
    try:
        refuse_override(method, [(query, "DELETE")] if query else [], content_type, body)
    except Unclear as error:
        return error.cause == "method-override"
    return False


@pytest.mark.parametrize("name", QUERIES)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_query_that_names_another_method(name: str, method: str) -> None:
    assert refused(name, method=method)


@pytest.mark.parametrize("body", FORMS)
def test_a_form_that_names_another_method(body: bytes) -> None:
    assert refused("", FORM, body)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_names_a_method(part: bytes) -> None:
    assert refused("", MULTIPART, PART % part)


@pytest.mark.parametrize("body", DOCUMENTS, ids=lambda body: body[:30])
def test_json_that_names_another_method(body: bytes) -> None:
    assert refused("", JSON, body)
    assert refused("", "application/vnd.api+json", body)


def test_its_own_method_again_is_no_other() -> None:
    assert not refused("_method", method="DELETE")
    assert not refused("", FORM, b"_method=post")
    assert not refused("", JSON, b'{"_method": "POST"}')


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (FORM, b"payment_method=card&my._method=DELETE&method=DELETE"),
        (FORM, b"text=a+_method%3DDELETE"),
        (MULTIPART, PART % b'name="payment_method"'),
        (MULTIPART, PART % b'name="_method_id"'),
        (JSON, b'{"a": {"_method": "DELETE"}}'),
        (JSON, b'[{"_method": "DELETE"}]'),
        (JSON, b'{"a": "_method"}'),
        (JSON, b"_method"[1:]),
        ("text/plain", b"_method=DELETE"),
        (None, b"_method=DELETE"),
    ],
)
def test_what_only_looks_like_it_passes(content_type: str | None, body: bytes) -> None:
    assert not refused("payment_method", content_type, body)


@given(st.binary(), st.sampled_from([FORM, MULTIPART, JSON, None]))
def test_no_body_breaks_the_reader(body: bytes, content_type: str | None) -> None:
    refused("", content_type, body)
