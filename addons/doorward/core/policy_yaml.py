"""The text of one policy file -> nodes that know their line.

YAML 1.2 as ruamel.yaml parses it, narrowed to what can be read in one way: no anchors, aliases,
tags or second documents, no key twice, numbers as JSON writes them. Depth and size are bounded, so
no text makes this slow or raises anything but Misconfigured. It knows no key of a policy. Called by
`core.policy_file`; the nodes are read by `core.policy_fields` and the readers above it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from doorward.errors import Misconfigured

_LONGEST = 256 * 1024  # characters
_DEEPEST = 32

_VALUES = (ScalarEvent, MappingStartEvent, MappingEndEvent, SequenceStartEvent, SequenceEndEvent)

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
# What YAML 1.2 (section 10.3.2) and 1.1 read as a number and JSON does not.
_OTHER_NUMBER = re.compile(
    r"[-+]?(?:0[xob][0-9a-fA-F_]+|[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?)"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value; `text` is how it was written."""

    where: str
    value: bool | Decimal | str | None
    text: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    where: str
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Fields:
    """A mapping, in the order of the text; `places` says where each key stands."""

    where: str
    fields: Mapping[str, "Node"]
    places: Mapping[str, str]


type Node = Scalar | Items | Fields


def parse_yaml(file: str, text: str) -> Node:
    """Read one document; an empty one is an empty mapping. Raises Misconfigured."""
    if len(text) > _LONGEST:
        raise Misconfigured(
            f"the file is longer than {_LONGEST} characters", where=f"{file}:1", hint="split it into several files"
        )
    try:
        events = _checked(file, YAML(typ="safe", pure=True).parse(text))
        first = next(events, None)
        node = Fields(f"{file}:1", {}, {}) if first is None else _node(file, first, events)
        for _ in events:  # whatever follows is checked, too
            raise Misconfigured("a second document begins", where=node.where, hint="one document a file")
        return node
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _not_yaml(f"{file}:{mark.line + 1 if mark else 1}") from None
    except Misconfigured:
        raise
    except Exception:  # whatever else the parser of a foreign text trips over is about the text
        raise _not_yaml(f"{file}:1") from None


def _not_yaml(where: str) -> Misconfigured:
    return Misconfigured("this is not YAML", where=where, hint="look at indentation, colons and quotes on this line")


def _checked(file: str, events: Iterator[Any]) -> Iterator[Any]:
    """The events that carry values, as the parser finds them; depth is counted before it grows."""
    depth = 0
    for event in events:
        where = f"{file}:{event.start_mark.line + 1}"
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None) is not None:
            raise Misconfigured("anchors and aliases are not supported", where=where, hint="write the value out")
        if getattr(event, "ctag", None) is not None:
            raise Misconfigured("tags are not supported", where=where, hint="leave the tag out, quote strings")
        depth += isinstance(event, MappingStartEvent | SequenceStartEvent)
        depth -= isinstance(event, MappingEndEvent | SequenceEndEvent)
        if depth > _DEEPEST:
            raise Misconfigured("the file is nested too deeply", where=where, hint=f"at most {_DEEPEST} levels")
        if isinstance(event, _VALUES):
            yield event


def _node(file: str, event: Any, rest: Iterator[Any]) -> Node:
    where = f"{file}:{event.start_mark.line + 1}"
    if isinstance(event, ScalarEvent):
        return _scalar(where, event.value, plain=event.implicit[0])
    if isinstance(event, SequenceStartEvent):
        return Items(where, tuple(_node(file, item, rest) for item in _until(SequenceEndEvent, rest)))
    fields: dict[str, Node] = {}
    places: dict[str, str] = {}
    for item in _until(MappingEndEvent, rest):
        key = _node(file, item, rest)
        if not isinstance(key, Scalar) or not isinstance(key.value, str):
            raise Misconfigured("a key is not a string", where=key.where, hint="quote it")
        if key.value in fields:
            raise Misconfigured(
                f"the key {key.value!r} stands twice",
                where=key.where,
                hint=f"the first stands at {places[key.value]}; keep one",
            )
        places[key.value] = key.where
        fields[key.value] = _node(file, next(rest), rest)
    return Fields(where, fields, places)


def _until(end: type, rest: Iterator[Any]) -> Iterator[Any]:
    for event in rest:
        if isinstance(event, end):
            return
        yield event


def _scalar(where: str, text: str, *, plain: bool) -> Scalar:
    if not plain:
        return Scalar(where, text, text)
    if text in _NULL:
        return Scalar(where, None, "null")
    if text in _BOOL:
        return Scalar(where, _BOOL[text], text.lower())
    if _NUMBER.fullmatch(text):
        try:
            return Scalar(where, Decimal(text), text)
        except InvalidOperation:
            raise Misconfigured("the exponent of a number is too large", where=where, hint="quote it") from None
    if _OTHER_NUMBER.fullmatch(text):
        raise Misconfigured(
            f"{text!r} is not written as JSON writes numbers", where=where, hint="write it in decimal, or quote it"
        )
    return Scalar(where, text, text)
