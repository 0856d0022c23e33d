"""What is known so far about one request and its answer; kept beside the flow, keyed by it.

Beside and not in `flow.metadata`, because that is serialised with the flow. Each field says
which step sets it; a step may read only what stands above its own fields.
"""

import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal
from weakref import WeakKeyDictionary

from mitmproxy import connection, http

from doorward.core.policy import MaskRule, Policy
from doorward.core.redaction.echo import EchoGuard
from doorward.errors import DoorwardError
from doorward.gateway.route import Route
from doorward.gateway.stream import AnswerStream
from doorward.model import Action, Decision, Hold, Mask, Target
from doorward.oidc.verify import VerifiedToken

type Executed = Literal["no", "yes", "unknown"]


def new_request_id() -> str:
    """A fresh id for a request: 12 hex digits of the time in milliseconds, so ids sort, and 16 of chance."""
    return f"{time.time_ns() // 1_000_000:012x}{next(_chance)}"


def _eight_bytes() -> Iterator[str]:
    """Chance of the system, asked for in blocks: each call of it costs as much as reading a header."""
    while True:
        block = secrets.token_bytes(8 * 256)
        yield from (block[at : at + 8].hex() for at in range(0, len(block), 8))


_chance = _eight_bytes()
_BESIDE = "doorward_exchange"  # asked for some twenty times a request: a weak reference to look up by costs more


@dataclass(slots=True)
class Exchange:
    """One request and its answer."""

    client: str  # address of the agent's end of the connection
    id: str = field(default_factory=new_request_id)
    started_ns: int = field(default_factory=time.monotonic_ns)
    # authenticate
    token: VerifiedToken | None = None
    label: str = ""  # what the agent calls its session: the proxy user name, a claim and no more
    # interpret
    policy: Policy | None = None  # one snapshot for the whole exchange
    target: Target | None = None
    action: Action | None = None
    body: bytes = b""  # of the request, content-decoded
    # authorize
    decision: Decision | None = None
    masks: Sequence[MaskRule] = ()
    generation: str | None = None  # of the credential that will be added
    digest: str = ""
    # redact (request): what the record may hold of it
    recorded_query: str = ""  # masked
    recorded_head: bytes = b""
    recorded_body: bytes = b""
    request_truncated: bool = False  # `recorded_body` is only the beginning
    echo_guard: EchoGuard | None = None  # for the secret that goes out, however often it is rotated meanwhile
    # hold
    hold: Hold | None = None  # approved, and used together with the intent
    # record
    intent: int | None = None  # seq of the durable intent; nothing is dialled without it
    # dial
    route: Route | None = None
    # the wire
    sent: bool = False  # the head went out: the target may have acted
    answered: bool = False  # the target's own answer is here
    # redact (head of the answer)
    stream: AnswerStream | None = None  # the body goes on piece by piece, behind a head that is cleared
    # redact (response)
    cleared: bool = False  # the answer in the flow may be seen by the agent
    masked: Sequence[Mask] = ()
    echoes: int = 0  # places where the target echoed its secret
    answer_head: bytes = b""
    answer_body: bytes = b""
    # any step
    refusal: DoorwardError | None = None
    refused_rules: tuple[str, ...] = ()
    recorded: bool = False  # an outcome or a refusal is durable

    @property
    def executed(self) -> Executed:
        """Whether the target acted on the request, as far as we can know."""
        if self.answered:
            return "yes"
        return "unknown" if self.sent else "no"


class Exchanges:
    """The exchanges of the flows that are alive."""

    def __init__(self) -> None:
        self._by_flow: WeakKeyDictionary[http.HTTPFlow, Exchange] = WeakKeyDictionary()

    def of(self, flow: http.HTTPFlow) -> Exchange:
        """The flow's exchange, begun at first sight."""
        exchange: Exchange | None = vars(flow).get(_BESIDE)  # what a flow serialises is named, and this is not
        if exchange is None:
            exchange = self._by_flow[flow] = Exchange(client=str(flow.client_conn.peername[0]))
            vars(flow)[_BESIDE] = exchange
        return exchange

    def of_principal(self, name: str) -> list[tuple[http.HTTPFlow, Exchange]]:
        """The flows of one principal whose end is not recorded yet."""
        return [
            (flow, exchange)
            for flow, exchange in self._by_flow.items()
            if exchange.token is not None and exchange.token.principal.name == name and not exchange.recorded
        ]

    def streaming(self) -> list[tuple[http.HTTPFlow, Exchange]]:
        """The flows whose answers are on their way."""
        return [
            (flow, exchange)
            for flow, exchange in self._by_flow.items()
            if exchange.stream is not None and exchange.stream.begun and not exchange.recorded
        ]

    def of_client(self, client: connection.Client) -> list[tuple[http.HTTPFlow, Exchange]]:
        """All flows of one connection that are alive."""
        return [(flow, exchange) for flow, exchange in self._by_flow.items() if flow.client_conn is client]
