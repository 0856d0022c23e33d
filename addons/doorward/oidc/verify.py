"""An agent's token -> who it is, checked against its issuer's keys.

Synchronous and without I/O: keys come from the rings' snapshots, time is an argument. Good
tokens are remembered by their SHA-256 until they expire, as long as the keys stay the same.
The gateway calls `verify` at each request; `verify_patiently` may wait for new keys once.
"""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from doorward.core.identity import principal_from_claims
from doorward.errors import Misconfigured, Unauthenticated
from doorward.model import Principal
from doorward.oidc.discovery import shown
from doorward.oidc.issuer import Issuer
from doorward.oidc.keys import KeyRing, KeySnapshot
from doorward.oidc.token import PresentedToken, check_algorithm, check_claims, check_signature, read_token

_MAX_JTI_CHARS: Final = 200
_WORTH_WAITING: Final = frozenset({"unknown-key", "provider-away"})


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """What a good token says; the token itself is not in here."""

    principal: Principal
    token_id: str  # `jti`, or "sha256:" and the hash of what was signed
    session: str  # the gateway's own id for all that this token does
    expires_at: datetime


class TokenVerifier:
    """Verifies the tokens of all configured issuers; raises Misconfigured for one issuer under two aliases."""

    def __init__(
        self,
        issuers: Iterable[Issuer],
        rings: Mapping[str, KeyRing],
        owners: Mapping[str, str],
        *,
        most_remembered: int = 4096,
    ) -> None:
        self._issuers: dict[str, Issuer] = {}
        for issuer in issuers:
            if self._issuers.setdefault(issuer.url, issuer) is not issuer:
                raise Misconfigured(
                    f"'{issuer.alias}' and '{self._issuers[issuer.url].alias}' are one issuer",
                    cause="issuer-twice",
                    hint="keep one alias for each issuer, since a token names its issuer alone",
                )
        self._rings = rings
        self._owners = dict(owners)
        self._most_remembered = most_remembered
        self._remembered: OrderedDict[bytes, tuple[VerifiedToken, KeySnapshot, str]] = OrderedDict()

    def verify(self, token: str, now: datetime) -> VerifiedToken:
        """Who presents `token`; raises Unauthenticated with a cause of its own for each way to be wrong."""
        known = self.remembered(token, now)
        if known is not None:
            return known
        presented = read_token(token)
        issuer = self._issuer_of(presented)
        check_algorithm(presented, issuer)
        ring = self._rings[issuer.alias]
        snapshot = check_with_ring(presented, issuer, ring, now)
        expires_at = check_claims(presented, issuer, now)
        principal = principal_from_claims(
            issuer.alias,
            presented.claims,
            groups_claim=issuer.groups_claim,
            owner_claim=issuer.owner_claim,
            owners=self._owners,
        )
        verified = VerifiedToken(principal, _token_id(presented), _session(presented), expires_at)
        self._remembered[_key(token)] = (verified, snapshot, issuer.alias)
        if len(self._remembered) > self._most_remembered:
            self._remembered.popitem(last=False)
        return verified

    def remembered(self, token: str, now: datetime) -> VerifiedToken | None:
        """Who presents `token`, if it was verified before, with keys that still count, and has not expired."""
        key = _key(token)
        known = self._remembered.get(key)
        if known is None:
            return None
        verified, keys, alias = known
        if now < verified.expires_at and self._rings[alias].snapshot(now) is keys:
            self._remembered.move_to_end(key)
            return verified
        del self._remembered[key]
        return None

    async def verify_patiently(self, token: str, now: datetime, *, wait_s: float = 3.0) -> VerifiedToken:
        """As `verify`; where keys are missing it waits for one fetch, if the issuer's ring allows one."""
        try:
            return self.verify(token, now)
        except Unauthenticated as error:
            if error.cause not in _WORTH_WAITING:
                raise
            ring = self._rings[self._issuer_of(read_token(token)).alias]
            if not await ring.refreshed(wait_s=wait_s):
                raise
        return self.verify(token, now)

    def _issuer_of(self, presented: PresentedToken) -> Issuer:
        named = presented.claims.get("iss")
        issuer = self._issuers.get(named) if isinstance(named, str) else None
        if issuer is None:
            raise Unauthenticated(
                f"the token is by the issuer {shown(named)}, expected {' or '.join(map(shown, self._issuers))}",
                cause="unknown-issuer",
                hint="get a token from a configured issuer; `iss` must equal `issuer` letter by letter",
            )
        return issuer


def check_with_ring(presented: PresentedToken, issuer: Issuer, ring: KeyRing, now: datetime) -> KeySnapshot:
    """The keys that the signature was checked with; raises Unauthenticated. Asks for new keys where they may help."""
    snapshot = ring.snapshot(now)
    if snapshot is None:
        ring.ask()
        raise Unauthenticated(
            f"the keys of the issuer '{issuer.alias}' are not known: {ring.problem or 'the last ones are too old'}",
            cause="provider-away",
            hint=ring.hint or "try again; the keys are being fetched",
        )
    try:
        check_signature(presented, issuer, snapshot)
    except Unauthenticated:
        if not snapshot.knows(presented.kid):
            ring.ask()
        raise
    return snapshot


def _key(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _token_id(presented: PresentedToken) -> str:
    jti = presented.claims.get("jti")
    if isinstance(jti, str) and 0 < len(jti) <= _MAX_JTI_CHARS and jti.isprintable():
        return jti
    return "sha256:" + hashlib.sha256(presented.signing_input.encode()).hexdigest()


def _session(presented: PresentedToken) -> str:
    # Keyed by the purpose, so that the id is no prefix of the token's hash.
    return hmac.new(b"doorward session", presented.signing_input.encode(), "sha256").hexdigest()[:24]
