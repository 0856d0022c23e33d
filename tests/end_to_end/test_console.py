"""People decide in a real browser: provider, ledger and console are processes, the clicks are Chromium's."""

import asyncio
import os
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from doorward.console.copies import flow_id
from doorward.core.entry import Role
from doorward.ledger.channel import socket_path, unix_connect
from doorward.ledger.client import LedgerClient
from doorward.model import Hold, HoldState, Principal
from tests.parts.console import RunningConsole
from tests.parts.mock_provider import MockProvider

CHROMIUM = "/usr/bin/chromium"
USERS = {
    "anna": {"groups": ["sre"]},
    "ben": {"groups": ["sre"]},
    "alice": {"groups": ["sre"]},
    "vera": {"groups": ["staff"]},
    "mallory": {"groups": ["choir"]},
}

BEN = Principal("corp", "ben", ("corp:sre",))

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.browser,
    pytest.mark.skipif(not os.access(CHROMIUM, os.X_OK), reason=f"no Chromium at {CHROMIUM}"),
]


@dataclass
class Processes:
    """The ledger's place, and how to start its processes."""

    place: Path
    issuer: str
    url: str = ""

    @staticmethod
    def start(*args: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "tests.parts.console_process", *args]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("ready "), f"{args[0]} does not start"
        process.url = line.split()[1]  # type: ignore[attr-defined]  # for the caller
        return process


def ended(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    process.wait(10)
    assert process.stdout is not None
    process.stdout.close()


@pytest.fixture(scope="module")
def provider() -> Iterator[MockProvider]:
    with MockProvider(USERS) as provider:
        yield provider


@pytest.fixture(scope="module")
def processes(provider: MockProvider) -> Iterator[Processes]:
    with tempfile.TemporaryDirectory(prefix="dw-") as place:
        ledger = Processes.start("ledger", place)
        console = Processes.start("console", place, provider.url)
        yield Processes(Path(place), provider.url, console.url)  # type: ignore[attr-defined]  # set by start
        ended(console)
        ended(ledger)


@pytest_asyncio.fixture(loop_scope="module")
async def agent(processes: Processes) -> AsyncIterator[RunningConsole]:
    """What a gateway's worker does to the ledger; afterwards nothing waits."""
    async with connected(processes, Role.WORKER) as worker, connected(processes, Role.CONSOLE) as console:
        yield RunningConsole(processes.url, worker, None, processes.place / "var", None)  # type: ignore[arg-type]
        for hold in await console.holds(HoldState.OPEN):
            await console.decide_hold(hold.id, person=BEN, verdict="deny", reason="cleared", digest=hold.digest)


@asynccontextmanager
async def connected(processes: Processes, role: Role) -> AsyncIterator[LedgerClient]:
    client = LedgerClient(unix_connect(socket_path(processes.place / "run", role)), role)
    await client.start()
    yield client
    await client.close()


async def held(agent: RunningConsole) -> Hold:
    """A request that waits, unlike those of other tests."""
    return await agent.open_hold(f"req-{secrets.token_hex(4)}")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=False)
        yield browser
        await browser.close()


@asynccontextmanager
async def person(
    chromium: Browser, processes: Processes, sub: str, goes_to: str = "/approvals", *, scripts: bool = True
) -> AsyncIterator[Page]:
    """A browser of its own in which `sub` logs in at the provider's page; no script of ours may fail in it."""
    context = await chromium.new_context(java_script_enabled=scripts, viewport={"width": 1360, "height": 860})
    page = await context.new_page()
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.on(
        "console",
        lambda said: failures.append(said.text) if "Content Security Policy" in said.text else None,
    )
    await page.goto(processes.url + goes_to)
    await page.get_by_label(f"Authorize as {sub}").first.click()
    await page.wait_for_url(lambda url: url.startswith(processes.url))
    yield page
    await context.close()
    assert failures == []


async def select(page: Page, hold: Hold) -> None:
    """Open a held flow in mitmweb."""
    row = page.locator("tr.intercepted", has_text="/v1/customers/1")
    await expect(row).to_have_count(1)
    await row.click()
    await expect(page.locator(".request-line")).to_contain_text("/v1/customers/1?page=2")


async def state(agent: RunningConsole, hold: Hold) -> Hold:
    return await agent.worker.hold(hold.id)


async def test_a_reviewer_resumes_with_a_reason(chromium: Browser, processes: Processes, agent: RunningConsole) -> None:
    hold = await held(agent)
    async with person(chromium, processes, "anna", "/") as page:
        await expect(page.locator("#dw-bar")).to_contain_text("corp:anna")
        await select(page, hold)
        await expect(page.locator(".contentview")).to_contain_text('"total": 10.50')
        await page.get_by_role("button", name="Resume").click()
        dialog = page.get_by_role("dialog")
        for words in ("DELETE /v1/customers/1", "high risk", "corp:agent-7", "corp:alice", hold.digest[:16], "10.50"):
            await expect(dialog).to_contain_text(words)
        await dialog.get_by_role("button", name="Approve").click()
        assert (await state(agent, hold)).state == "open", "a reason is required"
        await dialog.get_by_label("Your reason").fill("duplicate of 7; asked Alice")
        await dialog.get_by_role("button", name="Approve").click()
        await expect(page.get_by_text("You said yes. The request may go out now, once.")).to_be_visible()
        await expect(page.locator("tr.intercepted")).to_have_count(0)
        decided = await state(agent, hold)
        assert decided.state == "approved"
        assert (decided.approvals[0].person, decided.approvals[0].reason) == (
            "corp:anna",
            "duplicate of 7; asked Alice",
        )
        await agent.send(hold.request, hold=decided)
        await expect(page.locator("tr", has_text=f"on hold {hold.id}")).to_contain_text("200")


async def test_a_reviewer_aborts_by_key(chromium: Browser, processes: Processes, agent: RunningConsole) -> None:
    async with person(chromium, processes, "anna", "/") as page:
        hold = await held(agent)
        await select(page, hold)
        await page.keyboard.press("x")
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Your reason").press_sequentially("not in the change window, ask again dX")
        await dialog.get_by_role("button", name="Deny").click()
        await expect(page.get_by_text("You said no. The request will not go out.")).to_be_visible()
        await expect(page.locator("tr", has_text=hold.digest[:16])).to_contain_text("denied: change a customer")
    decided = await state(agent, hold)
    assert decided.state == "denied"
    assert decided.approvals[0].reason == "not in the change window, ask again dX"


async def test_escape_decides_nothing(chromium: Browser, processes: Processes, agent: RunningConsole) -> None:
    hold = await held(agent)
    async with person(chromium, processes, "anna", "/") as page:
        await select(page, hold)
        for key in ("a", "x"):
            await page.keyboard.press(key)
            await expect(page.get_by_role("dialog")).to_be_visible()
            await page.keyboard.press("Escape")
            await expect(page.get_by_role("dialog")).to_have_count(0)
        for key in ("A", "X", "d", "D", "r", "v", "z", "n", "e"):
            await page.keyboard.press(key)
        await expect(page.locator("tr.intercepted")).to_have_count(1)
        await expect(page.locator("#dw-notes .bad")).to_have_count(0)
    assert (await state(agent, hold)).state == "open"


async def test_nothing_is_offered_that_is_refused(
    chromium: Browser, processes: Processes, agent: RunningConsole
) -> None:
    hold = await held(agent)
    async with person(chromium, processes, "anna", "/") as page:
        assert page.url.endswith("#/flows")
        await select(page, hold)
        for name in ("Replay", "Duplicate", "Revert", "Delete", "Mark▾", "Edit", "Export▾", "Resume All"):
            await expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
        for text in ("File", "Capture", "Options", "Replace"):
            await expect(page.locator("a", has_text=re.compile(f"^{text}$")).locator("visible=true")).to_have_count(0)
        await page.locator(".request-line .inline-input").nth(1).click()
        await page.keyboard.type("/other")
        await expect(page.locator("[contenteditable]")).to_have_count(0)
        await expect(page.locator(".request-line")).to_contain_text("/v1/customers/1?page=2")


async def test_a_viewer_looks_on(chromium: Browser, processes: Processes, agent: RunningConsole) -> None:
    hold = await held(agent)
    async with person(chromium, processes, "vera", "/") as page:
        await select(page, hold)
        await expect(page.get_by_role("button", name="Resume")).to_have_count(0)
        await page.keyboard.press("a")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        answer = await page.evaluate(
            """async ([path, digest]) => {
                const token = document.querySelector('meta[name="doorward-token"]').content;
                const answer = await fetch(path, {method: "POST", body: JSON.stringify({reason: "mine", digest}),
                    headers: {"Content-Type": "application/json", "Doorward-Token": token}});
                return [answer.status, (await answer.json()).cause];
            }""",
            [f"/api/holds/{hold.id}/approve", hold.digest],
        )
        assert answer == [403, "wrong-role"]
        await page.goto(f"{processes.url}/approvals")
        await expect(page.get_by_text("You are logged in as a viewer; only a reviewer answers holds.")).to_be_visible()
        await expect(page.get_by_role("button", name="Approve")).to_be_disabled()
    assert (await state(agent, hold)).state == "open"


async def test_the_form_works_without_scripts(chromium: Browser, processes: Processes, agent: RunningConsole) -> None:
    hold = await held(agent)
    async with person(chromium, processes, "anna", scripts=False) as page:
        await expect(page.get_by_role("heading", name="1 request waits for an answer")).to_be_visible()
        await page.get_by_label("Your reason").fill("asked Alice")
        await page.get_by_role("button", name="Approve").click()
        await expect(page.get_by_text("You said yes. The request may go out now, once.")).to_be_visible()
    assert (await state(agent, hold)).state == "approved"


async def test_the_page_of_holds_follows_and_keeps_what_is_typed(
    chromium: Browser, processes: Processes, agent: RunningConsole
) -> None:
    async with person(chromium, processes, "anna") as page:
        await expect(page.get_by_role("heading", name="Nothing waits for an answer")).to_be_visible()
        await held(agent)
        await expect(page.get_by_role("heading", name="1 request waits")).to_be_visible(timeout=15_000)
        await page.get_by_label("Your reason").fill("thinking")
        await held(agent)
        await expect(page.get_by_text("The list has changed.")).to_be_visible(timeout=15_000)
        await expect(page.get_by_label("Your reason")).to_have_value("thinking")


async def test_the_page_of_an_answer_follows_without_sending_it_again(
    chromium: Browser, processes: Processes, agent: RunningConsole
) -> None:
    hold = await held(agent)
    async with person(chromium, processes, "anna", f"/approvals/{hold.id}") as page:
        await page.get_by_label("Your reason").fill("asked Alice")
        await page.get_by_role("button", name="Approve").click()
        await expect(page.get_by_text("You said yes.")).to_be_visible()
        await agent.send(hold.request, hold=await state(agent, hold))
        await expect(page.locator(".state.used")).to_be_visible(timeout=15_000)
        await expect(page.get_by_role("alert")).to_have_count(0)
        assert page.url == f"{processes.url}/approvals/{hold.id}"


async def test_the_agents_owner_is_refused(chromium: Browser, processes: Processes, agent: RunningConsole) -> None:
    hold = await held(agent)
    async with person(chromium, processes, "alice", "/") as page:
        await select(page, hold)
        await page.get_by_role("button", name="Resume").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("Nobody decides about a request of their own")
        await expect(dialog.get_by_role("button", name="Approve")).to_have_count(0)
        await page.goto(f"{processes.url}/approvals")
        await expect(page.get_by_text("Nobody decides about a request of their own")).to_be_visible()
    assert (await state(agent, hold)).state == "open"


async def test_another_digest_is_refused(chromium: Browser, processes: Processes, agent: RunningConsole) -> None:
    hold = await held(agent)
    async with person(chromium, processes, "anna", "/") as page:

        async def other_digest(route):  # type: ignore[no-untyped-def]  # playwright's Route
            answer = await route.fetch()
            await route.fulfill(response=answer, json={**(await answer.json()), "digest": "0" * 64})

        await page.route(f"**/flows/{flow_id(hold.request)}/hold", other_digest)
        await select(page, hold)
        await page.get_by_role("button", name="Resume").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Your reason").fill("looks fine")
        await dialog.get_by_role("button", name="Approve").click()
        await expect(dialog).to_contain_text("What was shown is not what the hold is about")
    assert (await state(agent, hold)).state == "open"


async def test_deciding_twice_is_a_conflict(chromium: Browser, processes: Processes, agent: RunningConsole) -> None:
    hold = await held(agent)
    async with person(chromium, processes, "anna", "/") as page:
        await select(page, hold)
        await page.get_by_role("button", name="Resume").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Your reason").wait_for()  # it opens for what is still to be decided
        async with connected(processes, Role.CONSOLE) as other:
            await other.decide_hold(hold.id, person=BEN, verdict="deny", reason="no", digest=hold.digest)
        await dialog.get_by_label("Your reason").fill("looks fine")
        await dialog.get_by_role("button", name="Approve").click()
        await expect(dialog).to_contain_text("The hold is denied: reload the page to see what became of it.")
    assert (await state(agent, hold)).state == "denied"


async def test_somebody_without_a_role(chromium: Browser, processes: Processes) -> None:
    async with person(chromium, processes, "mallory") as page:
        await expect(page.get_by_role("alert")).to_contain_text("No group gives corp:mallory a role at this console.")


async def test_a_ledger_that_goes_and_comes_back(chromium: Browser, provider: MockProvider) -> None:
    with tempfile.TemporaryDirectory(prefix="dw-") as place:
        ledger = Processes.start("ledger", place)
        console = Processes.start("console", place, provider.url)
        processes = Processes(Path(place), provider.url, console.url)  # type: ignore[attr-defined]  # set by start
        try:
            async with person(chromium, processes, "anna") as page:
                ledger.kill()
                ledger.wait(10)
                assert ledger.stdout is not None
                ledger.stdout.close()
                await page.goto(f"{processes.url}/approvals")
                await expect(page.get_by_role("alert")).to_contain_text("ledger")
                ledger = Processes.start("ledger", place)
                for _ in range(50):
                    await page.goto(f"{processes.url}/approvals")
                    if await page.get_by_role("heading", name="Nothing waits for an answer").count():
                        break
                    await asyncio.sleep(0.2)
                await expect(page.get_by_role("heading", name="Nothing waits for an answer")).to_be_visible()
        finally:
            ended(console)
            ended(ledger)
