"""`flows open` in a real browser: the list and a masked body show, and no button, key or request changes anything."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright, expect

from tests.parts.deployment import Deployment
from tests.parts.policies import policy_for
from tests.parts.provider import Provider
from tests.parts.target import Target, json_answer

CHROMIUM = "/usr/bin/chromium"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not os.access(CHROMIUM, os.X_OK), reason=f"no Chromium at {CHROMIUM}"),
]


@dataclass
class Opened:
    deployment: Deployment
    request: str
    url: str


@pytest.fixture
def opened(provider: Provider, target: Target) -> Iterator[Opened]:
    target.answer = json_answer({"name": "Ann</script>", "email": "ann@example.com", "total": 1.10})
    with Deployment(provider, policy_for(target)) as deployment:
        with deployment.agent() as agent:
            request = agent.get("https://billing.internal/v1/customers/17").headers["Doorward-Request"]
            assert agent.get("https://billing.internal/v1/other").status_code == 200
        deployment.wait_for(lambda: [row.executed for row in deployment.flows()] == ["yes", "yes"])
        line = [sys.executable, "-m", "doorward", "--config", str(deployment.folder / "doorward.yaml"), "flows", "open"]
        command = [*line, "--no-browser", "--why", "ticket 7", "--text", "customers/17"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield Opened(deployment, request, process.stdout.readline().strip())
            finally:
                process.send_signal(signal.SIGINT)
                assert process.wait(30) == 0


@pytest_asyncio.fixture
async def page(opened: Opened) -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=False)
        made = await browser.new_page()
        await made.goto(opened.url)
        yield made
        await browser.close()


async def test_the_list_and_a_masked_body_show_and_nothing_can_be_changed(opened: Opened, page: Page) -> None:
    assert page.url.endswith("/#/flows")
    rows = page.locator(".flow-table tbody tr[class]")
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("/v1/customers/17")
    await expect(page.locator("#dw-bar")).to_contain_text("read-only")
    await expect(page.locator("#dw-bar")).not_to_contain_text("Approvals")
    assert opened.deployment.entries("record.read") == []
    await rows.click()
    await page.get_by_text("Response", exact=True).click()
    await expect(page.locator(".contentview")).to_contain_text("doorward-masked-")
    await expect(page.locator(".contentview")).to_contain_text("Ann</script>")
    assert "ann@example.com" not in await page.content()
    (read,) = {entry.fields["why"] for entry in opened.deployment.entries("record.read")}
    assert str(read).startswith("ticket 7: ")
    for name in ("Resume", "Abort", "Replay", "Duplicate", "Revert", "Delete", "Edit"):
        await expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
    for key in ("a", "A", "x", "X", "d", "D", "r", "v", "z", "n", "e"):
        await page.keyboard.press(key)
    await expect(rows).to_have_count(1)
    told = await page.evaluate(
        """async () => {
            const token = document.querySelector('meta[name="doorward-token"]').content;
            const flow = (await (await fetch("/flows")).json())[0].id;
            const tries = [["POST", "resume"], ["POST", "kill"], ["POST", "replay"], ["DELETE", ""], ["PUT", ""]];
            const asked = tries.map(([method, what]) => fetch(`/flows/${flow}${what && "/" + what}`,
                {method, headers: {"Content-Type": "application/json", "Doorward-Token": token}, body: "{}"}));
            const further = ["/clear", "/flows/dump", "/commands/shutdown", "/options"].map((path) =>
                fetch(path, {method: path === "/options" ? "PUT" : "POST", headers: {"Doorward-Token": token}}));
            return [flow, ...(await Promise.all([...asked.slice(2), ...further])).map((answer) => answer.status)];
        }"""
    )
    assert told[1:] == [403] * 7, json.dumps(told)
    await expect(rows).to_have_count(1)
    kinds = {entry.kind for entry in opened.deployment.entries()}
    assert not {kind for kind in kinds if kind.startswith("hold.")}


async def test_the_address_is_good_once(opened: Opened, page: Page) -> None:
    context = await page.context.browser.new_context()  # type: ignore[union-attr]  # it has one
    other = await context.new_page()
    answer = await other.goto(opened.url)
    assert answer is not None
    assert answer.status == 403
    await expect(other.get_by_role("alert")).to_contain_text("once")
