"""The conditions of a filter: `[?(@.vip == true && @.tier > 2)]`.

A condition asks one value below the candidate, by names and positions alone, whether it is
there or how it compares to a literal. Nothing is converted: `1` is not `true` and `"101"`
is not above `100`; numbers are compared exactly, whatever their length. Only two numbers or
two strings are ordered; `!=` is fulfilled by what is absent (RFC 9535, 2.3.5.2.2).

Called by `paths` (parsing) and by `walk` through the steps (judging).
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from jsonpath_ng import Child, Fields, Index, This
from jsonpath_ng.ext.filter import Expression
from msgspec import Raw

from doorward.core.redaction.document import ARRAY, OBJECT, Unreadable, open_array, open_object_once
from doorward.errors import Misconfigured

type Literal = bool | int | float | str | None

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TRUE_IF_EQUAL = ("==", "<=", ">=")
_CONSTANTS: dict[bytes, Literal] = {b"null": None, b"true": True, b"false": False}
_QUOTE = ord('"')
_NUMBER = b"-0123456789"

_string = msgspec.json.Decoder(str).decode


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition; without an operator it asks whether the value is there."""

    path: tuple[str | int, ...]
    op: str | None = None
    literal: Literal = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names without which it cannot be fulfilled."""
        return () if self.op == "!=" else tuple(key for key in self.path if isinstance(key, str))

    def holds(self, raw: bytes | Raw) -> bool:
        """Judge a candidate; raises Unreadable where a key on the way stands twice."""
        for key in self.path:
            found = _member(raw, key)
            if found is None:
                return self.op == "!="
            raw = found
        return self.op is None or _compare(bytes(raw), self.op, self.literal)


def parse_conditions(path: str, expressions: list[Any]) -> tuple[Condition, ...]:
    """What jsonpath-ng read in a filter, as conditions which must all hold; raises Misconfigured."""
    return tuple(_condition(path, expression) for expression in expressions)


def unsupported(path: str, hint: str) -> Misconfigured:
    """The error for a path that is not supported."""
    return Misconfigured(f"unsupported JSONPath {path!r}", cause="unsupported-jsonpath", hint=hint)


def _condition(path: str, expression: Any) -> Condition:
    if not isinstance(expression, Expression):
        raise unsupported(path, "for one condition or another write two paths; conditions are joined by &&")
    if expression.op is not None and expression.op not in _COMPARE:
        raise unsupported(path, "a filter compares by == != < <= > >=, or asks if a name is there: [?(@.name)]")
    value = expression.value
    if not (value is None or isinstance(value, bool | int | float | str)):
        raise unsupported(path, "a filter compares with a string, a number, true, false or null")
    return Condition(_relative(path, expression.target), expression.op, value)


def _relative(path: str, node: Any) -> tuple[str | int, ...]:
    match node:
        case This():
            return ()
        case Child(right=Fields(fields=(str(name),))):
            return (*_relative(path, node.left), name)
        case Child(right=Index(indices=(int(index),))):
            return (*_relative(path, node.left), index)
    raise unsupported(path, "a filter looks at @ and single names or indices below it: [?(@.owner.id == 7)]")


def _member(raw: bytes | Raw, key: str | int) -> Raw | None:
    first = memoryview(raw)[0]
    if isinstance(key, str):
        return open_object_once(raw).get(key) if first == OBJECT else None
    if first != ARRAY:
        return None
    elements = open_array(raw)
    return elements[key] if -len(elements) <= key < len(elements) else None


def _compare(raw: bytes, op: str, literal: Literal) -> bool:
    first = raw[0]
    if first == _QUOTE:
        if isinstance(literal, str):
            return _COMPARE[op](_string(raw), literal)
    elif first in _NUMBER:
        if isinstance(literal, int | float) and not isinstance(literal, bool):
            return _COMPARE[op](_number(raw), Decimal(repr(literal)))
    elif raw in _CONSTANTS and _CONSTANTS[raw] is literal:
        return op in _TRUE_IF_EQUAL
    return op == "!="


def _number(raw: bytes) -> Decimal:
    try:
        return Decimal(raw.decode())
    except InvalidOperation:
        raise Unreadable("number-out-of-range") from None
