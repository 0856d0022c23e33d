"""Text that somebody else wrote, made safe to look at.

An agent chooses its paths, queries, labels and bodies; a person decides by reading them. So
whatever steers the direction of writing, hides, or breaks a line is shown as an escape
(`\\u202e`), on the pages, in mitmweb's comments and in the JSON for both. HTML escaping is not
done here: the templates and mitmweb's own frontend do it. Pure; called by copies and pages.
"""

import unicodedata

_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5")  # letters and marks that draw nothing


def visible(text: str, *, lines: bool = False, longest: int | None = None) -> str:
    """Return `text` with hidden and steering characters as escapes; `lines` keeps line ends and tabs."""
    cut = longest is not None and len(text) > longest
    shown = "".join(_shown(char, lines) for char in (text[:longest] if cut else text))
    return f"{shown}…" if cut else shown


def _shown(char: str, lines: bool) -> str:
    if " " <= char <= "~":
        return char
    if lines and char in "\n\t":
        return char
    code = ord(char)
    hidden = (
        unicodedata.category(char) in _HIDDEN_CATEGORIES
        or char in _BLANK_LETTERS
        or (unicodedata.category(char) == "Zs")  # a space that is none: NBSP, thin, ideographic
        or 0xFE00 <= code <= 0xFE0F  # variation selectors carry no letter of their own
        or 0xE0100 <= code <= 0xE01EF
    )
    if not hidden:
        return char
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
