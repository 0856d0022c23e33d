"""The text of a JSONPath -> steps, or Misconfigured with a hint.

jsonpath-ng's extended grammar is the parser and nothing else of it is used: its `find` and
`update` lose hits without a word. What the steps cannot say exactly is refused when the
policy is loaded, never at run time. Called by `rules`; the steps are read by `automaton`.
"""

import re
import warnings
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any

from jsonpath_ng import Child, Descendants, Fields, Index, Root, Slice, Wildcard
from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.ext.filter import Filter
from jsonpath_ng.ext.parser import parse
from jsonpath_ng.ext.string import DefintionInvalid
from msgspec import Raw

from doorward.core.redaction.conditions import Condition, parse_conditions, unsupported


@dataclass(frozen=True, slots=True)
class Names:
    """Members of an object by name."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Anything:
    """Every member of an object and every element of an array."""


@dataclass(frozen=True, slots=True)
class Positions:
    """Elements of an array by position; a negative one counts from the end."""

    indices: tuple[int, ...]

    def among(self, length: int) -> Container[int]:
        """The positions that an array of this length has."""
        return {i % length for i in self.indices if -length <= i < length}


@dataclass(frozen=True, slots=True)
class Span:
    """Elements of an array by slice."""

    start: int | None
    end: int | None
    step: int | None

    def among(self, length: int) -> Container[int]:
        """The positions that an array of this length has."""
        return range(length)[self.start : self.end : self.step]


@dataclass(frozen=True, slots=True)
class Matching:
    """Members and elements that fulfil every condition."""

    conditions: tuple[Condition, ...]

    def holds(self, raw: Raw) -> bool:
        """Whether this value is selected; raises Unreadable for a duplicate key on the way."""
        return all(condition.holds(raw) for condition in self.conditions)


type Selector = Names | Anything | Positions | Span | Matching


@dataclass(frozen=True, slots=True)
class Step:
    """One segment of a path; `deep` is `..` before it."""

    selector: Selector
    deep: bool = False


# What RFC 9535 does not allow, and jsonpath-ng reads somehow.
_OTHER_QUOTE = re.compile(r"""'(?:[^'\\]|\\[^"])*\\"|"(?:[^"\\]|\\[^'])*\\'""", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f]")
_POSITIONS = re.compile(r"\[[-0-9:,\s]+\]")
_NUMBER = re.compile(r"(?<![\w.])-?[0-9]+(?:\.[0-9]+)?")
_BEYOND = 2**53  # integers from here on are not exact everywhere (2.1)
_LONGEST_NUMBER = len(f"-{_BEYOND}")

# An escape other than \\ and \' and \" is taken by jsonpath-ng for the letter itself: '\n' would be 'n'.
_STRINGS = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
_LOST_ESCAPE = re.compile(r"\\\\|\\(?P<lost>[^'\"\\])", re.DOTALL)


def parse_path(path: str) -> tuple[Step, ...]:
    """The steps of a path from the root; raises Misconfigured."""
    _check_strings(path)
    _check_outside_strings(path, _STRINGS.sub("''", path))
    try:
        path.encode()
        with warnings.catch_warnings():
            # What jsonpath-ng is about to drop is refused, but for `&` between conditions, which is as clear as `&&`.
            warnings.simplefilter("error", DeprecationWarning)
            warnings.filterwarnings("ignore", "The `&` operator in filters", DeprecationWarning)
            nodes = list(_flatten(path, parse(path)))
    except (JSONPathError, DefintionInvalid, DeprecationWarning, RecursionError, ValueError):
        raise unsupported(path, "quote values, and names other than letters, digits, _ and -: $..['straße']") from None
    if nodes[0] is not _ROOT:
        raise unsupported(path, "a path begins with $, as in $..email")
    steps: list[Step] = []
    deep = False
    for node in nodes[1:]:
        if node is _DEEP:
            deep = True
        else:
            steps.append(Step(_selector(path, node), deep))
            deep = False
    return tuple(steps)


def _check_strings(path: str) -> None:
    for string in _STRINGS.findall(path):
        if any(found["lost"] for found in _LOST_ESCAPE.finditer(string)) or _OTHER_QUOTE.match(string):
            raise unsupported(path, "write the character itself; only \\\\ and the quotes round a name are escaped")
        if _CONTROL.search(string):
            raise unsupported(path, "a name with a control character cannot be written")


def _check_outside_strings(path: str, rest: str) -> None:
    if rest != rest.strip() or re.search(r"\.\s", rest):
        raise unsupported(path, "leave out the space round the path, and behind a dot")
    for number in _NUMBER.findall(rest):
        if re.match("-?0[0-9]", number):
            raise unsupported(path, "a number does not begin with 0")
    if re.search(r"\.[0-9]", _NUMBER.sub("", rest)):
        raise unsupported(path, "quote a name that begins with a digit: $['1']")
    for positions in _POSITIONS.findall(rest):
        for number in _NUMBER.findall(positions):
            if number == "-0" or len(number) > _LONGEST_NUMBER or abs(int(number)) >= _BEYOND:
                raise unsupported(path, "a position is a plain number: 0, 7, -1")


_ROOT, _DEEP = object(), object()


def _flatten(path: str, node: Any) -> Iterator[Any]:
    match node:
        case Root():
            yield _ROOT
        case Child():
            yield from _flatten(path, node.left)
            yield from _inner(path, node.right)
        case Descendants():
            yield from _flatten(path, node.left)
            yield _DEEP
            yield from _inner(path, node.right)
        case _:
            yield node


def _inner(path: str, node: Any) -> Iterator[Any]:
    for inner in _flatten(path, node):
        if inner is _ROOT:
            raise unsupported(path, "$ stands at the beginning of a path only")
        yield inner


def _selector(path: str, node: Any) -> Selector:
    match node:
        case Fields():
            return Names(tuple(dict.fromkeys(node.fields)))
        case Wildcard():
            return Anything()
        case Index():
            return Positions(tuple(dict.fromkeys(node.indices)))
        case Slice() if node.step != 0:
            return Span(node.start, node.end, node.step)
        case Slice():
            raise unsupported(path, "a slice with step 0 selects nothing")
        case Filter():
            return Matching(parse_conditions(path, node.expressions))
    raise unsupported(path, "names, *, [index], [from:to:step], .. and [?(@.name == value)] are supported")
