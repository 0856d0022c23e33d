import pytest

from doorward.core.redaction.document import Unreadable, open_object_once, read_document


def test_scalars_stay_as_they_were_written() -> None:
    assert bytes(read_document(b' {"a": 1.10}\n')) == b'{"a": 1.10}'
    assert {key: bytes(value) for key, value in open_object_once(b'{"a": -0}').items()} == {"a": b"-0"}


@pytest.mark.parametrize("at", [(1 << 20) - 3, (1 << 20) - 2, (1 << 20) - 1, 1 << 20])
def test_utf_8_is_checked_across_pieces(at: int) -> None:
    good = b'"' + b"a" * (at - 1) + "é😀".encode() + b'"'
    assert len(bytes(read_document(good))) == len(good)
    with pytest.raises(Unreadable, match="not-utf-8"):
        read_document(b'"' + b"a" * (at - 1) + "é".encode()[:1] + b'"')


def test_the_same_key_twice_however_spelled() -> None:
    for body in (b'{"a":1,"a":1}', b'{"a":1,"\\u0061":1}'):
        with pytest.raises(Unreadable, match="duplicate-key"):
            open_object_once(body)
