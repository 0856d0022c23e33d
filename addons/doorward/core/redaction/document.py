"""One JSON document as containers of raw bytes.

Objects and arrays are opened one level at a time; every scalar stays the bytes that the
target wrote, so that numbers keep their digits. The parser checks the grammar of what it
skips, lone surrogates included, but no UTF-8: that is checked here, once for the body.

Knows nothing of rules. Called by `walk` and `conditions`.
"""

import codecs
from collections.abc import Callable

import msgspec
from msgspec import Raw

MAX_DEPTH = 512  # of containers that are opened; what no rule reaches is only skipped
_CHUNK = 1 << 20

OBJECT = ord("{")
ARRAY = ord("[")


class Unreadable(Exception):
    """The document cannot be read in one way only; the caller says what follows from it."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class _Key:
    """A key that equals no other, so that duplicates survive in a dict."""

    __slots__ = ()


def _new_key(_type: type, _key: object) -> _Key:
    return _Key()


open_object: Callable[[bytes | Raw], dict[str, Raw]] = msgspec.json.Decoder(dict[str, Raw]).decode
open_array: Callable[[bytes | Raw], list[Raw]] = msgspec.json.Decoder(list[Raw]).decode
_pairs = msgspec.json.Decoder(dict[_Key, Raw], dec_hook=_new_key).decode
_skip = msgspec.json.Decoder(Raw).decode


def open_object_once(raw: bytes | Raw) -> dict[str, Raw]:
    """The members of an object in which no key stands twice."""
    members = open_object(raw)
    if len(_pairs(raw)) != len(members):
        raise Unreadable("duplicate-key")
    return members


def read_document(body: bytes) -> Raw:
    """The body's one JSON value, checked from the first to the last byte; raises Unreadable."""
    if not body.strip(b" \t\r\n"):
        raise Unreadable("empty-body")
    if body.startswith(codecs.BOM_UTF8):
        raise Unreadable("byte-order-mark")
    _check_utf8(body)
    try:
        return _skip(body)
    except msgspec.DecodeError:
        raise Unreadable("not-json") from None
    except RecursionError:
        raise Unreadable("too-deep") from None


def _check_utf8(body: bytes) -> None:
    if body.isascii():
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(body)
    try:
        for start in range(0, len(body), _CHUNK):
            decoder.decode(view[start : start + _CHUNK])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise Unreadable("not-utf-8") from None
