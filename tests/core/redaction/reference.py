"""A slow, plain reading of the rules: jsonpath-ng finds, plain Python replaces."""

import copy
import json
import warnings
from typing import Any

from jsonpath_ng.ext.parser import parse
from msgspec import Raw

from doorward.core.redaction.masks import STRICTNESS, Replacement, Replacer, sentinel_for
from doorward.core.redaction.rules import FieldRule

KEY = b"the deployment's key, 32 bytes.."
REPLACER = Replacer(sentinel_for(KEY), KEY)

type Where = tuple[str | int, ...]


def rules(*pairs: tuple[str, str]) -> list[FieldRule]:
    return [FieldRule(f"rule {n}", path, Replacement(how)) for n, (path, how) in enumerate(pairs)]


def hits(path: str, document: Any) -> set[Where]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        tree = parse(path)
    return {_where(datum) for datum in tree.find(document)}


def redact(field_rules: list[FieldRule], document: Any) -> Any:
    """The document as it must be after masking."""
    chosen: dict[Where, Replacement] = {}
    for rule in field_rules:
        for where in hits(rule.path, document):
            chosen[where] = min(chosen.get(where, rule.replace_with), rule.replace_with, key=STRICTNESS.__getitem__)
    result = [copy.deepcopy(document)]
    for where in sorted(chosen, key=len, reverse=True):  # the outermost last, so that it wins
        way: Where = (0, *where)
        parent: Any = result
        for key in way[:-1]:
            parent = parent[key]
        if chosen[where] is Replacement.REMOVE and where:
            parent[way[-1]] = _GONE
        else:
            original: Any = document
            for key in where:
                original = original[key]
            parent[way[-1]] = json.loads(bytes(REPLACER.replace(chosen[where], Raw(dump(original)))[1]))
    return _without_gone(result[0])


def dump(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()


_GONE = object()


def _without_gone(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_gone(item) for key, item in value.items() if item is not _GONE}
    if isinstance(value, list):
        return [_without_gone(item) for item in value if item is not _GONE]
    return value


def _where(datum: Any) -> Where:
    keys: list[str | int] = []
    while datum.context is not None:
        step = datum.path
        if hasattr(step, "indices"):
            keys.append(step.indices[0] % len(datum.context.value))
        else:
            keys.append(step.fields[0])
        datum = datum.context
    return tuple(reversed(keys))
