"""The page of `flows open`, asked as browsers and others would: it shows, and takes nothing."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from doorward.console.copies import flow_id
from doorward.console.looking import ANSWERS, TICKET_S, Ticket, serve_flows
from doorward.console.routes import ROUTES, Form
from doorward.core.entry import Role
from doorward.model import Principal
from doorward.store.index import Index
from doorward.supervisor import bind_listener
from tests.ledger.conftest import RunningLedger
from tests.parts.entries import intent, outcome

ANN = Principal("local", "ann")
HEAD = b'{"method": "GET", "url": "https://billing.internal/v1/</script>\\u202e", "headers": []}'
BODY = b'{"email": "doorward-masked-0123456789"}'


@dataclass
class Opened:
    url: str  # with its token
    ledger: RunningLedger

    @property
    def origin(self) -> str:
        return self.url.partition("/login")[0]

    @property
    def flow(self) -> str:
        return f"/flows/{flow_id('r1')}"

    def browser(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.origin, trust_env=False, timeout=20)


@asynccontextmanager
async def opened() -> AsyncIterator[Opened]:
    async with AsyncExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dw-")))
        ledger = RunningLedger(place / "var", place / "run")
        await ledger.start()
        stack.push_async_callback(ledger.close)
        worker = await ledger.client(Role.WORKER)
        await worker.append(intent("r1", {"request_head": HEAD}))
        await worker.append(outcome("r1", {"response_head": b'{"headers": []}', "response_body": BODY}))
        await ledger.restart()
        index = Index(place / "var" / "index.db")
        stack.callback(index.close)
        client = await ledger.client(Role.COMMAND)
        bound = stack.enter_context(bind_listener(("127.0.0.1", 0)))
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(
            serve_flows(bound, index.flows(), client, index, person=ANN, why="ticket 7", on_ready=ready.set_result)
        )
        try:
            async with asyncio.timeout(20):
                url = await ready
            yield Opened(url, ledger)
        finally:
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving


async def test_the_address_opens_the_page_once() -> None:
    async with opened() as page, page.browser() as first, page.browser() as second:
        answer = await first.get(page.url, follow_redirects=True)
        assert answer.status_code == 200
        assert 'content="yes"' in answer.text
        assert "token=" not in str(answer.url)
        cookie = answer.history[0].headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        again = await second.get(page.url)
        assert again.status_code == 403
        assert "once" in again.text
        for path in ("/", "/flows", "/updates", f"{page.flow}/response/content.data"):
            assert (await second.get(path)).status_code in (303, 401, 403)


@pytest.mark.parametrize("token", ["", "?token=", "?token=x", "?token=%00"])
async def test_without_the_token_nobody_comes_in(token: str) -> None:
    async with opened() as page, page.browser() as stranger:
        assert (await stranger.get(f"/login{token}")).status_code == 403
        assert (await stranger.get("/flows")).status_code == 401
        assert (await stranger.get(page.url)).status_code == 303, "wrong guesses do not use the token up"


def test_a_token_ends_by_itself() -> None:
    ticket = Ticket(ANN, "t", TICKET_S)
    assert not ticket.take("t", TICKET_S)
    assert not ticket.take("x", 0)
    assert ticket.take("t", 0)
    assert not ticket.take("t", 0)


async def test_the_list_is_there_and_each_opened_body_is_recorded() -> None:
    async with opened() as page, page.browser() as browser:
        await browser.get(page.url)
        (flow,) = (await browser.get("/flows")).json()
        assert flow["response"]["contentLength"] == len(BODY)
        assert "\u202e" not in flow["request"]["path"]
        assert "record.read" not in page.ledger.kinds()
        assert (await browser.get(f"{page.flow}/response/content.data")).content == BODY
        (read,) = [entry for entry in page.ledger.entries() if entry.kind == "record.read"]
        assert read.fields["reader"] == "local:ann"
        assert str(read.fields["why"]).startswith("ticket 7: response of r1")


CHANGES = [
    ("POST", "/flows/resume"), ("POST", "/flows/kill"), ("POST", "/clear"), ("PUT", "/options"), ("GET", "/options/x"),
    ("POST", "/commands/replay.client"), ("POST", "/flows/dump"), ("GET", "/flows/dump"), ("POST", "{flow}/resume"),
    ("POST", "{flow}/kill"), ("PUT", "{flow}"), ("DELETE", "{flow}"), ("POST", "{flow}/replay"),
    ("POST", "{flow}/duplicate"), ("POST", "{flow}/response/content.data"), ("GET", "{flow}/hold"),
    ("GET", "/approvals"), ("GET", "/approvals/h1"), ("POST", "/approvals/h1/approve"), ("GET", "/api/holds"),
    ("POST", "/api/holds/h1/approve"), ("GET", "/oidc/callback"), ("POST", "/logout"), ("GET", "/processes"),
    ("POST", "/execute"),
]  # fmt: skip


async def test_no_route_changes_or_decides_anything() -> None:
    async with opened() as page, page.browser() as browser:
        entered = await browser.get(page.url, follow_redirects=True)
        token = entered.text.partition('doorward-token" content="')[2].partition('"')[0]
        assert token
        before = (await browser.get("/flows")).json()
        for method, path in CHANGES:
            headers = {"Origin": page.origin, "Doorward-Token": token}
            answer = await browser.request(method, path.format(flow=page.flow), headers=headers, json={})
            assert answer.status_code == 403, (method, path)
            assert "the console does not do that" in answer.text.lower(), (method, path)
        assert (await browser.get("/flows")).json() == before
        assert page.ledger.kinds() == ["request.intent", "request.outcome"]


def test_only_reading_routes_have_an_answer() -> None:
    answered = [route for route in ROUTES if route.name in ANSWERS]
    assert len(answered) == len(ANSWERS)
    assert {route.method for route in answered} == {"GET"}


@pytest.mark.parametrize("host", ["attacker.example", "localhost:{port}", "127.0.0.1", "127.0.0.1:1", ""])
async def test_a_name_that_was_rebound_gets_nothing(host: str) -> None:
    async with opened() as page, page.browser() as browser:
        await browser.get(page.url)
        port = page.origin.rpartition(":")[2]
        for path in ("/flows", "/login?token=x", "/static/app.css"):
            answer = await browser.get(path, headers={"Host": host.format(port=port)})
            assert answer.status_code in (400, 403)


async def test_another_sites_page_reads_nothing() -> None:
    async with opened() as page, page.browser() as browser:
        await browser.get(page.url)
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            assert (await browser.get("/flows", headers=headers)).status_code == 403
        assert {route.form for route in ROUTES if route.name == "flows"} == {Form.JSON}
