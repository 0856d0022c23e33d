from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from doorward.errors import Unavailable
from doorward.oidc.jwks import MAX_KEYS, parse_jwks
from tests.parts.tokens import private_key, public_jwk

RSA = public_jwk(private_key("RS256"))
P256 = public_jwk(private_key("ES256"))
P384 = public_jwk(private_key("ES384"))
ED = public_jwk(private_key("EdDSA"))
ALL_RSA = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}


@pytest.mark.parametrize(
    ("jwk", "algorithms"),
    [
        (RSA, ALL_RSA),
        ({**RSA, "alg": "RS256"}, {"RS256"}),
        ({**RSA, "use": "sig", "key_ops": ["verify"]}, ALL_RSA),
        (P256, {"ES256"}),
        (P384, {"ES384"}),
        (public_jwk(private_key("ES512")), {"ES512"}),
        (ED, {"EdDSA"}),
        ({**ED, "alg": "Ed25519"}, {"EdDSA"}),
    ],
)
def test_a_key_is_for_the_algorithms_of_its_type(jwk: dict[str, Any], algorithms: set[str]) -> None:
    (key,) = parse_jwks({"keys": [{**jwk, "kid": "k"}]})
    assert key.kid == "k"
    assert key.algorithms == algorithms


def test_a_key_may_have_no_name() -> None:
    (key,) = parse_jwks({"keys": [RSA]})
    assert key.kid is None


WEAK = RSAAlgorithm.to_jwk(rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key(), as_dict=True)
PRIVATE = {**RSA, "d": "AQAB"}
KOBLITZ = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256K1()).public_key(), as_dict=True)


@pytest.mark.parametrize(
    "jwk",
    [
        "text",
        {},
        {"kty": "oct", "k": "AAAA"},
        {**RSA, "use": "enc"},
        {**RSA, "key_ops": ["encrypt"]},
        {**RSA, "key_ops": "verify"},
        {**RSA, "alg": "HS256"},
        {**RSA, "alg": "RSA-OAEP"},
        {**RSA, "alg": "ES256"},
        {**RSA, "alg": ["RS256"]},
        {**RSA, "kid": 1},
        {**RSA, "n": "!"},
        {**RSA, "n": None},
        {**RSA, "e": "AQ"},
        {"kty": "RSA"},
        WEAK,
        PRIVATE,
        KOBLITZ,
        {**P256, "crv": "P-384"},
        {**P256, "x": P256["y"]},
        {**P256, "alg": "ES384"},
        {**ED, "crv": "X25519"},
        {**ED, "x": "AAAA"},
        {**ED, "alg": "Ed448"},
        {**ED, "kty": "EC"},
    ],
)
def test_a_key_that_is_not_for_us_is_left_out(jwk: object) -> None:
    (key,) = parse_jwks({"keys": [jwk, {**P256, "kid": "good"}]})
    assert key.kid == "good"
    with pytest.raises(Unavailable, match="no key"):
        parse_jwks({"keys": [jwk]})


@pytest.mark.parametrize("document", [{}, {"keys": {}}, {"keys": [P256] * (MAX_KEYS + 1)}])
def test_what_is_no_key_set_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(Unavailable) as caught:
        parse_jwks(document)
    assert caught.value.cause == "provider-away"
