"""The demo's OpenID provider, and how a script logs in at it as an agent or a person would.

The provider is PyPI `oidc-provider-mock`, run as a process of its own. It knows the code
flow with PKCE only, so the agent's token comes from a scripted code flow.
"""

import base64
import hashlib
import json
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx

from doorward.errors import Unavailable

AGENT = "agent-7"
OWNER = "alice"
REVIEWER = "rita"
USERS: Mapping[str, Mapping[str, object]] = {
    AGENT: {"groups": ["agents"], "owner": OWNER},
    OWNER: {"groups": ["crm-owners", "staff"]},
    REVIEWER: {"groups": ["crm-owners", "staff"]},
}
_TOKEN_LIVES_S = 1800


def provider_command(port: int) -> Sequence[str]:
    """The command line of the provider."""
    users = [part for sub, claims in USERS.items() for part in ("--user-claims", json.dumps({"sub": sub, **claims}))]
    program = [sys.executable, "-m", "oidc_provider_mock", "-H", "127.0.0.1", "-p", str(port)]
    return [*program, "-e", str(_TOKEN_LIVES_S), *users]


def start_provider(port: int, log: int) -> subprocess.Popen[bytes]:
    """Start it; `log` is an open file."""
    return subprocess.Popen(provider_command(port), stdout=log, stderr=log, stdin=subprocess.DEVNULL)  # noqa: S603 # our own


def agent_token(issuer: str, audience: str) -> str:
    """A token for the agent, by the code flow with PKCE that a person would click through."""
    redirect, verifier, state = "http://127.0.0.1/agent", secrets.token_urlsafe(48), secrets.token_urlsafe(16)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    query = {
        "response_type": "code",
        "client_id": audience,
        "redirect_uri": redirect,
        "scope": "openid",
        "state": state,
        "nonce": secrets.token_urlsafe(16),
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    with httpx.Client(trust_env=False, timeout=10) as client:
        answer = client.post(f"{issuer}/oauth2/authorize?{urlencode(query)}", data={"sub": AGENT})
        params = parse_qs(urlsplit(answer.headers.get("Location", "")).query)
        if params.get("state") != [state] or "code" not in params:
            raise Unavailable("the demo's provider did not log the agent in", cause="demo", hint="run the demo again")
        form = {
            "grant_type": "authorization_code",
            "code": params["code"][0],
            "redirect_uri": redirect,
            "client_id": audience,
            "code_verifier": verifier,
        }
        token = client.post(f"{issuer}/oauth2/token", data=form).raise_for_status().json()["id_token"]
    return str(token)
