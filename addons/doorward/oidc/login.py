"""A person's login at the provider: authorization code flow with PKCE, state and nonce.

OpenID Connect Core 1.0 section 3.1, RFC 7636, RFC 9207. Two steps, between which the browser
is at the provider: `start` gives the URL and what to remember, `finish` turns what came back
into a Principal. The console keeps the pending login, bound to the browser and for one use.
Nothing runs in between: the provider's documents are fetched when a login needs them.
"""

import dataclasses
import hashlib
import hmac
import secrets
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote_plus

import httpx

from doorward.core.identity import principal_from_claims
from doorward.errors import Unauthenticated, Unavailable
from doorward.model import Principal
from doorward.oidc.discovery import ProviderMetadata, discover, fetch_document, provider_client, shown
from doorward.oidc.issuer import Issuer
from doorward.oidc.jwks import parse_jwks
from doorward.oidc.keys import KeySnapshot
from doorward.oidc.token import check_algorithm, check_claims, check_signature, read_token

_METADATA_SERVES_S: Final = 300.0
# An ID token is used once, right here: `longest` bounds what agents carry around, not this.
_ID_TOKEN_LIFE_S: Final = 366 * 86400
_AGAIN: Final = "log in again"


@dataclass(frozen=True, slots=True)
class PendingLogin:
    """What the provider's answer is compared with; good once, for the browser that it was made for."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


class LoginFlow:
    """Logs persons in at one issuer as one client."""

    def __init__(
        self,
        issuer: Issuer,
        client_id: str,
        client_secret: str | None,
        redirect_uri: str,
        *,
        timeout_s: float = 5.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        # The same issuer as the agents', but tokens for this client: neither passes for the other.
        self._issuer = dataclasses.replace(issuer, audience=client_id, longest_s=_ID_TOKEN_LIFE_S)
        self._client_id = client_id
        self._client_secret = client_secret
        self._redirect_uri = redirect_uri
        self._timeout_s = timeout_s
        self._clock = clock
        self._metadata: ProviderMetadata | None = None
        self._metadata_at_s = 0.0

    async def start(self) -> tuple[str, PendingLogin]:
        """Where to send the browser, and what to keep for `finish`; raises Unavailable if the provider is away."""
        async with provider_client(timeout_s=self._timeout_s) as client:
            metadata = await self._discovered(client)
        pending = PendingLogin(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48))
        endpoint = metadata.authorization_endpoint or _no_endpoint("authorization_endpoint")
        url = httpx.URL(endpoint).copy_merge_params(
            {
                "response_type": "code",
                "client_id": self._client_id,
                "redirect_uri": self._redirect_uri,
                "scope": "openid groups" if "groups" in metadata.scopes else "openid",
                "state": pending.state,
                "nonce": pending.nonce,
                "code_challenge": _challenge(pending.verifier),
                "code_challenge_method": "S256",
            }
        )
        return str(url), pending

    async def finish(self, pending: PendingLogin, params: Mapping[str, str]) -> Principal:
        """The person that the provider's answer names; raises Unauthenticated, or Unavailable."""
        if not hmac.compare_digest(params.get("state", "").encode(), pending.state.encode()):
            raise _refused("the answer belongs to another login", "login-state", _AGAIN)
        async with provider_client(timeout_s=self._timeout_s) as client:
            metadata = await self._discovered(client)
            self._check_answer(metadata, params)
            id_token = await self._redeem(client, metadata, params["code"], pending.verifier)
            request = httpx.Request("GET", metadata.jwks_uri)
            document = await fetch_document(client, request, timeout_s=self._timeout_s)
        return self._person(id_token, KeySnapshot(parse_jwks(document)), pending.nonce)

    async def _discovered(self, client: httpx.AsyncClient) -> ProviderMetadata:
        if self._metadata is None or time.monotonic() - self._metadata_at_s > _METADATA_SERVES_S:
            self._metadata = await discover(client, self._issuer.url, timeout_s=self._timeout_s)
            self._metadata_at_s = time.monotonic()
        return self._metadata

    def _check_answer(self, metadata: ProviderMetadata, params: Mapping[str, str]) -> None:
        named = params.get("iss")
        if named != self._issuer.url and (named is not None or metadata.sends_iss):
            raise _refused(
                f"the answer is by the issuer {shown(named)}, expected {shown(self._issuer.url)}",
                "login-issuer",
                _AGAIN,
            )
        if "error" in params:
            raise _refused(
                f"the provider refused the login: {shown(params['error'])}",
                "login-denied",
                "ask who runs the provider whether you may use this console",
            )
        if not params.get("code"):
            raise _refused("the answer carries no code", "login-malformed", _AGAIN)

    async def _redeem(self, client: httpx.AsyncClient, metadata: ProviderMetadata, code: str, verifier: str) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": verifier,
        }
        headers = {}
        if self._client_secret is None:
            form["client_id"] = self._client_id
        elif "client_secret_basic" in metadata.token_auth_methods:
            # RFC 6749 section 2.3.1: both halves are form-encoded first.
            pair = f"{quote_plus(self._client_id)}:{quote_plus(self._client_secret)}"
            headers["Authorization"] = "Basic " + b64encode(pair.encode()).decode()
        else:
            form |= {"client_id": self._client_id, "client_secret": self._client_secret}
        endpoint = metadata.token_endpoint or _no_endpoint("token_endpoint")
        request = httpx.Request("POST", endpoint, data=form, headers=headers)
        answer = await fetch_document(client, request, timeout_s=self._timeout_s, accept=(200, 400, 401))
        if "error" in answer:
            raise _refused(
                f"the provider did not take the code of this login: {shown(answer['error'])}",
                "login-code",
                "log in again; if that does not help, see client_id and client_secret of the console",
            )
        id_token = answer.get("id_token")
        if not isinstance(id_token, str):
            raise _refused("the provider sent no ID token", "login-malformed", "is the scope openid allowed?")
        return id_token

    def _person(self, id_token: str, snapshot: KeySnapshot, nonce: str) -> Principal:
        token = read_token(id_token)
        if token.claims.get("iss") != self._issuer.url:
            raise _refused(
                f"the ID token is by {shown(token.claims.get('iss'))}, expected {shown(self._issuer.url)}",
                "unknown-issuer",
                "have the provider's discovery document and tokens name one issuer",
            )
        check_algorithm(token, self._issuer)
        check_signature(token, self._issuer, snapshot)
        check_claims(token, self._issuer, self._clock())
        audiences, party = token.claims["aud"], token.claims.get("azp")
        several = isinstance(audiences, list) and len(audiences) > 1
        if party != self._client_id and (party is not None or several):
            raise _refused(
                f"the ID token was issued to {shown(party)}, expected {shown(self._client_id)}",
                "wrong-audience",
                "give the console a client of its own at the provider",
            )
        if token.claims.get("nonce") != nonce:
            raise _refused("the ID token belongs to another login", "login-nonce", _AGAIN)
        return principal_from_claims(
            self._issuer.alias, token.claims, groups_claim=self._issuer.groups_claim, owner_claim=None, owners={}
        )


def _challenge(verifier: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _refused(message: str, cause: str, hint: str) -> Unauthenticated:
    return Unauthenticated(message, cause=cause, hint=hint)


def _no_endpoint(name: str) -> str:
    raise Unavailable(
        f"the discovery document has no {name}",
        cause="provider-away",
        hint="the provider must offer the authorization code flow",
    )
