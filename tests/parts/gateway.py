"""The data plane in this process: the real chain and listener, a real ledger, real sockets."""

import asyncio
import base64
import json
import socket
import ssl
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, cast

from mitmproxy.utils import asyncio_utils

from doorward.core.policy import Policy
from doorward.core.policy_file import load_policy
from doorward.core.redaction.echo import EchoGuard
from doorward.errors import Unavailable
from doorward.gateway.blocks import Blocks
from doorward.gateway.chain import Chain, TargetCredential
from doorward.gateway.mitm.tls import Certificates
from doorward.gateway.worker import Listener, make_master
from doorward.ledger.client import LedgerClient
from doorward.model import Entry
from doorward.oidc.keys import KeyTiming, Providers
from doorward.oidc.verify import TokenVerifier
from doorward.pki.files import create_root, ensure_intermediate
from doorward.settings import Settings, issuers_of, parse_settings
from tests.ledger.conftest import RunningLedger
from tests.parts.provider import Provider

SECRET = "s3cr3t-of-the-target-0123456789"
KEY = b"k" * 32
TIMING = KeyTiming(refresh_s=60, retry_s=0.02, forced_every_s=0.0, timeout_s=1.0)


class FakeCredential:
    """A credential without a file; the one part of the plane that is not the real one."""

    def __init__(self, secret: str = SECRET) -> None:
        self.secret = secret
        self.error: Exception | None = None

    def generation(self) -> str:
        self._fail()
        return f"generation-of-{len(self.secret)}-{self.secret[-4:]}"

    def echo_guard(self) -> EchoGuard:
        self._fail()
        return EchoGuard([self.secret.encode()])

    def wire_header(self, generation: str) -> tuple[str, str]:
        self._fail()
        if generation != self.generation():
            raise Unavailable("the credential was rotated meanwhile", cause="credential-rotated", hint="repeat")
        return "Authorization", f"Bearer {self.secret}"

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


@dataclass
class Answer:
    """What an agent read."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        assert self.headers["content-type"] == "application/problem+json", self
        return cast("dict[str, Any]", json.loads(self.body))


class Agent:
    """One connection of an agent, in bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, raw: bytes) -> None:
        self.writer.write(raw)
        await self.writer.drain()

    async def read(self, *, head: bool = False) -> Answer:
        """The next answer."""
        async with asyncio.timeout(5):
            raw = await self.reader.readuntil(b"\r\n\r\n")
            lines = raw.decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)
            }
            length = 0 if head else int(headers.get("content-length", 0))
            return Answer(int(lines[0].split(" ")[1]), headers, await self.reader.readexactly(length))

    async def ask(self, raw: bytes) -> Answer:
        await self.send(raw)
        return await self.read(head=raw.startswith(b"HEAD "))

    async def closed(self) -> bytes:
        """What still comes until the gateway closes; fails if it does not."""
        async with asyncio.timeout(5):
            try:
                return await self.reader.read()
            except (ConnectionError, ssl.SSLError):
                return b""

    async def start_tls(
        self, root: Path, host: str | None = "billing.internal", alpn: str = "http/1.1", verify: bool = True
    ) -> None:
        context = ssl.create_default_context(cafile=str(root))
        context.set_alpn_protocols([alpn])
        if not verify or host is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        await self.writer.start_tls(context, server_hostname=host, ssl_handshake_timeout=5)

    def close(self) -> None:
        self.writer.transport.abort()


class Gateway:
    """`async with Gateway(...) as gateway:`; `policy` may be swapped for another in between."""

    def __init__(
        self, folder: Path, ledger: RunningLedger, provider: Provider, policy: Mapping[str, Any], **settings: Any
    ) -> None:
        self.ledger = ledger
        self.provider = provider
        self.folder = folder
        self.credential = FakeCredential()
        text = {
            "issuers": {"corp": {"issuer": provider.url, "audience": provider.audience, "owner": "owner"}},
            "credentials": {"target-token": {"value": "Bearer {secret}", "secret": {"file": "secrets/target"}}},
            "ca": "certs",
            **settings,
        }
        self.settings: Settings = parse_settings(json.dumps(text), folder / "doorward.yaml")
        self.policy: Policy = self.read_policy(policy)
        self.closed: list[Any] = []
        self.own: list[tuple[str, int]] = []
        self._agents: list[Agent] = []
        self._stack = AsyncExitStack()

    def read_policy(self, policy: Mapping[str, Any]) -> Policy:
        return load_policy(
            {"policy.yaml": json.dumps(policy)}, issuers=self.settings.issuers, credentials=self.settings.credentials
        )

    @property
    def root(self) -> Path:
        return self.settings.ca / "doorward-root.pem"

    async def __aenter__(self) -> Self:
        stack = self._stack
        if not self.root.exists():
            create_root(self.settings.ca, datetime.now(UTC))
        hosts = {host for target in self.policy.targets.values() for host, _ in target.hosts}
        ensure_intermediate(self.settings.ca, hosts, datetime.now(UTC))
        self.client: LedgerClient = await self.ledger.client()
        issuers = issuers_of(self.settings)
        providers = await stack.enter_async_context(Providers(issuers, timing=TIMING))
        self.verifier = TokenVerifier(issuers, providers.rings, {})
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        listening.setblocking(False)
        self.listener = Listener(listening)
        self.port = self.listener.address[1]
        self.blocks = Blocks(self.client)
        await self.blocks.start()
        self.chain = Chain(
            self.settings,
            ledger=self.client,
            verifier=self.verifier,
            blocks=self.blocks,
            policy=lambda: self.policy,
            certificates=Certificates(self.settings.ca),
            credentials={"target-token": cast("TargetCredential", self.credential)},
            key=KEY,
            close=self._close,
            look_again=self.listener.look_again,
            own_listeners=lambda: [self.listener.address, *self.own],
        )
        stack.enter_context(asyncio_utils.set_eager_task_factory())
        stack.push_async_callback(self.chain.stop)
        await self.listener.start(make_master(), self.chain)
        stack.push_async_callback(self.listener.stop)
        return self

    async def __aexit__(self, *_: object) -> None:
        for agent in self._agents:
            agent.close()
        await self._stack.aclose()

    def _close(self, client: Any) -> None:
        self.closed.append(client)
        self.listener.close(client)

    async def connect(self) -> Agent:
        agent = Agent(*await asyncio.open_connection("127.0.0.1", self.port))
        self._agents.append(agent)
        return agent

    def authorization(self, token: str | None = None) -> bytes:
        token = token or self.provider.token()
        return b"Proxy-Authorization: Basic " + base64.b64encode(f"agent:{token}".encode()) + b"\r\n"

    async def tunnel(
        self,
        host: str = "billing.internal",
        *,
        port: int = 443,
        token: str | None = None,
        alpn: str = "http/1.1",
    ) -> Agent:
        """A connection that went through CONNECT and TLS."""
        agent = await self.connect()
        name = host.encode()
        authorization = self.authorization(token)
        answer = await agent.ask(
            b"CONNECT %s:%d HTTP/1.1\r\nHost: %s:%d\r\n%s\r\n" % (name, port, name, port, authorization)
        )
        assert answer.status == 200, answer
        await agent.start_tls(self.root, host, alpn)
        return agent

    def entries(self, kind: str | None = None) -> list[Entry]:
        return [entry for entry in self.ledger.entries() if kind is None or entry.kind == kind]

    async def entry(self, kind: str, **fields: Any) -> Entry:
        """The first entry of a kind with these fields, waited for a little."""
        for _ in range(150):
            for entry in self.entries(kind):
                if all(entry.fields.get(name) == value for name, value in fields.items()):
                    return entry
            await asyncio.sleep(0.02)
        raise AssertionError(f"no {kind} with {fields} among {[(e.kind, dict(e.fields)) for e in self.entries()]}")


def get(path: str = "/v1/customers", *lines: str, method: str = "GET", host: str = "billing.internal") -> bytes:
    """A request in bytes; lines are further headers."""
    head = [f"{method} {path} HTTP/1.1", f"Host: {host}", *lines]
    return "\r\n".join([*head, "", ""]).encode("latin-1")
