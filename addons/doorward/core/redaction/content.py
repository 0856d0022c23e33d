"""What a body is before any rule reads it: its media type, its charset, its coding.

A coding is undone completely or not at all: nothing of the input may stay unread, no output
may pass the limit, and Python's own codec names mean nothing here. What cannot be undone is
Withheld. Called by the gateway for requests and answers before they are masked or judged.
"""

import functools
import re
from dataclasses import dataclass

from doorward.core.redaction.codings import decode_brotli, decode_deflate, decode_gzip, decode_zstd
from doorward.core.redaction.document import Unreadable, read_document
from doorward.errors import TooLarge, Withheld

_TEXT_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_TEXTS = frozenset({
    "application/javascript", "application/json", "application/x-ndjson", "application/xml", "application/yaml",
    "application/x-www-form-urlencoded", "application/graphql",
})  # fmt: skip
_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+", re.ASCII)
_PARAMETER = re.compile(r""";\s*([^=;\s]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)""")
_BEGINS_AS_JSON = re.compile(rb"[ \t\r\n]*[{\[]")
_DECODERS = {
    "gzip": decode_gzip,
    "x-gzip": decode_gzip,
    "deflate": decode_deflate,
    "br": decode_brotli,
    "zstd": decode_zstd,
}


@dataclass(frozen=True, slots=True)
class MediaType:
    """A Content-Type, lower case; empty where it is missing or malformed."""

    essence: str = ""
    charsets: frozenset[str] = frozenset()

    @property
    def is_json(self) -> bool:
        """Whether it says that the body is one JSON document."""
        return self.essence in ("application/json", "text/json") or self.essence.endswith("+json")

    @property
    def is_utf8(self) -> bool:
        """Whether it says nothing against UTF-8."""
        return self.charsets <= _TEXT_CHARSETS

    @property
    def is_text(self) -> bool:
        """Whether it says that the body is text, in which one word may take the place of another."""
        return self.essence.startswith("text/") or self.essence in _TEXTS or self.essence.endswith(("+json", "+xml"))


@functools.lru_cache(maxsize=64)
def media_type(content_type: str | None) -> MediaType:
    """Read a Content-Type; never raises."""
    essence, separator, rest = (content_type or "").partition(";")
    essence = essence.strip().lower()
    if not _TYPE.fullmatch(essence):
        essence = ""
    charsets = {
        value.strip().strip('"').replace("\\", "").strip().lower()
        for name, value in _PARAMETER.findall(separator + rest)
        if name.lower() == "charset"
    }
    return MediaType(essence, frozenset(charsets))


def is_json(content_type: str | None, body: bytes) -> bool:
    """Whether the body is to be read as JSON: by its type or, whatever its type, by its bytes.

    The label of a target does not lead round a mask: an object or array under `text/plain`,
    or under no type at all, is JSON. Raises Withheld (`charset`) for JSON in a charset other
    than UTF-8 and ASCII.
    """
    media = media_type(content_type)
    if not (media.is_json or _reads_as_json(body)):
        return False
    check_charset(media)
    return True


def check_charset(media: MediaType) -> None:
    """Raises Withheld (`charset`) for what says that it is neither UTF-8 nor ASCII."""
    if not media.is_utf8:
        raise Withheld(
            "the body is in a charset that is not read", cause="charset", hint="the target may answer in UTF-8"
        )


def may_be_json(body: bytes) -> bool:
    """Whether the body begins as JSON does, whatever its type says."""
    return _BEGINS_AS_JSON.match(body) is not None


def decode_content(raw: bytes, content_encoding: str | None, limit: int) -> bytes:
    """The body without its Content-Encoding; raises Withheld or TooLarge (above `limit` bytes)."""
    coding = (content_encoding or "").strip().lower()
    if coding in ("", "identity"):
        if len(raw) > limit:
            raise TooLarge("the body is too long", cause="body-too-large", hint=f"at most {limit} bytes")
        return raw
    decode = _DECODERS.get(coding)
    if decode is None:
        raise Withheld(
            "the body has a content coding that is not read",
            cause="content-encoding",
            hint="one of identity, gzip, deflate, zstd, br",
        )
    return decode(raw, limit)


def _reads_as_json(body: bytes) -> bool:
    if not may_be_json(body):
        return False
    try:
        read_document(body)
    except Unreadable:
        return False
    return True
