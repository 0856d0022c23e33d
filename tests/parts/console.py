"""A console in the test's loop, over a real ledger, with persons who log in and agents who wait."""

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from doorward.console.config import ConsoleConfig
from doorward.console.web import serve_console
from doorward.core.entry import Role as LedgerRole
from doorward.ledger.channel import socket_path, unix_connect
from doorward.ledger.client import HoldRequest, LedgerClient
from doorward.ledger.server import serve_ledger
from doorward.model import Approvers, Ask, Hold, Json, NewEntry
from doorward.oidc.issuer import Issuer
from doorward.store.rebuild import INDEX
from tests.parts.provider import Provider

CLIENT_ID = "doorward-console"
ROLES = {"viewer": ("corp:staff",), "reviewer": ("corp:sre", "corp:billing-owners")}
CHANGE = Ask("change a customer", Approvers(groups=("corp:sre",)), 1, 900)
HEAD = (
    b'{"method": "DELETE", "url": "https://billing.internal/v1/customers/1?page=2",'
    b' "headers": [["content-type", "application/json"], ["x-note", "a\\u202eb"]]}'
)
BODY = b'{"reason": "closed", "total": 10.50, "email": "doorward-masked-0123456789"}'


@dataclass
class RunningConsole:
    """A console that answers at `url`; `worker` writes to its ledger as a gateway does."""

    url: str
    worker: LedgerClient
    provider: Provider
    ledger: Path
    task: asyncio.Task[None]

    @asynccontextmanager
    async def person(self, sub: str, *groups: str, **options: Any) -> AsyncIterator["Person"]:
        """A browser in which `sub` has logged in."""
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=20, **options) as browser:
            person = Person(self, browser)
            await person.log_in(sub, *groups)
            yield person

    @asynccontextmanager
    async def console_client(self) -> AsyncIterator[LedgerClient]:
        """A second channel to the ledger, as a console."""
        client = LedgerClient(
            unix_connect(socket_path(self.ledger.parent / "run", LedgerRole.CONSOLE)), LedgerRole.CONSOLE
        )
        await client.start()
        yield client
        await client.close()

    async def open_hold(self, request: str = "req-1", **changes: Any) -> Hold:
        """A request that waits, as the gateway asks for it."""
        asked = HoldRequest(
            digest=changes.pop("digest", f"{request:0<64}"),
            principal="corp:agent-7",
            owner="corp:alice",
            target="billing",
            request=request,
            asks=(CHANGE,),
            summary={"verb": "DELETE", "risk": "high", "rules": [CHANGE.rule], "session": "s-1", "label": "sync"},
            bodies={"request_head": HEAD, "request_body": BODY},
        )
        return (await self.worker.open_hold(replace(asked, **changes))).hold

    async def send(self, request: str, *, hold: Hold | None = None, status: int = 200) -> None:
        """A request that went out and was answered."""
        intent: dict[str, Json] = {
            "request": request,
            "principal": "corp:agent-7",
            "owner": "corp:alice",
            "session": "s-1",
            "token": None,
            "label": None,
            "target": "billing",
            "verb": "DELETE",
            "risk": "high",
            "open_ended": False,
            "digest": hold.digest if hold else "d" * 64,
            "policy": "p" * 64,
            "rules": ["billing-editor"],
            "hold": hold.id if hold else None,
            "credential": "billing-token",
            "generation": "g",
            "client": "127.0.0.1:40000",
            "sent_bytes": len(BODY),
        }
        entries = [NewEntry("request.intent", intent, {"request_head": HEAD, "request_body": BODY})]
        if hold is not None:
            entries.insert(0, NewEntry("hold.used", {"hold": hold.id, "request": request, "digest": hold.digest}))
        await self.worker.append(*entries)
        outcome: dict[str, Json] = {
            "request": request,
            "status": status,
            "executed": "yes",
            "duration_ms": 12,
            "masks": [],
            "echo": False,
            "cause": None,
            "truncated": False,
        }
        head = b'{"status": 200, "headers": [["content-type", "application/json"]]}'
        bodies = {"response_head": head, "response_body": b'{"ok": true}'}
        await self.worker.append(NewEntry("request.outcome", outcome, bodies))


@dataclass
class Person:
    """One browser."""

    console: RunningConsole
    browser: httpx.AsyncClient

    async def log_in(self, sub: str, *groups: str, goes_to: str = "/approvals") -> httpx.Response:
        """Go through the provider; what the last page answers."""
        self.console.provider.user = {"sub": sub, "groups": list(groups)}
        answer = await self.browser.get("/login", params={"next": goes_to}, follow_redirects=True)
        self.page = answer.text
        return answer

    @property
    def token(self) -> str:
        """The session's token, as the page carries it."""
        found = re.search(r'name="token" value="([^"]+)"', self.page)
        return found[1] if found else ""

    async def post(self, path: str, *, headers: dict[str, str] | None = None, **options: Any) -> httpx.Response:
        """Post as our own page does; a header given as empty is left out."""
        sent = {"Origin": self.console.url, "Doorward-Token": self.token, **(headers or {})}
        return await self.browser.post(path, headers={k: v for k, v in sent.items() if v}, **options)

    async def answer(self, hold: Hold, verdict: str = "approve", **changes: Any) -> httpx.Response:
        """Answer a hold by the API."""
        return await self.post(
            f"/api/holds/{hold.id}/{verdict}", json={"reason": "asked Alice", "digest": hold.digest, **changes}
        )


@asynccontextmanager
async def running_console(provider: Provider, **changes: Any) -> AsyncIterator[RunningConsole]:
    """A ledger and a console over it, both in this loop; `changes` go to ConsoleConfig."""
    async with AsyncExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dw-")))  # short: it holds sockets
        stop, started = asyncio.Event(), asyncio.Event()
        serving = asyncio.create_task(
            serve_ledger(place / "var", runtime=place / "run", stop=stop, started=started.set)
        )
        stack.push_async_callback(_ended, serving, stop)
        await asyncio.wait_for(started.wait(), 10)
        clients = []
        for role in (LedgerRole.WORKER, LedgerRole.CONSOLE):
            client = LedgerClient(unix_connect(socket_path(place / "run", role)), role)
            await client.start()
            stack.push_async_callback(client.close)
            clients.append(client)
        config = ConsoleConfig(
            issuer=Issuer("corp", provider.url, "doorward"),
            client_id=CLIENT_ID,
            client_secret=None,
            roles=ROLES,
            public_url="http://127.0.0.1:0",
            listen=("127.0.0.1", 0),
        )
        url: list[str] = []
        ready = asyncio.Event()

        def on_ready(said: str) -> None:
            url.append(said)
            ready.set()

        task = asyncio.create_task(
            serve_console(replace(config, **changes), clients[1], place / "var" / INDEX, on_ready=on_ready)
        )
        stack.push_async_callback(_cancelled, task)
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({task, waiting}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if task.done():
            task.result()
        yield RunningConsole(url[0], clients[0], provider, place / "var", task)


async def _ended(task: asyncio.Task[None], stop: asyncio.Event) -> None:
    stop.set()
    await task


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
