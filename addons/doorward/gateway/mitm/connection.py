"""One agent's connection under mitmproxy's layers: hooks, deadlines, and what happens on a crash.

Hooks go straight to the callables of the chain, an exception in a layer closes the
connection, and a target that does not answer is given up. What mitmproxy is leant on for
is pinned by `tests/gateway/mitm/test_connection.py`. What the layers ask is the `Plane`.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from mitmproxy import connection, http
from mitmproxy.proxy import commands, events, layer, layers
from mitmproxy.proxy.mode_servers import ProxyConnectionHandler
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from doorward.errors import DoorwardError, TargetFailed

_log = logging.getLogger(__name__)


class Plane(Protocol):
    """What the layers ask: the chain's own word on each matter."""

    head_bytes: int
    request_bytes: int
    response_bytes: int
    answer_s: float  # from the decision until the whole answer is here

    def wire(self, flow: http.HTTPFlow) -> http.Request:
        """The head for the wire, credential and all; raises where the flow may not go out."""

    def failed(self, flow: http.HTTPFlow, error: DoorwardError) -> None:
        """Something below HTTP failed; the `error` hook of the flow follows."""

    def page(self, flow: http.HTTPFlow | None, error: DoorwardError) -> http.Response:
        """The page for the agent in the place of mitmproxy's own."""

    def unreadable(self, client: connection.Client, error: DoorwardError) -> None:
        """The agent sent what is not HTTP; no flow exists."""

    def crashed(self, client: connection.Client, error: Exception) -> None:
        """A layer raised; the connection is being closed."""


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

    def give_up(self, error: Exception) -> None:
        """Let no event through from now on, so that nothing more is sent, dialled or answered."""
        self._inner = None
        self._plane.crashed(self.context.client, error)


class Connection(ProxyConnectionHandler):
    """One agent's connection; hooks go straight to the callables of the chain, found by name."""

    def __init__(self, plane: Plane, hooks: Mapping[str, Sequence[Callable[[Any], Any]]], *given: Any) -> None:
        super().__init__(*given)  # type: ignore[no-untyped-call]
        self._plane = plane
        self._hooks = hooks
        self._awaited: dict[str, asyncio.TimerHandle] = {}  # by flow: when the target is late
        self._guard = CrashGuard(plane, layers.modes.HttpProxy(self.layer.context))
        self.layer = self._guard  # type: ignore[assignment]  # same calls, no Layer, so that it stays out of context.layers

    async def handle_client(self) -> None:
        """Serve until the agent's end is closed."""
        try:
            await super().handle_client()
        finally:
            for timer in self._awaited.values():
                timer.cancel()

    async def handle_hook(self, hook: commands.StartHook) -> None:
        """Call each hook in the chain's order; one that raises ends the connection."""
        with self.timeout_watchdog.disarm():
            (subject,) = hook.args()
            if hook.name in ("response", "error") and subject.id in self._awaited:
                self._awaited.pop(subject.id).cancel()
            try:
                for call in self._hooks.get(hook.name, ()):
                    result = call(subject)
                    if result is not None:
                        await result
            except Exception as error:
                _log.error("hook %s raised %s", hook.name, type(error).__name__)
                if isinstance(subject, ServerConnectionHookData):
                    subject.server.error = "a hook raised"  # else upstream goes on and dials
                self._guard.give_up(error)  # else it goes on with what the hook left undone
                self.abort()
                return
        if hook.name == "request" and subject.response is None:
            loop = asyncio.get_running_loop()
            self._awaited[subject.id] = loop.call_later(self._plane.answer_s, self._is_late, subject)

    def _is_late(self, flow: http.HTTPFlow) -> None:
        """Close the connection to a target that does not answer, in whichever state it is."""
        del self._awaited[flow.id]
        late = TargetFailed(
            f"the target did not answer within {self._plane.answer_s:g} s",
            cause="target-timeout",
            hint="check whether it acted, then repeat",
        )
        self._plane.failed(flow, late)
        known = flow.server_conn in self.transports  # else it is still being opened
        for each, transport in list(self.transports.items()):
            begun = each is not self.client and each.timestamp_start is not None
            if begun and transport.handler is not None and (not known or each is flow.server_conn):
                transport.handler.cancel("late")

    def log(self, message: str, level: int = logging.INFO, exc_info: Any = None) -> None:
        """Keep upstream's lines back, which quote heads and bodies; what matters is an entry or a line of ours."""

    def abort(self) -> None:
        """Close the agent's end now."""
        if self.client in self.transports:
            self.close_connection(self.client)
