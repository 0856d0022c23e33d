"""What stands in the place of a masked value.

Values in, replacement JSON out; where a mask applies is not known here. A replacement is a
fixed point, so that what was masked once may be masked again: the sentinel stays the
sentinel, `****` plus four characters stays as it is, and an `hmac` value carries a check
under a key derived from the deployment's, by which only its own outputs are recognised. A
value of the target that merely looks like one is masked like any other.

Called by `masking` for each hit, by `names` for headers and query parameters, and by whoever
puts the deployment's keys together (`sentinel_for`).
"""

import enum
import hmac
from dataclasses import dataclass, field

import msgspec

KEEP_FROM = 8  # characters a string must have before four of them are kept
_KEPT = 4
_STARS = "****"
_HMAC_PREFIX = "hmac:"
_TAG_HEX = 20  # 80 bits name the value ...
_CHECK_HEX = 12  # ... and 48 bits say that this deployment wrote it

_string = msgspec.json.Decoder(str).decode


class Replacement(enum.StrEnum):
    """How a masked value is replaced, the strictest first."""

    REMOVE = "remove"
    SENTINEL = "sentinel"
    JSON_NULL = "json-null"
    HMAC = "hmac"
    KEEP_LAST_4 = "keep-last-4"


STRICTNESS = {replacement: rank for rank, replacement in enumerate(Replacement)}


def sentinel_for(key: bytes) -> str:
    """The deployment's sentinel: a string that no target writes by chance."""
    return "doorward-masked-" + hmac.digest(key, b"sentinel", "sha256").hex()[:10]


@dataclass(frozen=True, slots=True)
class Replacer:
    """Builds replacements for one deployment."""

    sentinel: str
    key: bytes = field(repr=False)
    sentinel_json: msgspec.Raw = field(init=False, repr=False, compare=False)
    _check_key: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sentinel_json", msgspec.Raw(msgspec.json.encode(self.sentinel)))
        object.__setattr__(self, "_check_key", hmac.digest(self.key, b"check of an hmac mask", "sha256"))

    def constant(self, how: Replacement) -> msgspec.Raw | None:
        """The JSON that takes the place of whatever value, where that does not depend on the value."""
        if how is Replacement.SENTINEL:
            return self.sentinel_json
        return _NULL if how is Replacement.JSON_NULL else None

    def replace(self, how: Replacement, raw: msgspec.Raw) -> tuple[Replacement, msgspec.Raw]:
        """What was done to a value that cannot be left out, and the JSON that takes its place.

        `raw` is the value's own JSON. Whatever a replacement cannot express (an object, a
        string too short to keep a part of, the removal of a whole document) is a sentinel.
        """
        if how is Replacement.JSON_NULL:
            return how, _NULL
        if how is Replacement.HMAC or how is Replacement.KEEP_LAST_4:
            first = memoryview(raw)[0]
            if how is Replacement.HMAC and first not in b"{[":
                return self._hmac(_string(raw) if first == _QUOTE else bytes(raw).decode())
            if how is Replacement.KEEP_LAST_4 and first == _QUOTE:
                return self._keep_last_4(_string(raw))
        return Replacement.SENTINEL, self.sentinel_json

    def replace_text(self, how: Replacement, text: str) -> tuple[Replacement, str]:
        """The same for a piece of text; nothing is left out of text, and `null` means nothing there."""
        if how in (Replacement.REMOVE, Replacement.JSON_NULL):
            how = Replacement.SENTINEL
        done, raw = self.replace(how, msgspec.Raw(msgspec.json.encode(text)))
        return done, _string(raw)

    def _keep_last_4(self, text: str) -> tuple[Replacement, msgspec.Raw]:
        if len(text) < KEEP_FROM or text == self.sentinel:
            return Replacement.SENTINEL, self.sentinel_json
        return Replacement.KEEP_LAST_4, msgspec.Raw(msgspec.json.encode(_STARS + text[-_KEPT:]))

    def _hmac(self, text: str) -> tuple[Replacement, msgspec.Raw]:
        if text == self.sentinel:
            return Replacement.SENTINEL, self.sentinel_json
        if not self._is_own(text):
            tag = hmac.digest(self.key, text.encode(), "sha256").hex()[:_TAG_HEX]
            text = _HMAC_PREFIX + tag + self._check(tag)
        return Replacement.HMAC, msgspec.Raw(msgspec.json.encode(text))

    def _is_own(self, text: str) -> bool:
        if not (len(text) == len(_HMAC_PREFIX) + _TAG_HEX + _CHECK_HEX and text.startswith(_HMAC_PREFIX)):
            return False
        tag, check = text[len(_HMAC_PREFIX) : -_CHECK_HEX], text[-_CHECK_HEX:]
        return hmac.compare_digest(self._check(tag).encode(), check.encode())

    def _check(self, tag: str) -> str:
        return hmac.digest(self._check_key, tag.encode(), "sha256").hex()[:_CHECK_HEX]


_QUOTE = ord('"')
_NULL = msgspec.Raw(b"null")
