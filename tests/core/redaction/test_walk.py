import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doorward.core.redaction.rules import compile_rules
from doorward.core.redaction.walk import redact_json, select_json
from doorward.errors import Unclear, Withheld
from doorward.model import Mask
from tests.core.redaction import reference
from tests.core.redaction.reference import REPLACER, dump, rules
from tests.core.redaction.strategies import (
    ANY_RULES,
    DOCUMENTS,
    FILTER,
    INDEX,
    SEGMENT,
    paths_of,
    quoted,
    rules_of,
    spelled,
)

S = REPLACER.sentinel
SECRET = "plants-and-animals"


def redact(body: bytes | str, *pairs: tuple[str, str]) -> bytes:
    return redact_json(compile_rules(rules(*pairs)), body.encode() if isinstance(body, str) else body, REPLACER).body


@pytest.mark.parametrize(
    ("path", "how", "body", "expected"),
    [
        ("$.a", "sentinel", '{"a":1,"b":2}', f'{{"a":"{S}","b":2}}'),
        ("$.a", "remove", '{"a":1,"b":2}', '{"b":2}'),
        ("$.a", "json-null", '{"a":{"c":1}}', '{"a":null}'),
        ("$.a", "keep-last-4", '{"a":"12345678"}', '{"a":"****5678"}'),
        ("$.a", "sentinel", '{"a":{"deep":[1,2]}}', f'{{"a":"{S}"}}'),
        ("$", "sentinel", '{"a":1}', f'"{S}"'),
        ("$", "remove", '{"a":1}', f'"{S}"'),
        ("$", "json-null", "7", "null"),
        ("$[1]", "remove", "[1,2,3]", "[1,3]"),
        ("$[-1]", "json-null", "[1,2,3]", "[1,2,null]"),
        ("$[5,-5]", "json-null", "[1,2,3]", "[1,2,3]"),
        ("$[0,0,2]", "remove", "[1,2,3]", "[2]"),
        ("$[1:]", "remove", "[1,2,3]", "[1]"),
        ("$[::-2]", "json-null", "[1,2,3]", "[null,2,null]"),
        ("$[*]", "remove", "[1,[2]]", "[]"),
        ("$.*", "json-null", '{"a":1,"b":[2]}', '{"a":null,"b":null}'),
        ("$[*].a", "json-null", '{"x":{"a":1},"y":2}', '{"x":{"a":null},"y":2}'),
        ("$['a','b']", "remove", '{"a":1,"b":2,"c":3}', '{"c":3}'),
        ("$..a", "json-null", '{"a":[{"a":1}],"b":{"a":2}}', '{"a":null,"b":{"a":null}}'),
        ("$..a.b", "json-null", '{"a":{"b":1},"b":{"a":{"b":[]}}}', '{"a":{"b":null},"b":{"a":{"b":null}}}'),
        ("$..a[0]", "json-null", '{"a":[1,2],"b":[{"a":[[3]]}]}', '{"a":[null,2],"b":[{"a":[null]}]}'),
        ("$..[0]", "json-null", '[[1,2],[3]]', "[null,[null]]"),
        ("$..['']", "json-null", '{"":1,"a":{"":2}}', '{"":null,"a":{"":null}}'),
        ("$..['😀']", "json-null", '{"a":{"😀":1}}', '{"a":{"😀":null}}'),
        ("$..['it\\'s']", "json-null", '{"it\'s":1}', '{"it\'s":null}'),
        ("$..['a/b']", "json-null", '{"a\\/b":1}', '{"a/b":null}'),
        ("$..['*']", "json-null", '{"*":1,"b":2}', '{"*":null,"b":2}'),
        ("$.a[?(@.b == 1)].c", "json-null", '{"a":[{"b":1,"c":2},{"b":2}]}', '{"a":[{"b":1,"c":null},{"b":2}]}'),
        ("$.a[?(@.b)]", "remove", '{"a":{"x":{"b":0},"y":{}}}', '{"a":{"y":{}}}'),
        ("$..[?(@.k == 0)].v", "json-null", '[{"k":0,"v":1},[{"v":2,"k":0}]]', '[{"k":0,"v":null},[{"v":null,"k":0}]]'),
        ("$.a", "sentinel", '[{"a":1}]', '[{"a":1}]'),
        ("$.a.b", "sentinel", '{"a":[{"b":1}]}', '{"a":[{"b":1}]}'),
        ("$[0]", "sentinel", '{"0":1}', '{"0":1}'),
        ("$.a", "sentinel", '"a"', '"a"'),
    ],
)  # fmt: skip
def test_a_path_hits_what_it_names(path: str, how: str, body: str, expected: str) -> None:
    assert redact(body, (path, how)).decode() == expected


class TestTraps:
    def test_a_key_spelled_with_escapes_is_the_same_key(self) -> None:
        body = f'{{"pass\\u0077ord":"{SECRET}","x":"\\u0050"}}'
        assert json.loads(redact(body, ("$..password", "sentinel"))) == {"password": S, "x": "P"}

    def test_escapes_of_other_characters_leave_the_proof(self) -> None:
        body = b'{"na\\u00efve" : "\\u00e9" }'
        assert redact(body, ("$..password", "sentinel")) == body

    def test_a_surrogate_pair_spells_an_emoji_key(self) -> None:
        assert redact('{"\\uD83D\\ude00":1}', ("$..['😀']", "json-null")) == '{"😀":null}'.encode()

    def test_an_earlier_duplicate_does_not_go_out(self) -> None:
        body = f'{{"x":{{"password":"{SECRET}"}},"x":1}}'
        assert redact(body, ("$..password", "sentinel")) == b'{"x":1}'

    def test_a_duplicate_of_the_masked_key_itself(self) -> None:
        body = f'{{"password":"{SECRET}","password":"{SECRET}2"}}'
        assert redact(body, ("$..password", "sentinel")).decode() == f'{{"password":"{S}"}}'

    @pytest.mark.parametrize(
        "body",
        [
            f'{{"c":[{{"vip":true,"vip":false,"phone":"{SECRET}"}}]}}',
            f'{{"c":[{{"vip":true,"phone":"{SECRET}"}}],"c":[{{"vip":false,"phone":""}}]}}',
            f'{{"c":[{{"vip":true,"\\u0076ip":false,"phone":"{SECRET}"}}]}}',
        ],
        ids=["input", "way", "escaped"],
    )
    def test_a_duplicate_where_a_filter_applies_is_withheld(self, body: str) -> None:
        with pytest.raises(Withheld) as caught:
            redact(body, ("$.c[?(@.vip == true)].phone", "sentinel"))
        assert caught.value.cause == "duplicate-key"
        assert SECRET not in str(caught.value)

    def test_a_duplicate_deeper_in_a_filters_input_is_withheld(self) -> None:
        with pytest.raises(Withheld):
            redact('[{"a":{"b":1,"b":2},"c":3}]', ("$[?(@.a.b == 1)].c", "sentinel"))

    def test_rules_do_not_hide_each_others_filter_inputs(self) -> None:
        body = '[{"vip":true,"phone":"0123456789"}]'
        for order in (1, -1):
            pairs = [("$..vip", "remove"), ("$[?(@.vip == true)].phone", "sentinel")][::order]
            assert redact(body, *pairs).decode() == f'[{{"phone":"{S}"}}]'

    @pytest.mark.parametrize(
        "number",
        ["1e400", "-0", "12345678901234567.89", "1" * 400, "1" * 5000, "1.10", "-0.0", "1E+2", "18446744073709551616"],
    )
    def test_unmasked_numbers_keep_their_digits(self, number: str) -> None:
        body = f'{{"n":{number},"a":[{number},{{"n":{number},"password":1}}]}}'
        assert redact(body, ("$..password", "json-null")).decode() == body.replace(":1}]", ":null}]")

    def test_a_filter_on_an_object_selects_its_members(self) -> None:
        body = '{"m":{"one":{"secret":1},"two":{}}}'
        assert redact(body, ("$.m[?(@.secret)]", "json-null")) == b'{"m":{"one":null,"two":{}}}'

    def test_the_stricter_of_two_rules_wins_in_any_order(self) -> None:
        strict = ["remove", "sentinel", "json-null", "hmac", "keep-last-4"]
        for at, stricter in enumerate(strict):
            for other in strict[at:]:
                one = redact('{"a":"0123456789"}', ("$.a", stricter), ("$..a", other))
                two = redact('{"a":"0123456789"}', ("$..a", other), ("$.a", stricter))
                assert one == two == redact('{"a":"0123456789"}', ("$.a", stricter))

    @pytest.mark.parametrize(
        ("body", "cause"),
        [
            (b"", "empty-body"),
            (b" \n", "empty-body"),
            (b'\xef\xbb\xbf{"a":1}', "byte-order-mark"),
            ('{"a":1}'.encode("utf-16"), "not-utf-8"),
            ('{"a":1}'.encode("utf-16-le"), "not-json"),
            (b'{"a":"\xff"}', "not-utf-8"),
            (b'{"a":"\xed\xa0\x80"}', "not-utf-8"),
            (b'{"a":"\xc3', "not-utf-8"),
            (b'{"a":"\\ud800"}', "not-json"),
            (b'{"a":"\\udc00"}', "not-json"),
            (b'{"b":"\\udc00\\ud800"}', "not-json"),
            (b'{"a":NaN}', "not-json"),
            (b'{"a":Infinity}', "not-json"),
            (b'{"a":1}x', "not-json"),
            (b'{"a":1}{"a":2}', "not-json"),
            (b'{"a":1}\n{"a":2}\n', "not-json"),
            (b'data: {"a":1}\n\n', "not-json"),
            (b'{"a":1,}', "not-json"),
            (b'{"a":01}', "not-json"),
            (b'{"a":"\x00"}', "not-json"),
            (b"[" * 600 + b'{"a":1}' + b"]" * 600, "too-deep"),
            (b"[" * 200_000 + b"]" * 200_000, "too-deep"),
        ],
    )
    def test_what_cannot_be_read_is_withheld(self, body: bytes, cause: str) -> None:
        with pytest.raises(Withheld) as caught:
            redact_json(compile_rules(rules(("$..a", "sentinel"))), body, REPLACER)
        assert caught.value.cause == cause
        with pytest.raises(Unclear) as unclear:
            select_json(compile_rules(rules(("$..a", "sentinel"))), body)
        assert unclear.value.cause == cause

    def test_depth_up_to_the_limit_is_read(self) -> None:
        body = b"[" * 500 + b'{"a":1}' + b"]" * 500
        assert redact(body, ("$..a", "json-null")) == body.replace(b"1", b"null")

    def test_masked_in_many_states_stays_exact(self) -> None:
        """More subsets of places than are kept: the kept ones are thrown away and made again."""
        document: Any = 1
        for _ in range(12):
            document = {"a": document, "b": document}
        automaton = compile_rules(rules(("$..a" + ".*" * 11, "json-null")))
        result = json.loads(redact_json(automaton, dump(document), REPLACER).body)
        assert set(_leaves(result["a"])) == {None}
        assert set(_leaves(result["b"])) == {1}


def test_masks_are_counted_by_field() -> None:
    body = dump({"c": [{"e": "a"}, {"e": "b"}, {"e": 3}], "it's": {"e": 1}})
    done = redact_json(compile_rules(rules(("$..e", "keep-last-4"), ("$.c[0].e", "remove"))), body, REPLACER)
    assert set(done.masks) == {
        Mask("rule 1", "$['c'][*]['e']", "remove", 1),
        Mask("rule 0", "$['c'][*]['e']", "sentinel", 2),
        Mask("rule 0", "$['it\\'s']['e']", "sentinel", 1),
    }


def test_without_a_hit_the_bytes_stay_as_they_came() -> None:
    body = b' { "a" : [ 1.0 , "\\u00e9" ] , "a" : 2 } '
    assert redact(body, ("$..password", "sentinel"), ("$.x.y", "remove")) == body
    assert redact(body) == body


class TestSelect:
    def test_values_by_rule_as_raw_json(self) -> None:
        body = b'{"total": 1.10, "items":[{"id":"\\u0041"},{"id":null}], "x":{"id":[ 1 ]}}'
        found = select_json(
            compile_rules(rules(("$.total", "remove"), ("$..id", "remove"), ("$.none", "remove"))), body
        )
        assert found.values == ((b"1.10",), (b"[ 1 ]", b'"\\u0041"', b"null"), ())

    def test_hits_inside_hits_count(self) -> None:
        assert select_json(compile_rules(rules(("$..a", "remove"))), b'{"a":{"a":1}}').values == ((b'{"a":1}', b"1"),)

    def test_the_whole_document(self) -> None:
        assert select_json(compile_rules(rules(("$", "remove"))), b" 1 ").values == ((b"1",),)

    def test_an_escaped_key_is_found(self) -> None:
        assert select_json(compile_rules(rules(("$.total", "remove"))), b'{"t\\u006ftal":1}').values == ((b"1",),)

    def test_a_duplicate_on_the_way_is_unclear(self) -> None:
        with pytest.raises(Unclear) as caught:
            select_json(compile_rules(rules(("$.total", "remove"))), b'{"total":1,"total":2}')
        assert caught.value.cause == "duplicate-key"


@given(DOCUMENTS, ANY_RULES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_agrees_with_the_plain_reference(document: Any, pairs: list[tuple[str, str]]) -> None:
    expected = reference.redact(rules(*pairs), document)
    for ascii_only in (False, True):
        body = json.dumps(document, ensure_ascii=ascii_only).encode()
        assert _tagged(json.loads(redact(body, *pairs))) == _tagged(expected)


@given(DOCUMENTS, paths_of(SEGMENT | INDEX | FILTER))
@settings(max_examples=60, deadline=None)
def test_selects_what_the_plain_reference_selects(document: Any, path: str) -> None:
    values = select_json(compile_rules(rules((path, "remove"))), dump(document)).values[0]
    expected = []
    for where in reference.hits(path, document):
        value = document
        for key in where:
            value = value[key]
        expected.append(value)
    assert sorted(map(_canonical, map(json.loads, values))) == sorted(map(_canonical, expected))


@given(DOCUMENTS, rules_of(SEGMENT))
@settings(max_examples=60, deadline=None)
def test_redacting_twice_is_redacting_once(document: Any, pairs: list[tuple[str, str]]) -> None:
    once = redact(dump(document), *pairs)
    assert json.loads(redact(once, *pairs)) == json.loads(once)


@given(DOCUMENTS, ANY_RULES)
@settings(max_examples=60, deadline=None)
def test_redacting_again_never_brings_a_value_back(document: Any, pairs: list[tuple[str, str]]) -> None:
    once = redact(dump(document), *pairs)
    assert set(_leaves(json.loads(redact(once, *pairs)))) <= set(_leaves(json.loads(once))) | _REPLACEMENTS


@given(DOCUMENTS, st.sampled_from(["password", "a", "é", "😀", ""]), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_no_planted_secret_survives(document: Any, name: str, random: Any) -> None:
    """Whatever spelling of the key, whatever duplicates: no reader finds the secret again."""
    body = spelled({"first": document, name: SECRET, "last": [{name: [SECRET]}, document]}, random)
    masked = redact(body, (f"$..[{quoted(name)}]", "sentinel"))
    assert SECRET.encode() not in masked
    assert SECRET not in json.dumps(json.loads(masked, object_pairs_hook=lambda pairs: pairs), ensure_ascii=False)


@given(st.binary(max_size=60) | st.text('[]{}":,\\u0ad8 1e-', max_size=40).map(str.encode), ANY_RULES)
@settings(max_examples=60, deadline=None)
def test_no_bytes_raise_anything_but_withheld(body: bytes, pairs: list[tuple[str, str]]) -> None:
    automaton = compile_rules(rules(*pairs))
    try:
        masked = redact_json(automaton, body, REPLACER).body
    except Withheld:
        with pytest.raises(Unclear):
            select_json(automaton, body)
    else:
        msgspec.json.decode(masked, type=msgspec.Raw)


@given(
    st.lists(st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True), min_size=1)
)
@settings(max_examples=60, deadline=None)
def test_numbers_keep_their_digits(numbers: list[str]) -> None:
    body = f'{{"k":{{"password":1,"n":[{",".join(numbers)}]}},"m":{numbers[0]}}}'
    masked = redact(body, ("$..password", "remove")).decode()
    assert masked == body.replace('"password":1,', "")


_REPLACEMENTS = {S, None}


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item)]
    is_made = isinstance(value, str) and (value.startswith(("hmac:", "****")))
    return [S if is_made else value]


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _tagged(value: Any) -> Any:
    """With types, since True == 1 and 1 == 1.0 in Python."""
    return json.dumps(value, sort_keys=True)
