import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from doorward.core.redaction.masks import Replacement, Replacer, sentinel_for

KEY = b"k" * 32
REPLACER = Replacer(sentinel_for(KEY), KEY)
OTHER = Replacer(sentinel_for(b"o" * 32), b"o" * 32)


def replace(how: str, value: object, replacer: Replacer = REPLACER) -> object:
    return json.loads(bytes(replacer.replace(Replacement(how), Raw(json.dumps(value).encode()))[1]))


def test_the_sentinel_is_the_deployments_own() -> None:
    assert REPLACER.sentinel.startswith("doorward-masked-")
    assert len(REPLACER.sentinel) == len("doorward-masked-") + 10
    assert REPLACER.sentinel != OTHER.sentinel


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("12345678", "****5678"),
        ("0123456789 é😀", "****9 é😀"),
        ("1234567", REPLACER.sentinel),
        ("", REPLACER.sentinel),
        (12345678, REPLACER.sentinel),
        (None, REPLACER.sentinel),
        (["12345678"], REPLACER.sentinel),
        (REPLACER.sentinel, REPLACER.sentinel),
    ],
)
def test_keep_last_4_keeps_a_part_of_long_strings_alone(value: object, expected: str) -> None:
    assert replace("keep-last-4", value) == expected


@pytest.mark.parametrize("value", ["x", "", 1, True, None, 1.5])
def test_hmac_hides_a_scalar_and_tells_equal_ones(value: object) -> None:
    made = replace("hmac", value)
    assert isinstance(made, str)
    assert made.startswith("hmac:")
    assert len(made) == 5 + 32
    assert int(made[5:], 16) >= 0
    assert made == replace("hmac", value)
    assert made not in (replace("hmac", "other"), replace("hmac", value, OTHER))


def test_hmac_of_a_container_is_the_sentinel() -> None:
    assert replace("hmac", {"a": 1}) == replace("hmac", [1]) == REPLACER.sentinel


def test_a_spelling_of_a_string_makes_no_difference_to_its_hmac() -> None:
    plain, escaped = Raw(b'"A/"'), Raw(b'"\\u0041\\/"')
    assert REPLACER.replace(Replacement.HMAC, plain) == REPLACER.replace(Replacement.HMAC, escaped)


@pytest.mark.parametrize(
    "lookalike", ["hmac:" + "0" * 32, "hmac:" + "f" * 31, "hmac:", "hmac:" + "g" * 32, "hmac:" + "é" * 32]
)
def test_what_only_looks_like_an_hmac_is_masked(lookalike: str) -> None:
    assert replace("hmac", lookalike) != lookalike


def test_another_deployments_hmac_is_masked() -> None:
    assert replace("hmac", replace("hmac", "x", OTHER)) != replace("hmac", "x", OTHER)


@given(
    st.sampled_from(["sentinel", "json-null", "hmac", "keep-last-4"]), st.text() | st.integers() | st.lists(st.none())
)
def test_a_replacement_is_a_fixed_point(how: str, value: object) -> None:
    once = replace(how, value)
    assert replace(how, once) == once


def test_it_says_what_was_done() -> None:
    assert REPLACER.replace(Replacement.KEEP_LAST_4, Raw(b"1"))[0] is Replacement.SENTINEL
    assert REPLACER.replace(Replacement.REMOVE, Raw(b"1"))[0] is Replacement.SENTINEL
    assert REPLACER.replace(Replacement.JSON_NULL, Raw(b"1"))[0] is Replacement.JSON_NULL


def test_the_key_is_not_shown() -> None:
    assert "kkkk" not in repr(REPLACER)
