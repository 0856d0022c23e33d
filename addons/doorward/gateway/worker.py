"""One worker of the data plane: a mitmproxy Master with our chain and nothing else.

Starts in the order that keeps the promises: ledger, own entries, credentials, policy with
its authority, blocks, keys of the issuers, and only then the listener. Without a ledger it does not
start; one that goes away later is waited for, and everything refused meanwhile. `doorward
gateway` runs it.
"""

import asyncio
import contextlib
import gc
import hashlib
import json
import logging
import os
import signal
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

from mitmproxy import connection, http, master, options
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.proxy import mode_specs
from mitmproxy.utils import asyncio_utils

from doorward.core.entry import Role
from doorward.core.policy import Policy
from doorward.errors import DoorwardError, Unavailable
from doorward.gateway.blocks import Blocks
from doorward.gateway.build import started_entry
from doorward.gateway.chain import Chain, TargetCredential, load_credentials
from doorward.gateway.mitm.connection import Connection
from doorward.gateway.mitm.http import install
from doorward.gateway.mitm.tls import Certificates, check_listener
from doorward.gateway.policies import Policies
from doorward.hardening import allow_open_files
from doorward.ledger.channel import Connect
from doorward.ledger.client import LedgerClient
from doorward.model import Json, NewEntry
from doorward.oidc.keys import Providers
from doorward.oidc.verify import TokenVerifier
from doorward.pki.deployment_key import load_key
from doorward.pki.files import CA_FILE, ensure_intermediate
from doorward.private_files import FileMark, file_mark
from doorward.settings import LoadedSettings, Settings, deployment_key_file, issuers_of, runtime_folder

_log = logging.getLogger(__name__)

# mitmproxy's options that the promises rest on (docs/decisions): dial only when the chain says so,
# take no name from a target's certificate, stream nothing, know no protocol but HTTP.
_LOCKED: dict[str, Any] = {
    "connection_strategy": "lazy",
    "upstream_cert": False,
    "stream_large_bodies": None,
    "body_size_limit": None,
    "rawtcp": False,
    "websocket": False,
    "http2": True,
    "http3": False,
    "validate_inbound_headers": True,
    "server": False,
}
_FILES_OF_A_CONNECTION = 6  # the agent's end, and up to five of the target (mitmproxy/proxy/server.py, max_conns)
_FILES_BESIDE = 256
_LEDGER_WAIT_S = 30.0
_LEDGER_PATIENCE_S = 3.0  # of a request, while the ledger is started again; nothing of it has left
_LOOK_AT_SECRETS_S = 1.0
_REISSUE_LOOK_S = 3600.0


class Listener:
    """Accepts agents' connections on one socket and knows those that are open."""

    def __init__(self, socket_: socket.socket) -> None:
        self._socket = socket_
        self._open: dict[str, Connection] = {}
        self._server: asyncio.Server | None = None
        self.address: tuple[str, int] = socket_.getsockname()[:2]

    async def start(self, of: master.Master, chain: Chain) -> None:
        """Take connections from now on."""
        mode = mode_specs.ProxyMode.parse("regular")

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            handler = Connection(chain, chain.hooks, of, reader, writer, of.options, mode)
            if not chain.admission.enter(handler.client):
                writer.close()
                return
            self._open[handler.client.id] = handler
            try:
                await handler.handle_client()
            finally:
                chain.admission.leave(handler.client)
                del self._open[handler.client.id]

        self._server = await asyncio.start_server(accept, sock=self._socket)

    def close(self, client: connection.Client) -> None:
        """Close one connection now."""
        handler = self._open.get(client.id)
        if handler is not None:
            handler.abort()

    def look_again(self, flow: http.HTTPFlow) -> None:
        """Ask at once whether a stream may go on."""
        handler = self._open.get(flow.client_conn.id)
        if handler is not None:
            handler.look_again(flow)

    async def stop(self) -> None:
        """Take no more connections, and end those that are open."""
        if self._server is not None:
            self._server.close()
        for handler in list(self._open.values()):
            handler.abort()
        for _ in range(50):
            if not self._open:
                return
            await asyncio.sleep(0.02)


async def run_worker(
    loaded: LoadedSettings, *, connect: Connect, listen: socket.socket, on_ready: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or SIGINT; raises Misconfigured or Unavailable where it cannot start."""
    settings = loaded.settings
    stop, reload = asyncio.Event(), asyncio.Event()
    for number, event in ((signal.SIGTERM, stop), (signal.SIGINT, stop), (signal.SIGHUP, reload)):
        asyncio.get_running_loop().add_signal_handler(number, event.set)
    allow_open_files(_FILES_BESIDE + _FILES_OF_A_CONNECTION * settings.limits.connections)
    if settings.tls is not None:
        check_listener(settings.tls.cert, settings.tls.key)
    key = load_key(deployment_key_file(settings))
    credentials = load_credentials(settings, key)
    async with AsyncExitStack() as stack:
        ledger = LedgerClient(connect, Role.WORKER, patience_s=_LEDGER_PATIENCE_S)
        stack.push_async_callback(ledger.close)
        await ledger.start(_LEDGER_WAIT_S)
        certificates, accept = _authority(settings)
        policies = Policies(
            settings.policies, loaded.file.parent, settings.issuers, settings.credentials, ledger.append, accept
        )
        await _begin(loaded, ledger, credentials, policies, worker=str(os.getpid()))
        blocks = Blocks(ledger)
        await blocks.start()
        providers = Providers(issuers_of(settings))
        stack.push_async_callback(providers.stop)
        await providers.start()
        listener = Listener(listen)
        chain = Chain(
            settings,
            ledger=ledger,
            verifier=TokenVerifier(issuers_of(settings), providers.rings, {}),
            blocks=blocks,
            policy=policies,
            certificates=certificates(),
            credentials=credentials,
            key=key,
            close=listener.close,
            look_again=listener.look_again,
            own_listeners=lambda: [listener.address, *([settings.console.listen] if settings.console else [])],
        )
        policies.on_change = chain.decide_again
        stack.enter_context(asyncio_utils.set_eager_task_factory())
        stack.push_async_callback(chain.stop)
        await listener.start(make_master(), chain)
        stack.push_async_callback(listener.stop)
        _collect_rarely()
        background = [
            asyncio.create_task(work)
            for work in (
                blocks.keep_up_for_ever(),
                policies.watch_for_ever(),
                _reload_on_signal(reload, policies),
                chain.refusals.write_counts_for_ever(),
                _watch_credentials(credentials, ledger),
                _reissue_in_time(policies, accept),
            )
        ]
        stack.callback(lambda: [task.cancel() for task in background])
        address = _shown(listener.address)
        _publish(settings, address)
        on_ready(address)
        stopped = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([stopped, *background], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopped}:
            task.result()  # none of them ends by itself: what it raised ends the worker
        with contextlib.suppress(DoorwardError):
            await ledger.append(NewEntry("gateway.stopped", {"cause": "signal", "worker": str(os.getpid())}))


def _authority(settings: Settings) -> tuple[Callable[[], Certificates], Callable[[Policy], None]]:
    """The certificates for agents, and what makes them fit a policy before it counts."""
    made: list[Certificates] = []
    seen: list[FileMark | None] = []

    def accept(policy: Policy) -> None:
        hosts = {host for target in policy.targets.values() for host, _ in target.hosts}
        ensure_intermediate(settings.ca, hosts, datetime.now(UTC))
        mark = file_mark(settings.ca / CA_FILE)
        if not made:
            made.append(Certificates(settings.ca))
        elif mark != seen[0]:  # issued by us, or by another worker
            made[0].reload()
        seen[:] = [mark]

    return lambda: made[0], accept


async def _begin(
    loaded: LoadedSettings,
    ledger: LedgerClient,
    credentials: dict[str, TargetCredential],
    policies: Policies,
    *,
    worker: str,
) -> None:
    """The first entries, and the policy; all durable before the first connection is taken."""
    if not ledger.ready:
        raise Unavailable("the ledger is away", cause="ledger-away", hint="start `doorward ledger`, or `serve`")
    shown: dict[str, Json] = {name: value for name, value in _LOCKED.items() if isinstance(value, str | bool)}
    text = loaded.text.encode()
    await ledger.append(
        started_entry(shown, worker),
        NewEntry("settings.loaded", {"settings": hashlib.sha256(text).hexdigest()}, {"settings": text}),
        *(_credential_entry(alias, each.generation()) for alias, each in credentials.items()),
    )
    await policies.load()


def _credential_entry(alias: str, generation: str) -> NewEntry:
    return NewEntry("credential.loaded", {"credential": alias, "generation": generation})


async def _watch_credentials(credentials: dict[str, TargetCredential], ledger: LedgerClient) -> None:
    """An entry for each rotation."""
    known = {alias: each.generation() for alias, each in credentials.items()}
    while True:
        await asyncio.sleep(_LOOK_AT_SECRETS_S)
        for alias, each in credentials.items():
            try:
                generation = each.generation()
                if generation != known[alias]:
                    await ledger.append(_credential_entry(alias, generation))
                    known[alias] = generation
            except DoorwardError as error:
                _log.warning("credential %s: %s", alias, error.__cause__ or error)  # the cause names the file


async def _reload_on_signal(reload: asyncio.Event, policies: Policies) -> None:
    while True:
        await reload.wait()
        reload.clear()
        await policies.reload()


async def _reissue_in_time(policies: Policies, accept: Callable[[Policy], None]) -> None:
    """The intermediate lives for days: look every hour whether it must be issued anew."""
    while True:
        await asyncio.sleep(_REISSUE_LOOK_S)
        try:
            accept(policies())
        except DoorwardError as error:
            _log.error("the authority for agents could not be issued anew: %s", error)


def make_master() -> master.Master:
    """A Master that knows mitmproxy's options, locked, and runs none of its addons."""
    install()
    made = master.Master(options.Options(), with_termlog=False)
    made.addons.add(Proxyserver())  # registers the options that the layers read; its own server stays off
    made.options.update(**{name: value for name, value in _LOCKED.items() if name in made.options})
    for name in ("emudhra", "emudhra_old"):
        if name in made.options:
            made.options.update(**{name: False})
    return made


def _collect_rarely() -> None:
    """Leave what is there for good out of garbage collection, and look at the rest less often: it costs a tenth."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 5, 5)


def _publish(settings: Settings, address: str) -> None:
    folder = runtime_folder(settings)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "gateway.json").write_text(json.dumps({"listen": address, "pid": os.getpid()}) + "\n")


def _shown(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
