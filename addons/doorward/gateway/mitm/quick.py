"""Parts of mitmproxy that cost a sixth of a request, done by shorter ways to the same end.

Looking a header up goes through three layers of upstream's and an exception, dozens of
times a request; each message has the type of each of its fields looked at; and each flow and
connection asks the system for chance to name itself. What is replaced, and that the results are
the same, is pinned by `tests/gateway/mitm/test_quick.py`. Called by `mitm.http.install`.
"""

import random
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from mitmproxy import connection, flow
from mitmproxy.http import Headers, MessageData, Request, Response
from mitmproxy.net.http import http1
from mitmproxy.utils.strutils import always_bytes


def quicken() -> None:
    """Put the shorter ways in place; for this process."""
    MessageData.__post_init__ = _take_as_typed  # type: ignore[method-assign]
    Headers.__init__ = _init  # type: ignore[method-assign]
    Headers.get = _get  # type: ignore[method-assign,assignment]
    Headers.get_all = _get_all  # type: ignore[method-assign]
    Headers.__contains__ = _contains  # type: ignore[method-assign,assignment]
    http1.expected_http_body_size = _expected_size
    for module in (flow, connection):
        vars(module)["uuid"] = SimpleNamespace(uuid4=_name)


_stock_init = Headers.__init__
_stock_get_all = Headers.get_all
_stock_expected_size = http1.expected_http_body_size
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
    return _by_name(self).get(_lower(key), default)


def _get_all(self: Headers, name: str | bytes) -> list[str]:
    wanted = _lower(name)
    if wanted not in _by_name(self):
        return []
    return [value.decode("utf-8", "surrogateescape") for field, value in self.fields if field.lower() == wanted]


def _contains(self: Headers, key: object) -> bool:
    return isinstance(key, str | bytes) and _lower(key) in _by_name(self)


def _by_name(headers: Headers) -> Mapping[bytes, str]:
    """The values by name in lower case, those of one name joined; made once for the fields as they are."""
    known: tuple[object, dict[bytes, str]] | None = vars(headers).get("_by_name")
    if known is not None and known[0] is headers.fields:
        return known[1]
    values: dict[bytes, bytes] = {}
    for name, value in headers.fields:
        name = name.lower()
        values[name] = value if name not in values else values[name] + b", " + value
    made = {name: value.decode("utf-8", "surrogateescape") for name, value in values.items()}
    vars(headers)["_by_name"] = headers.fields, made  # fields are a tuple, replaced and never changed
    return made


@lru_cache(maxsize=512)  # the layers ask for some twenty names
def _lower(key: str | bytes) -> bytes:
    name: bytes = always_bytes(key, "utf-8", "surrogateescape")
    return name.lower()


def _expected_size(request: Request, response: Response | None = None) -> int | None:
    """As upstream's, which reads the same head again at each step; raises ValueError as it does."""
    message = response or request
    state = (message.headers.fields, request.data.method, response.data.status_code if response else 0)
    known: tuple[tuple[object, bytes, int], int | None] | None = vars(message).get("_expected_size")
    if known is not None and known[0][0] is state[0] and known[0][1:] == state[1:]:
        return known[1]
    size = _stock_expected_size(request, response)
    vars(message)["_expected_size"] = state, size
    return size


_chance = random.Random()  # noqa: S311 # tells flows apart within this process; nothing rests on it


def _name() -> UUID:
    """In the place of a uuid4, which asks the system each time."""
    return UUID(int=_chance.getrandbits(128))
