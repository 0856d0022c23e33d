"""What a rule asks of fields in a request's JSON body.

A role accepts a body strictly: JSON by its type and its text, at least one field selected, every
field exactly one of the listed values. A deny or a hold catches loosely, for what is unclear counts
against the agent: a body that cannot be read, an object where a value is listed, or a spelling that
a lenient target may take for a listed value ("100", 100.0, true for "TRUE" and 1). A key that
differs from one of the path only by case makes the body unclear, since some decoders (Go's, .NET's)
take one for the other. No body holds no field. Fields are found by `core.redaction`; nothing is
masked here. Called by `core.policy`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from doorward.core.redaction.paths import Matching, Names, parse_path
from doorward.core.redaction.rules import Automaton, FieldRule, Replacement, compile_rules
from doorward.core.redaction.walk import select_json
from doorward.errors import Unclear

type Scalar = bool | Decimal | str | None


@dataclass(frozen=True, slots=True)
class JsonBody:
    """A request's body as received after content-decoding, with the type it claims."""

    content_type: str | None
    content: bytes

    def is_json(self) -> bool:
        """Whether the type says JSON in UTF-8; a target reads anything else in its own way."""
        kind, *parameters = (part.strip(" \t") for part in (self.content_type or "").lower().split(";"))
        suffixed = kind.startswith("application/") and kind.endswith("+json")
        charsets = [part for part in parameters if part.startswith("charset")]
        return (kind in {"application/json", "text/json"} or suffixed) and all(
            charset in {"charset=utf-8", 'charset="utf-8"'} for charset in charsets
        )


@dataclass(frozen=True, slots=True)
class BodyCondition:
    """One JSONPath with the values listed for it."""

    path: str
    accepted: tuple[Scalar, ...]
    names: frozenset[str]  # keys that the path goes through
    automaton: Automaton = field(compare=False, repr=False)

    def accepts(self, body: JsonBody) -> bool:
        """For a role: fields are selected, and each is one of the values."""
        values = self._selected(body)
        return bool(values) and all(value in _tagged(self.accepted) for value in _tagged(values or ()))

    def catches(self, body: JsonBody) -> bool:
        """For a deny or hold: some field may be one of the values, or the body is unreadable."""
        if not body.content:
            return False
        values = self._selected(body)
        listed = {form for value in self.accepted for form in _loose(value)}
        return values is None or any(isinstance(value, _Container) or listed & _loose(value) for value in values)

    def _selected(self, body: JsonBody) -> "Sequence[Scalar | _Container] | None":
        """The selected fields, or None where the body cannot be read in one way."""
        if not body.is_json():
            return None
        try:
            selected = select_json(self.automaton, body.content).values[0]
            if _has_lookalike(body.content.decode(), self.names):
                return None
            return [_read(raw) for raw in selected]
        except (Unclear, ValueError, ArithmeticError, RecursionError):
            return None


def compile_condition(path: str, accepted: tuple[Scalar, ...]) -> BodyCondition:
    """Compile one condition of a policy file; raises Misconfigured for unsupported JSONPath."""
    names: set[str] = set()
    for step in parse_path(path):
        match step.selector:
            case Names(selected):
                names.update(selected)
            case Matching(conditions):
                names.update(key for condition in conditions for key in condition.path if isinstance(key, str))
    automaton = compile_rules([FieldRule(path, path, Replacement.SENTINEL)])
    return BodyCondition(path, accepted, frozenset(names), automaton)


def _has_lookalike(document: str, names: frozenset[str]) -> bool:
    """Whether some key is one of the names but for its case."""
    folded = document.casefold()
    if "\\u" not in document and all(folded.count(name.casefold()) == document.count(name) for name in names):
        return False  # seen without reading the document: no spelling but the names' own occurs
    alike = {name.casefold() for name in names}
    keys: set[str] = set()
    json.loads(document, object_pairs_hook=lambda pairs: keys.update(key for key, _ in pairs), parse_int=str)
    return any(key not in names and key.casefold() in alike for key in keys)


class _Container:
    """An object or an array where a rule lists scalars; equals nothing."""


def _read(raw: bytes) -> Scalar | _Container:
    if raw.lstrip()[:1] in {b"{", b"["}:
        return _Container()
    value: Scalar = json.loads(raw, parse_int=Decimal, parse_float=Decimal)
    return value


def _tagged(values: Sequence[Scalar | _Container]) -> list[tuple[type, Scalar | _Container]]:
    """With their types, since True == 1 in Python and not in JSON."""
    return [(type(value), value) for value in values]


def _loose(value: Scalar) -> set[str | float]:
    """Every form in which a lenient target may read a scalar."""
    match value:
        case None:
            return {"null"}
        case bool():
            return {str(value).lower(), float(value)}
        case Decimal():
            return {float(value)}  # as a target that knows doubles reads it
    text = value.strip().casefold()
    try:
        return {text, float(text)}
    except ValueError:
        return {text}
