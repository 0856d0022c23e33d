from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core.blocks import check_known, check_name, refusal
from doorward.errors import Misconfigured, Refused

GOOD = ["corp:agent-7", "corp:a:b", "corp:Ann Smith", "x:\u00e4gent", "corp:" + "s" * 255]
BAD = ["", "agent-7", ":agent-7", "corp:", "corp:a\n", " corp:a", "corp:a\u202eb", "corp:a\u200b", "corp:" + "s" * 600]


@pytest.mark.parametrize("name", GOOD)
def test_names_of_principals(name: str) -> None:
    check_name(name)
    check_known(name, ["corp", "x"])


@pytest.mark.parametrize("name", BAD)
def test_what_names_nobody(name: str) -> None:
    with pytest.raises(Refused) as refused:
        check_name(name)
    assert refused.value.cause == "principal-malformed"
    with pytest.raises(Misconfigured) as wrong:
        check_known(name, ["corp"])
    assert "ISSUER-ALIAS:SUBJECT" in wrong.value.hint


@given(st.text())
def test_no_text_raises_anything_else(name: str) -> None:
    with suppress(Misconfigured):
        check_known(name, ["corp"])
        assert name.startswith("corp:")


def test_an_unknown_issuer_is_told_with_those_that_are_known() -> None:
    with pytest.raises(Misconfigured) as wrong:
        check_known("crop:agent-7", {"partner": 1, "corp": 2})
    assert (wrong.value.message, wrong.value.hint) == (
        "no issuer has the alias 'crop'",
        "the settings know corp, partner",
    )


def test_a_blocked_principal_learns_what_to_do() -> None:
    error = refusal()
    assert (error.status, error.cause) == (403, "principal-blocked")
    assert "ask the operator" in error.hint
