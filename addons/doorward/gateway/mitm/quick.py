"""Parts of mitmproxy that cost a sixth of a request, done by shorter ways to the same end.

Looking a header up goes through three layers of upstream's and an exception, dozens of
times a request; and each message has the type of each of its fields looked at. What is
replaced, and that the results are the same, is pinned by `tests/gateway/mitm/test_quick.py`.
Called by `mitm.http.install`.
"""

from collections.abc import Iterable
from typing import Any

from mitmproxy.http import Headers, MessageData
from mitmproxy.utils.strutils import always_bytes


def quicken() -> None:
    """Put the shorter ways in place; for this process."""
    MessageData.__post_init__ = _take_as_typed  # type: ignore[method-assign]
    Headers.__init__ = _init  # type: ignore[method-assign]
    Headers.get = _get  # type: ignore[method-assign,assignment]
    Headers.__contains__ = _contains  # type: ignore[method-assign,assignment]


_stock_init = Headers.__init__
_stock_post_init = MessageData.__post_init__


def _take_as_typed(_: MessageData) -> None:
    """In the place of the look at each field's type."""


def _init(self: Headers, fields: Iterable[tuple[Any, Any]] = (), **headers: Any) -> None:
    if headers:
        _stock_init(self, fields, **headers)
        return
    self.fields = tuple((name, value) for name, value in fields)
    if not all(isinstance(each, bytes) for field in self.fields for each in field):
        raise TypeError("Header fields must be bytes.")


def _get(self: Headers, key: str | bytes, default: Any = None) -> Any:
    name = always_bytes(key, "utf-8", "surrogateescape").lower()
    found = [value for field, value in self.fields if field.lower() == name]
    if not found:
        return default
    return b", ".join(found).decode("utf-8", "surrogateescape")


def _contains(self: Headers, key: object) -> bool:
    if not isinstance(key, str | bytes):
        return False
    name = always_bytes(key, "utf-8", "surrogateescape").lower()
    return any(field.lower() == name for field, _ in self.fields)
