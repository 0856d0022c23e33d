"""Documents of an OpenID provider, fetched without trust in their size, pace or content.

OpenID Connect Discovery 1.0: the document under the issuer's URL names the other endpoints. Knows
HTTP, not keys and not tokens; keys.py calls it in the background and login.py for the code.
"""

import asyncio
import functools
import json
import ssl
from dataclasses import dataclass
from typing import Final

import httpx

from doorward.errors import Unavailable
from doorward.oidc.issuer import is_safe_url

WELL_KNOWN: Final = "/.well-known/openid-configuration"
_MAX_DOCUMENT_BYTES: Final = 512 * 1024
_DEFAULT_AUTH_METHODS: Final = ("client_secret_basic",)  # Discovery 1.0 section 3


@dataclass(frozen=True, slots=True)
class ProviderMetadata:
    """What we use of a discovery document."""

    issuer: str
    jwks_uri: str
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    token_auth_methods: tuple[str, ...] = _DEFAULT_AUTH_METHODS
    scopes: tuple[str, ...] = ()
    sends_iss: bool = False  # RFC 9207: each authorization response carries `iss`


def provider_client(*, timeout_s: float = 5.0) -> httpx.AsyncClient:
    """The client for talking to providers: the system's CAs, no proxy from the environment, no redirects."""
    return httpx.AsyncClient(
        verify=_system_trust(),
        trust_env=False,
        follow_redirects=False,
        timeout=timeout_s,
        headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        limits=httpx.Limits(max_connections=8, max_keepalive_connections=2),
    )


@functools.cache
def _system_trust() -> ssl.SSLContext:
    return ssl.create_default_context()  # reads a hundred files; once is enough


async def discover(client: httpx.AsyncClient, issuer_url: str, *, timeout_s: float) -> ProviderMetadata:
    """The metadata of `issuer_url`; raises Unavailable if it cannot be had, or speaks of another issuer."""
    url = issuer_url.rstrip("/") + WELL_KNOWN
    document = await fetch_document(client, httpx.Request("GET", url), timeout_s=timeout_s)
    named = document.get("issuer")
    if named != issuer_url:
        raise Unavailable(
            f"the discovery document names the issuer {shown(named)}, expected {shown(issuer_url)}",
            cause="provider-away",
            hint="write `issuer` in doorward.yaml exactly as the provider does, the last slash included",
        )
    return ProviderMetadata(
        issuer=issuer_url,
        jwks_uri=_endpoint(document, "jwks_uri", issuer_url) or _missing("jwks_uri"),
        authorization_endpoint=_endpoint(document, "authorization_endpoint", issuer_url),
        token_endpoint=_endpoint(document, "token_endpoint", issuer_url),
        token_auth_methods=_texts(document, "token_endpoint_auth_methods_supported") or _DEFAULT_AUTH_METHODS,
        scopes=_texts(document, "scopes_supported"),
        sends_iss=document.get("authorization_response_iss_parameter_supported") is True,
    )


async def fetch_document(
    client: httpx.AsyncClient, request: httpx.Request, *, timeout_s: float, accept: tuple[int, ...] = (200,)
) -> dict[str, object]:
    """The JSON object that answers `request`; raises Unavailable for everything else, within `timeout_s`."""
    request.headers.setdefault("Accept", "application/json")
    request.headers["Accept-Encoding"] = "identity"
    request.extensions.setdefault("timeout", client.timeout.as_dict())
    place = f"{request.url.scheme}://{request.url.netloc.decode('ascii')}{request.url.path}"
    try:
        async with asyncio.timeout(timeout_s):
            body = await _body(client, request, place, accept)
        document = json.loads(body)
    except (TimeoutError, httpx.TimeoutException) as error:
        raise _away(place, f"did not answer within {timeout_s:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _away(place, f"could not be reached ({type(error).__name__})") from error
    except (ValueError, RecursionError) as error:
        raise _away(place, "answered something that is no JSON") from error
    if not isinstance(document, dict):
        raise _away(place, "answered JSON that is no object")
    return document


async def _body(client: httpx.AsyncClient, request: httpx.Request, place: str, accept: tuple[int, ...]) -> bytes:
    answer = await client.send(request, stream=True)
    try:
        if answer.status_code not in accept:
            raise _away(place, f"answered {answer.status_code}")
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise _away(place, "answered in an encoding that was not asked for")
        body = bytearray()
        async for chunk in answer.aiter_raw():
            body += chunk
            if len(body) > _MAX_DOCUMENT_BYTES:
                raise _away(place, f"answered more than {_MAX_DOCUMENT_BYTES} bytes")
        return bytes(body)
    finally:
        await answer.aclose()


def _endpoint(document: dict[str, object], key: str, issuer_url: str) -> str | None:
    url = document.get(key)
    if url is None:
        return None
    # A provider behind TLS must not send us to clear text, on this machine neither.
    if isinstance(url, str) and is_safe_url(url, loopback=issuer_url.startswith("http://")):
        return url
    raise Unavailable(
        f"the discovery document's {key} is no https URL",
        cause="provider-away",
        hint="the provider's own settings must name its public https address",
    )


def _texts(document: dict[str, object], key: str) -> tuple[str, ...]:
    listed = document.get(key)
    return tuple(text for text in listed if isinstance(text, str)) if isinstance(listed, list) else ()


def _missing(key: str) -> str:
    raise Unavailable(
        f"the discovery document has no {key}", cause="provider-away", hint="is this URL an OpenID provider's?"
    )


def _away(place: str, what: str) -> Unavailable:
    return Unavailable(
        f"{place} {what}", cause="provider-away", hint="see that the provider runs and that this machine reaches it"
    )


def shown(value: object, *, limit: int = 80) -> str:
    """Foreign text for a message: quoted, printable, cut short."""
    text = ascii(value)
    return text if len(text) <= limit else f"{text[:limit]}…"
