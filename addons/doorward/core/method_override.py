"""Refuses a second method inside of a request: `_method=DELETE` in its query, form or JSON.

Rails, Laravel, Symfony, Express and others act on such a parameter instead of on the method of
the request line, which is the one that the rules decide about. A target does not say whether it
does, so a parameter that names another method is refused everywhere. The headers that do the
same are dropped by `core.headers`. Called by `core.plain_http`; pure.
"""

import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote_to_bytes

from doorward.core.redaction.content import media_type
from doorward.errors import Unclear

_NAME = "_method"
_FORM = "application/x-www-form-urlencoded"
# A part of a multipart body; a second method there is a habit of browsers' forms alone, so its value is not read.
_PART = re.compile(rb"""name\*?\s*=\s*(?:[\w-]*'[\w-]*')?["']?\s*(?:[_. ]|%5f)method(?![a-z0-9_-])""", re.IGNORECASE)
_ESCAPED = re.compile(rb"_method|\\u00", re.IGNORECASE)
_SEPARATORS = re.compile(rb"[&;]")


def refuse_override(method: str, query: Iterable[tuple[str, str]], content_type: str | None, body: bytes) -> None:
    """Raise Unclear where a parameter names another method than the request's own."""
    asked = [value for name, value in query if _is_override(name)]
    if body:
        essence = media_type(content_type).essence
        if essence == _FORM:
            asked += _in_form(body)
        elif essence.startswith("multipart/") and _PART.search(body):
            asked.append("")
        elif essence.endswith("json") and _ESCAPED.search(body):
            asked += _in_json(body)
    if any(each.strip().upper() != method for each in asked):
        raise Unclear(
            "a parameter _method names another method than the request",
            cause="method-override",
            hint="send the method itself, and no _method",
        )


def _is_override(name: str) -> bool:
    """Whether a target may take a parameter for `_method`: PHP, for one, turns `.method` and `_method[` into it."""
    plain = name.lstrip(" ").partition("\0")[0].replace(" ", "_").replace(".", "_").partition("[")[0]
    return plain.lower() == _NAME


def _in_form(body: bytes) -> Iterator[str]:
    for pair in _SEPARATORS.split(body):
        name, _, value = pair.partition(b"=")
        if _is_override(_decoded(name)):
            yield _decoded(value)


def _decoded(raw: bytes) -> str:
    return unquote_to_bytes(raw.replace(b"+", b" ")).decode("latin-1")


def _in_json(body: bytes) -> Iterator[str]:
    """Values of `_method` at the top of an object; one that cannot be read counts as another method."""
    members: list[tuple[str, object]] = []

    def keep_last(pairs: list[tuple[str, object]]) -> dict[str, object]:
        members[:] = pairs  # the outermost object comes last
        return dict.fromkeys(("members",))

    try:
        document = json.loads(body, object_pairs_hook=keep_last)
    except (ValueError, RecursionError):
        yield ""
        return
    if isinstance(document, dict):
        yield from (value if isinstance(value, str) else "" for name, value in members if _is_override(name))
