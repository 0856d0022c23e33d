"""Which bytes must be there before a rule can hit: the search that spares the walk.

A path with names can only hit where these names stand as keys, so a document, or a part of
one, that holds none of them may be sent as it came. That proof needs every spelling of a
key: quoted, a name has one spelling in bytes unless a `\\uXXXX` in the document writes one
of its characters; then nothing is proven and everything is walked. Names that JSON must or
may escape otherwise (`"`, `\\`, `/`, control characters) are never used as a proof.

A large body is searched in steps. Called by `automaton` and `children`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from doorward.core.redaction.paths import Matching, Names, Step
from doorward.core.redaction.search import Search
from doorward.core.redaction.steps import Steps

_ESCAPABLE = re.compile(r'["\\/\x00-\x1f]')
_FEW = 3  # needles up to which a search for each beats the automaton
_WINDOW = 256 << 10  # bytes that are searched in one step


class Scan:
    """Looks for any of a set of needles."""

    __slots__ = ("_many", "_needles")

    def __init__(self, needles: Iterable[bytes]) -> None:
        self._needles = tuple(sorted(needles))
        self._many = Search(self._needles) if len(self._needles) > _FEW else None

    def present_in_steps(self, body: bytes) -> Steps[frozenset[bytes]]:
        """The needles that stand somewhere in these bytes."""
        found: set[int] = set()
        if self._many is not None:
            for matches in self._many.matches(body):
                found.update(index for index, _, _ in matches)
                if len(found) == len(self._needles):
                    break
                yield
            return frozenset(self._needles[index] for index in found)
        for index, needle in enumerate(self._needles):
            if (yield from stands_in(body, needle, 0, len(body))):
                found.add(index)
        return frozenset(self._needles[index] for index in found)


def stands_in(body: bytes, text: bytes, start: int, end: int) -> Steps[bool]:
    """Whether a text stands in this part of a body, across the borders of what is searched in one step."""
    for at in range(start, end, _WINDOW):
        if body.find(text, at, min(end, at + _WINDOW + len(text) - 1)) >= 0:
            return True
        if end - at > _WINDOW:
            yield
    return False


def matches_in_steps(pattern: re.Pattern[bytes], longest: int, body: bytes) -> Steps[bool]:
    """Whether a pattern, of at most so many bytes, matches somewhere in a body."""
    for at in range(0, len(body), _WINDOW):
        if pattern.search(body, at, at + _WINDOW + longest - 1):
            return True
        if len(body) - at > _WINDOW:
            yield
    return False


def proofs(steps: Sequence[Step]) -> list[tuple[str, ...]]:
    """Groups of names; of each group at least one must stand below for these steps to hit."""
    groups = (names for step in steps for names in _step_names(step))
    return [names for names in groups if not any(map(_ESCAPABLE.search, names))]


def best_proof(steps: Sequence[Step]) -> tuple[str, ...]:
    """The group that is least likely to be there by chance; empty where there is no proof."""
    return max(proofs(steps), key=lambda names: min(map(len, names)), default=())


def needle(name: str) -> bytes:
    """A name as it stands in a document, unless it is spelled with escapes."""
    return b'"' + name.encode() + b'"'


def escapes_of(names: Iterable[str]) -> re.Pattern[bytes]:
    r"""Finds every \uXXXX that writes a character of these names."""
    units = {int.from_bytes(unit) for name in names for unit in re.findall(rb"..", name.encode("utf-16-be"), re.DOTALL)}
    spellings = "|".join(f"{unit:04x}" for unit in sorted(units)) or "(?!)"
    return re.compile(rf"\\u(?:{spellings})".encode(), re.IGNORECASE)


ESCAPE_LENGTH = 6  # bytes of what `escapes_of` finds


def _step_names(step: Step) -> Iterator[tuple[str, ...]]:
    match step.selector:
        case Names(names):
            yield names
        case Matching(conditions):
            for condition in conditions:
                yield from ((name,) for name in condition.names)
