"""One engine, three ways in: whole, in steps, and as events, held against each other and against the slow reference."""

import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doorward.core.clearing import clear_in_steps
from doorward.core.redaction.cutting import Sizes
from doorward.core.redaction.document import read_in_steps
from doorward.core.redaction.rules import compile_rules
from doorward.core.redaction.steps import finish
from doorward.core.redaction.stream import framer_for
from doorward.core.redaction.walk import redact_document, redact_in_steps, redact_json
from tests.bench.redaction import RULES, document
from tests.core.redaction.reference import REPLACER, redact, rules
from tests.core.redaction.strategies import ANY_RULES, DOCUMENTS
from tests.core.redaction.test_framing import body_masks
from tests.core.redaction.test_ndjson import CUTS, in_pieces


@given(DOCUMENTS, ANY_RULES, CUTS, st.integers(0, 40), st.integers(1, 40), st.booleans())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_three_ways_and_a_plain_reading_agree(
    value: Any, pairs: list[tuple[str, str]], cuts: list[int], large: int, run: int, ascii_only: bool
) -> None:
    value = {"value": value}
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    automaton, masks = compile_rules(rules(*pairs)), body_masks(*pairs)
    ways = {
        "whole": redact_json(automaton, body, REPLACER),
        "cut": finish(redact_document(automaton, finish(read_in_steps(body, Sizes(large, run))), REPLACER)).joined(),
        "cleared": finish(clear_in_steps(masks, body, "application/json", REPLACER)).joined(),
    }
    read = {way: (json.loads(made.body), set(made.masks)) for way, made in ways.items()}
    for way, content_type, before, after in (
        ("lines", "application/x-ndjson", b"", b"\n"),
        ("sequence", "application/json-seq", b"\x1e", b"\n"),
        ("events", "text/event-stream", b"data: ", b"\n\n"),
    ):
        stream = framer_for(content_type, masks, REPLACER, 1 << 20)
        assert stream is not None
        whole = before + body + after
        out = b"".join([*(each for piece in in_pieces(whole, cuts) for each in stream.feed(piece)), *stream.end()])
        read[way] = (json.loads(out.removeprefix(before)), set(stream.masks))
    expected = redact(rules(*pairs), value)
    assert {way: json.dumps(made, sort_keys=True) for way, (made, _) in read.items()} == dict.fromkeys(
        read, json.dumps(expected, sort_keys=True)
    )
    assert all(noted == read["whole"][1] for _, noted in read.values())


@pytest.mark.deep
def test_48_mb_never_take_more_than_20_ms_at_a_time() -> None:
    body = document(48)
    steps = redact_in_steps(compile_rules(rules(*((path, "sentinel") for path in RULES))), body, REPLACER)
    longest, last = 0.0, time.thread_time()
    for _ in steps:
        now = time.thread_time()
        longest, last = max(longest, now - last), now
    assert max(longest, time.thread_time() - last) < 0.02


def test_the_document_of_the_benchmark_is_masked_as_the_reference_says() -> None:
    body = document(1)
    pairs = [(path, "sentinel") for path in RULES]
    masked = redact_json(compile_rules(rules(*pairs)), body, REPLACER).body
    value = json.loads(body)
    few = {**value, "items": value["items"][:5]}
    assert json.loads(masked)["items"][:5] == redact(rules(*pairs), few)["items"]
