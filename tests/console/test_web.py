"""The console as a whole: where it listens, behind TLS, and that it ends when it is told to."""

import asyncio
import datetime
import ipaddress
import ssl
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from doorward.console.config import Tls
from doorward.console.routes import ROUTES
from doorward.console.web import ANSWERS
from doorward.errors import Misconfigured
from tests.parts.console import RunningConsole, running_console
from tests.parts.provider import Provider


def test_each_route_has_its_answer() -> None:
    assert set(ANSWERS) == {route.name for route in ROUTES}


async def test_it_ends_when_it_is_cancelled(provider: Provider) -> None:
    async with running_console(provider) as console:
        console.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await console.task
        async with httpx.AsyncClient(trust_env=False) as browser:
            with pytest.raises(httpx.ConnectError):
                await browser.get(console.url)


async def test_a_public_url_with_a_path_is_refused(provider: Provider) -> None:
    with pytest.raises(Misconfigured, match="more than scheme"):
        async with running_console(provider, public_url="http://127.0.0.1:0/console"):
            pass


async def test_what_cannot_be_used_is_said(console: RunningConsole, provider: Provider, tmp_path: Path) -> None:
    port = int(console.url.rpartition(":")[2])
    with pytest.raises(Misconfigured, match="cannot listen"):
        async with running_console(provider, listen=("127.0.0.1", port)):
            pass
    with pytest.raises(Misconfigured, match="no certificate"):
        async with running_console(provider, tls=Tls(tmp_path / "no.pem", tmp_path / "no.pem")):
            pass


async def test_with_tls_cookies_are_bound_to_it(provider: Provider, tmp_path: Path) -> None:
    tls = self_signed(tmp_path)
    trust = ssl.create_default_context(cafile=str(tls.cert))
    async with running_console(provider, tls=tls, public_url="https://127.0.0.1:0") as console:
        assert console.url.startswith("https://127.0.0.1:")
        async with console.person("anna", "sre", verify=trust) as anna:
            (cookie,) = anna.browser.cookies.jar
            assert cookie.name == "__Host-doorward"
            assert cookie.secure
            assert cookie.path == "/"
            answer = await anna.browser.get("/approvals")
            assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
            index = await anna.browser.get("/")
            assert (
                f"connect-src 'self' {console.url.replace('https', 'wss')};" in index.headers["Content-Security-Policy"]
            )


async def test_the_page_of_mitmweb_carries_ours_before_its_own(console: RunningConsole) -> None:
    async with console.person("anna", "sre") as anna:
        page = (await anna.browser.get("/")).text
        assert "<title>doorward console</title>" in page
        assert page.index("/doorward/mitmweb.js") < page.index('type="module"')
        assert f'name="doorward-token" content="{anna.token}"' in page
        for path in ("mitmweb.js", "mitmweb.css", "approvals.js", "pages.css", "mark.svg"):
            assert (await anna.browser.get(f"/doorward/{path}")).status_code == 200, path


def self_signed(place: Path) -> Tls:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.KeyUsage(True, False, False, False, False, True, True, False, False), True)
        .sign(key, hashes.SHA256())
    )
    (place / "cert.pem").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    (place / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return Tls(place / "cert.pem", place / "key.pem")
