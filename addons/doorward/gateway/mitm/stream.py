"""The answer's side of one request under mitmproxy's HTTP layers: it streams only as it was cleared.

A body passes through the callable that the chain put on the answer, and no other way. Where that
raises, where the record fails or where the chain says so, the stream is broken off: the
connection closes without a last chunk, or the stream is reset. Called by `mitm.http`.
"""

from mitmproxy import flow
from mitmproxy.proxy import commands, context, events, layer
from mitmproxy.proxy.layers import http as http_layers
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestProtocolError,
    ResponseData,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._hooks import HttpErrorHook

from doorward.errors import DoorwardError
from doorward.gateway.mitm.plane import Breathe, EndStream, Plane
from doorward.gateway.stream import AnswerStream

type Commands = layer.CommandGenerator[None]

_BITE = 256 << 10  # bytes of an answer that was read whole


class StreamedAnswer(http_layers.HttpStream):
    """As upstream's, with an end of its own for a stream."""

    def __init__(self, plane: Plane, at: context.Context, stream_id: int) -> None:
        super().__init__(at, stream_id)
        self.plane = plane
        self._rest: list[bytes] = []  # of a stream: goes out with its end

    def _handle_event(self, event: events.Event) -> Commands:
        if not isinstance(event, EndStream):
            yield from super()._handle_event(event)
        elif event.flow is not getattr(self, "flow", None):
            pass
        elif self.server_state == self.state_stream_response_body:
            yield from self._cut(event.error)
        elif self.server_state in (self.state_wait_for_response_headers, self.state_consume_response_body):
            code = ErrorCode.CANCEL
            yield http_layers.SendHttp(RequestProtocolError(self.stream_id, "late", code), self.context.server)
            code = ErrorCode.GENERIC_SERVER_ERROR
            yield from self.handle_protocol_error(ResponseProtocolError(self.stream_id, "late", code))

    def state_wait_for_response_headers(self, event: ResponseHeaders) -> Commands:
        """As upstream's; but a head that is refused does not wait for its body, which may have no end."""
        yield from super().state_wait_for_response_headers(event)
        if self.server_state != self.state_consume_response_body:
            return
        if self.plane.is_refused(self.flow):
            yield http_layers.SendHttp(
                RequestProtocolError(self.stream_id, "refused", ErrorCode.CANCEL), self.context.server
            )
            yield from self.send_response()
            self.server_state = self.state_errored  # what of its body is here already is dropped
        elif not event.end_stream:
            self.server_state = self.state_consume_response_body
            yield from self.check_body_size(False)

    def start_response_stream(self) -> Commands:
        """As upstream's, once the chain has looked at what is to stream."""
        self.plane.begun(self.flow)
        yield from super().start_response_stream()

    def state_stream_response_body(self, event: events.Event) -> Commands:
        """As upstream's, through the callable alone: what it raises ends the stream; its rest waits for the record."""
        stream = self.flow.response.stream if self.flow.response else None
        assert callable(stream)
        try:
            cleaned = [bytes(each) for each in stream(event.data if isinstance(event, ResponseData) else b"")]
        except DoorwardError as error:
            yield from self._cut(error)
            return
        cut = stream.cut if isinstance(stream, AnswerStream) else None
        if isinstance(event, ResponseData) or cut is not None:
            for each in cleaned:
                yield http_layers.SendHttp(ResponseData(self.stream_id, each), self.context.client)
            if cut is not None:
                yield from self._cut(cut)
        else:
            self._rest = cleaned
            yield from self.send_response(already_streamed=True)

    def send_response(self, already_streamed: bool = False) -> Commands:
        """As upstream's; a stream ends properly only once its outcome is durable."""
        for command in super().send_response(already_streamed):
            if already_streamed and not isinstance(command, commands.StartHook):
                if not self.plane.is_released(self.flow):
                    yield from self._break_off()
                    return
                for each in self._rest:
                    yield http_layers.SendHttp(ResponseData(self.stream_id, each), self.context.client)
                self._rest = []
            yield from self._in_bites(command)

    def _in_bites(self, command: commands.Command) -> Commands:
        """A large body goes out bite by bite, so that nobody has to wait until all of it is encrypted."""
        event = command.event if isinstance(command, http_layers.SendHttp) else None
        if not isinstance(event, ResponseData) or len(event.data) <= _BITE:
            yield command
            return
        for at in range(0, len(event.data), _BITE):
            yield http_layers.SendHttp(ResponseData(self.stream_id, event.data[at : at + _BITE]), self.context.client)
            yield Breathe()

    def _cut(self, error: DoorwardError) -> Commands:
        """End a stream in its middle: the outcome, then both sides are broken off."""
        self.plane.failed(self.flow, error)
        self.flow.error = flow.Error("cut")
        self.server_state = self.state_errored
        yield HttpErrorHook(self.flow)
        yield from self._break_off()

    def _break_off(self) -> Commands:
        """No proper end: an agent must be able to tell that something is missing."""
        self.client_state = self.server_state = self.state_errored
        self.flow.live = False
        yield http_layers.SendHttp(RequestProtocolError(self.stream_id, "cut", ErrorCode.CANCEL), self.context.server)
        yield http_layers.SendHttp(ResponseProtocolError(self.stream_id, "cut", ErrorCode.KILL), self.context.client)
        yield http_layers.DropStream(self.stream_id)
