"""An OpenID provider that the settings name, and which of its URLs and algorithms we accept.

Values and their checks only: no network, no keys. Made from plain settings by the gateway's
chain, the console and the commands; read by discovery, keys, verify and login.
"""

import ipaddress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from doorward.errors import Misconfigured

# RFC 7518 section 3.1 and RFC 8037: the signatures made with a private key that the provider keeps.
# `none` and HS* are missing on purpose: whoever can check an HMAC can also make one.
KEY_KINDS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "RS256": ("RSA", ()),
    "RS384": ("RSA", ()),
    "RS512": ("RSA", ()),
    "PS256": ("RSA", ()),
    "PS384": ("RSA", ()),
    "PS512": ("RSA", ()),
    "ES256": ("EC", ("P-256",)),
    "ES384": ("EC", ("P-384",)),
    "ES512": ("EC", ("P-521",)),
    "EdDSA": ("OKP", ("Ed25519", "Ed448")),
}


@dataclass(frozen=True, slots=True)
class Issuer:
    """One provider under its alias; raises Misconfigured when made of values that cannot be safe."""

    alias: str
    url: str  # compared to `iss` letter by letter
    audience: str
    algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    longest_s: int = 3600  # between `iat` and `exp`
    groups_claim: str | None = "groups"
    owner_claim: str | None = None

    def __post_init__(self) -> None:
        if not is_safe_url(self.url) or "?" in self.url:
            raise Misconfigured(
                f"the issuer of '{self.alias}' is no https URL",
                cause="issuer-url",
                hint="write the URL that the provider's tokens carry as `iss`; http is accepted on loopback only",
            )
        unknown = [name for name in self.algorithms if name not in KEY_KINDS]
        if unknown or not self.algorithms:
            raise Misconfigured(
                f"'{self.alias}' allows the algorithm '{unknown[0]}'" if unknown else f"'{self.alias}' allows nothing",
                cause="issuer-algorithms",
                hint=f"choose among {', '.join(KEY_KINDS)}",
            )
        if not self.audience:
            raise Misconfigured(
                f"'{self.alias}' has no audience", cause="issuer-audience", hint="name the `aud` of agents' tokens"
            )


def is_safe_url(url: str, *, loopback: bool = True) -> bool:
    """True for an https URL, and (unless `loopback` is False) for http on this machine; no userinfo, no fragment."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc or "#" in url or not url.isascii() or not url.isprintable() or " " in url:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and loopback and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
