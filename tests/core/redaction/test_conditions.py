import json

import pytest
from msgspec import Raw

from doorward.core.redaction.conditions import Condition
from doorward.core.redaction.document import Unreadable

NUMBER = "1234567890123456789012345678901234567890"


@pytest.mark.parametrize(
    ("op", "literal", "value", "expected"),
    [
        ("==", 1, "1", True), ("==", 1, "1.0", True), ("==", 1, "10e-1", True), ("==", 1, "true", False),
        ("==", 1, '"1"', False), ("!=", 1, '"1"', True), ("==", True, "true", True), ("==", True, "1", False),
        ("==", False, "0", False), ("==", None, "null", True), ("==", None, "false", False), ("!=", None, "0", True),
        ("<=", True, "true", True), (">=", None, "null", True), ("<", True, "true", False), (">", False, "true", False),
        ("!=", True, "true", False), ("==", "x", '"x"', True), ("==", "x", '"\\u0078"', True), ("<", "b", '"a"', True),
        (">", 100, '"101"', False), (">", 100, "1e400", True), (">", 100, "-1e400", False), (">=", 1.1, "1.1", True),
        ("<", 1.1, "1.0999999999999999999999", True), ("==", int(NUMBER), NUMBER, True),
        ("==", int(NUMBER), NUMBER[:-1] + "1", False), ("==", 0, "-0", True), (">", 0, "1" * 5000, True),
        ("==", "x", "[]", False), ("!=", "x", "{}", True), ("<=", "x", "[1]", False), ("==", 1, "[1]", False),
    ],
)  # fmt: skip
def test_comparisons_convert_nothing(op: str, literal: bool | float | str | None, value: str, expected: bool) -> None:
    assert Condition((), op, literal).holds(Raw(value.encode())) is expected


@pytest.mark.parametrize(
    ("path", "there"),
    [
        (("a",), True),
        (("a", "b", 0), True),
        (("a", "b", -1), True),
        (("a", "b", 1), False),
        (("a", 0), False),
        (("c",), False),
    ],
)
def test_existence(path: tuple[str | int, ...], there: bool) -> None:
    document = Raw(json.dumps({"a": {"b": [None]}}).encode())
    assert Condition(path).holds(document) is there
    assert Condition(path, "!=", 5).holds(document)
    assert not Condition(path, "==", 5).holds(document)


def test_a_scalar_has_no_members() -> None:
    assert not Condition(("a",)).holds(Raw(b"1"))
    assert not Condition((0,)).holds(Raw(b'"a"'))


def test_a_key_said_twice_on_the_way_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        Condition(("a",)).holds(Raw(b'{"b":1,"b":2}'))


def test_a_number_beyond_all_bounds_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        Condition((), "==", 1).holds(Raw(b"1e99999999999999999999"))


def test_names_without_which_it_cannot_hold() -> None:
    assert Condition(("a", 0, "b")).names == ("a", "b")
    assert Condition(("a",), "!=", 1).names == ()
