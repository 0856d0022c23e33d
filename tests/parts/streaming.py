"""An answer as it comes to an agent in this process, piece by piece."""

import asyncio
from typing import Any, cast

import h2.events

from tests.parts.gateway import Agent, Answer, Gateway, get
from tests.parts.http2 import Http2Agent


class Streaming:
    """One answer on its way to an agent, over HTTP/1 or HTTP/2."""

    def __init__(self, agent: Agent | Http2Agent) -> None:
        self.agent = agent
        self.head: Answer
        self.stream = 0
        self._body = b""
        self._ended = False

    @classmethod
    async def begin(cls, gateway: Gateway, version: str, path: str = "/v1/events") -> "Streaming":
        made = cls(await Http2Agent.tunnel(gateway) if version == "h2" else await gateway.tunnel())
        await made.ask(path)
        return made

    async def ask(self, path: str = "/v1/events") -> None:
        self._body, self._ended = b"", False
        if isinstance(self.agent, Http2Agent):
            self.stream = await self.agent.send("GET", path)
        else:
            await self.agent.send(get(path))
        await self.read_head()

    async def read_head(self) -> None:
        if isinstance(self.agent, Agent):
            self.head = await self.agent.read(head=True)
            return
        while not (answers := [e for e in self._mine() if isinstance(e, h2.events.ResponseReceived)]):
            await self._more()
        fields = {str(name): str(value) for name, value in answers[0].headers or ()}
        self.head = Answer(int(fields[":status"]), fields, b"")

    async def piece(self) -> bytes:
        """The next piece of the body; b"" at the proper end."""
        if isinstance(self.agent, Agent):
            async with asyncio.timeout(5):
                size = int((await self.agent.reader.readuntil(b"\r\n")).strip(), 16)
                return (await self.agent.reader.readexactly(size + 2))[:-2]
        while True:
            for event in self._mine():
                self.agent.events.remove(event)
                match event:
                    case h2.events.DataReceived(data=data) if data:
                        self.agent.connection.acknowledge_received_data(len(data), self.stream)
                        await self.agent.flush()
                        return data
                    case h2.events.StreamEnded():
                        return b""
                    case h2.events.StreamReset():
                        raise ConnectionResetError
            await self._more()

    async def rest(self) -> bytes:
        """All that comes to the proper end; raises ConnectionError where the stream is broken off."""
        body = b""
        try:
            while piece := await self.piece():
                body += piece
        except asyncio.IncompleteReadError as error:
            raise ConnectionResetError(error.partial) from None
        return body

    async def broken_off(self) -> bool:
        try:
            await self.rest()
        except ConnectionError:
            return True
        return False

    def _mine(self) -> list[Any]:
        agent = cast("Http2Agent", self.agent)
        return [event for event in agent.events if getattr(event, "stream_id", None) == self.stream]

    async def _more(self) -> None:
        agent = cast("Http2Agent", self.agent)
        async with asyncio.timeout(5):
            data = await agent.agent.reader.read(65536)
        if not data:
            raise ConnectionResetError
        agent.events += agent.connection.receive_data(data)
        await agent.flush()
