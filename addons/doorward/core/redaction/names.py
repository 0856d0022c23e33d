"""Headers and query parameters that are masked by name.

Which names are secret by themselves is one rule for headers and query parameters alike:
`Authorization`, cookies, whatever ends in token, key, secret or password. Called for the
record of every request and answer, and for the answers' headers that masks list.
"""

import functools
import re
from collections.abc import Collection, Sequence
from urllib.parse import unquote_plus

from doorward.core.redaction.masks import Replacer

_WHOLE = frozenset(
    {"authorization", "proxy-authorization", "cookie", "cookie2", "set-cookie", "set-cookie2", "key", "sig", "pwd"}
)
_ENDINGS = ("token", "secret", "password", "passwd", "passphrase", "apikey", "signature", "credential", "credentials")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PARTS = re.compile(r"[^\[\].]+")
_SEPARATORS = re.compile(r"([&;])")
_MAX_DECODINGS = 3
_USUAL_LENGTH = 64


def is_secret_name(name: str) -> bool:
    """Whether a header or parameter of this name is never recorded in clear.

    Spellings are one: `api_key`, `API-Key`, `apiKey`, `auth[api_key]`, `%61pi_key`.
    """
    return _remembered(name) if len(name) <= _USUAL_LENGTH else _is_secret(name)


def _is_secret(name: str) -> bool:
    return any(_is_secret_word(part) for part in _PARTS.findall(_decode(name)))


_remembered = functools.lru_cache(maxsize=1024)(_is_secret)  # the same few names come with every message


def mask_headers(
    headers: Sequence[tuple[str, str]], names: Collection[str], replacer: Replacer
) -> list[tuple[str, str]]:
    """The headers, with the values of these names replaced."""
    listed = {name.lower() for name in names}
    return [(name, replacer.sentinel if name.lower() in listed else value) for name, value in headers]


def mask_query(raw_query: str, names: Collection[str], replacer: Replacer) -> str:
    """The query as it stands on the wire, with the values of these names replaced.

    A name counts in every spelling that a server could undo (`%74oken`, `filter[email]`),
    and `;` separates like `&`: the record shows rather too little than too much.
    """
    listed = {_decode(name).lower() for name in names}
    pieces = _SEPARATORS.split(raw_query)
    for at in range(0, len(pieces), 2):
        raw_name, equals, _ = pieces[at].partition("=")
        name = _decode(raw_name).lower()
        if equals and (name in listed or not listed.isdisjoint(_PARTS.findall(name))):
            pieces[at] = f"{raw_name}={replacer.sentinel}"
            _hide_rest_of_value(pieces, at, replacer)
    return "".join(pieces)


def _hide_rest_of_value(pieces: list[str], at: int, replacer: Replacer) -> None:
    """To a server that splits at `&` alone, what follows `;` is still the same value."""
    for follower in range(at + 2, len(pieces), 2):
        if pieces[follower - 1] != ";":
            break
        pieces[follower] = replacer.sentinel


def _decode(raw_name: str) -> str:
    name = raw_name
    for _ in range(_MAX_DECODINGS):
        name = unquote_plus(name)
    return name


def _is_secret_word(word: str) -> bool:
    plain = _CAMEL.sub("-", word.strip()).replace("_", "-").lower()
    return plain in _WHOLE or plain.endswith(("-key", *_ENDINGS))
