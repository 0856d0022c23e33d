import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from doorward.errors import Unavailable
from doorward.oidc.discovery import discover, fetch_document, provider_client, shown
from tests.parts.provider import Provider


async def problem_of(issuer: str, *, timeout_s: float = 1.0) -> str:
    async with provider_client(timeout_s=timeout_s) as client:
        with pytest.raises(Unavailable) as caught:
            await discover(client, issuer, timeout_s=timeout_s)
    assert caught.value.cause == "provider-away"
    assert caught.value.hint
    return caught.value.message


async def test_the_endpoints_are_read(provider: Provider) -> None:
    async with provider_client() as client:
        metadata = await discover(client, provider.url, timeout_s=2)
    assert metadata.jwks_uri == f"{provider.url}/jwks"
    assert metadata.authorization_endpoint == f"{provider.url}/authorize"
    assert metadata.token_endpoint == f"{provider.url}/token"
    assert metadata.token_auth_methods == ("client_secret_basic",)
    assert metadata.sends_iss


@pytest.mark.parametrize("named", ["https://evil.example", None, 7])
async def test_a_document_of_another_issuer_is_refused(provider: Provider, named: object) -> None:
    provider.metadata["issuer"] = named
    assert "names the issuer" in await problem_of(provider.url)


async def test_a_slash_makes_another_issuer(provider: Provider) -> None:
    assert "expected" in await problem_of(provider.url + "/")


@pytest.mark.parametrize("uri", ["http://idp.example/jwks", "file:///etc/passwd", "jwks", 7, "https://u@idp.example"])
async def test_keys_are_not_fetched_in_clear(provider: Provider, uri: object) -> None:
    provider.metadata["jwks_uri"] = uri
    assert await problem_of(provider.url) == "the discovery document's jwks_uri is no https URL"


async def test_keys_must_be_named(provider: Provider) -> None:
    provider.metadata["jwks_uri"] = None
    assert await problem_of(provider.url) == "the discovery document has no jwks_uri"


@pytest.mark.parametrize("status", [204, 302, 404, 503])
async def test_another_status_is_refused(provider: Provider, status: int) -> None:
    provider.status = status
    assert (await problem_of(provider.url)).endswith(f"answered {status}")


async def test_too_much_is_refused(provider: Provider) -> None:
    provider.padding = 600_000
    assert "more than" in await problem_of(provider.url)


async def test_a_slow_provider_is_given_up(provider: Provider) -> None:
    provider.delay_s = 0.4
    assert "did not answer within 0.1 s" in await problem_of(provider.url, timeout_s=0.1)


async def test_nobody_there(provider: Provider) -> None:
    provider.go_away()
    assert "could not be reached (ConnectError)" in await problem_of(provider.url)


@asynccontextmanager
async def answering(raw: bytes, *, pause_s: float = 0) -> AsyncIterator[str]:
    """A server that sends these bytes, one by one if a pause is given."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            for part in [raw[i : i + 1] for i in range(len(raw))] if pause_s else [raw]:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause_s)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def response(body: bytes, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (response(b"<html>"), "no JSON"),
        (response(b"[]"), "no object"),
        (response(b"[" * 5000), "no JSON"),
        (response(b"\xff\xfe"), "no JSON"),
        (response(gzip.compress(b"{}"), "Content-Encoding: gzip"), "encoding that was not asked for"),
        (b"garbage\r\n\r\n", "could not be reached (RemoteProtocolError)"),
        (response(b"{}")[:-1], "could not be reached (RemoteProtocolError)"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "answered 302"),
    ],
    ids=["html", "list", "deep", "bytes", "gzip", "no http", "cut short", "redirect"],
)
async def test_an_answer_of_another_kind_is_refused(raw: bytes, problem: str) -> None:
    async with answering(raw) as url:
        assert problem in await problem_of(url)


async def test_dripping_does_not_outlast_the_deadline() -> None:
    async with answering(response(b"{}" + b" " * 1000), pause_s=0.05) as url:
        assert "within 0.3 s" in await problem_of(url, timeout_s=0.3)


async def test_the_environments_proxy_is_not_used(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with provider_client() as client:
        document = await fetch_document(client, httpx.Request("GET", f"{provider.url}/jwks"), timeout_s=2)
    assert "keys" in document


def test_foreign_text_is_shown_short_and_plain() -> None:
    assert shown("a\n\u202e") == r"'a\n\u202e'"
    assert len(shown("x" * 500)) == 81
