import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from doorward.core.canonical import MAX_NUMBER, canonical_bytes

scalars = st.none() | st.booleans() | st.integers(-MAX_NUMBER, MAX_NUMBER) | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)


@given(st.dictionaries(st.text(), values, max_size=6))
def test_bytes_are_those_of_rfc8785(value: dict[str, Any]) -> None:
    built = canonical_bytes(value)
    assert built == rfc8785.dumps(value)
    assert json.loads(built) == value


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"\ue000": 1, "\U0001f600": 2}, id="names that sort by UTF-16 units"),
        pytest.param({"é": 1, "z": {"a": [1, (2, {"ü": 3})]}}, id="tuples and nested names"),
        pytest.param({"a": "".join(map(chr, range(256))) + "\u2028\ufeff"}, id="every escape"),
    ],
)
def test_awkward_values_are_those_of_rfc8785(value: dict[str, Any]) -> None:
    assert canonical_bytes(value) == rfc8785.dumps(value)
