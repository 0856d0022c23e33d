"""One token against one issuer: what it says of itself, whose signature it has, whether it is good now.

Pure but for the mathematics of PyJWT: keys and time are arguments, so nothing in here waits.
verify.py uses it for agents' tokens and login.py for ID tokens, which differ by the audience
and a few claims alone. Claims are looked at only once the signature is known to be good.
"""

import base64
import binascii
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from jwt import InvalidSignatureError, PyJWS, PyJWTError

from doorward.errors import Unauthenticated
from doorward.oidc.discovery import shown
from doorward.oidc.issuer import KEY_KINDS, Issuer
from doorward.oidc.keys import KeySnapshot

MAX_TOKEN_BYTES: Final = 16 * 1024
# A provider's clock may run ahead of ours: for `iat` and `nbf` only, never to lengthen `exp`.
LEEWAY_S: Final = 30
_LATEST_S: Final = 253_402_300_799  # the end of the year 9999, where datetime ends
# RFC 8725 section 3.11: a logout token or a DPoP proof of the same issuer is no access token.
_TYPES: Final = frozenset({"jwt", "at+jwt"})
_FRESH: Final = "get a new token from the provider"
_JWS: Final = PyJWS(algorithms=list(KEY_KINDS))


@dataclass(frozen=True, slots=True)
class PresentedToken:
    """A token taken apart; nothing in it is proven."""

    text: str
    signing_input: str  # everything but the signature, which can be written in more than one way
    algorithm: str
    kid: str | None
    claims: Mapping[str, object]


def read_token(text: str) -> PresentedToken:
    """Take a token apart; raises Unauthenticated (`token-malformed`) if it is no signed JWT."""
    if len(text) > MAX_TOKEN_BYTES:
        raise _malformed(f"the token is longer than {MAX_TOKEN_BYTES} bytes", "ask the provider for fewer claims")
    parts = text.split(".")
    if len(parts) == 5:
        raise _malformed("the token is encrypted (JWE)", "have the provider issue signed tokens for this audience")
    if len(parts) != 3 or not text.isascii():
        raise _malformed(
            "the token is no JWT", "an opaque access token cannot be read here; have the provider issue JWTs"
        )
    header, claims = _object(parts[0], "header"), _object(parts[1], "payload")
    if "crit" in header or "b64" in header:
        raise _malformed("the token's header asks for an extension", "issue tokens without `crit` and `b64`")
    algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if not isinstance(algorithm, str) or not (kid is None or isinstance(kid, str)):
        raise _malformed("the token's `alg` or `kid` is no text", "the token must be an RFC 7519 JWT")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in _TYPES:
        raise _malformed(f"the token's type is {shown(kind)}, expected JWT or at+jwt", "send an access token")
    return PresentedToken(text, f"{parts[0]}.{parts[1]}", algorithm, kid, claims)


def check_algorithm(token: PresentedToken, issuer: Issuer) -> None:
    """Raise Unauthenticated unless the issuer may sign this way."""
    if token.algorithm not in issuer.algorithms:
        raise Unauthenticated(
            f"the token is signed with {shown(token.algorithm)}, expected {' or '.join(issuer.algorithms)}",
            cause="algorithm-not-allowed",
            hint=f"have the provider sign with one of these, or extend `algorithms` of '{issuer.alias}'",
        )


def check_signature(token: PresentedToken, issuer: Issuer, snapshot: KeySnapshot) -> None:
    """Raise Unauthenticated unless a published key made the signature."""
    candidates = snapshot.candidates(token.kid, token.algorithm)
    if not candidates:
        raise Unauthenticated(
            f"the issuer '{issuer.alias}' publishes no {token.algorithm} key named {shown(token.kid)}",
            cause="unknown-key",
            hint=f"{_FRESH}; after a change of keys it takes a few seconds until the new one is read",
        )
    for candidate in candidates:
        try:
            _JWS.decode(token.text, key=candidate.key, algorithms=[token.algorithm])
        except InvalidSignatureError:
            continue
        except PyJWTError:
            raise _malformed("the token cannot be read", "the token must be an RFC 7515 compact JWS") from None
        return
    raise Unauthenticated(
        f"the signature of the token is not by a key of '{issuer.alias}'",
        cause="bad-signature",
        hint=f"{_FRESH}, and see that it was not cut short on its way",
    )


def check_claims(token: PresentedToken, issuer: Issuer, now: datetime) -> datetime:
    """When the token expires; raises Unauthenticated if it is not for us, or not good at `now`."""
    audiences = token.claims.get("aud")
    named = audiences if isinstance(audiences, list) else [audiences]
    if issuer.audience not in named:
        raise Unauthenticated(
            f"the token is for the audience {shown(audiences)}, expected {shown(issuer.audience)}",
            cause="wrong-audience",
            hint=f"ask the provider for a token whose `aud` is {shown(issuer.audience)}",
        )
    now_s = now.timestamp()
    expires_s, issued_s = _time(token, "exp"), _time(token, "iat")
    starts_s = _time(token, "nbf") if "nbf" in token.claims else issued_s
    if now_s >= expires_s:
        raise Unauthenticated(
            f"the token expired {math.ceil(now_s - expires_s)} s ago", cause="token-expired", hint=_FRESH
        )
    if max(issued_s, starts_s) > now_s + LEEWAY_S:
        raise Unauthenticated(
            f"the token starts in {math.ceil(max(issued_s, starts_s) - now_s)} s",
            cause="token-early",
            hint="see that the clocks of the provider and of this machine agree",
        )
    # With `iat` at most LEEWAY_S ahead, this bounds what is left of the token's life as well.
    if expires_s - issued_s > issuer.longest_s:
        raise Unauthenticated(
            f"the token lives {math.ceil(expires_s - issued_s)} s, '{issuer.alias}' allows {issuer.longest_s} s",
            cause="token-too-long-lived",
            hint=f"have the provider issue shorter tokens, or raise `longest` of '{issuer.alias}'",
        )
    return datetime.fromtimestamp(expires_s, UTC)


def _time(token: PresentedToken, claim: str) -> float:
    value = token.claims.get(claim)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LATEST_S:
        raise _malformed(f"the token's `{claim}` is missing or no time", "`exp` and `iat` are needed, in seconds")
    return float(value)


def _object(segment: str, what: str) -> Mapping[str, object]:
    try:
        raw = base64.b64decode(segment.encode("ascii") + b"=" * (-len(segment) % 4), altchars=b"-_", validate=True)
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError, binascii.Error):
        value = None
    if not isinstance(value, dict):
        raise _malformed(f"the token's {what} is no JSON object", "see that the token was not cut short on its way")
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _malformed(message: str, hint: str) -> Unauthenticated:
    return Unauthenticated(message, cause="token-malformed", hint=hint)
