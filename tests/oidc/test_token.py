import base64
import json
import math
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.errors import Unauthenticated
from doorward.oidc.issuer import Issuer
from doorward.oidc.jwks import parse_jwks
from doorward.oidc.keys import KeySnapshot
from doorward.oidc.token import MAX_TOKEN_BYTES, check_claims, check_signature, read_token
from tests.parts.tokens import SigningKey, encode_raw, private_key

NOW_S = 1_800_000_000
NOW = datetime.fromtimestamp(NOW_S, UTC)
ISSUER = Issuer("corp", "https://idp.example", "doorward", ("RS256", "PS256", "ES256", "EdDSA"), longest_s=600)
CLAIMS = {"iss": ISSUER.url, "sub": "a", "aud": "doorward", "iat": NOW_S - 10, "exp": NOW_S + 300}
HEADER = {"alg": "ES256", "typ": "JWT", "kid": "k"}


def cause_of_reading(text: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        read_token(text)
    assert caught.value.hint
    return caught.value.cause


def check(claims: dict[str, Any]) -> datetime:
    named = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    return check_claims(read_token(encode_raw(HEADER, named)), ISSUER, NOW)


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_a_token_is_taken_apart() -> None:
    token = read_token(encode_raw(HEADER, CLAIMS, b"s"))
    assert (token.algorithm, token.kid, token.claims) == ("ES256", "k", CLAIMS)
    assert token.text == f"{token.signing_input}.{b64(b's')}"


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "application/at+jwt", "APPLICATION/AT+JWT"])
def test_types_of_access_and_id_tokens(kind: str) -> None:
    assert read_token(encode_raw({**HEADER, "typ": kind}, CLAIMS)).kid == "k"


@pytest.mark.parametrize(
    "header",
    [
        {**HEADER, "typ": "logout+jwt"},
        {**HEADER, "typ": "dpop+jwt"},
        {**HEADER, "typ": None},
        {**HEADER, "crit": ["exp"]},
        {**HEADER, "crit": ["b64"], "b64": False},
        {**HEADER, "b64": True},
        {**HEADER, "kid": 7},
        {**HEADER, "alg": None},
        {**HEADER, "alg": ["ES256"]},
        {"typ": "JWT"},
    ],
)
def test_a_header_that_asks_for_more_is_refused(header: dict[str, Any]) -> None:
    assert cause_of_reading(encode_raw(header, CLAIMS)) == "token-malformed"


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "a.b.c.d.e",
        "x" * (MAX_TOKEN_BYTES + 1),
        f"{b64(b'{}')}.{b64(b'[]')}.",
        f"{b64(b'[]')}.{b64(b'{}')}.",
        encode_raw(HEADER, b'{"exp": 1, "exp": 2}'),
        encode_raw(HEADER, b'{"exp": NaN}'),
        encode_raw(HEADER, b'{"exp": Infinity}'),
        encode_raw(HEADER, b"[" * 5000),
        encode_raw(HEADER, b'{"exp": ' + b"9" * 5000 + b"}"),
        encode_raw(HEADER, b'{"a": "\xff"}'),
        encode_raw(HEADER, json.dumps(CLAIMS).encode("utf-16")),
        encode_raw(HEADER, CLAIMS).replace(".", "\n.", 1),
        encode_raw(HEADER, CLAIMS) + "ü",
        encode_raw(HEADER, CLAIMS) + "\ud800",
    ],
)
def test_what_is_no_signed_jwt_is_refused(text: str) -> None:
    assert cause_of_reading(text) == "token-malformed"


@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(st.binary(max_size=30), min_size=3, max_size=3).map(lambda parts: ".".join(map(b64, parts))),
    )
)
def test_no_text_makes_reading_fail_otherwise(text: str) -> None:
    with pytest.raises(Unauthenticated):
        read_token(text)


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"aud": ["other", "doorward"]},
        {"nbf": NOW_S},
        {"nbf": NOW_S + 30, "iat": NOW_S + 30},
        {"exp": NOW_S + 0.5},
        {"iat": NOW_S - 300},
    ],
)
def test_good_claims(claims: dict[str, Any]) -> None:
    assert check(claims).timestamp() == claims.get("exp", NOW_S + 300)


@pytest.mark.parametrize(
    ("claims", "cause"),
    [
        ({"exp": NOW_S}, "token-expired"),
        ({"exp": NOW_S - 1}, "token-expired"),
        ({"exp": 0}, "token-expired"),
        ({"iat": NOW_S + 31}, "token-early"),
        ({"nbf": NOW_S + 31}, "token-early"),
        ({"exp": NOW_S + 591}, "token-too-long-lived"),
        ({"iat": NOW_S - 301}, "token-too-long-lived"),
        ({"iat": 0}, "token-too-long-lived"),
        ({"exp": 253_402_300_799}, "token-too-long-lived"),
        ({"exp": None}, "token-malformed"),
        ({"iat": None}, "token-malformed"),
        ({"exp": True}, "token-malformed"),
        ({"exp": str(NOW_S + 300)}, "token-malformed"),
        ({"exp": -1}, "token-malformed"),
        ({"exp": 10**40}, "token-malformed"),
        ({"exp": 1e300}, "token-malformed"),
        ({"nbf": "now"}, "token-malformed"),
        ({"nbf": [1]}, "token-malformed"),
        ({"aud": None}, "wrong-audience"),
        ({"aud": []}, "wrong-audience"),
        ({"aud": "Doorward"}, "wrong-audience"),
        ({"aud": [["doorward"]]}, "wrong-audience"),
        ({"aud": {"doorward": "doorward"}}, "wrong-audience"),
        ({"aud": 7}, "wrong-audience"),
    ],
)
def test_bad_claims(claims: dict[str, Any], cause: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        check(claims)
    assert caught.value.cause == cause
    assert caught.value.hint


def test_infinity_written_as_a_number_is_no_time() -> None:
    text = json.dumps(CLAIMS).replace(str(CLAIMS["exp"]), "1e400")
    token = read_token(encode_raw(HEADER, text.encode()))
    assert token.claims["exp"] == math.inf
    with pytest.raises(Unauthenticated):
        check_claims(token, ISSUER, NOW)


# signatures

KEYS = {
    algorithm: SigningKey(f"{algorithm}-key", algorithm, private_key(algorithm))
    for algorithm in ("RS256", "ES256", "EdDSA")
}
SNAPSHOT = KeySnapshot(parse_jwks({"keys": [key.jwk() for key in KEYS.values()]}))


def signature_cause(text: str, snapshot: KeySnapshot = SNAPSHOT) -> str:
    with pytest.raises(Unauthenticated) as caught:
        check_signature(read_token(text), ISSUER, snapshot)
    return caught.value.cause


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_signatures_of_each_type(key: SigningKey) -> None:
    for headers in ({}, {"kid": None}):
        text = key.sign(CLAIMS, headers) if headers == {} else SigningKey(None, key.algorithm, key.key).sign(CLAIMS)
        check_signature(read_token(text), ISSUER, SNAPSHOT)


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_any_changed_byte_is_found(key: SigningKey) -> None:
    head, body, signature = key.sign(CLAIMS).split(".")
    changed = b64(json.dumps({**CLAIMS, "sub": "b"}).encode())
    raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
    raw[10] ^= 1
    assert signature_cause(f"{head}.{changed}.{signature}") == "bad-signature"
    assert signature_cause(f"{head}.{body}.{b64(bytes(raw))}") == "bad-signature"
    assert signature_cause(f"{head}.{body}.") == "bad-signature"
    assert signature_cause(f"{head}.{body}.!") == "token-malformed"


def test_an_algorithm_needs_a_key_of_its_own() -> None:
    stranger = SigningKey("RS256-key", "PS256", KEYS["RS256"].key)
    assert signature_cause(stranger.sign(CLAIMS)) == "unknown-key"  # the JWK says RS256
    for header in ({"alg": "ES256", "kid": "RS256-key"}, {"alg": "HS256", "kid": "RS256-key"}, {"alg": "none"}):
        assert signature_cause(encode_raw(header, CLAIMS, b"x" * 64)) == "unknown-key"


def test_keys_that_the_token_brings_along_are_not_looked_at() -> None:
    stranger = SigningKey("ES256-key", "ES256", private_key("ES256", 5))
    headers = {"jwk": stranger.jwk(), "jku": "https://evil.example/jwks", "x5u": "https://evil.example", "x5c": ["AA"]}
    assert signature_cause(stranger.sign(CLAIMS, headers)) == "bad-signature"
    check_signature(read_token(KEYS["ES256"].sign(CLAIMS, headers)), ISSUER, SNAPSHOT)


def test_keys_without_names_are_tried_for_named_tokens() -> None:
    nameless = KeySnapshot(parse_jwks({"keys": [{**KEYS["ES256"].jwk(), "kid": None}]}))
    check_signature(read_token(KEYS["ES256"].sign(CLAIMS)), ISSUER, nameless)
    assert not nameless.knows("ES256-key")


def test_a_nameless_token_makes_few_keys_be_tried() -> None:
    many = KeySnapshot(
        parse_jwks({"keys": [SigningKey(str(n), "ES256", private_key("ES256", n)).jwk() for n in range(20)]})
    )
    assert len(many.candidates(None, "ES256")) == 8
    assert len(many.candidates("19", "ES256")) == 1
    last = SigningKey("19", "ES256", private_key("ES256", 19))
    check_signature(read_token(last.sign(CLAIMS)), ISSUER, many)


def test_checking_is_fast_enough_for_each_request() -> None:
    token = read_token(KEYS["ES256"].sign(CLAIMS))
    started = time.perf_counter()
    for _ in range(20):
        check_signature(token, ISSUER, SNAPSHOT)
    assert time.perf_counter() - started < 2
