"""One JSON document as containers of raw bytes.

Objects and arrays are opened one level at a time; every scalar stays the bytes that the
target wrote, so that numbers keep their digits. The parser checks the grammar of what it
skips, lone surrogates included, but no UTF-8: that is checked here, once for the body. A
large body is read in steps, and its large containers are cut (`cutting`), never opened whole.

Knows nothing of rules. Called by `walk`, `large` and `conditions`.
"""

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from msgspec import Raw

from doorward.core.redaction.cutting import Large, NotCut, Sizes, cut
from doorward.core.redaction.steps import Steps

MAX_DEPTH = 512  # of containers that are opened; what no rule reaches is only skipped
_CHUNK = 256 << 10  # bytes that are looked at in one step
_USUAL_SIZES = Sizes()

OBJECT = ord("{")
ARRAY = ord("[")


class Unreadable(Exception):
    """The document cannot be read in one way only; the caller says what follows from it."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Document:
    """A body's one JSON value, checked from the first to the last byte."""

    body: bytes
    value: Raw | Large


class _Key:
    """A key that equals no other, so that duplicates survive in a dict."""

    __slots__ = ()


def _new_key(_type: type, _key: object) -> _Key:
    return _Key()


open_object: Callable[[bytes | Raw], dict[str, Raw]] = msgspec.json.Decoder(dict[str, Raw]).decode
open_array: Callable[[bytes | Raw], list[Raw]] = msgspec.json.Decoder(list[Raw]).decode
_objects = msgspec.json.Decoder(list[dict[str, Raw]]).decode
_pairs = msgspec.json.Decoder(dict[_Key, Raw], dec_hook=_new_key).decode
_skip = msgspec.json.Decoder(Raw).decode


def open_object_once(raw: bytes | Raw) -> dict[str, Raw]:
    """The members of an object in which no key stands twice."""
    members = open_object(raw)
    if count_members(raw) != len(members):
        raise Unreadable("duplicate-key")
    return members


def open_objects(raw: bytes | Raw) -> list[dict[str, Raw]] | None:
    """The elements of an array if each of them is an object, opened as well."""
    try:
        return _objects(raw)
    except msgspec.ValidationError:
        return None


def count_members(raw: bytes | Raw) -> int:
    """How many members an object has, duplicates included."""
    return len(_pairs(raw))


def read_in_steps(body: bytes, sizes: Sizes = _USUAL_SIZES) -> Steps[Document]:
    """Read a body of whatever size; raises Unreadable as `read_document` does."""
    if len(body) <= sizes.large:
        return Document(body, read_document(body))
    if _SOMETHING.search(body) is None:
        raise Unreadable("empty-body")
    if body.startswith(codecs.BOM_UTF8):
        raise Unreadable("byte-order-mark")
    yield from _check_utf8(body)
    try:
        large = yield from cut(body, sizes)
    except NotCut as error:
        raise Unreadable(error.cause) from None
    return Document(body, _skipped(body) if large is None else large)


def read_document(body: bytes) -> Raw:
    """The body's one JSON value, checked from the first to the last byte; raises Unreadable."""
    if not body.strip(b" \t\r\n"):
        raise Unreadable("empty-body")
    if body.startswith(codecs.BOM_UTF8):
        raise Unreadable("byte-order-mark")
    if not body.isascii():
        for _ in _check_utf8(body):
            pass
    return _skipped(body)


def _skipped(body: bytes) -> Raw:
    try:
        return _skip(body)
    except msgspec.DecodeError:
        raise Unreadable("not-json") from None
    except RecursionError:
        raise Unreadable("too-deep") from None


def _check_utf8(body: bytes) -> Steps[None]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(body)
    try:
        for start in range(0, len(body), _CHUNK):
            decoder.decode(view[start : start + _CHUNK])
            yield
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise Unreadable("not-utf-8") from None


_SOMETHING = re.compile(rb"[^ \t\r\n]")
