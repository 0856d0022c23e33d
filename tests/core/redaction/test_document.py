import pytest
from msgspec import Raw

from doorward.core.redaction.cutting import Large, Sizes
from doorward.core.redaction.document import (
    Document,
    Unreadable,
    count_members,
    open_object_once,
    open_objects,
    read_document,
    read_in_steps,
)
from doorward.core.redaction.steps import finish

CHUNK = 256 << 10


def test_scalars_stay_as_they_were_written() -> None:
    assert bytes(read_document(b' {"a": 1.10}\n')) == b'{"a": 1.10}'
    assert {key: bytes(value) for key, value in open_object_once(b'{"a": -0}').items()} == {"a": b"-0"}


@pytest.mark.parametrize("at", range(CHUNK - 3, CHUNK + 1))
def test_utf_8_is_checked_across_pieces(at: int) -> None:
    good = b'"' + b"a" * (at - 1) + "é😀".encode() + b'"'
    bad = b'"' + b"a" * (at - 1) + "é".encode()[:1] + b'"'
    assert len(bytes(read_document(good))) == len(good)
    assert finish(read_in_steps(good)) == Document(good, read_document(good))
    for read in (read_document, lambda body: finish(read_in_steps(body))):
        with pytest.raises(Unreadable, match="not-utf-8"):
            read(bad)


def test_the_same_key_twice_however_spelled() -> None:
    for body in (b'{"a":1,"a":1}', b'{"a":1,"\\u0061":1}'):
        with pytest.raises(Unreadable, match="duplicate-key"):
            open_object_once(body)


def test_members_are_counted_with_their_duplicates() -> None:
    assert count_members(b'{"a":1,"a":1,"b":2}') == 3


def test_an_array_of_objects_alone_is_opened_at_once() -> None:
    opened = open_objects(b'[{"a": 1.0},{}]')
    assert opened is not None
    assert [{key: bytes(value) for key, value in each.items()} for each in opened] == [{"a": b"1.0"}, {}]
    assert open_objects(b'[{"a":1},2]') is None
    assert open_objects(b'{"a":1}') is None


TINY = Sizes(large=8, run=4)


def test_a_large_container_is_cut_and_anything_else_is_not() -> None:
    assert isinstance(finish(read_in_steps(b'{"a":[1,2,3]}', TINY)).value, Large)
    for body in (b"[1,2,3]", b'"' + b"a" * 20 + b'"', b" " * 20 + b"17" + b" " * 20):
        value = finish(read_in_steps(body, TINY)).value
        assert isinstance(value, Raw)
        assert bytes(value) == body.strip()


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b" " * 20, "empty-body"),
        (b'\xef\xbb\xbf{"a":[1,2,3]}', "byte-order-mark"),
        (b'{"a":"1234567\xff"}', "not-utf-8"),
        (b'{"a":[1,2,3}}', "not-json"),
        (b"123456789 1", "not-json"),
        (b"[" * 100_000 + b"]" * 100_000, "too-deep"),
    ],
)
def test_what_cannot_be_read_in_steps(body: bytes, cause: str) -> None:
    for sizes in (TINY, Sizes()):
        with pytest.raises(Unreadable, match=cause):
            finish(read_in_steps(body, sizes))
