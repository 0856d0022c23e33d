import re

import pytest

from doorward.core.redaction.spelling import Undoer, spelled


@pytest.mark.parametrize(
    ("text", "data", "readings"),
    [
        (b"ab", b"plain", []),
        (b"ab", b"\\u0061b", [b"ab"]),
        (b"ab", b"\\U0061b", [b"ab"]),
        (b"ab", b"%61b", [b"ab"]),
        (b"ab", b"\\u00e9 % \\n", []),
        (b"ab", b"\\\\u0061", [b"\\u0061", b"a"]),
        (b"a/b", b"a\\/b", [b"a/b"]),
        ("é".encode(), b"\\u00E9", ["é".encode()]),
        ("😀".encode(), b"\\uD83d\\ude00 \\ud83d", ["😀".encode() + b" \\ud83d"]),
        (b"\xff", b"\\u0041", [b"A"]),
        (b"a", b"%252561", [b"%2561", b"%61", b"a"]),
        (b"a", b"%25252561", [b"%252561", b"%2561", b"%61"]),
    ],
)
def test_readings(text: bytes, data: bytes, readings: list[bytes]) -> None:
    assert list(Undoer([text]).readings(data)) == readings


@pytest.mark.parametrize("spelling", [b'a"\xc3\xa9', b'%61\\"\\u00E9', b"\\u0061%22%c3%A9", b"\\u0061\\u0022%C3%a9"])
def test_a_pattern_matches_any_mixture(spelling: bytes) -> None:
    assert re.fullmatch(spelled('a"é'.encode()), spelling)


def test_a_pattern_takes_all_of_an_escape() -> None:
    assert re.match(spelled(b"a\\"), b"a\\u005c!")[0] == b"a\\u005c"  # type: ignore[index]
    assert re.match(spelled(b"a\\"), b"a\\\\!")[0] == b"a\\\\"  # type: ignore[index]


def test_any_case() -> None:
    assert re.fullmatch(spelled(b"a1f", any_case=True), b"A1%46")
    assert not re.fullmatch(spelled(b"a1f"), b"A1f")


def test_bytes_that_are_no_text() -> None:
    assert re.fullmatch(spelled(b"\xffa"), b"%ffa")
