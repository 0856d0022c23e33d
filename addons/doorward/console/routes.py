"""What the console answers at all: methods, paths, roles. Whatever is not in the table is refused.

mitmweb brings routes that edit, replay, run commands and set options; none of them is
reached, because the application looks a request up here and nowhere else. Pure: `mitm` joins
each name with the class that answers it, and `gate` enforces the roles.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a person may do here; given by groups at login."""

    VIEWER = "viewer"
    REVIEWER = "reviewer"


class Form(StrEnum):
    """How a route answers, which decides what a refusal looks like and what a link may reach."""

    PAGE = "page"  # HTML; other sites may link to it
    JSON = "json"  # for scripts of our own pages
    FILE = "file"  # scripts and styles, the same for everybody
    SOCKET = "socket"


@dataclass(frozen=True, slots=True)
class Route:
    """One method on one path; no roles means that everybody may have it."""

    name: str
    method: str
    pattern: re.Pattern[str]
    roles: frozenset[Role]
    form: Form


READERS = frozenset({Role.VIEWER, Role.REVIEWER})
DECIDERS = frozenset({Role.REVIEWER})
ANYBODY: frozenset[Role] = frozenset()

_FLOW = r"(?P<flow_id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
_MESSAGE = r"(?P<message>request|response)"
_HOLD = r"(?P<hold_id>[0-9A-Za-z_-]{1,64})"
_FILE = r"(?P<path>[0-9A-Za-z_-]+(?:\.[0-9A-Za-z_-]+)+)"


def _route(name: str, method: str, path: str, roles: frozenset[Role], form: Form) -> Route:
    return Route(name, method, re.compile(path), roles, form)


ROUTES: tuple[Route, ...] = (
    # mitmweb, as far as it only shows
    _route("index", "GET", r"/", READERS, Form.PAGE),
    _route("stock-file", "GET", rf"/static/{_FILE}", READERS, Form.FILE),
    _route("flows", "GET", r"/flows", READERS, Form.JSON),
    _route("events", "GET", r"/events", READERS, Form.JSON),
    _route("options", "GET", r"/options", READERS, Form.JSON),
    _route("state", "GET", r"/state", READERS, Form.JSON),
    _route("filter-help", "GET", r"/filter-help", READERS, Form.JSON),
    _route("updates", "GET", r"/updates", READERS, Form.SOCKET),
    _route("content", "GET", rf"/flows/{_FLOW}/{_MESSAGE}/content\.data", READERS, Form.JSON),
    _route(
        "content-view",
        "GET",
        rf"/flows/{_FLOW}/{_MESSAGE}/content/(?P<content_view>[0-9A-Za-z%_-]{{1,64}})(?:\.json)?",
        READERS,
        Form.JSON,
    ),
    # mitmweb's Resume and Abort, which here are a person's yes and no
    _route("flow-hold", "GET", rf"/flows/{_FLOW}/hold", READERS, Form.JSON),
    _route("flow-approve", "POST", rf"/flows/{_FLOW}/resume", DECIDERS, Form.JSON),
    _route("flow-deny", "POST", rf"/flows/{_FLOW}/kill", DECIDERS, Form.JSON),
    # the page of holds and its API
    _route("approvals", "GET", r"/approvals", READERS, Form.PAGE),
    _route("approval", "GET", rf"/approvals/{_HOLD}", READERS, Form.PAGE),
    _route("answer", "POST", rf"/approvals/{_HOLD}/(?P<verdict>approve|deny)", DECIDERS, Form.PAGE),
    _route("api-holds", "GET", r"/api/holds", READERS, Form.JSON),
    _route("api-hold", "GET", rf"/api/holds/{_HOLD}", READERS, Form.JSON),
    _route("api-answer", "POST", rf"/api/holds/{_HOLD}/(?P<verdict>approve|deny)", DECIDERS, Form.JSON),
    # in and out
    _route("own-file", "GET", rf"/doorward/{_FILE}", ANYBODY, Form.FILE),
    _route("login", "GET", r"/login", ANYBODY, Form.PAGE),
    _route("callback", "GET", r"/oidc/callback", ANYBODY, Form.PAGE),
    _route("logout", "POST", r"/logout", READERS, Form.PAGE),
    _route("logged-out", "GET", r"/logged-out", ANYBODY, Form.PAGE),
)

REFUSED = Route("refused", "*", re.compile(r".*", re.DOTALL), ANYBODY, Form.JSON)


def find_route(method: str, path: str) -> tuple[Route, Mapping[str, str]]:
    """Return the route that answers and the names in its path; `REFUSED` where none does."""
    for route in ROUTES:
        if route.method == method and (match := route.pattern.fullmatch(path)):
            return route, match.groupdict()
    return REFUSED, {}
