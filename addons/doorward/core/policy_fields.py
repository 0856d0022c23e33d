"""Reads typed values out of the nodes of a policy file.

Each reader takes a node and returns what the policy's types want, or raises Misconfigured with the
node's file and line and a hint. Which keys exist, and what they mean together, is said by
`core.policy_targets` and `core.policy_rules`, the callers.
"""

import re
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal

from doorward.core.characters import is_showable
from doorward.core.policy_yaml import Fields, Items, Node, Scalar
from doorward.core.units import parse_duration_s
from doorward.errors import Misconfigured

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_LONGEST_TITLE = 100


def fields_of(
    node: Node,
    what: str,
    *,
    required: Collection[str] = (),
    optional: Collection[str] = (),
    later: Mapping[str, str] | None = None,
) -> Mapping[str, Node]:
    """Return the fields of a mapping with known keys; `later` maps keys that are not supported yet to a sentence."""
    fields = mapping(node, what)
    for key, place in fields.places.items():
        if later and key in later:
            raise not_supported(place, later[key])
        if key not in required and key not in optional:
            raise Misconfigured(
                f"unknown key {key!r} in {what}",
                where=place,
                hint=f"known: {', '.join(sorted([*required, *optional]))}",
            )
    for key in required:
        if key not in fields.fields:
            raise Misconfigured(f"{what} lacks {key!r}", where=node.where, hint=f"add `{key}:`")
    return fields.fields


def not_supported(where: str, what: str) -> Misconfigured:
    """The error for what the design names and this version does not know."""
    return Misconfigured(
        f"{what} not supported yet", cause="not-supported-yet", where=where, hint="leave it out for now"
    )


def mapping(node: Node, what: str) -> Fields:
    """Return a mapping with whatever keys."""
    if not isinstance(node, Fields):
        raise Misconfigured(f"{what} is not a mapping", where=node.where, hint="write `key: value` pairs")
    return node


def items(node: Node, what: str) -> tuple[Node, ...]:
    """Return the items of a list that is not empty."""
    if not isinstance(node, Items):
        raise Misconfigured(f"{what} is not a list", where=node.where, hint="write [a, b] or lines that begin with -")
    if not node.items:
        raise Misconfigured(
            f"{what} is an empty list", where=node.where, hint="name at least one, or leave the key out"
        )
    return node.items


def text(node: Node, what: str) -> str:
    """Return a string that is not empty, in visible characters."""
    if not isinstance(node, Scalar) or not isinstance(node.value, str) or not node.value:
        raise Misconfigured(
            f"{what} is not a text", where=node.where, hint="write a string, in quotes if it looks otherwise"
        )
    if not is_showable(node.value):
        raise Misconfigured(f"{what} holds control or invisible characters", where=node.where, hint="leave them out")
    return node.value


def each[T](node: Node, what: str, read: Callable[[Node, str], T]) -> tuple[T, ...]:
    """Return a list of values, none of them twice."""
    values: dict[tuple[type, T], None] = {}  # with the type, since True == 1
    for item in items(node, what):
        value = read(item, what)
        if (type(value), value) in values:
            raise Misconfigured(f"{what} lists a value twice", where=item.where, hint="keep one")
        values[type(value), value] = None
    return tuple(value for _, value in values)


def texts(node: Node, what: str) -> tuple[str, ...]:
    """Return a list of strings, none of them twice."""
    return each(node, what, text)


def one_or_more(node: Node, what: str) -> tuple[str, ...]:
    """Return a string or a list of strings as a list."""
    return texts(node, what) if isinstance(node, Items) else (text(node, what),)


def name(node: Node, what: str) -> str:
    """Return a name that may stand in URLs, files and commands."""
    return checked_name(text(node, what), node.where, what)


def checked_name(value: str, where: str, what: str) -> str:
    """Return `value` if it is such a name."""
    if not _NAME.fullmatch(value):
        raise Misconfigured(f"{what} is not a name", where=where, hint="letters, digits, dots, _ and -, at most 63")
    return value


def title(node: Node, what: str) -> str:
    """Return a name in plain words, such as `change a customer`."""
    value = text(node, what)
    if len(value) > _LONGEST_TITLE or value != value.strip():
        raise Misconfigured(
            f"{what} is not a name", where=node.where, hint=f"at most {_LONGEST_TITLE} characters, no space around it"
        )
    return value


def flag(node: Node, what: str) -> bool:
    """Return true or false."""
    if not isinstance(node, Scalar) or not isinstance(node.value, bool):
        raise Misconfigured(f"{what} is neither true nor false", where=node.where, hint="write true or false")
    return node.value


def count(node: Node, what: str) -> int:
    """Return a whole number from 1 to 100."""
    value = node.value if isinstance(node, Scalar) else None
    if not isinstance(value, Decimal) or not 1 <= value <= 100 or value != value.to_integral_value():
        raise Misconfigured(f"{what} is not a whole number from 1 to 100", where=node.where, hint="write 1 or more")
    return int(value)


def duration_s(node: Node, what: str) -> int:
    """Return seconds of `15m`."""
    written = text(node, what)
    try:
        return parse_duration_s(written)
    except Misconfigured as error:
        raise Misconfigured(error.message, cause=error.cause, where=node.where, hint=error.hint) from None


def one_of(node: Node, what: str, choices: Collection[str]) -> str:
    """Return one of a few words."""
    written = node.value if isinstance(node, Scalar) else None
    if not isinstance(written, str) or written not in choices:
        raise Misconfigured(f"unknown {what}", where=node.where, hint=f"one of: {', '.join(choices)}")
    return written


def qualified(node: Node, what: str, issuers: Collection[str]) -> str:
    """Return a name `ISSUER-ALIAS:VALUE` whose alias is known."""
    return checked_qualified(text(node, what), node.where, what, issuers)


def checked_qualified(value: str, where: str, what: str, issuers: Collection[str]) -> str:
    """Return `value` if it is such a name."""
    alias, colon, rest = value.partition(":")
    if not colon or not rest:
        raise Misconfigured(f"{what} {value!r} names no issuer", where=where, hint="write ISSUER-ALIAS:VALUE")
    if alias not in issuers:
        raise Misconfigured(
            f"{what} names the unknown issuer {alias!r}",
            where=where,
            hint=f"known: {', '.join(sorted(issuers)) or 'none'}; see `issuers:` in the settings",
        )
    return value
