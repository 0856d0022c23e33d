"""A target that speaks HTTP/2 over TLS, on the test's own loop, and says any fields and bytes at all."""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import h2.config
import h2.connection
import h2.events

type Fields = Sequence[tuple[bytes, bytes]]


@dataclass
class Http2Answer:
    """What to say to one request."""

    fields: Fields = ((b":status", b"200"), (b"content-type", b"application/json"))
    body: bytes = b'{"ok": true}'
    before: Sequence[Fields] = ()  # 1xx heads
    trailers: Fields = ()
    reset: bool = False  # instead of the end
    endless: bool = False  # no end ever comes


@dataclass
class Http2Got:
    """One request as it arrived."""

    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def value(self, name: bytes) -> bytes | None:
        """The one value of a field."""
        values = [value for each, value in self.fields if each == name]
        assert len(values) < 2, values
        return values[0] if values else None


class Http2Target:
    """`async with Http2Target(tls) as target:`; `answer` is said to each request when it has ended."""

    def __init__(self, tls: tuple[Path, Path], ca: Path) -> None:
        self.ca = ca  # under which the certificate stands
        self.answer: Http2Answer | Callable[[Http2Got], Http2Answer] = Http2Answer()
        self.got: list[Http2Got] = []
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(*tls)
        self._context.set_alpn_protocols(["h2"])
        self.unsent: dict[int, int] = {}  # by stream: bytes of its answer for which there is no window yet
        self.connections = 0
        self.is_silent = False  # what comes now is not even read
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        config = h2.config.H2Configuration(
            client_side=False, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        connection = h2.connection.H2Connection(config)
        connection.initiate_connection()
        requests: dict[int, Http2Got] = {}
        answers: dict[int, tuple[Http2Answer, bytes]] = {}  # and what is still to be sent
        try:
            writer.write(connection.data_to_send())
            while data := await reader.read(65536):
                if self.is_silent:
                    await asyncio.Event().wait()
                for event in connection.receive_data(data):
                    match event:
                        case h2.events.RequestReceived(stream_id=at, headers=fields):
                            requests[at] = Http2Got([(bytes(name), bytes(value)) for name, value in fields])
                        case h2.events.DataReceived(stream_id=at, data=body):
                            requests[at].body += body
                            connection.acknowledge_received_data(event.flow_controlled_length, at)
                        case h2.events.TrailersReceived(stream_id=at, headers=fields):
                            requests[at].trailers = [(bytes(name), bytes(value)) for name, value in fields]
                        case h2.events.StreamEnded(stream_id=at):
                            self.got.append(requests[at])
                            answer = self._begin(connection, at, requests[at])
                            answers[at] = (answer, answer.body)
                        case h2.events.StreamReset(stream_id=at):
                            answers.pop(at, None)
                for at in list(answers):
                    self._go_on(connection, at, answers)
                writer.write(connection.data_to_send())
                await writer.drain()
        except OSError:
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    def _begin(self, connection: h2.connection.H2Connection, at: int, got: Http2Got) -> Http2Answer:
        answer = self.answer(got) if callable(self.answer) else self.answer
        for early in answer.before:
            connection.send_headers(at, list(early))
        connection.send_headers(at, list(answer.fields))
        return answer

    def _go_on(
        self, connection: h2.connection.H2Connection, at: int, answers: dict[int, tuple[Http2Answer, bytes]]
    ) -> None:
        """Send what the window lets pass, and the end behind it."""
        answer, body = answers[at]
        while size := min(len(body), connection.local_flow_control_window(at), connection.max_outbound_frame_size):
            connection.send_data(at, body[:size])
            body = body[size:]
        self.unsent[at] = len(body)
        if body or answer.endless:
            answers[at] = (answer, body)
            return
        del answers[at]
        if answer.reset:
            connection.reset_stream(at)
        elif answer.trailers:
            connection.send_headers(at, list(answer.trailers), end_stream=True)
        else:
            connection.end_stream(at)
