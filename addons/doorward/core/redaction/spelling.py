"""The spellings of one text that a reader of JSON or of a URL would undo.

`undone` gives the readings of some bytes, layer by layer; `spelled` gives a pattern that
finds a text in any mixture of plain, percent-encoded and JSON-escaped characters, so that it
can be cut out where it stands. Called by `echo` alone.
"""

import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote_to_bytes

_LAYERS = 3  # of escaping that are looked through
_SHORT = {
    b'"': b'"', b"\\": b"\\", b"/": b"/", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t",
}  # fmt: skip
_SHORT_OF = {plain: short for short, plain in _SHORT.items()}
_PERCENT = re.compile(rb"%[0-9a-fA-F]{2}")


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


def _plain(found: re.Match[bytes]) -> bytes:
    escape = found[0]
    if escape[1:2] not in b"uU":
        return _SHORT[escape[1:].lower()]
    return bytes.fromhex(escape.lower().replace(rb"\u", b"").decode()).decode("utf-16-be").encode()
