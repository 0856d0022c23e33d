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
    "base32": base64.b32encode,
    "base32-lower": lambda secret: base64.b32encode(b"ab" + secret).lower(),
    "base32-3": lambda secret: base64.b32encode(b"abc" + secret + b"d"),
    "base32-4": lambda secret: base64.b32encode(b"abcd" + secret),
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


def _wrapped(secret: bytes, end: bytes) -> bytes:
    encoded = base64.b64encode(b"x" * 50 + secret + b"x" * 50)
    return end.join(encoded[at : at + 76] for at in range(0, len(encoded), 76))


DISGUISED = {
    "html-decimal": b"".join(b"&#%d;" % byte for byte in PLAIN),
    "html-hex": b"".join(b"&#x%X;" % byte for byte in PLAIN),
    "html-zeros": b"".join(b"&#0000%d" % byte for byte in PLAIN),
    "html-some": PLAIN.replace(b"/", b"&#47;").replace(b"+", b"&#x2b;"),
    "html-named": PLAIN.replace(b"/", b"&sol;").replace(b"+", b"&plus;"),
    "html-of-percent": PLAIN.replace(b"/", b"&#37;2F"),
    "utf-16": PLAIN.decode().encode("utf-16"),
    "utf-16-be": PLAIN.decode().encode("utf-16-be"),
    "utf-32": PLAIN.decode().encode("utf-32"),
    "base64-in-utf-16": base64.b64encode(PLAIN).decode().encode("utf-16-le"),
    "wrapped": _wrapped(PLAIN, b"\n"),
    "wrapped-crlf": _wrapped(PLAIN, b"\r\n"),
    "wrapped-indented": _wrapped(PLAIN, b"\n    "),
    "wrapped-in-json": _wrapped(PLAIN, b"\\n"),
    "wrapped-in-json-crlf": _wrapped(PLAIN, b"\\r\\n"),
    "pem": b"-----BEGIN X-----\n%s\n-----END X-----" % _wrapped(PLAIN, b"\n"),
}


@pytest.mark.parametrize("kind", DISGUISED)
def test_what_is_disguised_is_found_and_withheld(kind: str) -> None:
    data = b'{"a": "&amp;", "echo": "' + DISGUISED[kind] + b'"}\n{"b": 1}\n'
    assert GUARD.found(data)
    assert not GUARD.clean(data, b"X").complete


def test_a_secret_of_basic_is_found_undone() -> None:
    secret = base64.b64encode(b"robot:a-password-of-16+")
    guard = EchoGuard([secret])
    password = b"a-password-of-16+"
    for echo in (
        secret,
        b"robot:" + password,
        b"<" + password,
        password.replace(b"+", b"%2b"),
        password.hex().encode(),
    ):
        assert guard.clean(echo, b"X").hits == 1
    short = EchoGuard([base64.b64encode(b"long-user-name:short")])
    assert short.found(b"long-user-name:short")
    assert not short.found(b"short")  # it would be found by chance


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
