"""Which characters are drawn, and drawn where they stand; and text of others made safe to look at.

A reviewer decides by what the page shows, and rules compare names code point by code point, so a
name or a path must not hold characters that are invisible or that change the order in which its
neighbours are drawn (`is_showable`; called by `core.identity` and `core.paths`). Where text may
hold them, as bodies, labels and reasons do, they are shown as escapes (`visible`; on the pages, in
mitmweb's comments, and where the gateway quotes a person). This says nothing about letters that
merely look alike. HTML is not escaped here: the templates and mitmweb's own frontend do it.
"""

import unicodedata

# Unicode general categories: control, format (zero width, bidirectional), surrogate, private use,
# unassigned, line separator, paragraph separator.
_UNSHOWABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5")  # letters and marks that draw nothing


def is_showable(text: str) -> bool:
    """Whether every character of `text` is drawn, and drawn where it stands."""
    return not any(unicodedata.category(character) in _UNSHOWABLE for character in text)


def is_drawn(char: str) -> bool:
    """Whether a person sees that this character is there: stricter than a name has to be."""
    if " " <= char <= "~":
        return True
    code = ord(char)
    category = unicodedata.category(char)
    return not (
        category in _UNSHOWABLE
        or char in _BLANK_LETTERS
        or category == "Zs"  # a space that is none: NBSP, thin, ideographic
        or 0xFE00 <= code <= 0xFE0F  # variation selectors carry no letter of their own
        or 0xE0100 <= code <= 0xE01EF
    )


def visible(text: str, *, lines: bool = False, longest: int | None = None) -> str:
    """Return `text` with hidden and steering characters as escapes; `lines` keeps line ends and tabs."""
    cut = longest is not None and len(text) > longest
    shown = "".join(_shown(char, lines) for char in (text[:longest] if cut else text))
    return f"{shown}…" if cut else shown


def _shown(char: str, lines: bool) -> str:
    if is_drawn(char) or (lines and char in "\n\t"):
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
