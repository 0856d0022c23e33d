"""A provider's published key set -> the public keys we may check signatures with.

RFC 7517 documents in, cryptography's public keys out; no network and no clock. A key that is
not for us (encryption, symmetric, private, weak, unknown) is left out, never an error: a set
often holds some. keys.py calls it with what it fetched.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from jwt import PyJWTError
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from doorward.errors import Unavailable
from doorward.oidc.issuer import KEY_KINDS

MAX_KEYS: Final = 100
_RSA_BITS: Final = range(2048, 8192 + 1)  # RFC 7518 section 3.3 below; above, a check costs too much

type PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One public key with the algorithms it may be used for: those of its type, or the one that it names."""

    kid: str | None
    algorithms: frozenset[str]
    key: PublicKey


def parse_jwks(document: Mapping[str, object]) -> tuple[VerificationKey, ...]:
    """The usable keys of a JWKS document; raises Unavailable if it is none, or leaves no key."""
    listed = document.get("keys")
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise Unavailable(
            f"the provider's key document lists no keys, or more than {MAX_KEYS}",
            cause="provider-away",
            hint="jwks_uri must name a JSON Web Key Set (RFC 7517)",
        )
    keys = tuple(key for entry in listed if isinstance(entry, dict) and (key := _parse_key(entry)) is not None)
    if not keys:
        raise Unavailable(
            "the provider publishes no key that can check a signature",
            cause="provider-away",
            hint="RSA of 2048 bits or more, P-256, P-384, P-521, Ed25519 or Ed448 keys for `sig` are read",
        )
    return keys


def _parse_key(entry: Mapping[str, object]) -> VerificationKey | None:
    kid, use, operations = entry.get("kid"), entry.get("use", "sig"), entry.get("key_ops", ["verify"])
    if not (kid is None or isinstance(kid, str)) or use != "sig":
        return None
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    if "d" in entry:  # a private key; whoever publishes it cannot vouch for it
        return None
    algorithms = _algorithms(entry)
    if not algorithms:
        return None
    try:
        key = _public_key(entry)
    except (PyJWTError, ValueError, TypeError, KeyError, UnsupportedAlgorithm):
        return None
    return None if key is None else VerificationKey(kid, algorithms, key)


def _algorithms(entry: Mapping[str, object]) -> frozenset[str]:
    suited = {
        name
        for name, (kind, curves) in KEY_KINDS.items()
        if kind == entry.get("kty") and (not curves or entry.get("crv") in curves)
    }
    named = entry.get("alg")
    if named in ("Ed25519", "Ed448") and named == entry.get("crv"):
        named = "EdDSA"  # RFC 9864: the fully specified names for what tokens call EdDSA
    return frozenset(name for name in suited if named is None or name == named)


def _public_key(entry: Mapping[str, object]) -> PublicKey | None:
    match entry.get("kty"):
        case "RSA":
            key = RSAAlgorithm.from_jwk(dict(entry))
            return key if isinstance(key, rsa.RSAPublicKey) and key.key_size in _RSA_BITS else None
        case "EC":
            point = ECAlgorithm.from_jwk(dict(entry))
            return point if isinstance(point, ec.EllipticCurvePublicKey) else None
        case _:
            edwards = OKPAlgorithm.from_jwk(dict(entry))
            return edwards if isinstance(edwards, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey) else None
