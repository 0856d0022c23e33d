"""The table refuses all of mitmweb but what only shows; stock routes are read from mitmproxy itself."""

import re
from pathlib import Path

import pytest
from mitmproxy.tools.web import app as mitmweb

from doorward.console.routes import DECIDERS, READERS, REFUSED, ROUTES, Form, find_route

FLOW = "0b1c2d3e-0000-5000-8000-0123456789ab"
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "get", "PROPFIND")

# every route of mitmweb 12.2.3, with an example path and the methods that we let through
STOCK = {
    r"/": ("/", {"GET"}),
    r"/filter-help(?:\.json)?": ("/filter-help", {"GET"}),
    r"/updates": ("/updates", {"GET"}),
    r"/commands(?:\.json)?": ("/commands", set()),
    r"/commands/(?P<cmd>[a-z.]+)": ("/commands/flow.resume", set()),
    r"/events(?:\.json)?": ("/events", {"GET"}),
    r"/flows(?:\.json)?": ("/flows", {"GET"}),
    r"/flows/dump": ("/flows/dump", set()),
    r"/flows/resume": ("/flows/resume", set()),
    r"/flows/kill": ("/flows/kill", set()),
    r"/flows/(?P<flow_id>[0-9a-f\-]+)": (f"/flows/{FLOW}", set()),
    r"/flows/(?P<flow_id>[0-9a-f\-]+)/resume": (f"/flows/{FLOW}/resume", {"POST"}),
    r"/flows/(?P<flow_id>[0-9a-f\-]+)/kill": (f"/flows/{FLOW}/kill", {"POST"}),
    r"/flows/(?P<flow_id>[0-9a-f\-]+)/duplicate": (f"/flows/{FLOW}/duplicate", set()),
    r"/flows/(?P<flow_id>[0-9a-f\-]+)/replay": (f"/flows/{FLOW}/replay", set()),
    r"/flows/(?P<flow_id>[0-9a-f\-]+)/revert": (f"/flows/{FLOW}/revert", set()),
    r"/flows/(?P<flow_id>[0-9a-f\-]+)/(?P<message>request|response|messages)/content.data": (
        f"/flows/{FLOW}/response/content.data",
        {"GET"},
    ),
    r"/flows/(?P<flow_id>[0-9a-f\-]+)/(?P<message>request|response|messages)"
    r"/content/(?P<content_view>[0-9a-zA-Z\-\_%]+)(?:\.json)?": (
        f"/flows/{FLOW}/response/content/Auto.json",
        {"GET"},
    ),
    r"/clear": ("/clear", set()),
    r"/options(?:\.json)?": ("/options", {"GET"}),
    r"/options/save": ("/options/save", set()),
    r"/state(?:\.json)?": ("/state", {"GET"}),
    r"/processes": ("/processes", set()),
    r"/executable-icon": ("/executable-icon", set()),
}


def test_the_stock_routes_are_the_known_ones() -> None:
    assert [pattern for pattern, _ in mitmweb.handlers] == list(STOCK)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pattern", STOCK, ids=lambda pattern: STOCK[pattern][0])
def test_stock_route(pattern: str, method: str) -> None:
    path, allowed = STOCK[pattern]
    assert re.fullmatch(pattern, path), "the example is not one of the route"
    route, _ = find_route(method, path)
    assert (route is not REFUSED) == (method in allowed)


@pytest.mark.parametrize(
    "path",
    [
        "/flows/resume/",
        "//flows",
        "/flows.json",
        "/flows/" + FLOW.upper() + "/resume",
        f"/flows/{FLOW}/resume/",
        f"/flows/{FLOW}/messages/content.data",
        f"/flows/{FLOW}/response/contentxdata",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/doorward/../../secret.css",
        "/doorward/sub/file.css",
        "/static/",
        "/api/holds/h1/approve\n",
        "/approvals\n",
        "",
        "*",
    ],
)
def test_near_misses_are_refused(path: str) -> None:
    assert all(find_route(method, path)[0] is REFUSED for method in METHODS)


def test_only_reviewers_change_anything() -> None:
    for route in ROUTES:
        if route.method == "POST" and route.name != "logout":
            assert route.roles == DECIDERS, route.name
        assert route.method in ("GET", "POST")


def test_only_files_and_the_login_need_no_role() -> None:
    names = {route.name for route in ROUTES if not route.roles}
    assert names == {"own-file", "login", "callback", "logged-out"}
    assert all(route.roles == READERS for route in ROUTES if route.form is Form.SOCKET)


def test_names_are_given_once() -> None:
    assert len({route.name for route in ROUTES}) == len(ROUTES)


def test_the_docs_list_every_route() -> None:
    text = (Path(__file__).parents[2] / "docs" / "console.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| `(?:GET|POST) [^`]+` \| ([a-z, ]+ \| [a-z]+) \|$", text, re.MULTILINE))
    for route in ROUTES:
        roles = ", ".join(sorted(route.roles, reverse=True)) or "anybody"
        assert rows.pop(route.name) == f"{roles} | {route.form}", route.name
    assert not rows
