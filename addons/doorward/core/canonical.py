"""RFC 8785 bytes of values without floats: one value, one spelling, so that digests can be compared.

For entries and for digests of actions; what the values mean is not known here.
"""

from typing import Final

import msgspec
import rfc8785

from doorward.errors import Refused
from doorward.model import Json

MAX_NUMBER: Final = 2**53 - 1  # RFC 8785, section 3.2.2.3: integers beyond it lose digits in other readers


def canonical_bytes(value: Json) -> bytes:
    """Return RFC 8785 bytes of a value without floats.

    msgspec writes integers and strings as RFC 8785 wants them and sorts by code point,
    which is the order of RFC 8785 as long as names are ASCII; else rfc8785 does the work
    (thirty times slower). A property test compares the two.
    """
    try:
        if _is_plain(value):
            return msgspec.json.encode(value, order="sorted")
        return rfc8785.dumps(value)
    except (UnicodeEncodeError, rfc8785.CanonicalizationError, RecursionError) as error:
        raise malformed("a value that no entry can hold") from error


def _is_plain(value: object) -> bool:
    """True if all names are ASCII; raises Refused for what an entry may not hold."""
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return True
    if kind is int:
        if not -MAX_NUMBER <= value <= MAX_NUMBER:  # type: ignore[operator]
            raise malformed("a number beyond 2^53")
        return True
    if kind is list or kind is tuple:
        plain = True
        for item in value:  # type: ignore[attr-defined]
            plain = _is_plain(item) and plain
        return plain
    if kind is dict:
        plain = True
        for name, item in value.items():  # type: ignore[attr-defined]
            if type(name) is not str:
                raise malformed("a name that is not text")
            plain = _is_plain(item) and plain and name.isascii()
        return plain
    raise malformed(f"a value of type {kind.__name__}")


def malformed(message: str) -> Refused:
    """Return the error for what no entry can hold."""
    return Refused(message, cause="entry-malformed")
