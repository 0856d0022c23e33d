import base64
import json
import urllib.parse
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doorward.core.redaction.echo import EchoGuard
from doorward.errors import Misconfigured

PLAIN = b"s3cr3t/with+16-Bytes"
AWKWARD = 'geheim "über" \\alles\n😀'.encode()
BINARY = bytes(range(200, 230))
GUARD = EchoGuard([PLAIN, AWKWARD, BINARY])


def _percent_all(secret: bytes) -> bytes:
    return b"".join(b"%%%02x" % byte for byte in secret)


def _escape_all(secret: bytes) -> bytes:
    units = secret.decode().encode("utf-16-be")
    return b"".join(b"\\u%02X%02x" % (units[at], units[at + 1]) for at in range(0, len(units), 2))


TEXT_SPELLINGS: dict[str, Callable[[bytes], bytes]] = {
    "json": lambda secret: json.dumps(secret.decode()).encode()[1:-1],
    "json-utf-8": lambda secret: json.dumps(secret.decode(), ensure_ascii=False).encode()[1:-1],
    "json-slashes": lambda secret: json.dumps(secret.decode()).replace("/", "\\/").encode()[1:-1],
    "json-all": _escape_all,
}
SPELLINGS: dict[str, Callable[[bytes], bytes]] = {
    "raw": bytes,
    "hex": lambda secret: secret.hex().encode(),
    "HEX": lambda secret: secret.hex().upper().encode(),
    "Hex": lambda secret: b"".join(b"%02X" % b if n % 2 else b"%02x" % b for n, b in enumerate(secret)),
    "percent": lambda secret: urllib.parse.quote(secret, safe="").encode(),
    "percent-plus": lambda secret: urllib.parse.quote_plus(secret).encode(),
    "percent-all": _percent_all,
    "base64": base64.b64encode,
    "base64-1": lambda secret: base64.b64encode(b"a" + secret),
    "base64-2": lambda secret: base64.b64encode(b"ab" + secret + b"tail"),
    "base64-basic": lambda secret: base64.b64encode(b"user:" + secret),
    "base64-url": lambda secret: base64.urlsafe_b64encode(b"\xff" + secret),
    "base64-percent": lambda secret: urllib.parse.quote(base64.b64encode(secret), safe="").encode(),
    "base64-json": lambda secret: base64.b64encode(secret).replace(b"/", b"\\/").replace(b"+", b"\\u002b"),
}
CASES = [
    pytest.param(secret, spell, id=f"{kind}-{name}")
    for kind, secret in (("plain", PLAIN), ("awkward", AWKWARD), ("binary", BINARY))
    for name, spell in (SPELLINGS if secret is BINARY else SPELLINGS | TEXT_SPELLINGS).items()
]


@pytest.mark.parametrize(("secret", "spell"), CASES)
def test_every_spelling_is_found_and_cut_out(secret: bytes, spell: Callable[[bytes], bytes]) -> None:
    data = b'{"before": "%41\\u0041", "echo": "' + spell(secret) + b'", "after": 1}'
    assert GUARD.found(data)
    cleaned = GUARD.clean(data, b"[echo]")
    assert cleaned.hits == 1
    assert cleaned.complete
    assert b"[echo]" in cleaned.data
    assert not GUARD.found(cleaned.data)
    assert cleaned.data.startswith(b'{"before": "%41\\u0041", "echo": "')
    assert cleaned.data.endswith(b'", "after": 1}')


@pytest.mark.parametrize(
    "data",
    [
        json.dumps(json.dumps(AWKWARD.decode())).encode(),
        _escape_all(_escape_all(PLAIN)),
        b"%25".join(_percent_all(PLAIN).split(b"%")),
        _percent_all(_escape_all(PLAIN)),
    ],
    ids=["json-in-json", "escaped-twice", "percent-twice", "escaped-then-percent"],
)
def test_what_cannot_be_cut_out_is_said_to_be_there(data: bytes) -> None:
    cleaned = GUARD.clean(data, b"[echo]")
    assert GUARD.found(data)
    assert not cleaned.complete


def test_several_echoes_beside_and_over_each_other() -> None:
    guard = EchoGuard([b"abcdabcdabcdabcdabcd", b"cdabcdabcdabcdabcdef"])
    cleaned = guard.clean(b"-abcdabcdabcdabcdabcdef--cdabcdabcdabcdabcdef-", b"X")
    assert (cleaned.data, cleaned.hits, cleaned.complete) == (b"-X--X-", 2, True)


def test_nothing_is_found_where_nothing_is() -> None:
    data = PLAIN[:-1] + b" " + PLAIN.upper() + b" %zz \\u00zz \\ % " + AWKWARD[1:]
    cleaned = GUARD.clean(data, b"X")
    assert (cleaned.data, cleaned.hits, cleaned.complete) == (data, 0, True)


def test_an_echo_across_the_windows_of_the_search() -> None:
    for at in range((1 << 20) - 24, (1 << 20) + 2, 5):
        data = b"\xf0" * at + PLAIN + b"\xf0" * 100
        assert GUARD.clean(data, b"X").data == data.replace(PLAIN, b"X")


def test_headers() -> None:
    assert GUARD.found_in_headers([("a", "b"), ("x-echo", f"Bearer {PLAIN.decode()}")])
    assert GUARD.found_in_headers([(PLAIN.decode(), "")])
    assert GUARD.found_in_headers([("a", BINARY.decode("utf-8", "surrogateescape"))])
    assert not GUARD.found_in_headers([("a", "b"), ("c", "é")])


def test_a_short_secret_is_refused_and_not_named() -> None:
    with pytest.raises(Misconfigured) as caught:
        EchoGuard([b"fifteen-bytes.."])
    assert caught.value.cause == "secret-too-short"
    assert "fifteen" not in str(caught.value)


def test_without_secrets_nothing_is_found() -> None:
    guard = EchoGuard([])
    assert not guard.found(b"anything")
    assert guard.longest == 0


def test_the_longest_spelling_is_known() -> None:
    guard = EchoGuard([PLAIN])
    assert guard.longest >= max(len(spell(PLAIN)) for spell in SPELLINGS.values())
    assert guard.longest >= len(_escape_all(base64.b64encode(PLAIN)))


def test_it_shows_no_secret() -> None:
    assert "s3cr3t" not in repr(GUARD)


@given(st.text(min_size=16, max_size=20), st.randoms(use_true_random=False), st.binary(max_size=20))
@settings(max_examples=12, deadline=None)  # each guard compiles its patterns
def test_any_mixture_of_one_layer_is_cut_out_or_said_to_be_there(secret: str, random: Any, around: bytes) -> None:
    spellings: list[Callable[[str], bytes]] = [
        lambda character: json.dumps(character).encode()[1:-1],
        lambda character: _percent_all(character.encode()),
        lambda character: _escape_all(character.encode()),
    ]
    guard = EchoGuard([secret.encode()])
    data = around + b'"' + b"".join(random.choice(spellings)(character) for character in secret) + b'"' + around
    assert guard.found(data)
    cleaned = guard.clean(data, b"X")
    assert cleaned.complete == (not guard.found(cleaned.data))
    assert cleaned.hits or not cleaned.complete
