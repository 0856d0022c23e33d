"""Every request passes here first: right host, right sender, live session, right role, own token.

`Guarded` is the first parent of every class that answers, stock or own, and its `prepare` runs
before any method of theirs. Nothing of mitmweb's own login (token, password, cookie) is left.
Errors become one sentence with a next step, as a page or as JSON; nothing is logged that a
query carries.
"""

import asyncio
import json
import logging
import time
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import quote

import tornado.web

from doorward.console.guards import (
    COMMON_HEADERS,
    PublicAddress,
    content_policy,
    verify_host,
    verify_sender,
    verify_token,
)
from doorward.console.pages import Pages
from doorward.console.routes import Form, Route, find_route
from doorward.console.sessions import Session, Sessions
from doorward.errors import DoorwardError, Unclear

TOKEN_HEADER = "Doorward-Token"  # noqa: S105 (a header's name)
TOKEN_FIELD = "token"  # noqa: S105 (a field's name)

logger = logging.getLogger(__name__)

_SENTENCES = {
    400: ("the request could not be read", "reload the page and try again"),
    401: ("nobody is logged in, or the session has ended", "log in again"),
    403: ("the console does not do that", "it shows what went through the gateway, and takes a yes or no to holds"),
    404: ("there is nothing under this address", "it may have left the view; the record keeps it"),
    500: ("the console failed at this request", "try again; the console's log names the failure"),
}


@dataclass(frozen=True, slots=True)
class Gate:
    """What `prepare` needs of the console."""

    address: PublicAddress
    sessions: Sessions
    pages: Pages


class Guarded(tornado.web.RequestHandler):
    """The checks before, and the headers and errors after, whatever a subclass does."""

    session: Session | None = None

    @property
    def gate(self) -> Gate:
        """The console's checks."""
        gate: Gate = self.settings["gate"]
        return gate

    @property
    def route(self) -> Route:
        """The line of the table that led here."""
        return find_route(self.request.method or "", self.request.path)[0]

    @property
    def signed_in(self) -> Session:
        """The session, on routes that need one."""
        assert self.session is not None, "a route without roles asked for a session"
        return self.session

    def set_default_headers(self) -> None:
        """Put the security headers on every answer, errors included."""
        for name, value in COMMON_HEADERS.items():
            self.set_header(name, value)
        route = self.route
        policy = content_policy(route.form, self.gate.address, mitmweb=route.name == "index")
        self.set_header("Content-Security-Policy", policy)
        if self.gate.address.secure:
            self.set_header("Strict-Transport-Security", "max-age=31536000")

    def prepare(self) -> None:
        """Let the request through, or answer it."""
        route = self.route
        verify_host(self.request.headers.get("Host"), self.gate.address)
        verify_sender(self.request.method or "", route.form, self.request.headers, self.gate.address)
        self.session = self._find_session()
        if route.roles and self.session is None:
            self._send_to_login(route)
            return
        if self.session is not None and route.roles and not (route.roles & self.session.roles):
            self.problem(
                403,
                "your role does not allow this",
                "ask for a group that console.roles lists as " + " or ".join(sorted(route.roles)),
                "wrong-role",
            )
            return
        if self.request.method != "GET":
            sent = self.request.headers.get(TOKEN_HEADER) or self.get_body_argument(TOKEN_FIELD, None)
            verify_token(sent, self.signed_in.token)

    def get_current_user(self) -> bool:
        """Return whether somebody is logged in; stock classes ask for it again after `prepare`."""
        return self.session is not None

    def check_xsrf_cookie(self) -> None:
        """Do nothing: `prepare` has compared the session's own token."""

    def problem(self, status: int, message: str, hint: str, cause: str) -> None:
        """Answer with one sentence and what to do next."""
        self.set_status(status)
        if self.route.form is Form.PAGE:
            values = {"status": status, "message": message, "hint": hint, "login": status == 401}
            self.finish(self.gate.pages.render("problem", self.session, values))
        else:
            self.answer_json({"error": message, "hint": hint, "cause": cause})

    def answer_json(self, value: object) -> None:
        """Finish with JSON (for scripts only: never shown as a page)."""
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        self.finish(json.dumps(value, ensure_ascii=True))

    def write_error(self, status_code: int, **kwargs: object) -> None:
        """Turn an exception into a problem."""
        exc_info = kwargs.get("exc_info")
        error = exc_info[1] if isinstance(exc_info, tuple) else None
        if isinstance(error, DoorwardError):
            self.problem(error.status, error.message, error.hint, error.cause)
            return
        message, hint = _SENTENCES.get(status_code, _SENTENCES[400 if status_code < 500 else 500])
        self.problem(status_code, message, hint, f"http-{status_code}")

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Log what is our fault, without the query, which may hold a login's code."""
        if value is None or isinstance(value, DoorwardError | tornado.web.HTTPError | asyncio.CancelledError):
            return
        logger.error("%s %s failed", self.request.method, self.request.path, exc_info=(type(value), value, tb))

    def read_json(self) -> dict[str, object]:
        """Return the JSON object that was posted; raises Unclear."""
        if self.request.headers.get("Content-Type", "").partition(";")[0].strip() != "application/json":
            raise Unclear("the body is not JSON", cause="not-json", hint="send application/json")
        try:
            value = json.loads(self.request.body)
        except (ValueError, RecursionError) as error:
            raise Unclear("the body is not JSON", cause="not-json", hint="send one JSON object") from error
        if not isinstance(value, dict):
            raise Unclear("the body is not a JSON object", cause="not-json", hint="send one JSON object")
        return value

    def _find_session(self) -> Session | None:
        session_id = self.get_cookie(self.gate.address.cookie_prefix)
        if not session_id:
            return None
        # our page asks for the holds every few seconds: that is not a person at work
        counts = self.route.name != "api-holds"
        return self.gate.sessions.find(session_id, time.monotonic(), counts_as_use=counts)

    def _send_to_login(self, route: Route) -> None:
        if route.form is Form.PAGE and self.request.method == "GET":
            self.redirect(f"/login?next={quote(self.request.uri or '/', safe='')}", status=303)
        else:
            message, hint = _SENTENCES[401]
            self.problem(401, message, hint, "no-session")


class Refusal(Guarded):
    """Answers whatever is not in the table, to everybody alike."""

    def prepare(self) -> None:
        """Refuse at once; the host is still checked, so that the answer gives nothing away."""
        verify_host(self.request.headers.get("Host"), self.gate.address)
        message, hint = _SENTENCES[403]
        self.problem(403, message, hint, "no-such-route")
