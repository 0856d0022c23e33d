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
from mitmproxy.http import MessageData
from mitmproxy.net.http import http1
from mitmproxy.net.http.validate import validate_headers
from mitmproxy.proxy import commands, context, events, layer
from mitmproxy.proxy.layers import http as http_layers
from mitmproxy.proxy.layers.http import HTTPMode, _http1, _http2
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    HttpEvent,
    RequestData,
    RequestHeaders,
    RequestProtocolError,
    RequestTrailers,
    ResponseProtocolError,
    ResponseTrailers,
)
from mitmproxy.proxy.layers.http._hooks import HttpErrorHook, HttpRequestHeadersHook

from doorward.errors import DoorwardError, TargetFailed, TooLarge, Unclear, Withheld
from doorward.gateway.mitm.connection import Plane
from doorward.gateway.mitm.heads import bad_request_head, empty_lines, is_bad_answer_head, is_complete, status_of

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

    def _handle_event(self, event: events.Event) -> Commands:
        if isinstance(event, events.Start):
            server = _Http2Server if self.context.client.alpn == b"h2" else _Http1Server
            self.connections[self.context.client] = server(self.plane, self.context.fork())
        yield from super()._handle_event(event)

    def make_stream(self, stream_id: int) -> Commands:
        self.streams[stream_id] = _Stream(self.plane, self.context.fork(), stream_id)
        yield from self.event_to_child(self.streams[stream_id], events.Start())

    def event_to_child(self, child: layer.Layer | HttpStream, event: events.Event) -> Commands:
        if isinstance(event, RequestTrailers | ResponseTrailers):
            return
        if isinstance(event, RequestHeaders) and not isinstance(child, HttpStream):
            request = self.plane.wire(self.streams[event.stream_id].flow)
            event = RequestHeaders(event.stream_id, request, event.end_stream)
        elif isinstance(event, ResponseProtocolError) and isinstance(child, _Http1Server | _Http2Server):
            stream = self.streams.get(event.stream_id)
            child.page = self.plane.page(getattr(stream, "flow", None), _error_of(event.code))
        yield from super().event_to_child(child, event)


class _Stream(HttpStream):
    def __init__(self, plane: Plane, at: context.Context, stream_id: int) -> None:
        super().__init__(at, stream_id)
        self.plane = plane
        self._queued = 0

    def handle_event(self, event: events.Event) -> Commands:
        """As upstream's; while a hook runs, events queue up, and a body beyond its limit no longer does."""
        if self._paused and isinstance(event, RequestData):
            if self._queued > self.plane.request_bytes:
                return  # what is queued is over the limit already, and refused for that
            self._queued += len(event.data)
        yield from super().handle_event(event)

    def check_invalid(self, request: bool) -> layer.CommandGenerator[bool]:
        if request:
            problem = http_layers.validate_request(self.mode, self.flow.request, True)
            if problem:
                self.plane.failed(self.flow, _error_of(ErrorCode.REQUEST_VALIDATION_FAILED))
        else:
            assert self.flow.response
            try:
                validate_headers(self.flow.response)
            except ValueError:
                self.plane.failed(self.flow, _error_of(ErrorCode.RESPONSE_VALIDATION_FAILED))
        return (yield from super().check_invalid(request))

    def check_body_size(self, request: bool) -> layer.CommandGenerator[bool]:
        """As upstream's, with a limit for each direction, and nothing streamed."""
        buffered = len(self.request_body_buf if request else self.response_body_buf)
        try:
            size = buffered or http1.expected_http_body_size(self.flow.request, None if request else self.flow.response)
        except ValueError:
            size = None
        limit = self.plane.request_bytes if request else self.plane.response_bytes
        if size is None or size <= limit:
            return False
        code = ErrorCode.REQUEST_TOO_LARGE if request else ErrorCode.RESPONSE_TOO_LARGE
        if request and not buffered:
            yield HttpRequestHeadersHook(self.flow)  # the record wants to know who asked
        self.plane.failed(self.flow, _error_of(code))
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
        return True

    def handle_protocol_error(self, event: RequestProtocolError | ResponseProtocolError) -> Commands:
        if hasattr(self, "flow"):
            self.plane.failed(self.flow, _error_of(event.code))
            event.message = "closed"  # upstream's text may quote what the target sent
        yield from super().handle_protocol_error(event)


class _Http1Server(_http1.Http1Server):
    page: http.Response | None = None

    def __init__(self, plane: Plane, at: context.Context) -> None:
        super().__init__(at)
        self.plane = plane

    def read_headers(self, event: events.ConnectionEvent) -> Commands:
        if isinstance(event, events.DataReceived):
            raw = _without_empty_lines(self.buf)
            error = bad_request_head(raw, self.plane.head_bytes)
            if error is not None:
                self.plane.unreadable(self.context.client, error)
                yield commands.SendData(self.conn, _closing(self.plane.page(None, error)))
                yield commands.CloseConnection(self.conn)
                self.state = self.done
                return
        for command in super().read_headers(event):
            if isinstance(command, commands.SendData):  # upstream's own page for a head that it cannot read
                error = _error_of(ErrorCode.GENERIC_CLIENT_ERROR)
                if self.request is None:  # else a flow follows, and is recorded
                    self.plane.unreadable(self.context.client, error)
                yield commands.SendData(self.conn, _closing(self.plane.page(None, error)))
            else:
                yield command

    def wait(self, event: events.Event) -> Commands:
        """As upstream's, but what is pipelined behind a request that waits has a bound."""
        if len(self.buf) > self.plane.head_bytes + self.plane.request_bytes and isinstance(event, events.DataReceived):
            error = TooLarge("too much is pipelined", cause="pipeline-too-long", hint="wait for each answer")
            self.plane.unreadable(self.context.client, error)
            yield commands.CloseConnection(self.conn)
            return
        yield from super().wait(event)

    def send(self, event: HttpEvent) -> Commands:
        if isinstance(event, ResponseProtocolError) and self.page is not None:
            if self.conn.state & connection.ConnectionState.CAN_WRITE:
                begun = self.response is not None and self.response.status_code >= 200  # a 100 may be out
                if not begun and event.code.http_status_code() is not None:
                    yield commands.SendData(self.conn, _closing(self.page))
                yield commands.CloseConnection(self.conn)
            return
        yield from super().send(event)


class _Http2Server(_http2.Http2Server):
    page: http.Response | None = None

    def __init__(self, plane: Plane, at: context.Context) -> None:
        super().__init__(at)
        self.plane = plane

    def _handle_event(self, event: events.Event) -> Commands:
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


class _Http1Client(_http1.Http1Client):
    """Towards the target: swallows 1xx, refuses 101, bounds heads."""

    informational = 0
    head_bytes = 256 << 10

    def read_headers(self, event: events.ConnectionEvent) -> Commands:
        if isinstance(event, events.DataReceived) and self.request is not None:
            raw = _without_empty_lines(self.buf)
            while 100 <= (status_of(raw) or 0) < 200 and status_of(raw) != 101 and is_complete(raw):
                self.informational += 1
                self.buf.maybe_extract_lines()
                raw = _without_empty_lines(self.buf)
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
        yield from super().read_headers(event)


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


def _take_as_typed(_: MessageData) -> None:
    """In the place of upstream's look at the type of each field of each message, which costs a tenth of a request."""


def install() -> None:
    """Put the strict parts where upstream looks its own up by name in a module."""
    MessageData.__post_init__ = _take_as_typed  # type: ignore[method-assign]
    _http1.make_body_reader = _body_reader
    vars(http_layers)["Http1Client"] = _Http1Client
    logging.getLogger("hpack").setLevel(logging.CRITICAL)  # at DEBUG it writes every header, credentials too


def _without_empty_lines(buf: ReceiveBuffer) -> bytes:
    """Pass over empty lines before a head, at which upstream would wait for ever; what is left."""
    raw = bytes(buf)
    skipped = empty_lines(raw)
    if skipped:
        buf.maybe_extract_at_most(skipped)
    return raw[skipped:]


def _closing(page: http.Response) -> bytes:
    page.headers["Connection"] = "close"
    return bytes(http1.assemble_response(page))


def _error_of(code: ErrorCode) -> DoorwardError:
    """mitmproxy's reasons in our words; none of its texts, which may quote the target."""
    match code:
        case ErrorCode.REQUEST_TOO_LARGE:
            return TooLarge("the body is over limits.request_body", cause="request-too-large", hint="send less at once")
        case ErrorCode.RESPONSE_TOO_LARGE:
            return Withheld(
                "the answer is over limits.response_body", cause="response-too-large", hint="ask for less, page by page"
            )
        case ErrorCode.REQUEST_VALIDATION_FAILED | ErrorCode.GENERIC_CLIENT_ERROR | ErrorCode.DESTINATION_UNKNOWN:
            return Unclear("the request is malformed", cause="malformed-request", hint="send well-formed HTTP")
        case ErrorCode.RESPONSE_VALIDATION_FAILED:
            return TargetFailed(
                "the target's answer is malformed", cause="malformed-answer", hint="tell the target's owner"
            )
        case ErrorCode.CONNECT_FAILED:
            return TargetFailed(
                "the target cannot be reached", cause="target-unreachable", hint="check the target, then repeat"
            )
        case ErrorCode.CLIENT_DISCONNECTED | ErrorCode.CANCEL:
            return TargetFailed("the agent closed the connection", cause="agent-left", hint="keep it open")
        case _:
            return TargetFailed(
                "the target closed the connection", cause="target-closed", hint="check whether it acted, then repeat"
            )
