"""A web site of somebody else, on a port of its own, which a person opens beside the console.

`host` is how browsers are sent there: `127.0.0.1` is the console's own host on another port, which
browsers take for the same site and send the same cookies; `localhost` is another site.
"""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

EMPTY = "<!doctype html><title>somebody else</title><p>Nothing to see here.</p>"


class HostileSite:
    """`with HostileSite() as site:`; `cookies` are set by each answer, `asked` has the cookies that came."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host = host
        self.html = EMPTY
        self.cookies: list[str] = []
        self.asked: list[tuple[str, str]] = []  # path and Cookie

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.site = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def authority(self) -> str:
        """Host and port."""
        return f"{self.host}:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """The origin."""
        return f"http://{self.authority}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    site: HostileSite

    def handle_error(self, request: object, client_address: object) -> None:
        """Browsers leave when a page is closed."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        site = self.server.site
        site.asked.append((self.path, self.headers.get("Cookie", "")))
        body = site.html.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        for cookie in site.cookies:
            self.send_header("Set-Cookie", cookie)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Tests look at `asked`."""
