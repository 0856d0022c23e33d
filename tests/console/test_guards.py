"""Hosts, senders, tokens, ways back after a login: what is let through, and what is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.console.guards import (
    PublicAddress,
    content_policy,
    read_public_url,
    return_path,
    verify_host,
    verify_sender,
    verify_token,
)
from doorward.console.routes import Form
from doorward.errors import Misconfigured, Refused

HERE = PublicAddress("http", "127.0.0.1:8081")
OURS = "http://127.0.0.1:8081"


@pytest.mark.parametrize(
    ("url", "origin", "cookie"),
    [
        ("https://doorward.example", "https://doorward.example", "__Host-doorward"),
        ("https://Doorward.Example:443/", "https://doorward.example", "__Host-doorward"),
        ("https://doorward.example:8443", "https://doorward.example:8443", "__Host-doorward"),
        ("http://127.0.0.1:0", "http://127.0.0.1:4711", "doorward-4711"),
        ("http://[::1]:8081", "http://[::1]:8081", "doorward-8081"),
    ],
)
def test_public_url(url: str, origin: str, cookie: str) -> None:
    address = read_public_url(url, bound_port=4711)
    assert address.origin == origin
    assert address.cookie_prefix == cookie


@pytest.mark.parametrize(
    "url",
    ["doorward.example", "ftp://x", "https://", "https://x/console", "https://x?y", "https://u@x", "https://x:99999"],
)
def test_public_url_that_is_none(url: str) -> None:
    with pytest.raises(Misconfigured, match="public_url"):
        read_public_url(url, bound_port=1)


@pytest.mark.parametrize(
    "host", [None, "", "evil.example", "127.0.0.1", "127.0.0.1:8081.evil", "127.0.0.1:8081,x", "localhost:8081"]
)
def test_other_hosts_are_refused(host: str | None) -> None:
    with pytest.raises(Refused) as caught:
        verify_host(host, HERE)
    assert caught.value.cause == "wrong-host"


def test_own_host_in_any_case() -> None:
    verify_host("DOORWARD.example", PublicAddress("https", "doorward.example"))


LINK = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
GOOD = [
    ("POST", Form.JSON, {"Origin": OURS}),
    ("POST", Form.PAGE, {"Origin": OURS, "Sec-Fetch-Site": "same-origin"}),
    ("GET", Form.SOCKET, {"Origin": OURS}),
    ("GET", Form.PAGE, {}),
    ("GET", Form.PAGE, {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}),
    ("GET", Form.PAGE, {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty"}),
    ("GET", Form.PAGE, {**LINK, "Sec-Fetch-Site": "cross-site"}),
    ("GET", Form.PAGE, {**LINK, "Sec-Fetch-Site": "same-site"}),
    ("GET", Form.JSON, {"Sec-Fetch-Site": "same-origin"}),
    ("GET", Form.JSON, {"Sec-Fetch-Site": "none"}),
    ("GET", Form.FILE, {}),
]
BAD = [
    ("POST", Form.JSON, {}),
    ("POST", Form.PAGE, {"Sec-Fetch-Site": "same-origin"}),
    ("POST", Form.PAGE, {"Origin": "null"}),
    ("POST", Form.PAGE, {"Origin": OURS + ".evil.example"}),
    ("POST", Form.PAGE, {"Origin": "https://127.0.0.1:8081"}),
    ("POST", Form.JSON, {"Origin": OURS, "Sec-Fetch-Site": "cross-site"}),
    ("POST", Form.JSON, {"Origin": OURS, "Sec-Fetch-Site": "same-site"}),
    ("GET", Form.PAGE, {"Sec-Fetch-Site": "same-site"}),
    ("GET", Form.PAGE, {**LINK, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe"}),
    ("GET", Form.PAGE, {**LINK, "Sec-Fetch-Site": "same-site", "Sec-Fetch-Dest": "object"}),
    ("GET", Form.PAGE, {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}),
    ("GET", Form.PAGE, {**LINK, "Sec-Fetch-Site": "same-site", "Sec-Purpose": "prefetch;prerender"}),
    ("GET", Form.PAGE, {**LINK, "Sec-Fetch-Site": "same-site", "Purpose": "prefetch"}),
    ("GET", Form.SOCKET, {}),
    ("GET", Form.SOCKET, {"Origin": "http://127.0.0.1:9999"}),
    ("GET", Form.JSON, {"Sec-Fetch-Site": "cross-site"}),
    ("GET", Form.JSON, {"Sec-Fetch-Site": "same-site"}),
    ("GET", Form.FILE, {"Origin": "http://evil.example"}),
]


@pytest.mark.parametrize(("method", "form", "headers"), GOOD)
def test_senders_of_ours(method: str, form: Form, headers: dict[str, str]) -> None:
    verify_sender(method, form, headers, HERE)


@pytest.mark.parametrize(("method", "form", "headers"), BAD)
def test_senders_of_others(method: str, form: Form, headers: dict[str, str]) -> None:
    with pytest.raises(Refused) as caught:
        verify_sender(method, form, headers, HERE)
    assert caught.value.cause == "wrong-origin"


@pytest.mark.parametrize("sent", [None, "", "x", "tok", "token ", "tökén"])
def test_tokens_that_are_not_the_sessions(sent: str | None) -> None:
    with pytest.raises(Refused):
        verify_token(sent, "token")
    verify_token("token", "token")


@pytest.mark.parametrize("path", ["/", "/approvals", "/approvals/h-1?x=1", "/#/flows", "/approvals?next=//x"])
def test_ways_back(path: str) -> None:
    assert return_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        None,
        "",
        "approvals",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "/%5cevil.example",
        "/%2fevil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "/\tevil",
        "/a\r\nSet-Cookie: x",
        "/login?next=/",
        "/oidc/callback?code=x",
        "/" + "x" * 600,
        "/ü",
    ],
)
def test_ways_elsewhere(path: str | None) -> None:
    assert return_path(path) == "/"


@given(st.text())
def test_a_way_back_is_always_ours(asked: str) -> None:
    path = return_path(asked)
    assert path.startswith("/")
    assert not path.startswith(("//", "/\\"))
    assert path.isascii()
    assert path.isprintable()


@pytest.mark.parametrize("form", list(Form))
def test_policies_allow_no_foreign_script_and_no_frame(form: Form) -> None:
    for mitmweb in (False, True):
        policy = dict(part.strip().split(" ", 1) for part in content_policy(form, HERE, mitmweb=mitmweb).split(";"))
        assert policy["frame-ancestors"] == "'none'"
        assert policy["default-src"] == "'none'"
        assert policy.get("script-src", "'self'") == "'self'"
        assert "unsafe-inline" not in policy.get("style-src", "") or mitmweb
