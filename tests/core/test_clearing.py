import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doorward.core.clearing import (
    NOT_RECORDED,
    MaskSet,
    clear_body,
    clear_in_steps,
    compile_masks,
    record_body,
    record_headers,
    record_in_steps,
    record_query,
)
from doorward.core.policy import MaskedText, MaskRule, Match
from doorward.core.redaction.masks import Replacement
from doorward.core.redaction.steps import finish
from doorward.errors import Misconfigured, Withheld
from doorward.model import Mask
from tests.core.redaction.reference import REPLACER
from tests.core.redaction.strategies import DOCUMENTS, quoted, spelled

S = REPLACER.sentinel
JSON = "application/json"
BODY = b'{"email": "ann@example.com", "iban": "CH93", "n": 1.00}'


def rule(name: str = "m", *fields: str, **more: Any) -> MaskRule:
    return MaskRule(name, Match(), tuple(fields), **more)


def masks(*rules: MaskRule) -> MaskSet:
    return compile_masks(rules)


EMAIL = rule("e", "$.email")
IBAN_IN_RECORD = rule("i", "$.iban", apply_to="record")


def test_without_masks_nothing_changes() -> None:
    none = masks()
    assert clear_body(none, BODY, JSON, REPLACER).body is BODY
    assert clear_body(none, b"\xff", None, REPLACER).body == b"\xff"
    assert record_body(none, b"\xff", None, REPLACER) == b"\xff"


def test_the_agent_gets_what_only_the_record_hides() -> None:
    both = masks(EMAIL, IBAN_IN_RECORD)
    cleared = clear_body(both, BODY, JSON, REPLACER)
    assert cleared.body == BODY.replace(b"ann@example.com", S.encode()).replace(b" ", b"")
    assert [(mask.rule, mask.path, mask.count) for mask in cleared.masks] == [("e", "$['email']", 1)]
    recorded = json.loads(record_body(both, cleared.body, JSON, REPLACER))
    assert recorded == {"email": S, "iban": S, "n": 1.0}
    assert b"1.00" in record_body(both, BODY, JSON, REPLACER)


def test_masks_of_the_record_alone_leave_the_answer_as_it_is() -> None:
    record_only = masks(IBAN_IN_RECORD)
    assert record_only.answer is None
    assert clear_body(record_only, b"<p>", "text/html", REPLACER).body == b"<p>"
    assert record_body(record_only, b"<p>", "text/html", REPLACER) == NOT_RECORDED


@pytest.mark.parametrize(
    ("body", "content_type", "cause"),
    [
        (b"<p>ann@example.com</p>", "text/html", "not-json"),
        (b"ann@example.com", None, "not-json"),
        (b'{"email": ', JSON, "not-json"),
        (b'{"email": 1}', f"{JSON}; charset=utf-16", "charset"),
        (b'{"email": 1}', f"{JSON}; charset=utf-7", "charset"),
    ],
)
def test_what_cannot_be_read_is_withheld_and_not_recorded(body: bytes, content_type: str | None, cause: str) -> None:
    with pytest.raises(Withheld) as error:
        clear_body(masks(EMAIL), body, content_type, REPLACER)
    assert error.value.cause == cause
    assert record_body(masks(EMAIL), body, content_type, REPLACER) == NOT_RECORDED


def test_other_types_pass_only_where_each_mask_says_so() -> None:
    passing = rule("p", "$.email", other_types="pass")
    html = b"<p>ann</p>"
    assert clear_body(masks(passing), html, "text/html", REPLACER).body == html
    assert record_body(masks(passing), html, "text/html", REPLACER) == html
    with pytest.raises(Withheld):
        clear_body(masks(passing, EMAIL), html, "text/html", REPLACER)
    # The answer passes; the record has a mask of its own that does not let it.
    narrow = masks(passing, IBAN_IN_RECORD)
    assert clear_body(narrow, html, "text/html", REPLACER).body == html
    assert record_body(narrow, html, "text/html", REPLACER) == NOT_RECORDED


@pytest.mark.parametrize("content_type", ["text/plain", None, "application/octet-stream"])
def test_other_types_pass_does_not_open_json_under_another_label(content_type: str | None) -> None:
    passing = masks(rule("p", "$.email", other_types="pass"))
    assert b"ann@" not in clear_body(passing, BODY, content_type, REPLACER).body
    assert b"ann@" not in record_body(passing, BODY, content_type, REPLACER)


def test_other_types_pass_does_not_open_broken_json() -> None:
    passing = masks(rule("p", "$.email", other_types="pass"))
    with pytest.raises(Withheld):
        clear_body(passing, b'{"email": "ann@example.com"', JSON, REPLACER)
    assert record_body(passing, b'{"email": "ann@example.com"', JSON, REPLACER) == NOT_RECORDED


def test_an_empty_body_needs_no_reading() -> None:
    assert clear_body(masks(EMAIL), b"", "text/html", REPLACER).body == b""
    assert record_body(masks(EMAIL), b"", "text/html", REPLACER) == b""


def test_the_stricter_of_two_rules_wins() -> None:
    both = masks(EMAIL, rule("r", "$..email", replace_with=Replacement.REMOVE))
    assert json.loads(clear_body(both, BODY, JSON, REPLACER).body) == {"iban": "CH93", "n": 1.0}


def test_masking_the_masked_changes_nothing() -> None:
    once = clear_body(masks(EMAIL), BODY, JSON, REPLACER).body
    assert clear_body(masks(EMAIL), once, JSON, REPLACER).body == once


def test_headers_by_rule_by_name_and_by_which_side_they_are_for() -> None:
    both = masks(rule("a", headers=("X-Person",)), rule("b", headers=("x-branch",), apply_to="record"))
    assert both.answer_headers == {"x-person"}
    assert both.record_headers == {"x-person", "x-branch"}
    headers = [("X-Person", "Ann"), ("X-Branch", "4"), ("Set-Cookie", "sid=1"), ("X-Api-Key", "k"), ("Date", "now")]
    assert record_headers(both, headers, REPLACER) == [
        ("X-Person", S), ("X-Branch", S), ("Set-Cookie", S), ("X-Api-Key", S), ("Date", "now"),
    ]  # fmt: skip
    assert record_headers(masks(), [("cookie", "sid=1"), ("accept", "*/*")], REPLACER) == [
        ("cookie", S),
        ("accept", "*/*"),
    ]


def test_queries_by_rule_and_by_name() -> None:
    some = masks(rule("q", query=("email",)))
    raw = "email=ann%40example.com&page=2&access_token=t0"
    names = ["email", "page", "access_token"]
    assert record_query(some, raw, names, REPLACER) == f"email={S}&page=2&access_token={S}"
    assert record_query(masks(), raw, names, REPLACER) == f"email=ann%40example.com&page=2&access_token={S}"
    assert record_query(some, "", [], REPLACER) == ""


def test_a_path_that_is_not_supported_is_an_error_of_the_policy() -> None:
    with pytest.raises(Misconfigured):
        masks(rule("bad", "$.["))


TEXTS = rule("t", texts=(MaskedText("ann@example.com", is_pattern=False), MaskedText(r"CH\d+", is_pattern=True)))


def test_texts_are_masked_in_what_is_not_json() -> None:
    log = b"login of ann@example.com, CH93\n"
    cleared = clear_body(masks(TEXTS), log, "text/plain", REPLACER)
    assert cleared.body == f"login of {S}, {S}\n".encode()
    assert cleared.masks == (Mask("t", "text", "sentinel", 2),)
    assert record_body(masks(TEXTS), log, None, REPLACER) == cleared.body
    assert record_body(masks(TEXTS), cleared.body, None, REPLACER) == cleared.body


def test_json_is_masked_by_fields_alone() -> None:
    assert clear_body(masks(TEXTS), BODY, JSON, REPLACER).body == BODY
    # Under the label of text it is both.
    assert b"ann@" not in clear_body(masks(TEXTS), BODY, "text/plain", REPLACER).body
    both = clear_body(masks(TEXTS, IBAN_IN_RECORD, rule("n", "$.n")), BODY, None, REPLACER)
    assert json.loads(both.body) == {"email": S, "iban": S, "n": S}
    assert [mask.rule for mask in both.masks] == ["n", "t"]


@pytest.mark.parametrize(
    ("body", "content_type", "cause"),
    [
        (b"\xff", "text/plain", "not-utf-8"),
        (b"ann", "text/plain; charset=latin-1", "charset"),
        (b"\x89PNG\xff", "image/png", "not-utf-8"),
        (b'{"email"', JSON, "not-json"),
    ],
)
def test_what_is_no_text_is_withheld_where_texts_are_masked(body: bytes, content_type: str, cause: str) -> None:
    with pytest.raises(Withheld) as caught:
        clear_body(masks(TEXTS), body, content_type, REPLACER)
    assert caught.value.cause == cause
    assert record_body(masks(TEXTS), body, content_type, REPLACER) == NOT_RECORDED
    passing = rule("t", texts=TEXTS.texts, other_types="pass")
    if content_type != JSON:
        assert clear_body(masks(passing), body, content_type, REPLACER).body == body


def test_each_mask_has_to_let_text_pass() -> None:
    text = b"ann@example.com"
    with pytest.raises(Withheld):
        clear_body(masks(TEXTS, EMAIL), text, "text/plain", REPLACER)
    for other in (rule("p", "$.email", other_types="pass"), rule("q", "$.email", texts=(MaskedText("x", False),))):
        assert clear_body(masks(TEXTS, other), text, "text/plain", REPLACER).body == S.encode()


def test_masks_of_texts_for_the_record_alone() -> None:
    record_only = masks(rule("t", texts=TEXTS.texts, apply_to="record"))
    assert record_only.answer is None
    assert record_only.record_hides_more
    assert clear_body(record_only, b"CH93", "text/plain", REPLACER).body == b"CH93"
    assert record_body(record_only, b"CH93", "text/plain", REPLACER) == S.encode()


def test_a_stream_that_is_there_as_a_whole_is_masked_as_a_stream() -> None:
    events = b': hi\ndata: {"email": 1}\n\ndata: {"a": 1}\n\n'
    expected = f':\ndata: {{"email":"{S}"}}\n\ndata: {{"a": 1}}\n\n'.encode()
    assert clear_body(masks(EMAIL), events, "text/event-stream", REPLACER).body == expected
    lines = b'{"email":1}\n{"email":2}'
    cleared = clear_body(masks(EMAIL), lines, "application/x-ndjson", REPLACER)
    assert cleared.body == f'{{"email":"{S}"}}\n{{"email":"{S}"}}'.encode()
    assert [mask.count for mask in cleared.masks] == [2]
    with pytest.raises(Withheld):
        clear_body(masks(EMAIL), lines + b"\nann", "application/x-ndjson", REPLACER)
    assert record_body(masks(EMAIL), lines + b"\nann", "application/x-ndjson", REPLACER) == NOT_RECORDED


LARGE = json.dumps([{"email": f"{n}@example.com", "n": n} for n in range(20_000)]).encode()


@pytest.mark.parametrize("content_type", [JSON, "text/plain", "application/x-ndjson", None])
def test_a_large_body_is_cleared_in_steps(content_type: str | None) -> None:
    compiled = masks(rule("e", "$..email"), rule("u", texts=TEXTS.texts, other_types="pass"))
    steps = clear_in_steps(compiled.answer, LARGE, content_type, REPLACER)
    count = sum(1 for _ in steps)
    assert count > 10
    cleared = clear_body(compiled, LARGE, content_type, REPLACER)
    assert b"@" not in cleared.body
    assert sum(mask.count for mask in cleared.masks) == 20_000
    assert b"".join(finish(record_in_steps(compiled.record, LARGE, content_type, REPLACER))) == cleared.body
    assert finish(record_in_steps(compiled.record, LARGE[:-1], JSON, REPLACER)) == (NOT_RECORDED,)


PLANTED = "plants-and-animals"
KINDS = st.sampled_from([JSON, "text/plain", None, "application/x-ndjson", "text/event-stream", "application/json-seq"])


@given(DOCUMENTS, st.sampled_from(["email", "é", "", "a/b"]), KINDS, st.booleans(), st.randoms(use_true_random=False))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_nothing_planted_in_a_masked_field_leaves(
    document: Any, name: str, content_type: str | None, indent: bool, random: Any
) -> None:
    """In whatever spelling of key and value, whatever duplicates, under whatever label."""
    value = random.choice([PLANTED, [PLANTED], {"x": PLANTED}])
    body = spelled({"first": document, name: value, "last": [{name: PLANTED}, document]}, random)
    if content_type == "text/event-stream":
        body = b"data: " + body + b"\n\n"
    compiled = masks(rule("m", f"$..[{quoted(name)}]", other_types="pass" if indent else "withhold"))
    try:
        left = clear_body(compiled, body, content_type, REPLACER).body
    except Withheld:
        return
    for text in (left, record_body(compiled, body, content_type, REPLACER)):
        assert PLANTED.encode() not in text
        assert PLANTED not in text.decode().replace("\\/", "/").encode().decode("unicode_escape", "replace")
