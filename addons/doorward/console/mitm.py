"""What the console touches of mitmproxy's and tornado's insides, in one place.

A master that is mitmweb's but has neither a proxy nor the addons that come with one, and an
application that reaches no handler but those of our table. tests/console/test_mitm.py notices
when a new version of mitmproxy moves what is relied on here. Built and run by `web`.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import tornado.httputil
import tornado.web
from mitmproxy import master, options
from mitmproxy.addons import eventstore, view
from mitmproxy.flow import Flow
from mitmproxy.tools.web import app as mitmweb
from mitmproxy.tools.web.master import WebMaster

from doorward.console.gate import Refusal
from doorward.console.routes import REFUSED, find_route
from doorward.console.stock import Updates

logger = logging.getLogger(__name__)


class _NoMitmwebLogin:
    """Stands where mitmweb's application looks for its password: there is none, so none is right."""

    name = "webauth"

    @staticmethod
    def auth_cookie_name() -> str:
        """Return a name that no cookie of ours has."""
        return "mitmweb-login-is-off"

    @staticmethod
    def is_valid_password(password: str) -> bool:
        """Refuse all."""
        return False


class ConsoleMaster(WebMaster):
    """mitmweb without a proxy: a view of copies and the options that its page needs."""

    def __init__(self) -> None:
        master.Master.__init__(self, options.Options(), with_termlog=False)  # not WebMaster's: it adds the proxy
        self.view = view.View()
        self.view.sig_view_add.connect(self._sig_view_add)
        self.view.sig_view_remove.connect(self._sig_view_remove)
        self.view.sig_view_update.connect(self._sig_view_update)
        self.view.sig_view_refresh.connect(self._sig_view_refresh)
        self.events = eventstore.EventStore()
        self.addons.add(_NoMitmwebLogin(), self.view)
        self.options.update(server=False)

    def _sig_view_add(self, flow: Flow) -> None:
        Updates.broadcast_copy("flows/add", flow)

    def _sig_view_update(self, flow: Flow) -> None:
        Updates.broadcast_copy("flows/update", flow)

    def _sig_view_remove(self, flow: Flow, index: int) -> None:
        Updates.broadcast(type="flows/remove", payload=flow.id)  # type: ignore[no-untyped-call]  # of mitmproxy

    def _sig_view_refresh(self) -> None:
        Updates.broadcast_flow_reset()

    @property
    def web_url(self) -> str:
        """Return nothing: there is no URL that logs in by itself."""
        return ""

    async def running(self) -> None:
        """Start no web server here; `web` has the bound sockets."""
        await master.Master.running(self)


class ConsoleApplication(mitmweb.Application):
    """Answers the routes of our table, each by the class that was joined with its name."""

    def __init__(
        self,
        console: ConsoleMaster,
        answers: Mapping[str, type[tornado.web.RequestHandler]],
        settings: Mapping[str, object],
    ) -> None:
        super().__init__(console, debug=False)
        self._answers = dict(answers)
        self.transforms = []  # no compression beside secrets (BREACH)
        self.settings.update(
            settings,
            xsrf_cookies=False,  # `gate` compares the session's own token instead of two equal cookies
            log_function=_log_request,
            websocket_ping_interval=30,
            websocket_max_message_size=16 * 1024,
        )

    def find_handler(self, request: tornado.httputil.HTTPServerRequest, **kwargs: Any) -> Any:
        """Look the request up in our table; mitmweb's own routes are not asked."""
        route, names = find_route(request.method or "", request.path)
        answer = Refusal if route is REFUSED else self._answers.get(route.name, Refusal)
        path_kwargs = {name: value.encode() for name, value in names.items()}
        return self.get_handler_delegate(request, answer, path_kwargs=path_kwargs)


def close_sockets(is_live: Callable[[str], bool]) -> None:
    """Close the sockets whose session is over."""
    for connection in tuple(Updates.connections):
        if connection.session is None or not is_live(connection.session.key):
            connection.close(code=4401, reason="the session has ended")


def _log_request(handler: tornado.web.RequestHandler) -> None:
    """Log refused and failed requests without their query, which may hold a login's code."""
    status = handler.get_status()
    level = logging.ERROR if status >= 500 else logging.INFO if status >= 400 else logging.DEBUG
    logger.log(level, "%d %s %s", status, handler.request.method, handler.request.path)
