"""The real `oidc-provider-mock` as a process, and the person who clicks at its login page."""

import base64
import hashlib
import json
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx


class MockProvider:
    """The real oidc-provider-mock as a process of its own; `users` maps a subject to its claims."""

    def __init__(self, users: Mapping[str, Mapping[str, Any]], *, token_max_age_s: int = 1800) -> None:
        self._users = users
        self._token_max_age_s = token_max_age_s
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        for _ in range(3):  # another program may take the free port before we do
            port = _free_port()
            self.url = f"http://127.0.0.1:{port}"
            command = [sys.executable, "-m", "oidc_provider_mock", "-H", "127.0.0.1", "-p", str(port)]
            command += ["-e", str(self._token_max_age_s)]
            for sub, claims in self._users.items():
                command += ["--user-claims", json.dumps({"sub": sub, **claims})]
            self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if _answers(self.url, self._process):
                return self
            self.__exit__()
        raise RuntimeError("oidc-provider-mock does not start")

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None


def _answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + 20
    with httpx.Client(trust_env=False, verify=False) as client:
        while process.poll() is None and time.monotonic() < deadline:
            try:
                return client.get(f"{url}/.well-known/openid-configuration").status_code == 200
            except httpx.TransportError:
                time.sleep(0.05)
    return False


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def choose_user(authorization_url: str, sub: str) -> str:
    """Do at oidc-provider-mock's login page what a person does; the URL that the browser is sent to."""
    with httpx.Client(trust_env=False, verify=False) as client:
        answer = client.post(authorization_url, data={"sub": sub})
    if answer.status_code != 302:
        raise RuntimeError(f"the login page answered {answer.status_code}")
    return answer.headers["Location"]


def authorize_by_form(issuer_url: str, *, client_id: str, sub: str, scope: str = "openid") -> str:
    """An ID token of oidc-provider-mock by a scripted code flow with PKCE; its audience is `client_id`."""
    redirect_uri, verifier, state = "http://127.0.0.1/agent", secrets.token_urlsafe(48), secrets.token_urlsafe(16)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": scope,
        "state": state,
        "nonce": secrets.token_urlsafe(16),
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    location = choose_user(f"{issuer_url}/oauth2/authorize?{urlencode(query)}", sub)
    params = parse_qs(urlsplit(location).query)
    if params.get("state") != [state]:
        raise RuntimeError("the provider answered with another state")
    form = {
        "grant_type": "authorization_code",
        "code": params["code"][0],
        "redirect_uri": redirect_uri,
        "client_id": client_id,
        "code_verifier": verifier,
    }
    with httpx.Client(trust_env=False, verify=False) as client:
        answer = client.post(f"{issuer_url}/oauth2/token", data=form)
    return str(answer.raise_for_status().json()["id_token"])
