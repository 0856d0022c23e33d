"""Signing keys and tokens, good and bad, for the provider of the tests."""

import base64
import functools
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

type PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


@functools.cache
def private_key(algorithm: str, number: int = 0, *, bits: int = 2048) -> PrivateKey:
    """A key for an algorithm; the same one for the same arguments, since RSA keys are slow to make."""
    if algorithm in CURVES:
        return ec.generate_private_key(CURVES[algorithm])
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def public_jwk(key: PrivateKey, **members: object) -> dict[str, Any]:
    """The public half as a JWK with further members; a member of None is left out."""
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        jwk = RSAAlgorithm.to_jwk(public, as_dict=True)
    elif isinstance(public, ec.EllipticCurvePublicKey):
        jwk = ECAlgorithm.to_jwk(public, as_dict=True)
    else:
        jwk = OKPAlgorithm.to_jwk(public, as_dict=True)
    jwk.pop("key_ops", None)
    return {**jwk, **{name: value for name, value in members.items() if value is not None}}


@dataclass(frozen=True)
class SigningKey:
    """A private key under the name and algorithm that tokens carry."""

    kid: str | None
    algorithm: str
    key: PrivateKey = field(repr=False)

    def jwk(self) -> dict[str, Any]:
        """As published in the key set."""
        return public_jwk(self.key, kid=self.kid, alg=self.algorithm, use="sig")

    def sign(self, claims: Mapping[str, Any], headers: Mapping[str, Any] | None = None) -> str:
        """A token; `headers` of None are left out, others replace the usual ones."""
        usual: dict[str, Any] = {} if self.kid is None else {"kid": self.kid}
        return jwt.encode(dict(claims), self.key, algorithm=self.algorithm, headers={**usual, **(headers or {})})


def claims_for(
    issuer: str,
    *,
    sub: str,
    aud: str | list[str],
    groups: tuple[str, ...] | list[str],
    lifetime_s: float,
    age_s: float,
    **claims: Any,
) -> dict[str, Any]:
    """The claims of an ordinary token; a claim given as None is left out."""
    issued = int(time.time() - age_s)
    usual = {
        "iss": issuer,
        "sub": sub,
        "aud": aud,
        "groups": list(groups),
        "iat": issued,
        "exp": int(issued + lifetime_s),
        **claims,
    }
    return {name: value for name, value in usual.items() if value is not None}


def encode_raw(header: Mapping[str, Any], claims: Mapping[str, Any] | bytes, signature: bytes = b"") -> str:
    """A compact JWS of any parts at all, signed or not."""
    body = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return ".".join(part.decode() for part in (_b64(json.dumps(header).encode()), _b64(body), _b64(signature)))


def unsigned(claims: Mapping[str, Any], *, spelling: str = "none") -> str:
    """A token of `alg: none`."""
    return encode_raw({"alg": spelling, "typ": "JWT"}, claims)


def signed_with_public_key(key: SigningKey, claims: Mapping[str, Any], *, algorithm: str = "HS256") -> str:
    """A token whose HMAC secret is the provider's public key, which everybody has."""
    secret = key.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    header = {"alg": algorithm, "typ": "JWT", "kid": key.kid}
    signing_input = encode_raw(header, claims).rpartition(".")[0]
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[algorithm]
    return f"{signing_input}.{_b64(hmac.digest(secret, signing_input.encode(), digest)).decode()}"


def _b64(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
