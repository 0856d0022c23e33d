"""Counting what was masked, by field: `$['customers'][*]['email']`, 412 times.

Positions in arrays are not told apart, and past a number of different fields new names are
not either: a document of a target decides over neither the memory nor the length of an
entry. Filled by `masking` and `large`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from doorward.core.redaction.automaton import Leaf
from doorward.core.redaction.masks import Replacement
from doorward.model import Mask

MAX_FIELDS = 1000  # different fields in one document
_LONGEST_NAME = 64

_ESCAPES = {code: f"\\u{code:04x}" for code in range(0x20)} | {
    ord("'"): "\\'",
    ord("\\"): "\\\\",
    ord("\b"): "\\b",
    ord("\t"): "\\t",
    ord("\n"): "\\n",
    ord("\f"): "\\f",
    ord("\r"): "\\r",
}


@dataclass(slots=True)
class Field:
    """All values at one place of a document, whatever their positions in arrays."""

    path: str = "$"
    counts: dict[tuple[Leaf, Replacement], int] = field(default_factory=dict)
    below: dict[str | None, "Field"] = field(default_factory=dict)  # None: any position, any further name

    def note(self, leaf: Leaf, done: Replacement, count: int = 1) -> None:
        """Some values here were replaced."""
        key = (leaf, done)
        self.counts[key] = self.counts.get(key, 0) + count


class Tally:
    """The fields of one document in which something may have been masked."""

    __slots__ = ("_fields", "root")

    def __init__(self) -> None:
        self.root = Field()
        self._fields = [self.root]

    def member(self, parent: Field, name: str) -> Field:
        """The field of this name."""
        found = parent.below.get(name)
        if found is not None:
            return found
        if len(self._fields) >= MAX_FIELDS:
            return self.element(parent)
        return self._add(parent, name, f"['{_shortened(name).translate(_ESCAPES)}']")

    def element(self, parent: Field) -> Field:
        """The field of all elements of an array, or of names that are too many to tell apart."""
        return parent.below.get(None) or self._add(parent, None, "[*]")

    def masks(self) -> Iterator[Mask]:
        """What was masked, in the order in which the fields were met."""
        for place in self._fields:
            for (leaf, done), count in place.counts.items():
                yield Mask(leaf.rule, place.path, done.value, count)

    def _add(self, parent: Field, key: str | None, segment: str) -> Field:
        added = parent.below[key] = Field(parent.path + segment)
        self._fields.append(added)
        return added


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "…"
