"""Stock clients with nothing but their environment, over both HTTP versions, and TLS to the target."""

import asyncio
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import aiohttp
import pytest
import requests

from tests.parts.certificates import TestAuthority
from tests.parts.deployment import SECRET, Deployment
from tests.parts.policies import policy_for
from tests.parts.provider import Provider
from tests.parts.target import Target, json_answer

URL = "https://billing.internal/v1/customers/1"
DOCUMENT = {"name": "Ann", "email": "ann@example.com"}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with Target() as running:
        running.answer = json_answer(DOCUMENT)
        yield running


@pytest.fixture(scope="module")
def deployment(provider: Provider, target: Target) -> Iterator[Deployment]:
    with Deployment(provider, policy_for(target), workers=2) as running:
        yield running


def environment(deployment: Deployment, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What `doorward agent env` prints, as a shell would take it."""
    script = deployment.command("agent", "env").stdout + "env -0"
    plain = {name: value for name, value in base.items() if not name.lower().endswith("_proxy")}
    token = {"DOORWARD_TOKEN": deployment.provider.token()}
    done = subprocess.run(["bash", "-c", script], env={**plain, **token}, capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in done.stdout.split("\0") if "=" in line)


def run(deployment: Deployment, *line: str, cwd: Path | None = None) -> str:
    done = subprocess.run(
        line, env=environment(deployment), capture_output=True, text=True, timeout=120, check=False, cwd=cwd
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def masked(text: str) -> bool:
    return '"Ann"' in text and "doorward-masked-" in text and "ann@example.com" not in text and SECRET not in text


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_curl(version: str, deployment: Deployment) -> None:
    out = run(deployment, "curl", "-sS", version, "-w", "\nHTTP/%{http_version}", URL)
    assert masked(out)
    assert out.endswith("HTTP/2" if version == "--http2" else "HTTP/1.1")


def test_curl_over_plain_http(deployment: Deployment) -> None:
    assert masked(run(deployment, "curl", "-sS", URL.replace("https", "http")))


def test_requests(deployment: Deployment) -> None:
    program = f"import requests; print(requests.get({URL!r}, timeout=60).text)"
    assert masked(run(deployment, sys.executable, "-c", program))


def test_requests_keeps_a_connection_alive(deployment: Deployment, target: Target) -> None:
    with requests.Session() as session:
        session.trust_env = False
        session.proxies = {"https": deployment.proxy()}
        session.verify = deployment.root
        assert all(masked(session.get(URL, timeout=60).text) for _ in range(12))


def test_httpx(deployment: Deployment) -> None:
    program = f"import httpx; print(httpx.get({URL!r}, timeout=60).text)"
    assert masked(run(deployment, sys.executable, "-c", program))


async def test_aiohttp(deployment: Deployment) -> None:
    context = ssl.create_default_context(cafile=deployment.root)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        answers = await asyncio.gather(*(_aiohttp_get(session, deployment.proxy()) for _ in range(5)))
    assert all(masked(each) for each in answers)


async def _aiohttp_get(session: aiohttp.ClientSession, proxy: str) -> str:
    async with session.get(URL, proxy=proxy) as answer:
        return await answer.text()


@pytest.mark.skipif(shutil.which("go") is None, reason="no Go toolchain on this machine")
def test_go(deployment: Deployment, tmp_path: Path) -> None:
    (tmp_path / "main.go").write_text(
        "package main\n"
        'import ("fmt"; "io"; "net/http"; "os")\n'
        "func main() {\n"
        "  answer, err := http.Get(os.Args[1])\n"
        "  if err != nil { fmt.Println(err); os.Exit(1) }\n"
        "  body, _ := io.ReadAll(answer.Body)\n"
        "  fmt.Println(answer.Proto, string(body))\n"
        "}\n"
    )
    built = subprocess.run(
        ["go", "build", "-o", "agent", "main.go"],
        cwd=tmp_path,
        env={**os.environ, "GO111MODULE": "off", "GOFLAGS": ""},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    out = run(deployment, str(tmp_path / "agent"), URL)
    assert masked(out)
    assert out.startswith("HTTP/2.0")


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node on this machine")
def test_node_through_its_own_tunnel(deployment: Deployment, tmp_path: Path) -> None:
    """Node 20's fetch knows no proxy variables; its http module opens the CONNECT as libraries do."""
    (tmp_path / "agent.mjs").write_text(
        "import http from 'node:http'; import https from 'node:https'; import fs from 'node:fs';\n"
        "const url = new URL(process.argv[2]); const proxy = new URL(process.env.HTTPS_PROXY);\n"
        "const auth = Buffer.from(`${proxy.username}:${decodeURIComponent(proxy.password)}`).toString('base64');\n"
        "http.request({host: proxy.hostname, port: proxy.port, method: 'CONNECT', path: `${url.hostname}:443`,\n"
        "  headers: {'Proxy-Authorization': `Basic ${auth}`}})\n"
        "  .on('connect', (_, socket) => https.get(url, {socket, agent: false}, got => got.pipe(process.stdout)))\n"
        "  .end();\n"
    )
    assert masked(run(deployment, "node", str(tmp_path / "agent.mjs"), URL))


def test_a_target_over_tls_is_verified_by_its_own_authority(provider: Provider, tmp_path: Path) -> None:
    authority = TestAuthority(tmp_path)
    with Target(authority.pair("localhost")) as target:
        target.answer = json_answer(DOCUMENT)
        policy = policy_for(target)
        policy["targets"]["billing"] |= {"url": f"https://localhost:{target.port}", "ca": str(authority.ca)}
        with Deployment(provider, policy) as deployment:
            with deployment.agent() as agent:
                assert masked(agent.get(URL).text)
                plain = agent.get(URL.replace("https", "http").replace("internal", "internal:443"))
                assert plain.status_code in (400, 403)
            policy["targets"]["billing"]["ca"] = deployment.root  # an authority, but not this target's
            deployment.write_policy(policy)
            deployment.wait_for(lambda: len(deployment.entries("policy.loaded")) == 2)
            before = len(target.got)
            with deployment.agent() as agent:
                answer = agent.get(URL)
            assert answer.status_code == 502
            assert answer.json()["executed"] == "no"
            assert len(target.got) == before


def test_a_rotated_credential_is_used_at_once_and_the_old_one_is_still_caught(
    provider: Provider, target: Target
) -> None:
    with Deployment(provider, policy_for(target)) as deployment, deployment.agent() as agent:
        agent.get(URL)
        deployment.write_secret("an-entirely-new-secret-0987654321")
        deployment.wait_for_entry("credential.loaded", credential="target-token")
        deployment.wait_for(lambda: len(deployment.entries("credential.loaded")) == 2)
        target.answer = json_answer({"old": SECRET, "new": "an-entirely-new-secret-0987654321"}, X_Echo=SECRET)
        answer = agent.get(URL)
        target.answer = json_answer(DOCUMENT)
        assert target.got[-1].headers
        assert ("authorization", "Bearer an-entirely-new-secret-0987654321") in [
            (name.lower(), value) for name, value in target.got[-1].headers
        ]
        assert SECRET not in answer.text + str(answer.headers)
        assert "entirely-new" not in answer.text
        outcome = deployment.wait_for_entry("request.outcome", request=answer.headers["Doorward-Request"])
        assert outcome.fields["echo"] == 3
        assert SECRET.encode() not in deployment.everything_on_disk()
