"""Finding many byte strings at once, in memory that does not grow with the number of hits.

The automaton of ahocorasick_rs lists all its matches; bodies are handed to it a window at a
time. Called by `scan` (which rules can hit) and `echo` (secrets).
"""

from collections.abc import Iterable, Iterator

from ahocorasick_rs import BytesAhoCorasick

_WINDOW = 256 << 10


class Search:
    """Looks for some byte strings, none of them empty."""

    __slots__ = ("_automaton", "longest", "needles")

    def __init__(self, needles: Iterable[bytes]) -> None:
        self.needles = tuple(needles)
        self.longest = max(map(len, self.needles), default=0)
        self._automaton = BytesAhoCorasick(self.needles)

    def matches(self, data: bytes | memoryview) -> Iterator[list[tuple[int, int, int]]]:
        """Window by window, every match: the needle's index, start and end in the window's bytes, overlaps too.

        A match across a border is found in the window that holds all of it; one that lies
        wholly in the overlap of two windows is found in both.
        """
        if len(data) <= _WINDOW:
            yield self._automaton.find_matches_as_indexes(data, overlapping=True)
            return
        view = memoryview(data)
        for start in range(0, len(data), _WINDOW):
            window = view[start : start + _WINDOW + self.longest - 1]
            found = self._automaton.find_matches_as_indexes(window, overlapping=True)
            yield [(index, start + begin, start + end) for index, begin, end in found]

    def present(self, data: bytes) -> set[bytes]:
        """The needles that stand somewhere in the data."""
        return {self.needles[index] for matches in self.matches(data) for index, _, _ in matches}
