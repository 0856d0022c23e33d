"""mitmweb's pages as far as they only show: each stock handler behind our gate, over copies.

No handler here changes a flow, an option or the view. Where mitmweb would read a body out of
the flow, the body is fetched from the ledger for this one person and this one answer. Joined
with their routes in `mitm`.
"""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import tornado.web
from mitmproxy import contentviews, http, version
from mitmproxy.flow import Flow
from mitmproxy.tools.web import app as mitmweb
from mitmproxy.utils.strutils import cut_after_n_lines

from doorward.console.bodies import Bodies
from doorward.console.cards import indented_json
from doorward.console.copies import Side, body_place
from doorward.console.gate import Guarded
from doorward.core.characters import visible

MITMWEB_FILES = Path(mitmweb.__file__).parent
OWN_FILES = Path(__file__).parent / "assets"
SHOWN_OPTIONS: Mapping[str, object] = {  # all that the frontend reads; the console has no others to tell of
    "content_view_lines_cutoff": 512,
    "http2": True,
    "mode": ["regular"],
    "rawtcp": True,
    "server": False,
    "upstream_cert": True,
    "websocket": True,
    "web_columns": ["timestamp", "method", "path", "status", "size", "time", "comment"],
}
LONGEST_FILTER = 500
LONGEST_QUEUE = 2000
LARGEST_VIEW_BYTES = 1024 * 1024
_DOWNLOAD_NAME = re.compile(r"[^-\w.]+", re.ASCII)


class MitmwebRoom(Guarded):
    """Access to the copies, for all that shows them."""

    @property
    def bodies(self) -> Bodies:
        """The reader of recorded bodies."""
        bodies: Bodies = self.settings["bodies"]
        return bodies


def flow_json(flow: Flow) -> dict[str, Any]:
    """Return mitmweb's JSON of a copy; sizes and hashes are the record's, as the body is not here."""
    shown: dict[str, Any] = mitmweb.flow_to_json(flow)
    shown["modified"] = False
    for side in Side:
        place = body_place(flow, side)
        if side in shown and place is not None:
            shown[side]["contentLength"] = place.length
            shown[side]["contentHash"] = place.digests[-1]
        elif side in shown:
            shown[side]["contentLength"] = 0
            shown[side]["contentHash"] = None
    return shown


class Index(Guarded):
    """mitmweb's page with our script and style in it."""

    def get(self) -> None:
        """Send the page."""
        frame = self.gate.pages.render("mitmweb_head", self.session, {"local": self.settings.get("local", False)})
        page = (MITMWEB_FILES / "index.html").read_text("utf-8")
        page = page.replace("<title>mitmproxy</title>", "<title>doorward console</title>", 1)
        self.finish(page.replace("<head>", f"<head>{frame}", 1))


class OwnFile(Guarded, tornado.web.StaticFileHandler):
    """Our scripts and styles."""

    def initialize(self) -> None:  # type: ignore[override]  # the folder is fixed
        """Serve the one folder."""
        super().initialize(path=str(OWN_FILES))


class StockFile(Guarded, tornado.web.StaticFileHandler):
    """mitmweb's scripts, styles and fonts."""

    def initialize(self) -> None:  # type: ignore[override]  # the folder is fixed
        """Serve the one folder."""
        super().initialize(path=str(MITMWEB_FILES / "static"))


class FilterHelp(Guarded, mitmweb.FilterHelp):
    """The words of mitmweb's search."""


class Flows(Guarded, mitmweb.Flows):
    """All copies in the view."""

    def get(self) -> None:
        """List them."""
        self.answer_json([flow_json(flow) for flow in self.view])


class Events(Guarded):
    """mitmweb's event log: the record is the ledger, so it stays empty."""

    def get(self) -> None:
        """Send no events."""
        self.answer_json([])


class Options(Guarded):
    """What the frontend has to know to draw the list."""

    def get(self) -> None:
        """Send them, in mitmweb's form."""
        self.answer_json({name: {"value": value} for name, value in SHOWN_OPTIONS.items()})


class State(Guarded):
    """What mitmweb's frontend asks at its start; nothing of this machine."""

    def get(self) -> None:
        """Send it."""
        views = [view for view in contentviews.registry.available_views() if view != "query"]
        self.answer_json(
            {
                "version": version.VERSION,
                "contentViews": views,
                "servers": {},
                "platform": "",
                "localModeUnavailable": "the console runs no proxy",
            }
        )


class Content(MitmwebRoom, mitmweb.FlowContent):
    """One body as a download."""

    async def get(self, flow_id: str, message: str) -> None:
        """Fetch it, which is recorded, and send it."""
        flow = _http(self.flow)
        body = await _read(self, flow, Side(message))
        name = _DOWNLOAD_NAME.sub("-", flow.request.path.partition("?")[0].rpartition("/")[2])[:60].strip("-.")
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Content-Disposition", f'attachment; filename="{name or "body"}.{message}"')
        self.finish(body)

    post = tornado.web.RequestHandler._unimplemented_method


class ContentView(MitmwebRoom, mitmweb.FlowContentView):
    """One body as mitmweb's views show it."""

    async def get(  # type: ignore[override]  # the stock one is not async
        self, flow_id: str, message: str, content_view: str
    ) -> None:
        """Fetch it, which is recorded, and draw it away from the loop."""
        flow = _http(self.flow)
        body = await _read(self, flow, Side(message))
        asked = self.get_query_argument("lines", "")
        lines = int(asked) if asked.isdecimal() and len(asked) < 8 else None
        drawn = await asyncio.to_thread(self._draw, flow, Side(message), body[:LARGEST_VIEW_BYTES], content_view, lines)
        drawn["text"] = visible(drawn["text"], lines=True)
        drawn["description"] = visible(drawn["description"])
        if len(body) > LARGEST_VIEW_BYTES:
            drawn["description"] += f" (the first {LARGEST_VIEW_BYTES} of {len(body)} bytes)"
        self.answer_json(drawn)

    def _draw(self, flow: http.HTTPFlow, side: Side, body: bytes, view: str, lines: int | None) -> dict[str, Any]:
        if view.lower() in ("auto", "json") and (text := indented_json(body)) is not None:
            # mitmproxy's own view of JSON loses digits of numbers
            shown = cut_after_n_lines(text.decode("utf-8", "backslashreplace"), lines or LARGEST_VIEW_BYTES)
            return {"text": shown, "view_name": "JSON", "syntax_highlight": "yaml", "description": ""}
        drawn: dict[str, Any] = self.message_to_json(view, _filled(flow, side, body), flow, lines)
        return drawn


class Updates(Guarded, mitmweb.ClientConnection):
    """The socket over which mitmweb's page learns of new copies."""

    connections: ClassVar[set["Updates"]] = set()  # type: ignore[assignment]  # as every stock subclass must

    def check_origin(self, origin: str) -> bool:
        """Allow our own pages; `prepare` has asked the same."""
        return origin == self.gate.address.origin

    @classmethod
    def broadcast_copy(cls, kind: str, flow: Flow) -> None:
        """Tell every page of a copy that came or changed."""
        shown = flow_json(flow)
        for connection in tuple(cls.connections):
            connection._broadcast_flow(kind, flow, shown)  # type: ignore[arg-type]  # one of the two stock names

    def update_filter(self, name: str, expr: str) -> None:
        """Search, within bounds."""
        if len(name) > LONGEST_FILTER or len(expr) > LONGEST_FILTER or len(self.filters) > 10:
            raise ValueError("too long a filter")
        super().update_filter(name, expr)

    def send(self, message: bytes) -> None:
        """Queue a message; a page that does not read is let go."""
        if self._send_queue.qsize() >= LONGEST_QUEUE:
            self.close(code=1013, reason="the page does not keep up")
            return
        super().send(message)


def _http(flow: Flow) -> http.HTTPFlow:
    assert isinstance(flow, http.HTTPFlow)
    return flow


async def _read(handler: MitmwebRoom, flow: http.HTTPFlow, side: Side) -> bytes:
    place = body_place(flow, side)
    if place is None:
        return b""
    what = f"{side} of {place.what}"
    if len(place.digests) == 1:
        return await handler.bodies.read(handler.signed_in, place.digests[0], what)
    return await handler.bodies.read_parts(handler.signed_in, place.digests, what)


def _filled(flow: http.HTTPFlow, side: Side, body: bytes) -> http.Message:
    """Return a message of its own with the body in it; the copy in the view stays empty."""
    message: http.Message | None = flow.request if side is Side.REQUEST else flow.response
    assert message is not None, "a body without its message"
    filled = message.copy()
    filled.headers.pop("content-encoding", None)  # the record holds the decoded body
    filled.raw_content = body
    return filled
