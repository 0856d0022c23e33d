"""A small HTTP/2 agent, free to send what good clients never do."""

import asyncio
from collections.abc import Sequence

import h2.config
import h2.connection
import h2.events

from tests.parts.gateway import Agent, Answer, Gateway

type Fields = Sequence[tuple[str, str]]


class Http2Agent:
    """`agent = await Http2Agent.tunnel(gateway)`; a stream for each request."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        config = h2.config.H2Configuration(
            client_side=True,
            header_encoding="utf-8",
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self.connection = h2.connection.H2Connection(config)
        self.events: list[h2.events.Event] = []

    @classmethod
    async def tunnel(
        cls, gateway: Gateway, host: str = "billing.internal", *, token: str | None = None
    ) -> "Http2Agent":
        made = cls(await gateway.tunnel(host, alpn="h2", token=token))
        made.connection.initiate_connection()
        await made.flush()
        return made

    async def flush(self) -> None:
        await self.agent.send(self.connection.data_to_send())

    async def send(
        self,
        method: str = "GET",
        path: str = "/v1/customers",
        *,
        body: bytes = b"",
        fields: Fields = (),
        trailers: Fields = (),
        authority: str = "billing.internal",
    ) -> int:
        """Begin and end a request; the number of its stream."""
        stream = self.connection.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "https"), (":path", path), (":authority", authority)]
        self.connection.send_headers(stream, [*pseudo, *fields], end_stream=not body and not trailers)
        if body:
            self.connection.send_data(stream, body, end_stream=not trailers)
        if trailers:
            self.connection.send_headers(stream, list(trailers), end_stream=True)
        await self.flush()
        return stream

    async def begin(self, method: str, path: str, *, fields: Fields = ()) -> int:
        """A request whose body is still to come."""
        stream = self.connection.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "https"), (":path", path), (":authority", "billing.internal")]
        self.connection.send_headers(stream, [*pseudo, *fields])
        await self.flush()
        return stream

    async def pour(self, stream: int, size: int) -> None:
        """That many bytes of a body, as the windows allow, or until the gateway is done with the stream."""
        async with asyncio.timeout(10):
            while size:
                room = min(self.connection.local_flow_control_window(stream), 16384, size)
                if room:
                    self.connection.send_data(stream, b"x" * room)
                    size -= room
                    await self.flush()
                    continue
                self.events += self.connection.receive_data(await self.agent.reader.read(65536))
                await self.flush()
                if any(isinstance(e, h2.events.StreamEnded) and e.stream_id == stream for e in self.events):
                    return

    async def read(self, stream: int) -> Answer:
        """The answer on a stream."""
        status, headers, body = 0, dict[str, str](), b""
        async with asyncio.timeout(5):
            while True:
                others = [event for event in self.events if getattr(event, "stream_id", stream) != stream]
                mine = [event for event in self.events if event not in others]
                self.events = others  # answers come in any order
                for event in mine:
                    match event:
                        case h2.events.ResponseReceived(stream_id=at, headers=fields) if at == stream:
                            assert fields is not None
                            headers = {str(name): str(value) for name, value in fields}
                            status = int(headers[":status"])
                        case h2.events.DataReceived(stream_id=at, data=data) if at == stream:
                            body += data or b""
                        case h2.events.StreamEnded(stream_id=at) if at == stream:
                            return Answer(status, headers, body)
                        case h2.events.StreamReset(stream_id=at) if at == stream:
                            raise ConnectionResetError(event)
                        case h2.events.TrailersReceived(stream_id=at) if at == stream:
                            raise AssertionError("trailers")
                data = await self.agent.reader.read(65536)
                if not data:
                    raise ConnectionResetError
                self.events += self.connection.receive_data(data)
                await self.flush()

    async def ask(self, method: str = "GET", path: str = "/v1/customers", **parts: object) -> Answer:
        return await self.read(await self.send(method, path, **parts))  # type: ignore[arg-type]
