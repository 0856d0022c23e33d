"""Whether bytes end with the beginning of one of some texts; for who sees a body piece by piece.

A text that is there as a whole is not looked for here (`search` does), only one that further
bytes could complete. Called by `echo`.
"""

from collections.abc import Iterable

_HEAD = 4


class Beginnings:
    """The beginnings of some texts, each of four bytes or more."""

    __slots__ = ("_by_head", "_last", "_short", "longest")

    longest: int  # bytes of the longest text

    def __init__(self, texts: Iterable[bytes]) -> None:
        self._by_head: dict[bytes, list[bytes]] = {}
        for text in texts:
            self._by_head.setdefault(text[:_HEAD], []).append(text)
        self._short = frozenset(head[:size] for head in self._by_head for size in (1, 2, 3))
        every = [text for texts in self._by_head.values() for text in texts]
        self._last = frozenset(byte for text in every for byte in text[:-1])
        self.longest = max(map(len, every), default=0)

    def at_end(self, data: bytes) -> int:
        """How many bytes at the end may begin a text: the most that do, or 0."""
        if not data or data[-1] not in self._last:
            return 0
        tail = data[max(0, len(data) - self.longest + 1) :]
        first = min(
            (at for head, texts in self._by_head.items() if (at := _first(tail, head, texts)) is not None),
            default=None,
        )
        if first is not None:
            return len(tail) - first
        return next((size for size in (3, 2, 1) if size <= len(tail) and tail[-size:] in self._short), 0)


def _first(tail: bytes, head: bytes, texts: list[bytes]) -> int | None:
    """The first place from which the tail is the beginning of a text, and not yet all of it."""
    at = tail.find(head)
    while at >= 0:
        rest = tail[at:]
        if any(len(text) > len(rest) and text.startswith(rest) for text in texts):
            return at
        at = tail.find(head, at + 1)
    return None
