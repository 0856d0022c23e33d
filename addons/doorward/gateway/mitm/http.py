"""mitmproxy's HTTP layers, made strict.

Heads are bounded and hold no control bytes, 1xx and trailers end here, error pages are
ours, and the credential joins a copy of the request on its way to the wire. The behaviour
leant on is pinned by `tests/gateway/mitm/test_http.py`, which notices when a new mitmproxy
moves it. What happens with a flow is not decided here: the `Plane` is asked.
"""

import logging
from typing import Any

import h11
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from mitmproxy import connection, flow, http
from mitmproxy.net.http import http1
from mitmproxy.net.http.validate import validate_headers
from mitmproxy.proxy import commands, context, events, layer
from mitmproxy.proxy.layers import ClientTLSLayer
from mitmproxy.proxy.layers import http as http_layers
from mitmproxy.proxy.layers.http import GetHttpConnection, GetHttpConnectionCompleted, HTTPMode, _http1
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    HttpEvent,
    RequestData,
    RequestHeaders,
    RequestProtocolError,
    RequestTrailers,
    ResponseData,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
)
from mitmproxy.proxy.layers.http._hooks import HttpErrorHook, HttpRequestHeadersHook, HttpResponseHook

from doorward.gateway.mitm.agent_side import Http1Server, Http2Server
from doorward.gateway.mitm.faults import error_of, too_many_bodies
from doorward.gateway.mitm.heads import is_bad_answer_head, is_complete, status_of, without_empty_lines
from doorward.gateway.mitm.plane import EndStream, LetGo, Plane, Tunnelled, serving
from doorward.gateway.mitm.pressure import Http2Client, Window, set_readable
from doorward.gateway.mitm.quick import quicken
from doorward.gateway.mitm.stream import StreamedAnswer
from doorward.gateway.route import Route

type Commands = layer.CommandGenerator[None]
HttpStream = http_layers.HttpStream

_MOST_INFORMATIONAL = 16  # 1xx answers to one request; a target that sends more is not serving
_MOST_CHUNK_FRAMING = 64 << 10  # bytes of chunk headers or trailers that are not complete yet


def http_layer(plane: Plane, at: context.Context, *, in_tunnel: bool) -> layer.Layer:
    """The layer that reads HTTP, in a tunnel or as a proxy's plain requests."""
    return _Http(plane, at, HTTPMode.transparent if in_tunnel else HTTPMode.regular)


def is_in_tunnel(at: context.Context) -> bool:
    """Whether a CONNECT went before on this connection."""
    return any(isinstance(each, HttpStream) for each in at.layers)


class _Http(http_layers.HttpLayer):
    def __init__(self, plane: Plane, at: context.Context, mode: HTTPMode) -> None:
        super().__init__(at, mode)
        self.plane = plane
        self._dropped: list[_Stream] = []  # by the event that is handled

    def _handle_event(self, event: events.Event) -> Commands:
        if isinstance(event, events.Start):
            server = Http2Server if self.context.client.alpn == b"h2" else Http1Server
            self.connections[self.context.client] = server(self.plane, self.context.fork())
        if isinstance(event, EndStream):
            for stream in self.of_agent():
                yield from self.event_to_child(stream, event)
        else:
            yield from super()._handle_event(event)
        agent = self.connections[self.context.client]
        if isinstance(agent, Http2Server):
            for stream_id, target in agent.pressure.relieved():
                yield from self._read_on(stream_id, target, readable=True)
        for stream in self._dropped:
            if stream._paused is None:  # else what was queued behind the drop is still being worked off
                stream.forget()
        self._dropped.clear()

    def _read_on(self, stream_id: int, target: connection.Server, *, readable: bool) -> Commands:
        """Let a target go on, or let it wait until the agent has read."""
        if target.alpn == b"h2":
            if target in self.connections:
                yield from self.event_to_child(self.connections[target], Window(stream_id, readable))
        else:
            set_readable(target, readable=readable)

    def of_agent(self) -> list["_Stream"]:
        """The requests that are not answered yet."""
        return [each for each in self.streams.values() if isinstance(each, _Stream)]

    def make_stream(self, stream_id: int) -> Commands:
        self.streams[stream_id] = _Stream(self.plane, self.context.fork(), stream_id)
        yield from self.event_to_child(self.streams[stream_id], events.Start())

    def get_connection(self, event: GetHttpConnection, *, reuse: bool = True) -> Commands:
        """As upstream's, by routes: a connection is shared only by requests whose routes are equal."""
        ours = serving[self.context.client]
        stream = self.command_sources[event]
        assert isinstance(stream, HttpStream)
        route = self.plane.route(stream.flow)
        yield from self._leave_idle(route)
        for server in [each for each, known in ours.routes.items() if known == route and reuse]:
            if server in self.waiting_for_establishment:
                self.waiting_for_establishment[server].append(event)
                return
            # One of HTTP/1 serves one stream of HTTP/2 at a time, see upstream's `register_connection`.
            if server.connected and (server.alpn == b"h2" or self.context.client.alpn != b"h2"):
                del self.command_sources[event]
                yield from self.event_to_child(stream, GetHttpConnectionCompleted(event, (server, None)))
                return
        context = self.context.fork()
        context.server = connection.Server(address=event.address)
        context.server.tls = event.tls
        ours.routes[context.server] = route
        client = http_layers.HttpClient(context)
        self.connections[context.server] = client
        self.waiting_for_establishment[context.server].append(event)
        yield from self.event_to_child(client, events.Start())

    def _leave_idle(self, route: Route) -> Commands:
        """Give up what serves nobody and goes elsewhere, or is not fit any more; forget what is closed."""
        ours = serving[self.context.client]
        if len(ours.routes) == 1 and len(self.connections) == 2:  # the everyday case: one target, and it may go on
            ((server, known),) = ours.routes.items()
            if known == route and (server not in ours.resting or ours.links[server].is_usable()):
                return
        busy = {each.context.server for each in self.of_agent()}
        for server in [each for each in ours.routes if each.connected and each not in busy]:
            rests = server in ours.resting
            if ours.routes[server] != route or (rests and not ours.links[server].is_usable()):
                ours.resting.discard(server)
                yield LetGo(server) if rests else commands.CloseConnection(server)
        for server in [each for each in self.connections if isinstance(each, connection.Server)]:
            if server not in ours.routes and server not in busy and server not in self.waiting_for_establishment:
                del self.connections[server]  # it is closed, and nobody tells it anything any more

    def event_to_child(self, child: layer.Layer | HttpStream, event: events.Event) -> Commands:
        if isinstance(event, RequestTrailers | ResponseTrailers):
            return
        if isinstance(event, RequestHeaders) and not isinstance(child, HttpStream):
            request = self.plane.wire(self.streams[event.stream_id].flow)
            event = RequestHeaders(event.stream_id, request, event.end_stream)
        elif isinstance(event, ResponseProtocolError) and isinstance(child, Http1Server | Http2Server):
            stream = self.streams.get(event.stream_id)
            child.page = self.plane.page(getattr(stream, "flow", None), error_of(event.code))
        yield from super().event_to_child(child, event)
        if isinstance(child, _Stream) and child.stream_id not in self.streams:
            self._dropped.append(child)
        if isinstance(event, ResponseData) and isinstance(child, Http2Server) and event.stream_id in self.streams:
            target = self.streams[event.stream_id].context.server
            if target in self.connections and child.pressure.is_too_high(event.stream_id, target):
                yield from self._read_on(event.stream_id, target, readable=False)


class _Stream(StreamedAnswer):
    def __init__(self, plane: Plane, at: context.Context, stream_id: int) -> None:
        super().__init__(plane, at, stream_id)
        self.received = 0  # bytes of the request's body
        self._has_body = False
        self._queued = 0

    def handle_event(self, event: events.Event) -> Commands:
        """As upstream's; while a hook runs, events queue up, and a body beyond its limit no longer does."""
        if isinstance(event, RequestData):
            self.received += len(event.data)
            if self._paused:
                if self._queued > self.plane.request_bytes:
                    return  # what is queued is over the limit already, and refused for that
                self._queued += len(event.data)
        yield from super().handle_event(event)

    def forget(self) -> None:
        """Let go of the flow and its bodies: layers refer to themselves, so they stay until garbage is collected."""
        self.__dict__.pop("flow", None)
        self.request_body_buf.clear()
        self.response_body_buf.clear()

    def state_wait_for_request_headers(self, event: RequestHeaders) -> Commands:
        """As upstream's; whether a body follows is remembered."""
        self._has_body = not event.end_stream
        yield from super().state_wait_for_request_headers(event)

    def handle_connect_finish(self) -> Commands:
        """As upstream's; then the layers that made the tunnel step aside, where they do nothing but hand on."""
        yield from super().handle_connect_finish()  # type: ignore[no-untyped-call]
        is_made = self.flow.response is not None and 200 <= self.flow.response.status_code < 300
        if is_made and self.child_layer is not None and not isinstance(self.context.layers[1], ClientTLSLayer):
            yield Tunnelled(self.child_layer)

    def check_killed(self, emit_error_hook: bool) -> layer.CommandGenerator[bool]:
        """As upstream's, but a body that is malformed gets its page, and a head that was refused its answer at once."""
        at_head = self.client_state == self.state_wait_for_request_headers
        if at_head and self._has_body and self.flow.response is not None:
            yield HttpResponseHook(self.flow)  # the refusal is recorded before it is told
            yield from self._answer_unread()
            return True
        if any(isinstance(each, RequestProtocolError) and self._is_told(each) for each in self._paused_event_queue):
            self.plane.failed(self.flow, error_of(ErrorCode.GENERIC_CLIENT_ERROR))
            self.flow.error = flow.Error("closed")
            yield HttpErrorHook(self.flow)
            yield from self._answer_unread()
            return True
        return (yield from super().check_killed(emit_error_hook))

    def _answer_unread(self) -> Commands:
        """Our page while the body is still on its way; what comes of it is dropped."""
        self.client_state = self.server_state = self.state_errored
        self.flow.live = False
        code = ErrorCode.GENERIC_CLIENT_ERROR
        yield http_layers.SendHttp(ResponseProtocolError(self.stream_id, "closed", code), self.context.client)
        yield http_layers.DropStream(self.stream_id)

    def _is_told(self, event: RequestProtocolError) -> bool:
        """Whether the agent is there to be told that its body is malformed."""
        return (
            event.code is ErrorCode.GENERIC_CLIENT_ERROR
            and not self.flow.request.is_http2
            and bool(self.context.client.state & connection.ConnectionState.CAN_WRITE)
            and self.client_state in (self.state_wait_for_request_headers, self.state_consume_request_body)
        )

    def check_invalid(self, request: bool) -> layer.CommandGenerator[bool]:
        """As upstream's, whose own look is left to it only where ours found something."""
        if request:
            if not http_layers.validate_request(self.mode, self.flow.request, True):
                return False
            self.plane.failed(self.flow, error_of(ErrorCode.REQUEST_VALIDATION_FAILED))
        else:
            assert self.flow.response
            try:
                validate_headers(self.flow.response)
            except ValueError:
                self.plane.failed(self.flow, error_of(ErrorCode.RESPONSE_VALIDATION_FAILED))
            else:
                return False
        return (yield from super().check_invalid(request))

    def check_body_size(self, request: bool) -> layer.CommandGenerator[bool]:
        """As upstream's, with a limit for each direction, for what is read whole."""
        if not request and self.server_state == self.state_wait_for_response_headers:
            return False  # looked at once it is known whether the answer streams
        buffered = len(self.request_body_buf if request else self.response_body_buf)
        try:
            size = buffered or http1.expected_http_body_size(self.flow.request, None if request else self.flow.response)
        except ValueError:
            size = None
        limit = self.plane.request_bytes if request else self.plane.response_bytes
        too_many = request and self._is_one_too_many()
        if not too_many and (size is None or size <= limit):
            return False
        code = ErrorCode.REQUEST_TOO_LARGE if request else ErrorCode.RESPONSE_TOO_LARGE
        if request and not buffered:
            yield HttpRequestHeadersHook(self.flow)  # the record wants to know who asked
        self.plane.failed(self.flow, too_many_bodies() if too_many else error_of(code))
        self.flow.error = flow.Error("a body is over its limit")
        yield HttpErrorHook(self.flow)
        self.client_state = self.state_errored
        if not request:
            self.server_state = self.state_errored
            yield http_layers.SendHttp(
                RequestProtocolError(self.stream_id, "over the limit", code), self.context.server
            )
        yield http_layers.SendHttp(ResponseProtocolError(self.stream_id, "over the limit", code), self.context.client)
        self.flow.live = False
        if request:  # else the target's side ends the stream
            yield http_layers.DropStream(self.stream_id)
        return True

    def _is_one_too_many(self) -> bool:
        """Whether the bodies on this connection are together over what one agent may have us keep."""
        if not self.flow.request.is_http2:
            return False
        parent = self.context.layers[self.context.layers.index(self) - 1]
        assert isinstance(parent, _Http)
        return sum(each.received for each in parent.of_agent()) > self.plane.bodies_bytes

    def handle_protocol_error(self, event: RequestProtocolError | ResponseProtocolError) -> Commands:
        if hasattr(self, "flow"):
            told = isinstance(event, RequestProtocolError) and self._is_told(event)
            left = isinstance(event, RequestProtocolError) and self.client_state == self.state_done
            self.plane.failed(self.flow, error_of(ErrorCode.CLIENT_DISCONNECTED if left else event.code))
            event.message = "closed"  # upstream's text may quote what the target sent
            for command in super().handle_protocol_error(event):
                if told and isinstance(command, http_layers.DropStream):
                    yield from self._answer_unread()
                else:
                    yield command
        else:
            yield from super().handle_protocol_error(event)


class _Http1Client(_http1.Http1Client):
    """Towards the target: swallows 1xx, refuses 101, bounds heads, and lets go of what served properly."""

    informational = 0
    is_odd = False  # a 1xx came, or an answer before its request: nobody else gets this connection
    head_bytes = 256 << 10

    def send(self, event: HttpEvent) -> Commands:
        """As upstream's; while a request is on its way the connection does not rest."""
        if isinstance(event, RequestHeaders):
            serving[self.context.client].resting.discard(self.context.server)
        yield from super().send(event)

    def mark_done(self, *, request: bool = False, response: bool = False) -> Commands:
        """As upstream's; a connection that could serve on rests, or is let go where upstream would close it."""
        self.is_odd = self.is_odd or (response and not self.request_done)
        keeps = self.request is not None and self.response is not None and not self.is_odd and self._stays_open()
        for command in super().mark_done(request=request, response=response):
            if keeps and isinstance(command, commands.CloseConnection):
                command = LetGo(command.connection)
            yield command
        if keeps and self.request is None and self.state == self.read_headers:
            serving[self.context.client].resting.add(self.context.server)

    def _stays_open(self) -> bool:
        """Whether neither side ends the connection with this answer, and no byte came behind it."""
        assert self.request is not None
        assert self.response is not None
        return (
            not self.buf
            and self.response.http_version == "HTTP/1.1"
            and http1.expected_http_body_size(self.request, self.response) != -1
            and not http1.connection_close("HTTP/1.1", self.request.headers)
            and not http1.connection_close(self.response.http_version, self.response.headers)
        )

    def read_headers(self, event: events.ConnectionEvent) -> Commands:
        if isinstance(event, events.DataReceived) and self.request is not None:
            raw = without_empty_lines(self.buf)
            while 100 <= (status_of(raw) or 0) < 200 and status_of(raw) != 101 and is_complete(raw):
                self.informational += 1
                self.is_odd = True
                self.buf.maybe_extract_lines()
                raw = without_empty_lines(self.buf)
            if (
                is_bad_answer_head(raw, self.head_bytes)
                or status_of(raw) == 101
                or self.informational > _MOST_INFORMATIONAL
            ):
                yield commands.CloseConnection(self.conn)
                assert self.stream_id is not None
                yield ReceiveHttp(ResponseProtocolError(self.stream_id, "closed", ErrorCode.RESPONSE_VALIDATION_FAILED))
                self.state = self.done
                return
            if not raw:
                return
            if is_complete(raw):
                self.informational = 0  # the next request on this connection counts anew
        for command in super().read_headers(event):
            if isinstance(command, ReceiveHttp) and isinstance(command.event, ResponseHeaders):
                self.response = _head_as_sent(command.event.response)
            yield command


def _head_as_sent(answer: http.Response) -> http.Response:
    """A copy for the connection's own use: clearing takes off the flow's what says how the connection goes on."""
    head = answer.data
    fields = ((name, value.lower() if name.lower() == b"connection" else value) for name, value in head.headers.fields)
    headers = http.Headers(fields)
    return http.Response(head.http_version, head.status_code, b"", headers, None, None, head.timestamp_start, None)


class _ReaderWithoutTrailers(ChunkedReader):
    """Trailers end here: nobody asked for them, and upstream crashes on them."""

    def __call__(self, buf: ReceiveBuffer) -> Any:
        event = super().__call__(buf)
        if event is None and len(buf) > _MOST_CHUNK_FRAMING:
            raise h11.RemoteProtocolError("chunk framing is too long")
        return h11.EndOfMessage() if isinstance(event, h11.EndOfMessage) else event


_stock_body_reader = _http1.make_body_reader


def _body_reader(expected_size: int | None) -> _http1.TBodyReader:
    return _ReaderWithoutTrailers() if expected_size is None else _stock_body_reader(expected_size)


def install() -> None:
    """Put the strict parts where upstream looks its own up by name in a module."""
    quicken()
    _http1.make_body_reader = _body_reader
    vars(http_layers)["Http1Client"] = _Http1Client
    vars(http_layers)["Http2Client"] = Http2Client
    logging.getLogger("hpack").setLevel(logging.CRITICAL)  # at DEBUG it writes every header, credentials too
