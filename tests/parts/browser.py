"""Chromium for tests, and a person in it."""

import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

CHROMIUM = "/usr/bin/chromium"

IN_CHROMIUM = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.browser,
    pytest.mark.skipif(not os.access(CHROMIUM, os.X_OK), reason=f"no Chromium at {CHROMIUM}"),
]


def in_chromium(test: Callable[..., Any]) -> Callable[..., Any]:
    """Mark one test of a file of others; a file of such tests says `pytestmark = IN_CHROMIUM`."""
    for mark in IN_CHROMIUM:
        test = mark(test)
    return test


@asynccontextmanager
async def running_chromium() -> AsyncIterator[Browser]:
    """One browser without a screen."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=False)
        yield browser
        await browser.close()


@asynccontextmanager
async def logged_in(chromium: Browser, url: str) -> AsyncIterator[tuple[BrowserContext, str]]:
    """A profile in which whoever the provider knows has logged in, and the session's token; no page is open."""
    context = await chromium.new_context()
    page = await context.new_page()
    await page.goto(f"{url}/approvals")
    found = re.search(r'name="token" value="([^"]+)"', await page.content())
    assert found is not None, "nobody is logged in"
    await page.close()
    yield context, found[1]
    await context.close()


async def opened(context: BrowserContext, url: str) -> Page:
    """A new page at an address."""
    page = await context.new_page()
    await page.goto(url)
    return page
