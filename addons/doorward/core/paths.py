"""The one strict reading of a request's path and query.

The rules are matched against what this module decodes, the target decodes the same text once more
by its own rules; so everything that two decoders could read differently is refused here, with a
cause of its own, and what remains goes on the wire exactly as it came, but for a ? with nothing
behind it. It does not look at scheme, host or authority (the gateway rewrites those). Called by
`core.plain_http`; the grammar is RFC 3986, section 3.3 and 3.4, narrowed.
"""

import re
import unicodedata
from dataclasses import dataclass

from doorward.core.characters import is_showable
from doorward.errors import Unclear
from doorward.model import Target

_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_SUB_DELIMS = frozenset("!$&'()*+,=")  # without ";", which path parameters and old query strings use
_PCHAR = _UNRESERVED | _SUB_DELIMS | frozenset(":@")
# Beyond RFC 3986: WHATWG clients send brackets in a query as they are, and nobody splits at them.
_QUERY_CHARACTERS = _PCHAR | frozenset("/?[]")
_MALFORMED_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ENCODED = re.compile(r"%([0-9A-Fa-f]{2})")
_STILL_ENCODED = re.compile(r"%(?:[0-9A-Fa-f]{2}|[uU][0-9A-Fa-f]{4})")
# What the rules below leave as it is: plain characters only, no empty segment, no step, nothing encoded.
_PLAIN_PATH = re.compile(r"(?:/(?!\.\.?(?:/|\Z))[A-Za-z0-9\-._~!$&'()*+,=:@]+)+")
_PLAIN_QUERY = re.compile(r"[A-Za-z0-9\-._~!$&'()*,=:@/?\[\]]+")
_VALUE_CONTROLS = frozenset("\t\n\r")  # text with lines is an ordinary value


@dataclass(frozen=True, slots=True)
class ParsedPath:
    """Path and query, decoded for the rules and raw for the wire.

    In `path` an encoded slash or backslash (only with `encoded_slash: allow`) stays written
    `%2F` or `%5C`, so that splitting at "/" gives the segments that were sent; no other text can
    look like that, because double encoding is refused.
    """

    path: str
    raw_path: str
    query: tuple[tuple[str, str], ...]
    raw_query: str


def parse_target(raw_target: str, target: Target) -> ParsedPath:
    """Read an origin-form request target (`/path?query`); raises Unclear."""
    if not raw_target.startswith("/"):
        raise Unclear("the request target is not a path", cause="not-a-path", hint="send a path that begins with /")
    if not raw_target.isascii():
        raise Unclear("the URL holds raw characters beyond ASCII", cause="url-non-ascii", hint="percent-encode them")
    if "#" in raw_target:
        raise Unclear("the URL holds a fragment", cause="url-fragment", hint="a fragment stays with the client")
    raw_path, _, raw_query = raw_target.partition("?")
    return ParsedPath(
        path=_decoded_path(raw_path, target),
        raw_path=raw_path,
        query=_decoded_query(raw_query, target),
        raw_query=raw_query,
    )


def _decoded_path(raw_path: str, target: Target) -> str:
    if raw_path == "/" or _PLAIN_PATH.fullmatch(raw_path):
        return raw_path
    return "".join("/" + _decoded_segment(raw, target) for raw in raw_path[1:].split("/"))


def _decoded_segment(raw: str, target: Target) -> str:
    if ";" in raw:
        raise Unclear("the path holds ;", cause="path-parameter", hint="send %3B where a semicolon is meant")
    if "\\" in raw:
        raise Unclear("the path holds a backslash", cause="path-backslash", hint="separate segments by /")
    _refuse_other_characters(raw, _PCHAR, "path")
    segment = _decoded(raw, "path")
    if _STILL_ENCODED.search(segment):
        raise Unclear("the path is encoded twice", cause="double-encoding", hint="percent-encode once")
    if not is_showable(segment):
        raise Unclear("the path holds a control or invisible character", cause="control-character", hint="leave it out")
    if ("/" in segment or "\\" in segment) and not target.encoded_slash:
        raise Unclear(
            "the path holds an encoded slash or backslash",
            cause="encoded-slash",
            hint="the target's entry in the policy may say `encoded_slash: allow`",
        )
    _refuse_steps(segment)
    return segment.replace("/", "%2F").replace("\\", "%5C")


def _refuse_steps(segment: str) -> None:
    """Refuse what walks in the tree, also for a target that decodes again or normalises (NFKC)."""
    plain = segment.replace("\\", "/")
    folded = unicodedata.normalize("NFKC", plain)
    if folded.count("/") != plain.count("/") or "\\" in folded:
        raise Unclear("the path holds a character that turns into a slash", cause="lookalike", hint="send plain text")
    for step in folded.split("/"):
        if not step:
            raise Unclear(
                "the path holds an empty segment", cause="empty-segment", hint="no // and no slash at the end"
            )
        if step in {".", ".."}:
            raise Unclear("the path holds . or ..", cause="dot-segment", hint="send the path resolved")


def _decoded_query(raw_query: str, target: Target) -> tuple[tuple[str, str], ...]:
    if not raw_query:
        return ()
    is_plain = _PLAIN_QUERY.fullmatch(raw_query) is not None
    if ";" in raw_query:
        raise Unclear("the query holds ;", cause="query-semicolon", hint="separate by &, send %3B for a semicolon")
    if not is_plain:
        _refuse_other_characters(raw_query, _QUERY_CHARACTERS, "query")
    pairs: list[tuple[str, str]] = []
    seen: set[str] = set()
    for part in raw_query.split("&"):
        raw_key, _, raw_value = part.partition("=")
        key = raw_key if is_plain else _decoded_key(raw_key)
        if key in seen and not target.repeated_query:
            raise Unclear(
                "a query key stands twice",
                cause="repeated-query-key",
                hint="the target's entry in the policy may say `repeated_query: allow`",
            )
        seen.add(key)
        pairs.append((key, raw_value if is_plain else _decoded_value(raw_value)))
    return tuple(pairs)


def _decoded_key(raw: str) -> str:
    if "+" in raw:
        raise Unclear("a query key holds +", cause="query-key-plus", hint="send %20 or %2B, whichever is meant")
    key = _decoded(raw, "query")
    if _STILL_ENCODED.search(key):
        raise Unclear("a query key is encoded twice", cause="double-encoding", hint="percent-encode once")
    if not is_showable(key):
        raise Unclear(
            "a query key holds a control or invisible character", cause="control-character", hint="leave it out"
        )
    return key


def _decoded_value(raw: str) -> str:
    value = _decoded(raw.replace("+", " "), "query")
    if any(unicodedata.category(c) == "Cc" and c not in _VALUE_CONTROLS for c in value):
        raise Unclear("a query value holds a control character", cause="control-character", hint="leave it out")
    return value


def _refuse_other_characters(raw: str, allowed: frozenset[str], part: str) -> None:
    if any(character < " " or character == "\x7f" for character in raw):
        raise Unclear(f"the {part} holds a control character", cause="control-character", hint="leave it out")
    if _MALFORMED_PERCENT.search(raw):
        raise Unclear(f"the {part} holds % without two hex digits", cause="malformed-percent", hint="send %25")
    if not allowed.issuperset(_ENCODED.sub("", raw)):
        raise Unclear(
            f"the {part} holds a character that RFC 3986 does not allow there",
            cause=f"{part}-character",
            hint="percent-encode it",
        )


def _decoded(raw: str, part: str) -> str:
    try:
        return _ENCODED.sub(lambda found: chr(int(found[1], 16)), raw).encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        raise Unclear(f"the {part} is not UTF-8 once decoded", cause="not-utf-8", hint="encode as UTF-8") from None
