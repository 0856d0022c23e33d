"""A scripted model in the place of api.anthropic.com: the Messages API over server-sent events, over TLS."""

import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from tests.parts.target import Got

_USAGE = {"input_tokens": 10, "output_tokens": 1}


class ScriptedModel:
    """`with ScriptedModel(tls, command) as model:`; it calls Bash with `command` once, then says two words.

    The second word is said once the test has set `heard`: it came to the agent before this was sent.
    """

    def __init__(self, tls: tuple[Path, Path], command: str) -> None:
        self.command = command
        self.got: list[Got] = []
        self.heard = threading.Event()
        self._tls = tls

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler, self)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*self._tls)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.heard.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def events(self, asked: Mapping[str, Any]) -> Iterator[bytes]:
        """The answer to one request, event by event."""
        last = asked["messages"][-1]["content"]
        answered = isinstance(last, list) and any(part.get("type") == "tool_result" for part in last)
        has_bash = any(tool["name"] == "Bash" for tool in asked.get("tools", []))
        start = {"id": "msg_1", "type": "message", "role": "assistant", "model": asked["model"], "content": []}
        yield _event("message_start", message=start | {"stop_reason": None, "stop_sequence": None, "usage": _USAGE})
        if has_bash and not answered:
            call = {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}}
            given = json.dumps({"command": self.command, "description": "read a customer"})
            yield _event("content_block_start", index=0, content_block=call)
            yield _event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": given})
            stop = "tool_use"
        else:
            yield _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
            yield _event("content_block_delta", index=0, delta={"type": "text_delta", "text": "all "})
            if answered:
                self.heard.wait(60)
            yield _event("content_block_delta", index=0, delta={"type": "text_delta", "text": "done"})
            stop = "end_turn"
        yield _event("content_block_stop", index=0)
        yield _event("message_delta", delta={"stop_reason": stop, "stop_sequence": None}, usage={"output_tokens": 5})
        yield _event("message_stop")


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: Any, model: ScriptedModel) -> None:
        super().__init__(address, handler)
        self.model = model

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Agents close connections as they like."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.model.got.append(Got(self.command, self.path, list(self.headers.items()), body))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in self.server.model.events(json.loads(body)):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""
