"""The order of the addons, as one list; their dependencies are put together here.

One list serves both directions: requests meet the steps from the top to the bottom, and so
do answers. `inject` is last, so no addon behind it can see a secret, and on the way back it
lets nothing go that was not cleared and recorded. The only importer of `credentials`.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mitmproxy import connection, http

from doorward.core.policy import Policy
from doorward.core.redaction.echo import EchoGuard
from doorward.core.redaction.masks import Replacer, sentinel_for
from doorward.credentials.credential import Credential, CredentialSource, CredentialSpec
from doorward.errors import DoorwardError, Misconfigured, TargetFailed, Unauthenticated, Unavailable, Withheld
from doorward.gateway.admission import Admission
from doorward.gateway.authenticate import Authenticate
from doorward.gateway.authorize import Authorize, reason_to_end
from doorward.gateway.blocks import Blocks
from doorward.gateway.cut import Cut
from doorward.gateway.dial import Dial
from doorward.gateway.exchange import Exchange, Exchanges
from doorward.gateway.hold import Hold
from doorward.gateway.inject import Inject
from doorward.gateway.interpret import Interpret
from doorward.gateway.mitm.connection import Call
from doorward.gateway.mitm.tls import Certificates
from doorward.gateway.mitm.upstream import Upstream
from doorward.gateway.only_http import OnlyHttp
from doorward.gateway.record import Record
from doorward.gateway.redact import Redact
from doorward.gateway.refusals import Refusals
from doorward.gateway.refuse import problem_response
from doorward.gateway.route import Route
from doorward.gateway.tunnels import new_tunnels
from doorward.ledger.client import LedgerClient
from doorward.oidc.verify import TokenVerifier
from doorward.settings import CredentialSettings, Settings

_log = logging.getLogger(__name__)

_ANSWER_S = 300.0  # models take minutes for a long answer; nobody waits longer
_MOST_BODIES = 4  # of full size, on one connection at once

type Hooks = Mapping[str, Sequence[Call]]

# Every hook of mitmproxy that a step of ours may have.
HOOK_NAMES = (
    "next_layer",
    "tls_clienthello",
    "tls_start_client",
    "tls_established_client",
    "server_connect",
    "http_connect",
    "http_connect_error",
    "requestheaders",
    "request",
    "responseheaders",
    "response",
    "error",
)


class TargetCredential:
    """One credential; `authorize`, `redact` and `inject` are each handed the side that they need."""

    def __init__(self, source: CredentialSource) -> None:
        self._source = source
        self._guarded: Credential | None = None
        self._guard: EchoGuard | None = None

    def generation(self) -> str:
        """A name for the secret of now."""
        return self._source.load().generation

    def echo_guard(self) -> EchoGuard:
        """A guard for the current and the last secret; built anew when they change."""
        credential = self._source.load()
        if self._guard is None or credential is not self._guarded:
            self._guarded, self._guard = credential, EchoGuard(credential.secrets)
        return self._guard

    def wire_header(self, generation: str) -> tuple[str, str]:
        """The header for the wire; raises Unavailable where the secret changed since the decision."""
        credential = self._source.load()
        if credential.generation != generation:
            raise Unavailable(
                "the credential was rotated meanwhile", cause="credential-rotated", hint="repeat the request"
            )
        return credential.header, credential.reveal()


class Chain:
    """The data plane put together; also the word of the steps to mitmproxy's layers (`mitm.connection.Plane`)."""

    def __init__(
        self,
        settings: Settings,
        *,
        ledger: LedgerClient,
        verifier: TokenVerifier,
        blocks: Blocks,
        policy: Callable[[], Policy],
        certificates: Certificates,
        credentials: Mapping[str, TargetCredential],
        key: bytes,
        close: Callable[[connection.Client], None],
        look_again: Callable[[http.HTTPFlow], None],
        own_listeners: Callable[[], Sequence[tuple[str, int]]],
    ) -> None:
        limits = settings.limits
        self.head_bytes = limits.header
        self.request_bytes = limits.request_body
        self.bodies_bytes = _MOST_BODIES * limits.request_body
        self.response_bytes = limits.response_body
        self.head_wait_s: float = limits.head_wait
        self.answer_s = _ANSWER_S
        self.upstream = Upstream()
        self._close_connection = close
        self._look_again = look_again
        self.exchanges = exchanges = Exchanges()
        self.refusals = Refusals(ledger)
        self._tasks: set[asyncio.Task[None]] = set()
        self._following: set[asyncio.Task[None]] = set()  # streams, for the record
        self.admission = Admission(
            most=limits.connections,
            most_per_principal=limits.connections_per_principal,
            wait_s=limits.head_wait,
            record=self.unreadable,
            close=close,
        )
        tunnels = new_tunnels()
        blocks.on_block = Cut(exchanges, tunnels, close, self.upstream.forget)
        listener = (settings.tls.cert, settings.tls.key) if settings.tls else None
        replacer = Replacer(sentinel_for(key), key)
        headers = {alias: each.header for alias, each in settings.credentials.items()}
        self._inject = Inject(exchanges, credentials)
        self._record = Record(
            exchanges,
            ledger,
            self.refusals,
            recorded=limits.recorded_body,
            stream_lag_s=settings.record.stream_lag,
            look_again=look_again,
        )
        self.addons: tuple[object, ...] = (
            Authenticate(exchanges, tunnels, verifier, self.admission, blocks, utc_now),
            OnlyHttp(exchanges, tunnels, self.admission, self, certificates, policy, self._refuse_connection, listener),
            Interpret(
                exchanges,
                tunnels,
                policy,
                headers,
                body_limit=limits.request_body,
                bodies_limit=self.bodies_bytes,
                sentinel=replacer.sentinel,
            ),
            Authorize(exchanges, key, credentials),
            Redact(
                exchanges,
                replacer,
                credentials,
                answer_limit=limits.response_body,
                event_limit=limits.stream_event,
                recorded=limits.recorded_body,
            ),
            Hold(
                exchanges,
                tunnels,
                ledger,
                policy,
                verifier,
                blocks,
                utc_now,
                wait_s=settings.hold.wait,
                repeat_s=settings.hold.repeat,
                open_per_principal=settings.hold.open_per_principal,
                page=f"{settings.console.public_url}/approvals" if settings.console else "",
            ),
            self._record,
            Dial(exchanges, own_listeners),
            self._inject,
        )
        self.hooks: Hooks = {
            name: tuple(getattr(addon, name) for addon in self.addons if hasattr(addon, name)) for name in HOOK_NAMES
        }

    def route(self, flow: http.HTTPFlow) -> Route:
        """Where the request goes."""
        route = self.exchanges.of(flow).route
        if route is None:
            raise Unavailable("no route was decided", cause="undecided", hint="tell the operator the request's id")
        return route

    def wire(self, flow: http.HTTPFlow) -> http.Request:
        """The head for the wire."""
        return self._inject.wire(flow)

    def failed(self, flow: http.HTTPFlow, error: DoorwardError) -> None:
        """Something below HTTP failed: the first cause counts."""
        exchange = self.exchanges.of(flow)
        if exchange.sent and flow.response is not None:
            exchange.answered = True  # the head of an answer is here, whatever became of the rest
        if exchange.refusal is None and not exchange.recorded:
            exchange.refusal = error

    def is_refused(self, flow: http.HTTPFlow) -> bool:
        """Whether our page is the answer."""
        return self.exchanges.of(flow).refusal is not None

    def begun(self, flow: http.HTTPFlow) -> None:
        """The head of a stream leaves; raises Withheld for one that no step made."""
        stream = self.exchanges.of(flow).stream
        if stream is None or flow.response is None or flow.response.stream is not stream:
            raise Withheld("the answer was not cleared", cause="uncleared", hint="tell the operator the request's id")
        stream.begun = True
        stream.copy.begin()
        self._later(self._record.follow(flow, self.exchanges.of(flow), stream), self._following)

    def stream_left_s(self, flow: http.HTTPFlow) -> float:
        """Until the token expires, or until nothing came for too long."""
        exchange = self.exchanges.of(flow)
        token, stream = exchange.token, exchange.stream
        if token is None or stream is None:
            raise Withheld("the answer was not cleared", cause="uncleared", hint="tell the operator the request's id")
        if stream.cut is not None:
            raise stream.cut
        valid_s = (token.expires_at - utc_now()).total_seconds()
        if valid_s <= 0:
            raise Unauthenticated("the token expired", cause="token-expired", hint="bring a new one")
        idle_s = self.answer_s - (time.monotonic_ns() - stream.moved_ns) / 1e9
        if idle_s <= 0:
            raise TargetFailed(
                f"nothing came for {self.answer_s:g} s", cause="stream-idle", hint="let the target send something"
            )
        return min(valid_s, idle_s)

    def decide_again(self, policy: Policy) -> None:
        """The policy changed: end each stream that it would not let begin as it is."""
        for flow, exchange in self.exchanges.streaming():
            assert exchange.stream is not None
            exchange.stream.cut = exchange.stream.cut or reason_to_end(exchange, policy)
            if exchange.stream.cut is not None:
                self._look_again(flow)

    def is_released(self, flow: http.HTTPFlow) -> bool:
        """Whether the whole stream is cleared and recorded."""
        exchange = self.exchanges.of(flow)
        return exchange.refusal is None and exchange.cleared and exchange.recorded

    def page(self, flow: http.HTTPFlow | None, error: DoorwardError) -> http.Response:
        """Our page in the place of mitmproxy's."""
        exchange = self.exchanges.of(flow) if flow is not None else Exchange(client="")
        return problem_response(exchange.refusal or error, exchange, exchange.executed)

    def unreadable(self, client: connection.Client, error: DoorwardError) -> None:
        """What the agent sent is not HTTP."""
        self._later(self.refusals.record_connection(str(client.peername[0]), error.cause))

    def crashed(self, client: connection.Client, error: Exception) -> None:
        """A layer raised: each exchange of the connection gets its outcome."""
        _log.error("a layer of the connection from %s raised %s", client.peername, type(error).__name__)
        for flow, exchange in self.exchanges.of_client(client):
            self._later(self._record.conclude_crashed(flow, exchange))

    async def stop(self) -> None:
        """Write what is still to be written, and close what waits."""
        self.upstream.close()
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.refusals.write_counts()

    def _refuse_connection(self, client: connection.Client, error: DoorwardError) -> None:
        self.unreadable(client, error)
        self._close_connection(client)

    def _later(self, work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]] | None = None) -> None:
        among = self._tasks if tasks is None else tasks
        task = asyncio.create_task(work)
        among.add(task)
        task.add_done_callback(among.discard)


def load_credentials(settings: Settings, key: bytes) -> dict[str, TargetCredential]:
    """All credentials of the settings, each read once; raises Misconfigured."""
    loaded = {}
    for alias, each in settings.credentials.items():
        source = CredentialSource(_spec(alias, each), key)
        source.load()
        loaded[alias] = TargetCredential(source)
    return loaded


def check_secrets(settings: Settings, key: bytes) -> list[Misconfigured]:
    """What is wrong with the files of credentials, for `doorward check`."""
    problems = []
    for alias, each in settings.credentials.items():
        try:
            CredentialSource(_spec(alias, each), key).load()
        except Misconfigured as error:
            problems.append(error)
    return problems


def _spec(alias: str, settings: CredentialSettings) -> CredentialSpec:
    return CredentialSpec(
        alias=alias, header=settings.header, template=settings.value, file=settings.secret.file, env=settings.secret.env
    )


def utc_now() -> datetime:
    """The time, for the steps; the one clock of this plane."""
    return datetime.now(UTC)
