import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core.body_conditions import BodyCondition, JsonBody, Scalar, compile_condition
from doorward.errors import Misconfigured

JSON = "application/json"


def at(path: str, *accepted: Scalar) -> BodyCondition:
    return compile_condition(path, accepted)


ROLE = at("$.role", "reader", Decimal(100), True, None)


@pytest.mark.parametrize(
    ("body", "accepts", "catches"),
    [
        ('{"role": "reader"}', True, True),
        ('{"role": "re\\u0061der"}', True, True),
        ('{"role": "Reader"}', False, True),
        ('{"role": " reader "}', False, True),
        ('{"role": "writer"}', False, False),
        ('{"role": 100}', True, True),
        ('{"role": 1e2}', True, True),
        ('{"role": 100.000}', True, True),
        ('{"role": 100.00000000000000000001}', False, True),
        ('{"role": "100"}', False, True),
        ('{"role": 101}', False, False),
        ('{"role": 1e400}', False, False),
        ('{"role": 1e99999999999999999999}', False, True),
        ('{"role": true}', True, True),
        ('{"role": "TRUE"}', False, True),
        ('{"role": 1}', False, True),
        ('{"role": "1"}', False, True),
        ('{"role": false}', False, False),
        ('{"role": null}', True, True),
        ('{"role": "null"}', False, True),
        ('{"role": ""}', False, False),
        ('{"role": ["reader"]}', False, True),
        ('{"role": {}}', False, True),
        ("{}", False, False),
        ('{"other": "reader"}', False, False),
        ("[]", False, False),
        ('"reader"', False, False),
        ("", False, False),
        (" ", False, True),
        ("{", False, True),
        ("role=reader", False, True),
        ('{"role": "writer", "role": "reader"}', False, True),
        ('{"role": "reader", "role": "reader"}', False, True),
        ('\ufeff{"role": "writer"}', False, True),
        ('{"role": "reader", "note": "the Role"}', True, True),
        ('{"role": "reader", "Role": "admin"}', False, True),
        ('{"Role": "admin"}', False, True),
        ('{"ROLE": "x", "roles": "y"}', False, True),
        ('{"role": "reader", "r\\u006fLe": "admin"}', False, True),
        ('{"role": "reader", "a": {"Role": 1}}', False, True),
        ('{"role": "reader", "note": "\\u00e9", "n": [1, 1.5]}', True, True),
        ('{"role": "reader", "note": "Role", "n": ' + "[" * 100000 + "]" * 100000 + "}", False, True),
        ('{"role": NaN}', False, True),
        ('{"role": "\\ud800"}', False, True),
    ],
    ids=lambda value: ascii(value)[:60],
)
def test_roles_are_strict_denies_and_holds_are_not(body: str, *, accepts: bool, catches: bool) -> None:
    read = JsonBody(JSON, body.encode())
    assert ROLE.accepts(read) is accepts
    assert ROLE.catches(read) is catches


@pytest.mark.parametrize(
    ("body", "accepts", "catches"),
    [
        ('{"items": [{"n": "a"}, {"n": "b"}]}', True, True),
        ('{"items": [{"n": "a"}, {"n": "c"}]}', False, True),
        ('{"items": [{"n": "c"}]}', False, False),
        ('{"items": []}', False, False),
    ],
)
def test_every_field_for_a_role_any_field_for_the_rest(body: str, *, accepts: bool, catches: bool) -> None:
    condition = at("$.items[*].n", "a", "b")
    read = JsonBody(JSON, body.encode())
    assert (condition.accepts(read), condition.catches(read)) == (accepts, catches)


def test_keys_of_filters_count_too() -> None:
    condition = at("$.items[?(@.kind == 'a')].n", Decimal(1))
    assert condition.names == {"items", "kind", "n"}
    assert condition.accepts(JsonBody(JSON, b'{"items": [{"kind": "a", "n": 1}]}'))
    assert not condition.accepts(JsonBody(JSON, b'{"items": [{"kind": "a", "Kind": "b", "n": 1}]}'))


def test_a_true_is_not_a_one_for_a_role() -> None:
    assert not at("$.a", Decimal(1)).accepts(JsonBody(JSON, b'{"a": true}'))
    assert not at("$.a", True).accepts(JsonBody(JSON, b'{"a": 1}'))


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "APPLICATION/JSON", "text/json", "application/merge-patch+json",
     "application/json; charset=utf-8", 'application/json;charset="UTF-8"', "application/json; profile=x"],
)  # fmt: skip
def test_types_that_say_json(content_type: str) -> None:
    assert JsonBody(content_type, b"{}").is_json()


@pytest.mark.parametrize(
    "content_type",
    [None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "image/svg+json",
     "application/json; charset=utf-7", "application/json; charset=utf-16", "application/json, text/plain",
     "application/json; charset = utf-8", "application/jsonx"],
    ids=repr,
)  # fmt: skip
def test_a_body_of_another_type_is_unreadable(content_type: str | None) -> None:
    body = JsonBody(content_type, b'{"role": "reader"}')
    assert not body.is_json()
    assert not ROLE.accepts(body)
    assert ROLE.catches(body)


def test_unsupported_jsonpath_is_refused_at_load() -> None:
    with pytest.raises(Misconfigured) as caught:
        at("$.a[?(@.b =~ 'x')]", "y")
    assert caught.value.cause == "unsupported-jsonpath"


@given(st.binary(max_size=40), st.sampled_from([JSON, None, "text/plain"]))
def test_whatever_a_role_accepts_is_caught_too(content: bytes, content_type: str | None) -> None:
    body = JsonBody(content_type, content)
    assert not ROLE.accepts(body) or ROLE.catches(body)


_SCALARS = (
    st.none() | st.booleans() | st.integers().map(str) | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)


@given(st.dictionaries(st.sampled_from(["role", "other"]), _SCALARS, max_size=2))
def test_accepted_documents_are_caught_too(document: dict[str, object]) -> None:
    body = JsonBody(JSON, json.dumps(document).encode())
    assert not ROLE.accepts(body) or ROLE.catches(body)
