"""The agent's side of HTTP, as mitmproxy's layers made strict: heads in bounds and in time, pages of ours.

What the agent sends is read here and nowhere else; whether it goes on is not decided here. What
is leant on is pinned by `tests/gateway/mitm/test_agent_side.py`. Called by `mitm.http`.
"""

import h2.events
from h11._receivebuffer import ReceiveBuffer
from mitmproxy import connection, http
from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, context, events, layer
from mitmproxy.proxy.layers.http import _http1, _http2
from mitmproxy.proxy.layers.http._events import ErrorCode, HttpEvent, ResponseProtocolError

from doorward.errors import TooLarge
from doorward.gateway.mitm.faults import error_of, too_slow
from doorward.gateway.mitm.heads import bad_request_head, without_empty_lines
from doorward.gateway.mitm.plane import Plane
from doorward.gateway.mitm.pressure import Pressure

type Commands = layer.CommandGenerator[None]

_LINGER_S = 1.0  # what an agent still sends when it was answered is read so long, else a RST eats the answer


class Http1Server(_http1.Http1Server):
    """HTTP/1 with an agent: one strict head at a time, and no more than was asked for."""

    page: http.Response | None = None

    def __init__(self, plane: Plane, at: context.Context) -> None:
        super().__init__(at)
        self.plane = plane
        self._head_clock: commands.RequestWakeup | None = None
        self._timed = 0  # the stream whose head the clock is for
        self._last_clock: commands.RequestWakeup | None = None  # when it rings, the connection ends

    def _handle_event(self, event: events.Event) -> Commands:
        if isinstance(event, events.Wakeup):
            yield from self._rung(event.command)
            return
        yield from super()._handle_event(event)
        if self.buf and self.state == self.read_headers and self._timed != self.stream_id:
            self._timed = self.stream_id
            self._head_clock = commands.RequestWakeup(self.plane.head_wait_s)
            yield self._head_clock

    def _rung(self, clock: commands.Command) -> Commands:
        if clock is self._last_clock:
            yield commands.CloseConnection(self.conn)
            self.state = self.done
        elif clock is self._head_clock and self._timed == self.stream_id and self.state == self.read_headers:
            error = too_slow(self.plane.head_wait_s)
            self.plane.unreadable(self.context.client, error)
            yield commands.SendData(self.conn, _closing(self.plane.page(None, error)))
            yield commands.CloseConnection(self.conn)
            self.state = self.done

    def _answered(self) -> Commands:
        """The last word was said; what still comes is read and dropped for a while."""
        self.state = self._drop
        self._last_clock = commands.RequestWakeup(_LINGER_S)
        yield self._last_clock

    def _drop(self, event: events.Event) -> Commands:
        if isinstance(event, events.DataReceived):
            self.buf = ReceiveBuffer()
        else:
            yield commands.CloseConnection(self.conn)
            self.state = self.done

    def read_body(self, event: events.Event) -> Commands:
        """As upstream's, but where the body is malformed the connection stays open for our page."""
        for command in super().read_body(event):
            is_malformed = isinstance(command, commands.CloseConnection) and not self.request_done
            if is_malformed and isinstance(event, events.DataReceived):
                self.state = self._drop
            else:
                yield command

    def read_headers(self, event: events.ConnectionEvent) -> Commands:
        """As upstream's, after one strict look at the bytes; what cannot be read gets a page of ours."""
        if isinstance(event, events.DataReceived):
            raw = without_empty_lines(self.buf)
            error = bad_request_head(raw, self.plane.head_bytes)
            if error is not None:
                self.plane.unreadable(self.context.client, error)
                yield commands.SendData(self.conn, _closing(self.plane.page(None, error)))
                yield from self._answered()
                return
        unread = False
        for command in super().read_headers(event):
            if isinstance(command, commands.SendData):  # upstream's own page for a head that it cannot read
                unread = True
                self.state = self._drop
                if self.request is None:  # else a flow follows, which is recorded, and answered with its page
                    error = error_of(ErrorCode.GENERIC_CLIENT_ERROR)
                    self.plane.unreadable(self.context.client, error)
                    yield commands.SendData(self.conn, _closing(self.plane.page(None, error)))
            elif not (unread and isinstance(command, commands.CloseConnection)):
                yield command
        if unread:
            yield from self._answered()

    def wait(self, event: events.Event) -> Commands:
        """As upstream's, but what is pipelined behind a request that waits has a bound."""
        if len(self.buf) > self.plane.head_bytes + self.plane.request_bytes and isinstance(event, events.DataReceived):
            error = TooLarge("too much is pipelined", cause="pipeline-too-long", hint="wait for each answer")
            self.plane.unreadable(self.context.client, error)
            yield commands.CloseConnection(self.conn)
            return
        yield from super().wait(event)

    def send(self, event: HttpEvent) -> Commands:
        """As upstream's, with our page in the place of its own."""
        if isinstance(event, ResponseProtocolError) and self.page is not None:
            if self.conn.state & connection.ConnectionState.CAN_WRITE:
                begun = self.response is not None and self.response.status_code >= 200  # a 100 may be out
                told = not begun and event.code.http_status_code() is not None
                if told:
                    yield commands.SendData(self.conn, _closing(self.page))
                if told and not self.request_done:
                    yield from self._answered()
                else:
                    yield commands.CloseConnection(self.conn)
            return
        yield from super().send(event)


class Http2Server(_http2.Http2Server):
    """HTTP/2 with an agent."""

    page: http.Response | None = None

    def __init__(self, plane: Plane, at: context.Context) -> None:
        super().__init__(at)
        self.plane = plane
        self.pressure = Pressure(self.h2_conn)
        self._heads = 0
        self._clock: tuple[commands.RequestWakeup, int] | None = None  # and how many heads were there

    def handle_h2_event(self, event: h2.events.Event) -> layer.CommandGenerator[bool]:
        """As upstream's; heads are counted."""
        self._heads += isinstance(event, h2.events.RequestReceived)
        return (yield from super().handle_h2_event(event))

    def _handle_event(self, event: events.Event) -> Commands:
        if isinstance(event, events.Wakeup):
            if self._clock is not None and event.command is self._clock[0]:
                is_slow = self._is_amid_a_frame() and self._clock[1] == self._heads
                self._clock = None
                if is_slow:
                    self.plane.unreadable(self.context.client, too_slow(self.plane.head_wait_s))
                    yield from self.close_connection("too slow")
            return
        yield from self._answer(event)
        if self._clock is None and isinstance(event, events.DataReceived) and self._is_amid_a_frame():
            self._clock = commands.RequestWakeup(self.plane.head_wait_s), self._heads
            yield self._clock[0]

    def _is_amid_a_frame(self) -> bool:
        """Whether no request is open, and a part of a frame or of a head is here."""
        frames = self.h2_conn.incoming_buffer
        return bool(frames._data or frames._headers_buffer) and not self.h2_conn.open_inbound_streams

    def _answer(self, event: events.Event) -> Commands:
        page = self.page
        if (
            isinstance(event, ResponseProtocolError)
            and page is not None
            and event.code.http_status_code() is not None
            and self.is_open_for_us(event.stream_id)
            and not self.h2_conn.streams[event.stream_id].state_machine.headers_sent
        ):
            head = [(b":status", b"%d" % page.status_code), *((n.lower(), v) for n, v in page.headers.fields)]
            self.h2_conn.send_headers(event.stream_id, [field for field in head if field[0] != b"connection"])
            self.h2_conn.send_data(event.stream_id, page.raw_content or b"", end_stream=True)
            yield commands.SendData(self.conn, self.h2_conn.data_to_send())
            return
        yield from super()._handle_event(event)


def _closing(page: http.Response) -> bytes:
    page.headers["Connection"] = "close"
    return bytes(http1.assemble_response(page))
