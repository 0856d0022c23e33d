import pytest

from doorward.credentials.secret import Secret, parse_secret
from doorward.errors import Misconfigured

GOOD = b"0123456789abcdef"


@pytest.mark.parametrize(
    "content",
    [GOOD, GOOD + b"\n", GOOD + b"\r\n", b"two words " + GOOD],
    ids=["plain", "line end", "CRLF", "inner space"],
)
def test_one_line_end_is_no_part_of_the_secret(content: bytes) -> None:
    assert parse_secret(content, where="x").reveal() == content.rstrip(b"\r\n")


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "secret-too-short"),
        (b"0123456789abcde", "secret-too-short"),
        (b"0123456789abcde\n", "secret-too-short"),
        (GOOD + b"\n\n", "secret-unfit"),
        (GOOD + b"\nX-Other: 1", "secret-unfit"),
        (GOOD + b"\0", "secret-unfit"),
        (GOOD + b"\x7f", "secret-unfit"),
        (GOOD + b"\t" + GOOD, "secret-unfit"),
        (GOOD + "é".encode(), "secret-unfit"),
        (b"\xef\xbb\xbf" + GOOD, "secret-unfit"),
        (b" " + GOOD, "secret-unfit"),
        (GOOD + b" \n", "secret-unfit"),
    ],
    ids=[
        "empty",
        "15",
        "15 and a line end",
        "2 ends",
        "2 lines",
        "NUL",
        "DEL",
        "tab",
        "é",
        "BOM",
        "space",
        "end space",
    ],
)
def test_what_cannot_go_into_a_header_is_refused_unseen(content: bytes, cause: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        parse_secret(content, where="secrets/billing")
    assert caught.value.cause == cause
    assert GOOD.decode() not in str(caught.value)


def test_secrets_compare_by_value_and_have_no_hash() -> None:
    assert Secret(GOOD) == Secret(GOOD)
    assert Secret(GOOD) != Secret(GOOD + b"x")
    assert Secret(GOOD) != GOOD
    with pytest.raises(TypeError):
        hash(Secret(GOOD))
