"""Each request meets the same checks, whichever handler answers; each answer carries the same headers."""

import asyncio
from datetime import timedelta

import httpx
import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from doorward.console.routes import ROUTES, Form, Role
from doorward.console.stock import SHOWN_OPTIONS
from tests.parts.console import RunningConsole, running_console
from tests.parts.provider import Provider

FLOW = "0b1c2d3e-0000-5000-8000-0123456789ab"
PATHS = {
    "index": "/",
    "stock-file": "/static/favicon.ico",
    "flows": "/flows",
    "events": "/events",
    "options": "/options",
    "state": "/state",
    "filter-help": "/filter-help",
    "updates": "/updates",
    "content": f"/flows/{FLOW}/request/content.data",
    "content-view": f"/flows/{FLOW}/request/content/Auto.json",
    "flow-hold": f"/flows/{FLOW}/hold",
    "flow-approve": f"/flows/{FLOW}/resume",
    "flow-deny": f"/flows/{FLOW}/kill",
    "approvals": "/approvals",
    "approval": "/approvals/h1",
    "answer": "/approvals/h1/approve",
    "api-holds": "/api/holds",
    "api-hold": "/api/holds/h1",
    "api-answer": "/api/holds/h1/deny",
    "own-file": "/doorward/pages.css",
    "login": "/login",
    "callback": "/oidc/callback",
    "logout": "/logout",
    "logged-out": "/logged-out",
}


def test_every_route_has_an_example() -> None:
    assert set(PATHS) == {route.name for route in ROUTES}


def assert_safe_headers(answer: httpx.Response) -> None:
    headers = answer.headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Server"] == "doorward"
    policy = headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'" in policy
    assert "script-src" not in policy or "script-src 'self';" in policy
    assert not [name for name in headers if name.lower().startswith("access-control-")]


async def test_headers_and_roles_of_every_route(console: RunningConsole) -> None:
    async with (
        httpx.AsyncClient(base_url=console.url, trust_env=False) as stranger,
        console.person("vera", "staff") as viewer,
    ):
        for route in ROUTES:
            if route.name == "logout":
                continue
            path, method = PATHS[route.name], route.method
            # a stranger
            answer = await stranger.request(method, path, headers={"Origin": console.url})
            assert_safe_headers(answer)
            if not route.roles:
                assert answer.status_code in (200, 303, 403), route.name  # the callback has no login to answer
            elif route.form is Form.PAGE and method == "GET":
                assert answer.status_code == 303, route.name
                assert answer.headers["Location"].startswith("/login?next=%2F"), route.name
            else:
                assert answer.status_code == 401, route.name
            # a viewer
            answer = await viewer.browser.request(
                method, path, headers={"Origin": console.url, "Doorward-Token": viewer.token}
            )
            assert_safe_headers(answer)
            if Role.VIEWER not in route.roles and route.roles:
                assert answer.status_code == 403, route.name
                assert "your role does not allow this" in answer.text.lower(), route.name


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/options"),
        ("POST", "/commands/script.run"),
        ("GET", "/commands"),
        ("PUT", f"/flows/{FLOW}"),
        ("DELETE", f"/flows/{FLOW}"),
        ("POST", f"/flows/{FLOW}/replay"),
        ("POST", f"/flows/{FLOW}/request/content.data"),
        ("POST", "/flows/resume"),
        ("GET", "/flows/dump"),
        ("POST", "/flows/dump"),
        ("POST", "/clear"),
        ("GET", "/processes"),
        ("OPTIONS", "/flows"),
        ("HEAD", "/"),
        ("TRACE", "/"),
    ],
)
async def test_stock_powers_are_gone_even_for_reviewers(console: RunningConsole, method: str, path: str) -> None:
    async with console.person("anna", "sre") as anna:
        answer = await anna.browser.request(
            method, path, headers={"Origin": console.url, "Doorward-Token": anna.token, "X-XSRFToken": "x"}
        )
        assert answer.status_code in (403, 405)  # 405 for words that are no method of tornado's
        assert_safe_headers(answer)


async def test_mitmwebs_own_login_is_off(console: RunningConsole) -> None:
    async with httpx.AsyncClient(base_url=console.url, trust_env=False) as stranger:
        for headers, params in (
            ({"Authorization": "Bearer x"}, {}),
            ({"Authorization": "Bearer mitmweb"}, {}),
            ({}, {"token": ""}),
            ({"Cookie": "mitmproxy-auth-8081=y; mitmweb-login-is-off=y"}, {}),
        ):
            answer = await stranger.get("/flows", headers=headers, params=params)
            assert answer.status_code == 401
            assert "set-cookie" not in answer.headers


async def test_options_and_state_tell_nothing_of_the_machine(console: RunningConsole) -> None:
    async with console.person("vera", "staff") as vera:
        options = (await vera.browser.get("/options")).json()
        assert options == {name: {"value": value} for name, value in SHOWN_OPTIONS.items()}
        assert not {"confdir", "scripts", "web_password", "certs", "proxyauth"} & set(options)
        state = (await vera.browser.get("/state")).json()
        assert state["servers"] == {}
        assert state["platform"] == ""
        assert (await vera.browser.get("/events")).json() == []


async def test_rebinding_is_refused(console: RunningConsole) -> None:
    async with console.person("anna", "sre") as anna:
        for host in ("evil.example", "localhost:" + console.url.rpartition(":")[2], "127.0.0.1"):
            for path in ("/", "/api/holds", "/doorward/pages.css", "/login", "/nothing"):
                answer = await anna.browser.get(path, headers={"Host": host})
                assert answer.status_code == 403, (host, path)
                assert_safe_headers(answer)


async def test_forged_posts_are_refused(console: RunningConsole) -> None:
    hold = await console.open_hold()
    async with console.person("anna", "sre") as anna, console.person("ben", "sre") as ben:
        for headers, cause in (
            ({"Origin": ""}, "wrong-origin"),
            ({"Origin": "null"}, "wrong-origin"),
            ({"Origin": "https://evil.example"}, "wrong-origin"),
            ({"Sec-Fetch-Site": "cross-site"}, "wrong-origin"),
            ({"Sec-Fetch-Site": "same-site"}, "wrong-origin"),
            ({"Doorward-Token": ""}, "wrong-token"),
            ({"Doorward-Token": "x"}, "wrong-token"),
            ({"Doorward-Token": ben.token}, "wrong-token"),
            ({"Doorward-Token": "", "X-XSRFToken": "a", "Cookie": "_mitmproxy_xsrf=a"}, "no-session"),
        ):
            answer = await anna.post(
                f"/api/holds/{hold.id}/approve", headers=headers, json={"reason": "yes", "digest": hold.digest}
            )
            assert answer.json()["cause"] == cause, headers
            assert answer.status_code in (401, 403)
        # the form's way, without its field
        answer = await anna.post(
            f"/approvals/{hold.id}/approve",
            headers={"Doorward-Token": ""},
            data={"reason": "yes", "digest": hold.digest, "token": "wrong"},
        )
        assert answer.status_code == 403
    assert (await console.worker.hold(hold.id)).state == "open"


async def test_other_sites_cannot_read_by_script_but_may_link_to_pages(console: RunningConsole) -> None:
    async with console.person("anna", "sre") as anna:
        cross = {"Sec-Fetch-Site": "cross-site"}
        assert (await anna.browser.get("/api/holds", headers=cross)).status_code == 403
        assert (await anna.browser.get(PATHS["content"], headers=cross)).status_code == 403
        assert (await anna.browser.get("/approvals", headers=cross)).status_code == 403
        link = {**cross, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        assert (await anna.browser.get("/approvals", headers=link)).status_code == 200


async def open_socket(console: RunningConsole, cookie: str, origin: str | None) -> int:
    headers = {"Cookie": cookie, **({"Origin": origin} if origin else {})}
    try:
        socket = await websocket_connect(HTTPRequest(console.url.replace("http", "ws") + "/updates", headers=headers))
    except HTTPClientError as error:
        return error.code
    socket.close()
    return 101


async def test_the_socket_wants_a_session_and_our_origin(console: RunningConsole) -> None:
    async with console.person("vera", "staff") as vera:
        cookie = "; ".join(f"{name}={value}" for name, value in vera.browser.cookies.items())
        assert await open_socket(console, cookie, console.url) == 101
        assert await open_socket(console, cookie, None) == 403
        assert await open_socket(console, cookie, "https://evil.example") == 403
        assert await open_socket(console, "", console.url) == 401


async def test_a_socket_closes_with_its_session(console: RunningConsole) -> None:
    async with console.person("vera", "staff") as vera:
        cookie = "; ".join(f"{name}={value}" for name, value in vera.browser.cookies.items())
        request = HTTPRequest(
            console.url.replace("http", "ws") + "/updates", headers={"Cookie": cookie, "Origin": console.url}
        )
        socket = await websocket_connect(request)
        await vera.post("/logout")
        assert await asyncio.wait_for(socket.read_message(), 5) is None
        assert socket.close_code == 4401
        socket.close()


async def test_a_socket_closes_when_the_session_is_old(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doorward.console.web.SWEEP_EVERY_S", 0.1)
    async with running_console(provider, idle_s=1) as console, console.person("vera", "staff") as vera:
        cookie = "; ".join(f"{name}={value}" for name, value in vera.browser.cookies.items())
        request = HTTPRequest(
            console.url.replace("http", "ws") + "/updates", headers={"Cookie": cookie, "Origin": console.url}
        )
        socket = await websocket_connect(request)
        assert await asyncio.wait_for(socket.read_message(), timedelta(seconds=5).total_seconds()) is None
        assert socket.close_code == 4401
        socket.close()


async def test_errors_say_one_sentence_and_a_next_step(console: RunningConsole) -> None:
    async with console.person("anna", "sre") as anna:
        answer = await anna.browser.get("/approvals/h-nothing")
        assert answer.status_code == 404
        assert "There is nothing under this address." in answer.text
        answer = await anna.browser.get("/api/holds/h-nothing")
        assert answer.status_code == 404
        assert set(answer.json()) == {"error", "hint", "cause"}
        answer = await anna.post("/api/holds/h-nothing/approve", content=b"{", headers={"Content-Type": "text/plain"})
        assert answer.status_code == 400
        assert answer.json()["cause"] == "not-json"
        deep = {"Content-Type": "application/json"}
        answer = await anna.post("/api/holds/h-nothing/approve", content=b"[" * 30_000, headers=deep)
        assert answer.json()["cause"] == "not-json"


async def test_large_bodies_are_not_taken(console: RunningConsole) -> None:
    async with console.person("anna", "sre") as anna:
        try:
            answer = await anna.post("/api/holds/h1/approve", content=b"x" * 100_000)
        except httpx.HTTPError:
            return  # the connection was closed in the middle
        assert answer.status_code in (400, 413)
