"""The checks that need no web server: whose page is this, who sent it, which headers go back.

Pure functions on header values, called by `gate` before anything answers. The addresses are
compared with the one public URL of the settings, never with what a request says of itself.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from doorward.console.routes import Form
from doorward.errors import Misconfigured, Refused

_DEFAULT_PORTS = {"http": 80, "https": 443}
LONGEST_RETURN = 512

COMMON_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "same-origin",  # not `no-referrer`: browsers would then post forms with `Origin: null`
    "Server": "doorward",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True, slots=True)
class PublicAddress:
    """Where browsers find the console."""

    scheme: str
    authority: str  # as a browser writes it in Host: no default port

    @property
    def origin(self) -> str:
        """The origin, as browsers write it."""
        return f"{self.scheme}://{self.authority}"

    @property
    def secure(self) -> bool:
        """Whether cookies can be bound to TLS."""
        return self.scheme == "https"

    @property
    def cookie_prefix(self) -> str:
        """`__Host-` where TLS allows it; else the port, as cookies of one host are shared by its ports."""
        return "__Host-doorward" if self.secure else f"doorward-{self.authority.rpartition(':')[2]}"


def read_public_url(public_url: str, *, bound_port: int) -> PublicAddress:
    """Read the setting; port 0 stands for the port that was bound. Raises Misconfigured."""
    parts = urlsplit(public_url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or port == -1:
        raise Misconfigured("console.public_url is not a URL", hint="write it as https://doorward.example")
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
        raise Misconfigured(
            "console.public_url carries more than scheme, host and port",
            hint="the console answers at the root of its host, for example https://doorward.example",
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = bound_port if port == 0 else port
    is_default = port is None or port == _DEFAULT_PORTS[parts.scheme]
    return PublicAddress(parts.scheme, host if is_default else f"{host}:{port}")


def content_policy(form: Form, address: PublicAddress, *, mitmweb: bool) -> str:
    """Return the Content-Security-Policy; mitmweb's page needs its own inline styles and its socket."""
    if not mitmweb:
        rest = "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        if form is not Form.PAGE:
            return f"default-src 'none'; {rest}"
        own = "script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'"
        return f"default-src 'none'; {own}; {rest}"
    socket = f"{'wss' if address.secure else 'ws'}://{address.authority}"
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        f"font-src 'self'; connect-src 'self' {socket}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def verify_host(host: str | None, address: PublicAddress) -> None:
    """Raise Refused unless the request was made to the console's own name (DNS rebinding)."""
    if (host or "").lower() != address.authority:
        raise Refused(
            "this console does not answer under that name",
            cause="wrong-host",
            hint="open it at the address in console.public_url",
        )


def verify_sender(method: str, form: Form, headers: Mapping[str, str], address: PublicAddress) -> None:
    """Raise Refused for what another site's page made the browser send."""
    site = headers.get("Sec-Fetch-Site")
    origin = headers.get("Origin")
    changes = method not in ("GET", "HEAD") or form is Form.SOCKET
    if changes:
        good = origin == address.origin and site in (None, "same-origin")
    elif form is Form.PAGE:
        good = site in (None, "same-origin", "none") or _is_followed_link(headers)
    else:
        good = site in (None, "same-origin", "none") and origin in (None, address.origin)
    if not good:
        raise Refused(
            "the request came from another page than the console's own",
            cause="wrong-origin",
            hint="open the console itself and try again there",
        )


def _is_followed_link(headers: Mapping[str, str]) -> bool:
    """Whether a person came here: a link in a chat may lead to a page.

    A frame, a picture or a fetch of another site may not. Browsers show it nothing of ours, but the request
    would be made in the person's name: bodies recorded as read by them, or a login without a click.
    """
    purpose = headers.get("Sec-Purpose", "") + headers.get("Purpose", "")
    is_document = (headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest")) == ("navigate", "document")
    return is_document and "prefetch" not in purpose


def verify_token(sent: str | None, expected: str) -> None:
    """Raise Refused unless the request carries the token of its session."""
    if not hmac.compare_digest((sent or "").encode(), expected.encode()):
        raise Refused(
            "the request does not carry this session's token",
            cause="wrong-token",
            hint="reload the page and try again",
        )


def return_path(asked: str | None) -> str:
    """Return where to go after login: a path of our own, else the start page."""
    path = asked or "/"
    plain = unquote(path)
    own = path.startswith("/") and not path.startswith("//") and len(path) <= LONGEST_RETURN
    if not own or "\\" in plain or plain.startswith("//") or any(ord(char) < 0x21 or ord(char) > 0x7E for char in path):
        return "/"
    return "/" if urlsplit(path).path in ("/login", "/logout", "/logged-out", "/oidc/callback") else path
