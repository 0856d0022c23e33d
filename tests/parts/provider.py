"""An OpenID provider on loopback under the test's thumb, for every test that needs tokens.

It speaks discovery, keys and the code flow, mints any token, good or bad, turns its keys
over, is slow, fails, goes away and comes back. One that is not ours is in mock_provider.py.
"""

import base64
import hashlib
import json
import secrets
import sys
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.parts.tokens import SigningKey, claims_for, private_key, signed_with_public_key, unsigned


class Provider:
    """An OpenID provider under the test's thumb; `with Provider() as provider:`."""

    def __init__(self, algorithm: str = "RS256", *, audience: str = "doorward") -> None:
        self.audience = audience
        self.keys: list[SigningKey] = []  # published; the last one signs
        self.jwks: object = None  # what to publish instead of `keys`
        self.metadata: dict[str, Any] = {}  # laid over the discovery document; None takes a member out
        self.status = 200  # of discovery and keys
        self.delay_s = 0.0  # before each answer
        self.padding = 0  # bytes of white space before each document
        self.requests: list[str] = []  # "GET /jwks", ...
        self.user: dict[str, Any] = {"sub": "alice", "groups": ["staff"]}  # who logs in at /authorize
        self.id_claims: dict[str, Any] = {}  # laid over the next ID tokens; None takes a claim out
        self.id_token: str | None = None  # sent in place of a good one
        self.sends_id_token = True
        self.client_secret: str | None = None  # demanded at /token when set
        self.authorization: str | None = None  # the Authorization header of the last /token
        self.sends_iss = True
        self._codes: dict[str, dict[str, str]] = {}
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._port = 0
        self._turns = 0
        self.rotate(algorithm)

    @property
    def url(self) -> str:
        """The issuer."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self.come_back()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_away()

    def go_away(self) -> None:
        """Stop listening; the address stays ours to come back to."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = self._thread = None

    def come_back(self) -> None:
        """Listen, at the same address as before."""
        self._server = _Server(("127.0.0.1", self._port), _Handler, self)
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def rotate(self, algorithm: str = "RS256", *, keep_old: bool = False, kid: str | None = "") -> SigningKey:
        """Sign with another key from now on; without `keep_old` tokens of the old one become bad."""
        number, self._turns = self._turns, self._turns + 1
        key = SigningKey(f"{algorithm}-{number}" if kid == "" else kid, algorithm, private_key(algorithm, number))
        self.keys = [*self.keys, key] if keep_old else [key]
        return key

    def claims(
        self,
        sub: str = "agent-7",
        *,
        groups: tuple[str, ...] | list[str] = ("agents",),
        aud: str | list[str] | None = None,
        lifetime_s: float = 600,
        age_s: float = 0,
        **claims: Any,
    ) -> dict[str, Any]:
        """The claims of an agent's token; a claim given as None is left out."""
        audience = self.audience if aud is None else aud
        return claims_for(self.url, sub=sub, aud=audience, groups=groups, lifetime_s=lifetime_s, age_s=age_s, **claims)

    def token(
        self,
        sub: str = "agent-7",
        *,
        key: SigningKey | None = None,
        headers: Mapping[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """A signed token; arguments of `claims` and any further claim may be given."""
        return (key or self.keys[-1]).sign(self.claims(sub, **claims), headers)

    def expired_token(self, **claims: Any) -> str:
        """Was good until a minute ago."""
        return self.token(age_s=660, lifetime_s=600, **claims)

    def early_token(self, **claims: Any) -> str:
        """Will be good in ten minutes."""
        return self.token(age_s=-600, **claims)

    def long_lived_token(self, **claims: Any) -> str:
        """Lives for a day."""
        return self.token(lifetime_s=86400, **claims)

    def unsigned_token(self, **claims: Any) -> str:
        """Says `alg: none`."""
        return unsigned(self.claims(**claims))

    def confused_token(self, **claims: Any) -> str:
        """HS256 with the public key for a secret."""
        return signed_with_public_key(self.keys[-1], self.claims(**claims))

    def forged_token(self, **claims: Any) -> str:
        """By a stranger's key under the name of ours."""
        real = self.keys[-1]
        return SigningKey(real.kid, real.algorithm, private_key(real.algorithm, 99)).sign(self.claims(**claims))

    # what the endpoints answer

    def discovery(self) -> dict[str, Any]:
        """The document under /.well-known/openid-configuration."""
        usual = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/jwks",
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "authorization_response_iss_parameter_supported": self.sends_iss,
            **self.metadata,
        }
        return {name: value for name, value in usual.items() if value is not None}

    def key_set(self) -> object:
        """The document under /jwks."""
        return self.jwks if self.jwks is not None else {"keys": [key.jwk() for key in self.keys]}

    def authorize(self, query: Mapping[str, str]) -> str:
        """Where the browser of `user`, who says yes to everything, is sent."""
        code = secrets.token_urlsafe(16)
        self._codes[code] = dict(query)
        answer = {"code": code, "state": query["state"]}
        if self.sends_iss:
            answer["iss"] = self.url
        return f"{query['redirect_uri']}?{urlencode(answer)}"

    def redeem(self, form: Mapping[str, str], authorization: str | None) -> tuple[int, dict[str, Any]]:
        """Status and answer of the token endpoint."""
        self.authorization = authorization
        asked = self._codes.pop(form.get("code", ""), None)
        if asked is None or asked["redirect_uri"] != form.get("redirect_uri"):
            return 400, {"error": "invalid_grant"}
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != asked["code_challenge"]:
            return 400, {"error": "invalid_grant", "error_description": "PKCE"}
        if self.client_secret is not None and self.client_secret != _client_secret(form, authorization):
            return 401, {"error": "invalid_client"}
        claims = {**self.user, "nonce": asked.get("nonce"), **self.id_claims}
        groups = claims.pop("groups", None)
        aud = claims.pop("aud", asked["client_id"])
        good = self.token(claims.pop("sub"), groups=groups or (), aud=aud, **claims)
        token = good if self.id_token is None else self.id_token
        answer = {"access_token": secrets.token_urlsafe(16), "token_type": "Bearer"}
        return 200, {**answer, "id_token": token} if self.sends_id_token else answer


def _client_secret(form: Mapping[str, str], authorization: str | None) -> str | None:
    if authorization is not None and authorization.startswith("Basic "):
        return base64.b64decode(authorization[6:]).decode().partition(":")[2]
    return form.get("client_secret")


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], provider: Provider) -> None:
        self.provider = provider
        super().__init__(address, handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that left before the answer; anything else is a fault of this file."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        provider, parts = self.server.provider, urlsplit(self.path)
        provider.requests.append(f"GET {parts.path}")
        time.sleep(provider.delay_s)
        match parts.path:
            case "/.well-known/openid-configuration":
                self._json(provider.status, provider.discovery())
            case "/jwks":
                self._json(provider.status, provider.key_set())
            case "/authorize":
                self.send_response(303)
                self.send_header("Location", provider.authorize(dict(parse_qsl(parts.query))))
                self.send_header("Content-Length", "0")
                self.end_headers()
            case _:
                self._json(404, {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        provider = self.server.provider
        provider.requests.append(f"POST {self.path}")
        time.sleep(provider.delay_s)
        self._json(*provider.redeem(dict(parse_qsl(body)), self.headers.get("Authorization")))

    def _json(self, status: int, document: object) -> None:
        body = b" " * self.server.provider.padding + json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing on the tests' output."""
