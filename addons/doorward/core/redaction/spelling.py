"""The spellings of one text that a reader of JSON or of a URL would undo.

`undone` gives the readings of some bytes, layer by layer; `spelled` gives a pattern that
finds a text in any mixture of plain, percent-encoded and JSON-escaped characters, so that it
can be cut out where it stands; `traced` gives the readings of bytes that go on behind their
end, and knows where each place of them came from. Called by `echo` alone.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

_LAYERS = 3  # of escaping that are looked through
_SHORT = {
    b'"': b'"', b"\\": b"\\", b"/": b"/", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t",
}  # fmt: skip
_SHORT_OF = {plain: short for short, plain in _SHORT.items()}
_PERCENT = re.compile(rb"%[0-9a-fA-F]{2}")
_PERCENT_BEGUN = re.compile(rb"%[0-9a-fA-F]?\Z")
_ESCAPE_BEGUN = re.compile(rb"\\(?:u(?:[0-9a-f]{0,3}|d[89ab][0-9a-f]{2}(?:\\(?:u[0-9a-f]{0,3})?)?)?)?\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reading:
    """Bytes with one layer undone, without the escape at their end that is not complete."""

    text: bytes
    before: "Reading | None" = None  # what it is a reading of; None for the bytes themselves
    undone: Sequence[tuple[int, int, int, int]] = ()  # start and end in `text`, start and end in that of `before`
    begun: int | None = None  # where, in the bytes themselves, an escape begins that is not complete

    def place(self, at: int) -> int:
        """Where in the bytes themselves a place of the text comes from; never behind it."""
        if self.before is None:
            return at
        index = bisect_right(self.undone, at, key=lambda token: token[0]) - 1
        if index < 0:
            return self.before.place(at)
        _, end, origin, origin_end = self.undone[index]
        return self.before.place(origin if at < end else origin_end + at - end)

    def around(self, at: int) -> int:
        """Where the escape begins in the bytes themselves that a cut there would go through; else `at`."""
        before = self.before
        if before is not None:
            index = bisect_right(self.undone, at, key=lambda token: before.place(token[3]))
            if index < len(self.undone):
                return min(at, before.place(self.undone[index][2]))
        return at


class Undoer:
    """Undoes the escapes that can write a character of certain texts; others hide nothing."""

    __slots__ = ("_escape", "_relevant")

    def __init__(self, texts: Iterable[bytes]) -> None:
        characters = {character for text in texts for character in _characters(text)}
        forms = [rb"u00[0-7][0-9a-f]", *sorted(form for character in characters for form in _wide(character))]
        forms += [re.escape(_SHORT_OF[character]) for character in sorted(characters & _SHORT_OF.keys())]
        relevant = rb"\\(?:" + b"|".join(forms) + rb")"
        self._relevant = re.compile(relevant, re.IGNORECASE)
        # An escaped backslash is a token of its own wherever anything is undone.
        self._escape = re.compile(relevant + rb"|\\\\", re.IGNORECASE)

    def readings(self, data: bytes) -> Iterator[bytes]:
        """What the bytes become when escapes and percent-encodings are undone, each a copy."""
        for _ in range(_LAYERS):
            before = data
            if b"\\" in data and self._relevant.search(data):
                data = self._escape.sub(_plain, data)
                yield data
            if b"%" in data and _PERCENT.search(data):
                data = unquote_to_bytes(data)
                yield data
            if data is before:
                return

    def traced(self, data: bytes) -> Iterator[Reading]:
        """The same readings for bytes that go on: the bytes first, without their own unfinished escapes."""
        reading = Reading(data)
        for _ in range(_LAYERS):
            before = reading
            if b"\\" in reading.text:
                reading = _undo(reading, self._escape, _plain, _ESCAPE_BEGUN)
                yield reading
            if b"%" in reading.text:
                reading = _undo(reading, _PERCENT, _unquoted, _PERCENT_BEGUN)
                yield reading
            if reading is before or (reading.text == before.text):
                return


def spelled(text: bytes, *, any_case: bool = False) -> bytes:
    """A pattern for the text in any mixture of spellings."""
    return b"".join(_spellings(character, any_case=any_case) for character in _characters(text))


def _spellings(character: bytes, *, any_case: bool) -> bytes:
    patterns = []
    for form in sorted({character, character.upper()} if any_case else {character}):
        if form in _SHORT_OF:
            patterns.append(rb"\\" + re.escape(_SHORT_OF[form]))
        patterns.extend(rb"\\" + escape for escape in _wide(form, ascii_too=True))
        patterns.append(b"".join(b"%" + _any_hex(b"%02x" % byte) for byte in form))
        patterns.append(re.escape(form))  # last: a backslash also begins every escape
    return b"(?:" + b"|".join(patterns) + b")"


def _characters(text: bytes) -> list[bytes]:
    """UTF-8 characters where the text is UTF-8, else bytes."""
    try:
        return [character.encode() for character in text.decode()]
    except UnicodeDecodeError:
        return [bytes([byte]) for byte in text]


def _wide(character: bytes, *, ascii_too: bool = False) -> list[bytes]:
    r"""The \u spelling of a character, without its first backslash, as a pattern."""
    if len(character) == 1 and not (ascii_too and character.isascii()):
        return []
    units = character.decode().encode("utf-16-be").hex()
    return [b"u" + rb"\\u".join(_any_hex(units[at : at + 4].encode()) for at in range(0, len(units), 4))]


def _any_hex(digits: bytes) -> bytes:
    return b"".join(b"[%c%c]" % (digit, digit - 32) if digit > 96 else b"%c" % digit for digit in digits)


def _undo(
    before: Reading, escape: re.Pattern[bytes], plain: Callable[[re.Match[bytes]], bytes], begun: re.Pattern[bytes]
) -> Reading:
    pieces: list[bytes] = []
    undone: list[tuple[int, int, int, int]] = []
    size = done = 0
    for found in escape.finditer(before.text):
        piece = plain(found)
        pieces += (before.text[done : found.start()], piece)
        size += found.start() - done
        undone.append((size, size + len(piece), found.start(), found.end()))
        size += len(piece)
        done = found.end()
    unfinished = begun.search(before.text, done)
    end = unfinished.start() if unfinished else len(before.text)
    pieces.append(before.text[done:end])
    return Reading(b"".join(pieces), before, undone, before.place(end) if unfinished else None)


def _unquoted(found: re.Match[bytes]) -> bytes:
    return unquote_to_bytes(found[0])


def _plain(found: re.Match[bytes]) -> bytes:
    escape = found[0]
    if escape[1:2] not in b"uU":
        return _SHORT[escape[1:].lower()]
    return bytes.fromhex(escape.lower().replace(rb"\u", b"").decode()).decode("utf-16-be").encode()
