"""Which bytes must be there before a rule can hit: the search that spares the walk.

A path with names can only hit where these names stand as keys, so a document, or a part of
one, that holds none of them may be sent as it came. That proof needs every spelling of a
key: quoted, a name has one spelling in bytes unless a `\\uXXXX` in the document writes one
of its characters; then nothing is proven and everything is walked. Names that JSON must or
may escape otherwise (`"`, `\\`, `/`, control characters) are never used as a proof.

Called by `automaton` (building) and `walk` (searching).
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Raw

from doorward.core.redaction.paths import Matching, Names, Step
from doorward.core.redaction.search import Search

_ESCAPABLE = re.compile(r'["\\/\x00-\x1f]')
_FEW = 3  # needles up to which a search for each beats the automaton


class Scan:
    """Looks for any of a set of needles."""

    __slots__ = ("_many", "_needles")

    def __init__(self, needles: Iterable[bytes]) -> None:
        self._needles = tuple(sorted(needles))
        self._many = Search(self._needles) if len(self._needles) > _FEW else None

    def hits(self, raw: bytes | Raw) -> bool:
        """Whether a needle stands somewhere in these bytes."""
        text = bytes(raw)
        if self._many is not None:
            return any(self._many.matches(text))
        return any(needle in text for needle in self._needles)

    def present(self, body: bytes) -> set[bytes]:
        """The needles that stand somewhere in these bytes."""
        if self._many is not None:
            return self._many.present(body)
        return {needle for needle in self._needles if needle in body}


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


def _step_names(step: Step) -> Iterator[tuple[str, ...]]:
    match step.selector:
        case Names(names):
            yield names
        case Matching(conditions):
            for condition in conditions:
                yield from ((name,) for name in condition.names)
