"""Masks literals and patterns in text that comes piece by piece.

What leaves is what masking the whole text would give, however it is cut: a piece's end stays
here only as long as it may begin a match (or, for a pattern, while a match that ends there may
go on). Matches that overlap are one; the strictest of their replacements takes their place.
Memory is bounded: a match that is longer than what may be held is Withheld, and so is what is
not UTF-8. Time is in proportion to the text.

Knows no JSON: JSON is masked by fields. Called by `core.clearing` for bodies, and by the framers
for payloads of events that are text.
"""

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from doorward.core.redaction.masks import STRICTNESS, Replacement, Replacer
from doorward.core.redaction.patterns import CompiledText, TextRule, compile_texts
from doorward.core.redaction.steps import Steps
from doorward.errors import Withheld
from doorward.model import Mask

MOST_HELD = 256 << 10  # bytes that may wait for the rest of a match
PATH = "text"  # in the place of a field's path, in the record of what was masked
_PIECE = 8 << 10


@dataclass(slots=True)
class _Search:
    """One rule's way through the text; places are those of the bytes in hand."""

    text: CompiledText
    at: int = 0  # where the next match may begin
    spans: list[tuple[int, int]] = field(default_factory=list)

    def look(self, data: bytes, *, is_end: bool) -> int:
        """Note every match that more text cannot change; from where on it may."""
        begun = -1
        while True:
            if begun < self.at:
                begun = len(data) if is_end else self._begun(data)
            found = self.text.pattern.search(data, self.at)
            if found is None or found.start() >= begun:
                self.at = begun
                return begun
            self.spans.append(found.span())
            self.at = found.end() if self.text.step is None else found.start() + self.text.step

    def _begun(self, data: bytes) -> int:
        found = self.text.begun.search(data, self.at)
        begun: int = len(data) if found is None else found.start()
        return begun


class TextMasking:
    """One text; `feed` gives what may leave, `end` the rest."""

    __slots__ = ("_data", "_decoder", "_done", "_found", "_replacer", "_searches")

    def __init__(self, texts: Sequence[CompiledText], replacer: Replacer) -> None:
        # The sentinel stays as it is, also where a pattern matches a part of it.
        own = compile_texts([TextRule("", replacer.sentinel, is_pattern=False)]) if texts else ()
        self._searches = [_Search(text) for text in (*texts, *own)]
        self._replacer = replacer
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._data = b""
        self._done = 0  # bytes of the data that have left, kept since `^` and `\b` look at the last of them
        self._found: dict[tuple[str, Replacement], int] = {}

    @property
    def masks(self) -> tuple[Mask, ...]:
        """What was masked so far."""
        return tuple(Mask(rule, PATH, done.value, count) for (rule, done), count in self._found.items())

    def feed(self, piece: bytes) -> bytes:
        """What may leave now; raises Withheld where nothing more may."""
        return b"".join(self._fed(piece[at : at + _PIECE]) for at in range(0, len(piece), _PIECE))

    def end(self) -> bytes:
        """The rest, once nothing more comes; raises Withheld where it ends in the middle of a character."""
        self._decode(b"", is_end=True)
        return self._leave(is_end=True)

    def _fed(self, piece: bytes) -> bytes:
        self._data += self._decode(piece, is_end=False)
        leaving = self._leave(is_end=False)
        if len(self._data) - self._done > MOST_HELD:
            raise Withheld(
                "a match of a text mask does not end",
                cause="match-too-long",
                hint="the operator may write the pattern so that it ends, at the end of a line at the latest",
            )
        return leaving

    def _decode(self, piece: bytes, *, is_end: bool) -> bytes:
        before = self._decoder.getstate()[0]
        try:
            self._decoder.decode(piece, is_end)
        except UnicodeDecodeError:
            raise Withheld(
                "the answer is not text in UTF-8", cause="not-utf-8", hint="the target may answer in UTF-8"
            ) from None
        after = self._decoder.getstate()[0]
        return (before + piece)[: len(before) + len(piece) - len(after)]

    def _leave(self, *, is_end: bool) -> bytes:
        data = self._data
        until = min((search.look(data, is_end=is_end) for search in self._searches), default=len(data))
        matches = list(self._matches())
        for start, end, _ in reversed(matches):
            if start < until < end:
                until = start
        leaving: list[bytes] = []
        at = self._done
        for start, end, text in matches:
            if end <= until:
                leaving += (data[at:start], self._replaced(text, data[start:end]))
                at = end
        leaving.append(data[at:until])
        self._forget(until)
        return b"".join(leaving)

    def _forget(self, until: int) -> None:
        gone = max(0, until - 1)
        self._data, self._done = self._data[gone:], until - gone
        for search in self._searches:
            search.at -= gone
            search.spans = [(start - gone, end - gone) for start, end in search.spans if end > until]

    def _matches(self) -> Iterator[tuple[int, int, CompiledText]]:
        """All matches in order, those that overlap joined, with the strictest of their rules."""
        spans = sorted(
            ((start, end, search.text) for search in self._searches for start, end in search.spans),
            key=lambda span: (span[0], -span[1], STRICTNESS[span[2].replace_with], span[2].rule),
        )
        joined: tuple[int, int, CompiledText] | None = None
        for start, end, text in spans:
            if joined is None or start >= joined[1]:
                if joined is not None:
                    yield joined
                joined = (start, end, text)
            else:
                strictest = min(joined[2], text, key=lambda each: (STRICTNESS[each.replace_with], not each.rule))
                joined = (joined[0], max(joined[1], end), strictest)
        if joined is not None:
            yield joined

    def _replaced(self, text: CompiledText, found: bytes) -> bytes:
        done, replacement = self._replacer.replace_text(text.replace_with, found.decode())
        if text.rule:
            self._found[text.rule, done] = self._found.get((text.rule, done), 0) + 1
        return replacement.encode()


@dataclass(frozen=True, slots=True)
class MaskedText:
    """A text without what its rules find, in pieces, and what was masked."""

    pieces: tuple[bytes, ...]
    masks: tuple[Mask, ...]


def mask_text(texts: Sequence[CompiledText], body: bytes, replacer: Replacer) -> Steps[MaskedText]:
    """A whole text, in steps; raises Withheld."""
    masking = TextMasking(texts, replacer)
    pieces = []
    for at in range(0, len(body), _PIECE):
        pieces.append(masking.feed(body[at : at + _PIECE]))
        yield
    pieces.append(masking.end())
    return MaskedText(tuple(piece for piece in pieces if piece), masking.masks)
