"""The compliance test suite of JSONPath: each case is refused with a reason, or selects just what it says."""

import json
from pathlib import Path
from typing import Any

import pytest

from doorward.core.redaction.cutting import Sizes
from doorward.core.redaction.document import read_in_steps
from doorward.core.redaction.rules import FieldRule, Replacement, compile_rules
from doorward.core.redaction.steps import finish
from doorward.core.redaction.walk import redact_document, redact_json, select_json
from doorward.errors import Misconfigured
from tests.core.redaction.reference import REPLACER

SUITE = Path(__file__).parents[2] / "vectors" / "jsonpath" / "cts.json"
CASES: list[dict[str, Any]] = json.loads(SUITE.read_text())["tests"]
SUPPORTED = 217  # cases that are no error and that rules may use; a number that may only grow


def supported(selector: str) -> bool:
    try:
        compile_rules([FieldRule("r", selector, Replacement.REMOVE)])
    except Misconfigured as error:
        assert error.cause == "unsupported-jsonpath"  # noqa: PT017
        assert error.hint  # noqa: PT017
        return False
    return True


def test_the_supported_part_does_not_shrink() -> None:
    assert len(CASES) == 703
    assert sum(supported(case["selector"]) for case in CASES) >= SUPPORTED


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in CASES])
def test_a_case_is_refused_or_selects_what_the_suite_says(case: dict[str, Any]) -> None:
    if not supported(case["selector"]):
        return
    assert "invalid_selector" not in case
    body = json.dumps(case["document"]).encode()
    automaton = compile_rules([FieldRule("r", case["selector"], Replacement.SENTINEL)])
    (values,) = select_json(automaton, body).values
    # A value that is selected twice is one value to mask; the order of members means nothing.
    allowed = [_canonical(result) for result in case.get("results", [case.get("result")])]
    assert _canonical(map(json.loads, values)) in allowed
    masked = redact_json(automaton, body, REPLACER)
    assert bool(masked.masks) == bool(values)
    in_runs = finish(redact_document(automaton, finish(read_in_steps(body, Sizes(0, 1))), REPLACER)).joined()
    assert json.loads(in_runs.body) == json.loads(masked.body)
    assert set(in_runs.masks) == set(masked.masks)


def _canonical(values: Any) -> set[str]:
    return {json.dumps(value, sort_keys=True) for value in values}
