"""Logging in at the provider, and out again.

The code flow itself is in `oidc`; here are the three requests of the browser, the short
memory that binds an answer of the provider to the browser that asked (`Pending`), roles from
groups, and the entries `login.succeeded` and `login.failed`. A person without a role gets a
page that says so and no session. The session's id is new at each login.
"""

import logging
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass

from doorward.console.bodies import Bodies
from doorward.console.config import ConsoleConfig
from doorward.console.gate import Guarded
from doorward.console.guards import return_path
from doorward.console.mitm import close_sockets
from doorward.errors import DoorwardError, Refused, Unauthenticated, Unclear
from doorward.ledger.client import LedgerClient
from doorward.model import NewEntry, Principal
from doorward.oidc.login import LoginFlow, PendingLogin

PENDING_S = 600
MOST_PENDING = 500
FAILURES_A_MINUTE = 30

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Place:
    login: PendingLogin
    goes_to: str
    started_s: float


class Pending:
    """Logins that wait for the provider's answer, each bound to one browser and good once."""

    def __init__(self) -> None:
        self._places: OrderedDict[str, _Place] = OrderedDict()

    def keep(self, login: PendingLogin, goes_to: str, now_s: float) -> str:
        """Return the id for the browser's cookie."""
        while self._places and (len(self._places) >= MOST_PENDING or self._is_old(next(iter(self._places)), now_s)):
            self._places.popitem(last=False)
        login_id = secrets.token_urlsafe(32)
        self._places[login_id] = _Place(login, goes_to, now_s)
        return login_id

    def take(self, login_id: str | None, now_s: float) -> tuple[PendingLogin, str] | None:
        """Return what was kept and forget it; None if there is nothing, or not any more."""
        if not login_id or login_id not in self._places:
            return None
        is_old = self._is_old(login_id, now_s)
        place = self._places.pop(login_id)
        return None if is_old else (place.login, place.goes_to)

    def _is_old(self, login_id: str, now_s: float) -> bool:
        return now_s - self._places[login_id].started_s >= PENDING_S


class Logins:
    """What the requests of a login work with."""

    def __init__(self, config: ConsoleConfig, flow: LoginFlow, client: LedgerClient) -> None:
        self.config = config
        self.flow = flow
        self.pending = Pending()
        self._client = client
        self._failures: list[float] = []

    async def note_success(self, person: Principal, client: str) -> None:
        """Record a login before its session exists; raises Unavailable if that cannot be done."""
        asked = {group for groups in self.config.roles.values() for group in groups}
        groups = sorted(asked.intersection(person.groups))
        await self._client.append(
            NewEntry("login.succeeded", {"person": person.name, "groups": tuple(groups), "client": client})
        )

    async def note_failure(self, person: str | None, cause: str, client: str) -> None:
        """Record a failed login; not more of them than the disk can bear, as anybody can fail."""
        now_s = time.monotonic()
        self._failures = [at_s for at_s in self._failures if now_s - at_s < 60]
        if len(self._failures) >= FAILURES_A_MINUTE:
            logger.warning("a failed login is not recorded, as there were %d in a minute: %s", FAILURES_A_MINUTE, cause)
            return
        self._failures.append(now_s)
        await self._client.append(NewEntry("login.failed", {"person": person, "cause": cause, "client": client}))


class LoginRoom(Guarded):
    """Access to the logins, and the cookies."""

    @property
    def logins(self) -> Logins:
        """The logins of this console."""
        logins: Logins = self.settings["logins"]
        return logins

    @property
    def login_cookie(self) -> str:
        """The name of the short-lived cookie that binds a login to a browser."""
        return f"{self.gate.address.cookie_prefix}-login"

    def put_cookie(self, name: str, value: str, lasts_s: int) -> None:
        """Set a cookie that scripts cannot read and other sites' requests do not carry."""
        self.set_cookie(
            name, value, max_age=lasts_s, path="/", httponly=True, secure=self.gate.address.secure, samesite="Lax"
        )

    def drop_cookie(self, name: str) -> None:
        """Take a cookie back."""
        self.clear_cookie(name, path="/", httponly=True, secure=self.gate.address.secure, samesite="Lax")


class Login(LoginRoom):
    """`GET /login`: off to the provider."""

    async def get(self) -> None:
        """Keep what the answer will be compared with, and send the browser away."""
        goes_to = return_path(self.get_query_argument("next", None))
        url, pending = await self.logins.flow.start()
        login_id = self.logins.pending.keep(pending, goes_to, time.monotonic())
        self.put_cookie(self.login_cookie, login_id, PENDING_S)
        self.redirect(url, status=303)


class Callback(LoginRoom):
    """`GET /oidc/callback`: the provider's answer."""

    async def get(self) -> None:
        """Let the person in, or say why not."""
        answer = self._answer()
        taken = self.logins.pending.take(self.get_cookie(self.login_cookie), time.monotonic())
        self.drop_cookie(self.login_cookie)
        client = self.request.remote_ip or ""
        if taken is None:
            raise Unclear(
                "this login was not begun in this browser, or took too long",
                cause="login-unknown",
                hint="log in again; the address of this page is good once",
            )
        pending, goes_to = taken
        try:
            person = await self.logins.flow.finish(pending, answer)
        except DoorwardError as error:
            await self.logins.note_failure(None, error.cause, client)
            self.problem(
                403 if isinstance(error, Unauthenticated) else error.status, error.message, error.hint, error.cause
            )
            return
        roles = self.logins.config.roles_of(person)
        if not roles:
            await self.logins.note_failure(person.name, "no-role", client)
            raise Refused(
                f"no group gives {person.name} a role at this console",
                cause="no-role",
                hint="ask for one of the groups that console.roles lists, then log in again",
            )
        await self.logins.note_success(person, client)
        if (old := self._find_session()) is not None:
            self.gate.sessions.end(old.key)
        session_id, _ = self.gate.sessions.start(person, roles, time.monotonic())
        self.put_cookie(self.gate.address.cookie_prefix, session_id, int(self.gate.sessions.longest_s))
        self.redirect(goes_to, status=303)

    def _answer(self) -> dict[str, str]:
        """Return the provider's parameters; raises Unclear where one stands twice."""
        names = self.request.query_arguments
        if any(len(values) > 1 for values in names.values()):
            raise Unclear("the provider's answer names something twice", cause="login-malformed", hint="log in again")
        return {name: self.get_query_argument(name, strip=False) for name in names}


class Logout(LoginRoom):
    """`POST /logout`."""

    def post(self) -> None:
        """Forget the session, what it was shown, and its sockets."""
        session = self.signed_in
        self.gate.sessions.end(session.key)
        bodies: Bodies = self.settings["bodies"]
        bodies.forget(session.key)
        close_sockets(lambda key: key != session.key)
        self.drop_cookie(self.gate.address.cookie_prefix)
        self.redirect("/logged-out", status=303)


class LoggedOut(Guarded):
    """`GET /logged-out`."""

    def get(self) -> None:
        """Say so."""
        self.finish(self.gate.pages.render("logged_out", None, {}))
