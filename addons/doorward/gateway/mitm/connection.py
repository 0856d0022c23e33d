"""One agent's connection under mitmproxy's layers: hooks, deadlines, and what happens on a crash.

Hooks go straight to the callables of the chain, an exception in a layer closes the
connection, and a target that does not answer is given up. What mitmproxy is leant on for
is pinned by `tests/gateway/mitm/test_connection.py`. What the layers say and ask stands in `plane`.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any, cast

from mitmproxy import connection, http
from mitmproxy.proxy import commands, events, layer, layers
from mitmproxy.proxy.mode_servers import ProxyConnectionHandler
from mitmproxy.proxy.server import ConnectionIO
from mitmproxy.proxy.server_hooks import ClientDisconnectedHook, ServerConnectHook, ServerConnectionHookData

from doorward.errors import DoorwardError, TargetFailed
from doorward.gateway.mitm.plane import Breathe, Breathed, EndStream, LetGo, Plane, Serving, Tunnelled, serving
from doorward.gateway.mitm.pressure import wait_readable

_log = logging.getLogger(__name__)

type Call = Callable[[Any], Awaitable[None] | None]


class CrashGuard:
    """The outermost layer: an exception below closes the connection instead of leaving it open."""

    def __init__(self, plane: Plane, inner: layer.Layer) -> None:
        self.context = inner.context
        self._plane = plane
        self._inner: layer.Layer | None = inner

    def handle_event(self, event: events.Event) -> Iterator[commands.Command]:
        """Pass the event on; after a crash, swallow it."""
        if self._inner is None:
            return
        try:
            yield from self._inner.handle_event(event)
        except Exception as error:
            self.give_up(error)
            yield commands.CloseConnection(self.context.client)

    def enter(self, inside: layer.Layer) -> None:
        """Hand events to the layers inside a tunnel without the way through those that made it."""
        if self._inner is not None:
            self._inner = inside

    def give_up(self, error: Exception) -> None:
        """Let no event through from now on, so that nothing more is sent, dialled or answered."""
        self._inner = None
        self._plane.crashed(self.context.client, error)


class Connection(ProxyConnectionHandler):
    """One agent's connection; hooks go straight to the callables of the chain, found by name."""

    def __init__(self, plane: Plane, hooks: Mapping[str, Sequence[Call]], *given: Any) -> None:
        super().__init__(*given)  # type: ignore[no-untyped-call]
        self._plane = plane
        self._hooks = hooks
        self._awaited: dict[str, asyncio.TimerHandle] = {}  # by flow: when the target is late
        self._events: deque[events.Event] = deque()
        self._is_handling = False
        self._serving = serving.setdefault(self.client, Serving())
        self._unsent: dict[connection.Connection, list[bytes]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._guard = CrashGuard(plane, layers.modes.HttpProxy(self.layer.context))
        self.layer = self._guard  # type: ignore[assignment]  # same calls, no Layer, so that it stays out of context.layers

    async def handle_client(self) -> None:
        """Serve until the agent's end is closed."""
        try:
            await super().handle_client()
        finally:
            for timer in self._awaited.values():
                timer.cancel()

    async def server_event(self, event: events.Event) -> None:
        """Hand an event to the layers, and do what they say."""
        self._handle(event)

    def _handle(self, event: events.Event) -> None:
        """As upstream's `server_event`, without its lock, and without a task for each hook.

        What comes up while another event is handled waits its turn, as it does behind that lock;
        a hook that nobody has, or that waits for nobody, is completed in place.
        """
        self._events.append(event)
        if self._is_handling:
            return
        self._is_handling = True
        try:
            while self._events:
                self.timeout_watchdog.register_activity()
                for command in self._guard.handle_event(self._events.popleft()):
                    self._obey(command)
        except Exception as error:
            self._give_up(error)
        finally:
            self._is_handling = False
            for each in list(self._unsent):
                self._send(each)

    def _send(self, to: connection.Connection) -> None:
        """Write what came together for one end: a head and its body are one packet, and one call of the system."""
        pieces = self._unsent.pop(to, None)
        writer = self.transports[to].writer if pieces and to in self.transports else None
        if pieces and writer is not None and not writer.is_closing():
            writer.write(b"".join(pieces) if len(pieces) > 1 else pieces[0])

    def _obey(self, command: commands.Command) -> None:
        match command:
            case commands.StartHook():
                self._start_hook(command)
            case commands.OpenConnection():
                opening = self._task(self.open_connection(command))
                if not opening.done():  # a link that waited is there already
                    self.transports.setdefault(command.connection, ConnectionIO(handler=opening))
            case commands.RequestWakeup():
                self.wakeup_timer.add(self._task(self.wakeup(command)))
            case commands.ConnectionCommand() if command.connection not in self.transports:
                pass  # it has been closed already
            case commands.SendData():
                self._unsent.setdefault(command.connection, []).append(command.data)
            case commands.CloseTcpConnection():
                self._send(command.connection)
                self.close_connection(command.connection, command.half_close)
            case LetGo():
                self._send(command.connection)
                self._let_go(command.connection)
            case commands.CloseConnection():
                self._send(command.connection)
                self.close_connection(command.connection)
            case Tunnelled():
                while self.wakeup_timer:  # of the layers that made the tunnel; nobody hears them any more
                    self.wakeup_timer.pop().cancel()
                self._guard.enter(command.inside)
            case Breathe():
                self._send(self.client)
                self._task(self._breathe(command))
            case commands.Log():
                pass  # see `log`
            case _:
                raise RuntimeError(f"unexpected command: {type(command).__name__}")

    def _task[T](self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        if not task.done():  # the loop keeps weak references only
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return task

    def _start_hook(self, hook: commands.StartHook) -> None:
        calls = self._hooks.get(hook.name)
        if not calls:
            self._complete(hook)
            return
        subject = _subject(hook)
        if hook.name in ("response", "error") and subject.id in self._awaited:
            self._awaited.pop(subject.id).cancel()
        rest = iter(calls)
        try:
            waiting = _next_that_waits(rest, subject)
        except Exception as error:
            self._hook_raised(hook, subject, error)
            return
        if waiting is None:
            self._hook_done(hook, subject)
        else:
            self._task(self._go_on(hook, subject, waiting, rest))

    async def _go_on(
        self, hook: commands.StartHook, subject: Any, waiting: Awaitable[None] | None, rest: Iterator[Call]
    ) -> None:
        with self.timeout_watchdog.disarm():
            try:
                while waiting is not None:
                    await waiting
                    waiting = _next_that_waits(rest, subject)
            except Exception as error:
                self._hook_raised(hook, subject, error)
                return
        self._hook_done(hook, subject)

    def _hook_done(self, hook: commands.StartHook, subject: Any) -> None:
        if hook.name == "request" and subject.response is None:
            loop = asyncio.get_running_loop()
            self._awaited[subject.id] = loop.call_later(self._plane.answer_s, self._is_late, subject)
        elif hook.name == "responseheaders" and subject.response is not None and subject.response.stream:
            self._look_after(subject)
        self._complete(hook)

    def _hook_raised(self, hook: commands.StartHook, subject: Any, error: Exception) -> None:
        """End the connection: what the hook left undone must not go on."""
        _log.error("hook %s raised %s", hook.name, type(error).__name__)
        if isinstance(subject, ServerConnectionHookData):
            subject.server.error = "a hook raised"  # else upstream goes on and dials
        self._give_up(error)

    def _complete(self, hook: commands.StartHook) -> None:
        if hook.blocking:
            self._handle(events.HookCompleted(hook))

    def _give_up(self, error: Exception) -> None:
        self._guard.give_up(error)
        self._unsent.clear()
        self.abort()

    async def open_connection(self, command: commands.OpenConnection) -> None:
        """As upstream's, by a route that was checked; TLS is made here, below the layers."""
        server = command.connection
        hook = ServerConnectionHookData(client=self.client, server=server)
        await self.handle_hook(ServerConnectHook(hook))
        route = self._serving.routes.get(server)
        if server.error or route is None:
            self._not_opened(command, "not an address that was checked")
            return
        async with AsyncExitStack() as turn:
            try:
                await turn.enter_async_context(self.max_conns[route.address, route.port])
                server.timestamp_start = time.time()
                link = await self._plane.upstream.open(route, http2=self.client.alpn == b"h2")
            except (OSError, asyncio.CancelledError) as error:
                self._not_opened(command, "closed")
                if isinstance(error, asyncio.CancelledError):
                    raise
                return
            server.timestamp_tcp_setup = time.time()
            server.state = connection.ConnectionState.OPEN
            server.peername = link.writer.get_extra_info("peername")
            server.sockname = link.writer.get_extra_info("sockname")
            server.alpn = link.alpn
            self._serving.links[server] = link
            self.transports[server] = ConnectionIO(asyncio.current_task(), link.reader, link.writer)
            self._handle(events.OpenConnectionCompleted(command, None))
            try:
                await self.handle_connection(server)
            finally:
                server.timestamp_end = time.time()
                self._serving.links.pop(server, None)
                self._serving.routes.pop(server, None)

    def _not_opened(self, command: commands.OpenConnection, error: str) -> None:
        """Tell the layers, and forget the attempt: on a connection that lasts there may be many."""
        server = command.connection
        assert isinstance(server, connection.Server)
        server.error = error
        self._serving.routes.pop(server, None)
        self.transports.pop(server, None)
        self._handle(events.OpenConnectionCompleted(command, error))

    def _let_go(self, server: connection.Connection) -> None:
        """Hand the link over to whoever has the same route, once nobody here reads from it any more."""
        assert isinstance(server, connection.Server)
        transport, link = self.transports[server], self._serving.links.pop(server)
        route, upstream = self._serving.routes[server], self._plane.upstream
        self._serving.resting.discard(server)
        if not link.is_usable():  # looked at now: what waits behind the answer may be read before the handler ends
            self.close_connection(server)
            return
        transport.writer = cast("asyncio.StreamWriter", _Gone())
        assert transport.handler is not None
        transport.handler.add_done_callback(lambda _: upstream.keep(route, link))
        self.close_connection(server)

    async def handle_hook(self, hook: commands.StartHook) -> None:
        """Call the hooks of the connection itself, which upstream waits for where it stands."""
        if isinstance(hook, ClientDisconnectedHook):
            for server in self._serving.resting & self._serving.links.keys():
                self._let_go(server)
        subject = _subject(hook)
        try:
            for call in self._hooks.get(hook.name, ()):
                waiting = call(subject)
                if waiting is not None:
                    await waiting
        except Exception as error:
            self._hook_raised(hook, subject, error)

    def _is_late(self, flow: http.HTTPFlow) -> None:
        """Close the connection to a target that does not answer, in whichever state it is."""
        asked_s = self._awaited.pop(flow.id).when() - self._plane.answer_s
        late = TargetFailed(
            f"the target did not answer within {self._plane.answer_s:g} s",
            cause="target-timeout",
            hint="check whether it acted, then repeat",
        )
        self._plane.failed(flow, late)
        link = self._serving.links.get(flow.server_conn)
        if link is not None and link.alpn == b"h2" and link.reader.heard_s > asked_s:
            self._handle(EndStream(flow, late))  # alone: the target is there, and others share the connection
            return
        known = flow.server_conn in self.transports  # else it is still being opened, or waits for its turn
        route = self._plane.route(flow)
        for server in [server for server, of in self._serving.routes.items() if of == route]:
            transport = self.transports.get(server)
            is_its = server is flow.server_conn if known else not server.connected
            if is_its and transport is not None and transport.handler is not None:
                transport.handler.cancel("late")

    def look_again(self, flow: http.HTTPFlow) -> None:
        """Ask at once whether a stream may go on."""
        if flow.id in self._awaited:
            self._look_after(flow)

    def _look_after(self, flow: http.HTTPFlow) -> None:
        """Let a stream go on, and look again in time; or cut it."""
        if flow.id in self._awaited:
            self._awaited.pop(flow.id).cancel()
        try:
            left_s = self._plane.stream_left_s(flow)
        except DoorwardError as error:
            self._handle(EndStream(flow, error))
        else:
            self._awaited[flow.id] = asyncio.get_running_loop().call_later(left_s, self._look_after, flow)

    async def drain_writers(self) -> None:
        """As upstream's; the reader of a target's connection also waits for its agent, where that speaks HTTP/2."""
        if any(map(_is_behind, self.transports.values())):
            await super().drain_writers()  # type: ignore[no-untyped-call]
        reading = asyncio.current_task()
        for each, transport in list(self.transports.items()):
            if transport.handler is reading and isinstance(each, connection.Server):
                await wait_readable(each)

    def log(self, message: str, level: int = logging.INFO, exc_info: Any = None) -> None:
        """Keep upstream's lines back, which quote heads and bodies; what matters is an entry or a line of ours."""

    async def _breathe(self, command: Breathe) -> None:
        writer = self.transports[self.client].writer if self.client in self.transports else None
        await asyncio.sleep(0)
        if writer is not None and not writer.is_closing():
            with suppress(OSError):
                await writer.drain()
        self._handle(Breathed(command))

    def abort(self) -> None:
        """Close the agent's end now, and with it what rests: its principal may be blocked."""
        self._serving.resting.clear()
        if self.client in self.transports:
            self.close_connection(self.client)


def _is_behind(transport: ConnectionIO) -> bool:
    """Whether an end has not taken all that was written to it, or is going: then upstream's way is gone."""
    writer = transport.writer
    if writer is None or isinstance(writer, _Gone):
        return False
    under = cast("asyncio.StreamWriter", writer).transport
    return under.is_closing() or under.get_write_buffer_size() > 0


class _Gone:
    """In the place of the writer of a link that was handed over."""

    def write(self, _: bytes) -> None:
        """Nothing more goes out from here."""

    def close(self) -> None:
        """It is not ours any more."""

    def is_closing(self) -> bool:
        """Whether nothing more may be written."""
        return True

    async def drain(self) -> None:
        """There is nothing to wait for."""


def _next_that_waits(calls: Iterator[Call], subject: Any) -> Awaitable[None] | None:
    """Call one after the other until one has to wait; None when all are done."""
    for call in calls:
        waiting = call(subject)
        if waiting is not None:
            return waiting
    return None


def _subject(hook: commands.StartHook) -> Any:
    """The one argument of a hook; `hook.args()` looks the fields up anew each time."""
    return next(iter(vars(hook).values()))
