"""Disguises of a text that rearrange its bytes: UTF-16, character references of HTML, and wrapped base64.

Each gives a reading of some bytes, a copy made only where there is such a thing; the everyday
case costs a search for one byte. Nothing is cut out here: who finds a secret in such a reading
withholds the whole. Called by `echo` alone.
"""

import html
import re
from collections.abc import Iterable, Iterator

# HTML, 13.2.5.73: numeric references may have any number of zeros, and the semicolon may be missing.
_REFERENCE = re.compile(rb"&(?:#[xX][0-9a-fA-F]+|#[0-9]+|[A-Za-z]{2,6});?")
# A line of base64 that goes on in the next: as bytes, or as JSON and other sources write the end of a line.
_LINE = rb"[A-Za-z0-9+/_-]{16}"
_WRAPPED = re.compile(rb"\n(?:(?<=%b\n)|(?<=%b\r\n))[ \t]*[A-Za-z0-9+/_-]" % (_LINE, _LINE))
# The same for a first look, which is some times faster where lines are many: `=` for each character of base64.
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-"
_CLASSES = bytes.maketrans(_BASE64 + b"=", b"=" * len(_BASE64) + b"!")
_WRAPPED_CLASSES = b"=" * 16 + b"\n"
_WRAPPED_ESCAPED = re.compile(rb"\\n(?:(?<=%b\\n)|(?<=%b\\r\\n))[A-Za-z0-9+/_-]" % (_LINE, _LINE))
_LINE_END = re.compile(rb"(?<=[A-Za-z0-9+/_-])(?:(?:\r?\n[ \t]*)|(?:\\r)?\\n)(?=[A-Za-z0-9+/_-])")
_LONGEST = 64  # bytes of a reference that is read
_NAMED = {"&": b"amp", "<": b"lt", ">": b"gt", '"': b"quot", "'": b"apos", "+": b"plus", "/": b"sol", "=": b"equals"}


class Disguises:
    """Takes off what could disguise certain texts."""

    __slots__ = ("_named",)

    def __init__(self, texts: Iterable[bytes]) -> None:
        characters = {chr(byte) for text in texts for byte in text}
        names = [name for character, name in _NAMED.items() if character in characters]
        self._named = re.compile(b"&(?:%b)" % b"|".join(names)) if names else None

    def readings(self, data: bytes) -> Iterator[bytes]:
        """What the bytes are without each disguise, where there is one."""
        if b"&#" in data or (self._named is not None and b"&" in data and self._named.search(data)):
            yield _REFERENCE.sub(_referred, data)
        if _is_wrapped(data) or (b"\\n" in data and _WRAPPED_ESCAPED.search(data)):
            yield _LINE_END.sub(b"", data)
        if b"\0" in data:  # of ASCII, in either order of bytes
            yield data.replace(b"\0", b"")


def _is_wrapped(data: bytes) -> bool:
    return b"\n" in data and _WRAPPED_CLASSES in data.translate(_CLASSES, b"\r") and _WRAPPED.search(data) is not None


def _referred(found: re.Match[bytes]) -> bytes:
    if len(found[0]) > _LONGEST:  # html.unescape would make a number of any length
        return found[0]
    return html.unescape(found[0].decode()).encode("utf-8", "replace")
