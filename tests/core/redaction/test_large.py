"""One result, however a document is cut: held against one call, and against the slow reference."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doorward.core.redaction.cutting import Sizes
from doorward.core.redaction.document import read_in_steps
from doorward.core.redaction.rules import compile_rules
from doorward.core.redaction.steps import finish
from doorward.core.redaction.walk import Redacted, RedactedPieces, redact_document, redact_in_steps, redact_json
from doorward.errors import Withheld
from tests.core.redaction import reference
from tests.core.redaction.reference import REPLACER, dump, rules
from tests.core.redaction.strategies import ANY_RULES, DOCUMENTS, SEGMENT, quoted, rules_of, spelled

S = REPLACER.sentinel
SECRET = "plants-and-animals"
SIZES = st.sampled_from([Sizes(0, 1), Sizes(6, 3), Sizes(16, 8), Sizes(60, 200)])


def cut(body: bytes, sizes: Sizes, *pairs: tuple[str, str]) -> Redacted:
    document = finish(read_in_steps(body, sizes))
    return finish(redact_document(compile_rules(rules(*pairs)), document, REPLACER)).joined()


def whole(body: bytes, *pairs: tuple[str, str]) -> Redacted:
    return cut(body, Sizes(len(body) + 1, 1), *pairs)


def read(body: bytes) -> Any:
    """With the digits of numbers."""
    return json.loads(body, parse_float=str, parse_int=str)


def counted(redacted: Redacted) -> dict[tuple[str, str, str], int]:
    return {(mask.rule, mask.path, mask.replacement): mask.count for mask in redacted.masks}


@given(DOCUMENTS, ANY_RULES, SIZES)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_cut_document_is_masked_like_one_in_one_piece(
    document: Any, pairs: list[tuple[str, str]], sizes: Sizes
) -> None:
    body = dump(document)
    one, other = whole(body, *pairs), cut(body, sizes, *pairs)
    assert read(one.body) == read(other.body)
    assert counted(one) == counted(other)
    assert json.loads(other.body) == reference.redact(rules(*pairs), document)


@given(DOCUMENTS, ANY_RULES, SIZES, st.randoms(use_true_random=False))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_so_it_is_with_duplicates_and_escapes(
    document: Any, pairs: list[tuple[str, str]], sizes: Sizes, random: Any
) -> None:
    body = spelled([document, {"a": document, "é": [document]}], random)
    one, other = outcome(body, Sizes(len(body) + 1, 1), *pairs), outcome(body, sizes, *pairs)
    if isinstance(one, str) or isinstance(other, str):
        assert one == other
    else:
        assert read(one.body) == read(other.body)
        assert counted(one) == counted(other)


def outcome(body: bytes, sizes: Sizes, *pairs: tuple[str, str]) -> Redacted | str:
    """What came of it, or why it was withheld."""
    try:
        return cut(body, sizes, *pairs)
    except Withheld as error:
        return error.cause


@given(DOCUMENTS, st.sampled_from(["password", "a", "é", "😀", ""]), SIZES, st.randoms(use_true_random=False))
def test_no_planted_secret_survives_cutting(document: Any, name: str, sizes: Sizes, random: Any) -> None:
    body = spelled({"first": document, name: SECRET, "last": [{name: [SECRET]}, document]}, random)
    masked = cut(body, sizes, (f"$..[{quoted(name)}]", "sentinel")).body
    assert SECRET.encode() not in masked
    assert SECRET not in json.dumps(json.loads(masked, object_pairs_hook=lambda pairs: pairs), ensure_ascii=False)


@given(DOCUMENTS, rules_of(SEGMENT), SIZES)
def test_masking_twice_is_masking_once(document: Any, pairs: list[tuple[str, str]], sizes: Sizes) -> None:
    once = cut(dump(document), sizes, *pairs).body
    assert json.loads(cut(once, sizes, *pairs).body) == json.loads(once)


TINY = Sizes(0, 1)


@pytest.mark.parametrize(
    ("path", "how", "body", "expected"),
    [
        ("$", "sentinel", '{"a":[1]}', f'"{S}"'),
        ("$", "json-null", "[[1]]", "null"),
        ("$[1]", "remove", "[[1],[2],[3]]", "[[1],[3]]"),
        ("$[*]", "remove", "[[1],2]", "[]"),
        ("$[-1]", "json-null", "[1,2,[3]]", "[1,2,null]"),
        ("$[-2:]", "json-null", "[1,2,[3]]", "[1,null,null]"),
        ("$.*", "remove", '{"a":{"b":1},"c":2}', "{}"),
        ("$.a", "hmac", '{"a":{"b":1}}', f'{{"a":"{S}"}}'),
        ("$.a", "remove", '{"a":{"b":1},"c":[2]}', '{"c":[2]}'),
        ("$..e", "json-null", '{"a":{"e":[1]},"c":[{"e":{}}]}', '{"a":{"e":null},"c":[{"e":null}]}'),
        ("$..e", "json-null", '{"x":{"e":1},"y":[1],"x":[ 1,"e"]}', '{"x":[ 1,"e"],"y":[1]}'),
        ("$[?(@.k == 1)].v", "json-null", '{"a":{"k":1,"v":[1]},"b":{"v":1}}', '{"a":{"k":1,"v":null},"b":{"v":1}}'),
        ("$[?(@[-1])].*", "json-null", "[[[1],2],[]]", "[[null,null],[]]"),
        ("$[?(@[0].a == 1)][1]", "json-null", '[[{"a":1},2],[{"a":2},3]]', '[[{"a":1},null],[{"a":2},3]]'),
        ("$[?(@.a != 1)].b", "json-null", '[{"a":[1],"b":2},{"b":3}]', '[{"a":[1],"b":null},{"b":null}]'),
        ("$[?(@.a.b)].c", "json-null", '[{"a":7,"c":2},{"a":{"b":0},"c":3}]', '[{"a":7,"c":2},{"a":{"b":0},"c":null}]'),
        ("$[?(@.a == 1 && @.b)].b", "json-null", '[{"a":[1],"b":2}]', '[{"a":[1],"b":2}]'),
        ("$[?(@[7])].*", "json-null", "[[[1],2]]", "[[[1],2]]"),
    ],
)  # fmt: skip
def test_what_is_large_itself(path: str, how: str, body: str, expected: str) -> None:
    assert read(cut(body.encode(), TINY, (path, how)).body) == read(expected.encode())
    assert read(whole(body.encode(), (path, how)).body) == read(expected.encode())


@pytest.mark.parametrize(
    "body",
    [
        '{"c":[[1]],"k":1,"c":[[2]],"v":{"k":1}}',
        '[{"c":[[1]],"k":1,"v":1,"c":[[2]]}]',
        '[{"a":{"k":1,"\\u006b":[1],"v":2}}]',
        '{"b":[{"a":{"k":1,"k":1,"v":1}}]}',
    ],
)
def test_a_duplicate_where_a_filter_applies_is_withheld(body: str) -> None:
    one, other = (outcome(body.encode(), sizes, ("$..[?(@.k == 1)].v", "remove")) for sizes in (TINY, Sizes()))
    assert one == other == "duplicate-key"


def test_too_deep_is_too_deep_in_pieces() -> None:
    body = b"[" * 600 + b'{"a":1}' + b"]" * 600
    with pytest.raises(Withheld) as caught:
        cut(body, Sizes(1000, 100), ("$..a", "remove"))
    assert caught.value.cause == "too-deep"


def test_many_duplicates_keep_their_places() -> None:
    members = [(f"k{n % 150}", {"e": n}) for n in range(400)]
    body = ("{" + ",".join(f'"{key}":{json.dumps(value)}' for key, value in members) + "}").encode()
    for sizes in (TINY, Sizes(100, 50)):
        assert read(cut(body, sizes, ("$..e", "json-null")).body) == {key: {"e": None} for key, _ in members}
        assert list(read(cut(body, sizes, ("$..e", "json-null")).body)) == [f"k{n}" for n in range(150)]


def test_a_large_body_is_masked_in_steps_and_comes_in_pieces() -> None:
    document = {"items": [{"id": n, "email": f"{n}@example.com", "text": "é" * 50} for n in range(20_000)]}
    body = dump(document)
    steps = redact_in_steps(compile_rules(rules(("$.items[*].email", "sentinel"))), body, REPLACER)
    count = 0
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: RedactedPieces = done.value
            break
        count += 1
    assert count > len(body) / (64 << 10)
    assert all(0 < len(piece) < (128 << 10) for piece in result.pieces)
    assert len(result.pieces) > 10
    assert result.masks[0].count == 20_000
    assert (
        result.joined().body == redact_json(compile_rules(rules(("$.items[*].email", "sentinel"))), body, REPLACER).body
    )
    assert json.loads(result.joined().body)["items"][7] == {"id": 7, "email": S, "text": "é" * 50}


def test_a_large_body_without_a_hit_comes_as_it_is() -> None:
    body = dump({"items": ["x" * 50] * 10_000})
    result = finish(redact_in_steps(compile_rules(rules(("$..email", "sentinel"))), body, REPLACER))
    assert result.pieces == (body,)
    body = b'{"a":{"email":1},"b":[' + b"1 ," * 20_000 + b"1]}"
    masked = finish(redact_in_steps(compile_rules(rules(("$.a.email", "json-null"))), body, REPLACER)).joined()
    assert masked.body == body.replace(b":1}", b":null}")
