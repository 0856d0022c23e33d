"""Which characters may stand in what a person has to read and compare.

A reviewer decides by what the page shows, and rules compare names code point by code point, so a
name or a path must not hold characters that are invisible or that change the order in which its
neighbours are drawn. This says nothing about letters that merely look alike, and it escapes
nothing: pages and terminals still do that themselves. Called by `core.identity` and `core.paths`.
"""

import unicodedata

# Unicode general categories: control, format (zero width, bidirectional), surrogate, private use,
# unassigned, line separator, paragraph separator.
_UNSHOWABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def is_showable(text: str) -> bool:
    """Whether every character of `text` is drawn, and drawn where it stands."""
    return not any(unicodedata.category(character) in _UNSHOWABLE for character in text)
