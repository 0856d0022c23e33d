"""Back-pressure over HTTP/2: an agent that stops reading stops the reading from its target.

Over HTTP/1 the full socket does that by itself. Over HTTP/2 upstream takes whatever an agent
leaves in its window into a buffer without a bound, and grants targets two gigabytes. Here the
buffer of one stream pauses what feeds it: an HTTP/1 target's connection, which serves that
stream alone, is not read; an HTTP/2 target's stream gets no more window. Other streams go on.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import h2.config
from mitmproxy.connection import Server
from mitmproxy.proxy import commands, context, events, layer
from mitmproxy.proxy.layers.http import _http2
from mitmproxy.proxy.layers.http._events import HttpEvent
from mitmproxy.proxy.layers.http._http_h2 import BufferedH2Connection

WINDOW = 1 << 20  # bytes that an HTTP/2 target may send ahead on one stream
_HIGH = 256 << 10  # bytes of one stream that wait for the agent: above, its target is not read
_LOW = 64 << 10

_readable: WeakKeyDictionary[Server, asyncio.Event] = WeakKeyDictionary()  # HTTP/1 targets' connections, once paused


@dataclass
class Window(HttpEvent):
    """To the layer of an HTTP/2 target: whether a stream's bytes are handed back to its window."""

    granted: bool


class Pressure:
    """Which streams of one agent's connection are paused."""

    def __init__(self, agent: BufferedH2Connection) -> None:
        self._agent = agent
        self._paused: dict[int, Server] = {}

    def is_too_high(self, stream_id: int, server: Server) -> bool:
        """Whether the stream has to be paused now; it counts as paused from then on."""
        if stream_id in self._paused or self._waiting(stream_id) <= _HIGH:
            return False
        self._paused[stream_id] = server
        return True

    def relieved(self) -> Iterator[tuple[int, Server]]:
        """The paused streams that may go on, since the agent has read or gone."""
        for stream_id, server in list(self._paused.items()):
            if self._waiting(stream_id) <= _LOW:
                del self._paused[stream_id]
                yield stream_id, server

    def _waiting(self, stream_id: int) -> int:
        return sum(len(each.data) for each in self._agent.stream_buffers.get(stream_id, ()))


def set_readable(server: Server, *, readable: bool) -> None:
    """Pause the connection to an HTTP/1 target, or let it go on."""
    event = _readable.setdefault(server, asyncio.Event())
    if readable:
        event.set()
    else:
        event.clear()


async def wait_readable(server: Server) -> None:
    """Wait until the connection may be read."""
    event = _readable.get(server)
    if event is not None:
        await event.wait()


class _Granting(BufferedH2Connection):
    """Hands a stream's bytes back to its window only while its agent reads."""

    def __init__(self, config: h2.config.H2Configuration) -> None:
        super().__init__(config)
        self.local_settings.initial_window_size = WINDOW
        self.local_settings.enable_push = 0
        self.local_settings.acknowledge()  # upstream's way: else the old ones are sent
        self.held: set[int] = set()
        self._owed: Counter[int] = Counter()

    def acknowledge_received_data(self, acknowledged_size: int, stream_id: int) -> None:
        if stream_id in self.held:
            self._owed[stream_id] += acknowledged_size
        else:
            super().acknowledge_received_data(acknowledged_size, stream_id)

    def hand_back(self, stream_id: int) -> None:
        """Grant what is owed, and no longer hold back."""
        self.held.discard(stream_id)
        super().acknowledge_received_data(self._owed.pop(stream_id, 0), stream_id)


class Http2Client(_http2.Http2Client):
    """Towards the target, with bounded windows."""

    h2_conn: _Granting

    def __init__(self, at: context.Context) -> None:
        super().__init__(at)
        self.h2_conn = _Granting(self.h2_conf)

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if not isinstance(event, Window):
            yield from super()._handle_event(event)
        elif (ours := self.our_stream_id.get(event.stream_id)) is not None:
            if event.granted:
                self.h2_conn.hand_back(ours)
                yield commands.SendData(self.conn, self.h2_conn.data_to_send())
            else:
                self.h2_conn.held.add(ours)
