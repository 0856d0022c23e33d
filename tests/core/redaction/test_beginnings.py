import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core.redaction.beginnings import Beginnings

TEXTS = [b"secret-one", b"secretary", b"aaaaab", b"\x00\xff\x00\xff\x00"]


@pytest.mark.parametrize(
    ("data", "held"),
    [
        (b"", 0),
        (b"nothing", 0),
        (b"a s", 1),
        (b"a sec", 3),
        (b"a secr", 4),
        (b"a secret-on", 9),
        (b"a secret-one", 0),  # whole: found elsewhere
        (b"a secretx", 0),
        (b"secretsecretar", 8),
        (b"aaaaaaaaa", 5),
        (b"\x00\xff\x00\xff", 4),
        (b"secret-o\n", 0),
    ],
)
def test_the_end_may_begin_a_text(data: bytes, held: int) -> None:
    assert Beginnings(TEXTS).at_end(data) == held


def test_without_texts_nothing_begins() -> None:
    assert Beginnings([]).at_end(b"abc") == 0
    assert Beginnings([]).longest == 0


@given(st.binary(max_size=40), st.sampled_from(TEXTS), st.integers(0, 9))
def test_it_is_the_longest_suffix_that_begins_a_text(noise: bytes, text: bytes, size: int) -> None:
    data = noise + text[:size]
    expected = next(
        (n for n in range(len(data), 0, -1) if any(len(t) > n and t.startswith(data[-n:]) for t in TEXTS)), 0
    )
    assert Beginnings(TEXTS).at_end(data) == expected
