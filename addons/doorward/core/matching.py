"""Path patterns and methods: the words in which a rule says which requests it means.

A pattern is matched segment by segment against the decoded path: `*` is one segment, `**` is one or
more, anything else is itself, case included. Whether two patterns can meet is answered here too,
so that a rule which can never match is found when the policy is loaded. It knows no roles and no
principals. Called by `core.policy` and the modules that read and check policy files.
"""

import functools
import re
from dataclasses import dataclass

from doorward.core.characters import is_showable
from doorward.errors import Misconfigured

READING = frozenset({"GET", "OPTIONS", "TRACE"})
# RFC 9110, section 9; RFC 5789; and the registry of HTTP methods where clients are known to use them.
METHODS = READING | frozenset({
    "POST", "PUT", "PATCH", "DELETE", "QUERY", "PURGE", "LINK", "UNLINK", "SEARCH", "REPORT",
    "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "ACL", "MKCALENDAR",
})  # fmt: skip
_LONGEST_PATTERN = 64  # segments
_OTHER_ENCODING = re.compile(r"%(?!2F|5C)[0-9A-Fa-f]{2}")


@dataclass(frozen=True, slots=True)
class PathPattern:
    """One pattern, split into segments; "/" has none."""

    segments: tuple[str, ...]

    def matches(self, path: tuple[str, ...]) -> bool:
        """Whether a path, split by `segments_of`, is meant; linear in both for each `**`."""
        if len(path) < len(self.segments):
            return False  # each segment of a pattern takes one at least
        position, mark, again = 0, 0, -1
        taken = 0
        while taken < len(path):
            wanted = self.segments[position] if position < len(self.segments) else None
            if wanted == "**":
                again, mark = position + 1, taken + 1
                position, taken = again, mark
            elif wanted == "*" or wanted == path[taken]:
                position, taken = position + 1, taken + 1
            elif again >= 0:
                mark += 1
                position, taken = again, mark
            else:
                return False
        return position == len(self.segments)

    def meets(self, other: "PathPattern") -> bool:
        """Whether some path is meant by both."""
        mine, theirs = _with_open_ends(self.segments), _with_open_ends(other.segments)

        @functools.cache
        def meet(i: int, j: int) -> bool:
            if i == len(mine) and j == len(theirs):
                return True
            if i < len(mine) and mine[i] == _ANY_MORE:
                return meet(i + 1, j) or (j < len(theirs) and meet(i, j + 1))
            if j < len(theirs) and theirs[j] == _ANY_MORE:
                return meet(i, j + 1) or (i < len(mine) and meet(i + 1, j))
            if i == len(mine) or j == len(theirs):
                return False
            return (mine[i] == theirs[j] or "*" in {mine[i], theirs[j]}) and meet(i + 1, j + 1)

        return meet(0, 0)


_ANY_MORE = "/"  # no or more segments; no segment is written like that


def _with_open_ends(segments: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part for segment in segments for part in (("*", _ANY_MORE) if segment == "**" else (segment,)))


def parse_pattern(text: str) -> PathPattern:
    """Read one pattern of a policy file; raises Misconfigured for what could never match."""
    if not text.startswith("/"):
        raise _bad(text, "a pattern begins with /, as in /v1/customers/*")
    segments = segments_of(text)
    if len(segments) > _LONGEST_PATTERN:
        raise _bad(text, f"a pattern has at most {_LONGEST_PATTERN} segments")
    for segment in segments:
        if segment in {"", ".", ".."}:
            raise _bad(text, "requests with empty segments, a slash at the end, . or .. are refused before any rule")
        if "*" in segment and segment not in {"*", "**"}:
            raise _bad(text, "* and ** stand for whole segments")
        if _OTHER_ENCODING.search(segment):
            raise _bad(text, "paths are matched after decoding: write the character itself")
        if "?" in segment or "\\" in segment or not is_showable(segment):
            raise _bad(text, "a pattern holds the path alone, in visible characters; `query` lists query keys")
    return PathPattern(segments)


def segments_of(path: str) -> tuple[str, ...]:
    """Split a decoded path; "/" has no segments, so neither `/*` nor `/**` means it."""
    return () if path == "/" else tuple(path[1:].split("/"))


def readings_of(path: str) -> tuple[tuple[str, ...], ...]:
    """Every way in which a target may split the path: more than one where a slash came encoded."""
    readings = [segments_of(path)]
    if "%2F" in path or "%5C" in path:
        readings.append(segments_of(path.replace("%2F", "/").replace("%5C", "/")))
    return tuple(readings)


def method_for_rules(verb: str) -> str:
    """The name under which rules mean a method: HEAD is GET without the body."""
    return "GET" if verb == "HEAD" else verb


def loose_key(key: str) -> str:
    """A query key as a lenient target may read it: without case, and without `[]` or `[0]` at its end."""
    return key.partition("[")[0].casefold()


def _bad(text: str, hint: str) -> Misconfigured:
    return Misconfigured(f"bad path pattern {text!r}", cause="bad-pattern", hint=hint)
