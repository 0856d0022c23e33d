"""A target that streams: it sends what the test hands it, when the test hands it over."""

import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

_LARGE_PIECE = bytes(range(256)) * 256


class StreamTarget:
    """`with StreamTarget() as target:`; `send` and `end` serve whoever asks for `/v1/events`."""

    def __init__(self) -> None:
        self.content_type = "text/event-stream"
        self.large_bytes = 200 << 20  # of `/v1/large`
        self.sent_bytes = 0  # of it
        self.closed = threading.Event()  # a connection in the middle of a stream was closed
        self._pieces: queue.Queue[bytes | None] = queue.Queue()

    def send(self, piece: bytes) -> None:
        """Send one piece now."""
        self._pieces.put(piece)

    def end(self) -> None:
        """End the stream properly."""
        self._pieces.put(None)

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler, self)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()  # for a handler that still waits
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def pieces(self, path: str) -> Any:
        """What the answer to a path is made of."""
        if path != "/v1/large":
            yield from iter(self._pieces.get, None)
            return
        self.sent_bytes = 0
        while self.sent_bytes < self.large_bytes:
            yield _LARGE_PIECE
            self.sent_bytes += len(_LARGE_PIECE)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: Any, target: StreamTarget) -> None:
        super().__init__(address, handler)
        self.target = target

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Streams that break off are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        target = self.server.target
        self.send_response(200)
        self.send_header("Content-Type", target.content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for piece in target.pieces(self.path):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            target.closed.set()
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""
