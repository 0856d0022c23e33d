"""What the layers of one agent's connection and its handler say to each other, and what they ask of the chain.

Commands go from the layers to the handler, events back; `Plane` is the chain's own word on each
matter. Nothing is decided here. Spoken by `connection`, `http`, `agent_side` and `stream`.
"""

from dataclasses import dataclass
from typing import Protocol
from weakref import WeakKeyDictionary

from mitmproxy import connection, http
from mitmproxy.proxy import commands, events, layer

from doorward.errors import DoorwardError
from doorward.gateway.mitm.upstream import Link, Upstream
from doorward.gateway.route import Route


class Plane(Protocol):
    """What the layers ask: the chain's own word on each matter."""

    head_bytes: int
    head_wait_s: float  # from a head's first byte to its last
    request_bytes: int
    bodies_bytes: int  # of the requests on one connection of HTTP/2 together
    response_bytes: int
    answer_s: float  # from the decision until the whole answer is here, or its head if it streams
    upstream: Upstream

    def route(self, flow: http.HTTPFlow) -> Route:
        """Where the request goes; raises where that was not decided."""

    def wire(self, flow: http.HTTPFlow) -> http.Request:
        """The head for the wire, credential and all; raises where the flow may not go out."""

    def failed(self, flow: http.HTTPFlow, error: DoorwardError) -> None:
        """Something below HTTP failed; the `error` hook of the flow follows."""

    def is_refused(self, flow: http.HTTPFlow) -> bool:
        """Whether a page of ours is the answer, whatever else the target sends."""

    def begun(self, flow: http.HTTPFlow) -> None:
        """The head of an answer that streams goes to the agent; raises where it is not cleared."""

    def stream_left_s(self, flow: http.HTTPFlow) -> float:
        """How long a stream may go on before it is asked again; raises DoorwardError where it must end."""

    def is_released(self, flow: http.HTTPFlow) -> bool:
        """Whether a stream is cleared and recorded to its end, so that it may end properly."""

    def page(self, flow: http.HTTPFlow | None, error: DoorwardError) -> http.Response:
        """The page for the agent in the place of mitmproxy's own."""

    def unreadable(self, client: connection.Client, error: DoorwardError) -> None:
        """The agent sent what is not HTTP; no flow exists."""

    def crashed(self, client: connection.Client, error: Exception) -> None:
        """A layer raised; the connection is being closed."""


class LetGo(commands.CloseConnection):
    """Ends the use of a target's connection that served properly: another request may have it."""


@dataclass
class Tunnelled(commands.Command):
    """A CONNECT is answered: what comes and goes from now on is the matter of this layer alone."""

    inside: layer.Layer


class Breathe(commands.Command):
    """Lets others have their turn, and the agent read, before more of an answer is sent."""

    blocking = True


@dataclass
class Breathed(events.CommandCompleted):
    """It goes on."""

    command: Breathe
    reply: None = None


class Serving:
    """An agent's connections to targets: their routes and links, and which of them rest between two requests."""

    def __init__(self) -> None:
        self.routes: dict[connection.Server, Route] = {}
        self.links: dict[connection.Server, Link] = {}
        self.resting: set[connection.Server] = set()


# By the agent's connection: the layers and the connection's handler know each other only through it.
serving: WeakKeyDictionary[connection.Client, Serving] = WeakKeyDictionary()


@dataclass
class EndStream(events.Event):
    """Ends one answer, and no other of the connection; passed down through all layers."""

    flow: http.HTTPFlow
    error: DoorwardError
