"""Logins that lead elsewhere, are somebody else's, or take a session over; in a browser, by a hostile site."""

from collections.abc import AsyncIterator, Iterator
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext

from tests.console.test_login import entries
from tests.parts.browser import IN_CHROMIUM, logged_in, opened, running_chromium
from tests.parts.console import RunningConsole, running_console
from tests.parts.hostile_site import HostileSite
from tests.parts.provider import Provider

pytestmark = IN_CHROMIUM

ANNA = {"sub": "anna", "groups": ["sre"]}
MALLORY = {"sub": "mallory", "groups": ["sre"]}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def chromium() -> AsyncIterator[Browser]:
    async with running_chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared() -> AsyncIterator[RunningConsole]:
    with Provider() as provider:
        async with running_console(provider) as console:
            yield console


@pytest.fixture
def site() -> Iterator[HostileSite]:
    with HostileSite() as site:
        yield site


async def who(context: BrowserContext, console: RunningConsole) -> str:
    """Whose page the console shows in this profile; empty if it asks for a login."""
    answer = await context.request.get(f"{console.url}/approvals", max_redirects=0)
    found = await answer.text()
    return next((name for name in ("anna", "mallory") if f'<span class="name">corp:{name}</span>' in found), "")


def session_cookie(console: RunningConsole) -> str:
    return f"doorward-{console.url.rpartition(':')[2]}"


async def session_id(context: BrowserContext, console: RunningConsole) -> str:
    name = session_cookie(console)
    return next(str(each.get("value")) for each in await context.cookies(console.url) if each.get("name") == name)


def ways(authority: str) -> list[str]:
    """Spellings that one browser or another makes an address elsewhere of."""
    before = [
        "//",
        "///",
        "/\\",
        "\\\\",
        "\\/",
        "/%5c",
        "/%2f",
        "/\t/",
        "\t//",
        "/\n/",
        " //",
        "http:",
        "http:/",
        "http://",
    ]
    before += [
        "http:\\\\",
        "HTTP://",
        "/.//",
        "/..//",
        "/%2e//",
        "/x/..//",
        "./\\",
        "/%09/",
        "/\x00/",
        "/;//",
        "/?//",
        "/#//",
    ]
    before += [
        "https://127.0.0.1@",
        "//127.0.0.1@",
        "//%2f",
        "/%5c%5c",
        "/%0d%0aLocation:%20http://",
        "/\r\nLocation: http://",
    ]
    scripts = [
        f"javascript:location='http://{authority}'",
        f"data:text/html,<script>location='http://{authority}'</script>",
    ]
    return [
        *(each + authority for each in before),
        *scripts,
        f"/login?next=//{authority}",
        f"/login?next=http://{authority}",
    ]


async def test_no_way_back_leads_elsewhere(chromium: Browser, shared: RunningConsole, site: HostileSite) -> None:
    shared.provider.user = ANNA
    context = await chromium.new_context(java_script_enabled=False)  # mitmweb's page is large
    page = await context.new_page()
    for way in ways(site.authority):
        await page.goto(f"{shared.url}/login?next={quote(way, safe='')}", wait_until="commit")
        assert page.url.startswith(f"{shared.url}/"), way
        assert site.asked == [], way
    await context.close()


async def test_a_page_asked_for_before_the_login_leads_nowhere_else(
    chromium: Browser, shared: RunningConsole, site: HostileSite
) -> None:
    """The address that was asked for comes back after the login, as far as it is a page of ours."""
    shared.provider.user = ANNA
    for path in (
        f"//{site.authority}",
        f"/?//{site.authority}",
        f"/\\{site.authority}",
        f"/approvals/x?next=//{site.authority}",
    ):
        context = await chromium.new_context(java_script_enabled=False)
        page = await context.new_page()
        await page.goto(shared.url + path, wait_until="commit")
        assert page.url.startswith(f"{shared.url}/"), path
        await context.close()
    assert site.asked == []


async def test_an_answer_to_the_attackers_own_login_logs_nobody_in(
    chromium: Browser, shared: RunningConsole, site: HostileSite
) -> None:
    """The reviewer would work in the attacker's name, or the attacker see what they do."""
    shared.provider.user = MALLORY
    async with httpx.AsyncClient(base_url=shared.url, trust_env=False) as attacker:
        at_provider = (await attacker.get("/login")).headers["location"]
        callback = (await attacker.get(at_provider)).headers["location"]
    shared.provider.user = ANNA
    async with logged_in(chromium, shared.url) as (context, _):
        page = await opened(context, site.url)
        async with page.expect_navigation() as waiting:
            await page.evaluate("(url) => { location = url; }", callback)
        answer = await waiting.value
        assert answer is not None
        assert answer.status == 400
        await page.goto(site.url)
        await page.evaluate("(url) => fetch(url, {mode: 'no-cors', credentials: 'include'}).catch(() => 0)", callback)
        assert await who(context, shared) == "anna"
    stranger = await chromium.new_context()
    page = await opened(stranger, site.url)
    await page.evaluate("(url) => { location = url; }", callback)
    await page.wait_for_url(f"{shared.url}/**")
    assert await who(stranger, shared) == ""
    await stranger.close()


async def test_a_login_is_not_done_behind_the_reviewers_back(
    chromium: Browser, shared: RunningConsole, site: HostileSite
) -> None:
    """A provider that still knows the person says yes at once: the session would be another without a click."""
    shared.provider.user = ANNA
    async with logged_in(chromium, shared.url) as (context, _):
        before = await session_id(context, shared)
        logins = len(list(entries(shared, "login.succeeded")))
        site.html = f'<!doctype html><img src="{shared.url}/login"><iframe src="{shared.url}/login"></iframe>'
        page = await opened(context, site.url)
        await page.evaluate(
            "(url) => fetch(url, {mode: 'no-cors', credentials: 'include'}).catch(() => 0)", f"{shared.url}/login"
        )
        await page.wait_for_load_state("networkidle")
        assert await session_id(context, shared) == before
        assert len(list(entries(shared, "login.succeeded"))) == logins


async def test_an_id_that_a_site_planted_is_nobodys_session(
    chromium: Browser, shared: RunningConsole, site: HostileSite
) -> None:
    """Fixation: ports of one host share cookies, so another port can set one of the console's name."""
    name = session_cookie(shared)
    planted = "planted-by-another-port-0123456789"
    site.cookies = [
        f"{each}={planted}; Path=/; HttpOnly" for each in (name, f"{name}-login", f"__Host-{name}", "__Host-doorward")
    ]
    shared.provider.user = ANNA
    context = await chromium.new_context()
    page = await opened(context, site.url)
    assert {str(each.get("name")) for each in await context.cookies(shared.url)} == {name, f"{name}-login"}, (
        "no lookalike"
    )
    site.cookies = []  # what the browser still fetches there by itself must not plant them once more
    await page.goto(f"{shared.url}/approvals")
    assert await who(context, shared) == "anna"
    assert await session_id(context, shared) != planted
    async with httpx.AsyncClient(base_url=shared.url, trust_env=False) as attacker:
        for cookie in (name, f"__Host-{name}", "__Host-doorward", "doorward", f"{name}-login"):
            answer = await attacker.get("/api/holds", headers={"Cookie": f"{cookie}={planted}"})
            assert answer.status_code == 401, cookie
    await context.close()


async def test_an_attackers_session_planted_under_a_path_hides_nobodys_own(
    chromium: Browser, shared: RunningConsole, site: HostileSite
) -> None:
    """Browsers send the cookie of the longer path first: the console would show, and act as, somebody else."""
    async with shared.person("mallory", "sre") as mallory:
        theirs = mallory.browser.cookies[session_cookie(shared)]
        paths = ("/approvals", "/approvals/", "/api", "/flows")
        site.cookies = [f"{session_cookie(shared)}={theirs}; Path={path}" for path in paths]
        shared.provider.user = ANNA
        async with logged_in(chromium, shared.url) as (context, token):
            await opened(context, site.url)
            page = await context.new_page()
            hold = await shared.open_hold("req-planted")
            for shown in ("/approvals", f"/approvals/{hold.id}"):
                await page.goto(shared.url + shown)
                assert "corp:mallory" not in await page.content()
            for door in (f"/approvals/{hold.id}/approve", f"/api/holds/{hold.id}/approve"):
                await page.evaluate(
                    """([door, token, fields]) => fetch(door, {method: "POST", headers: {"Doorward-Token": token,
                        "Content-Type": "application/json"}, body: JSON.stringify(fields)})""",
                    [door, token, {"reason": "a fine request", "digest": hold.digest}],
                )
            decided = await shared.worker.hold(hold.id)
            assert [each.person for each in decided.approvals] == ["corp:anna"]


async def test_a_site_under_another_name_is_sent_no_cookie_of_the_console(
    chromium: Browser, shared: RunningConsole
) -> None:
    """Ports of one host share cookies (docs/console.md, "What this leaves"); names do not."""
    shared.provider.user = ANNA
    with HostileSite("localhost") as site:
        async with logged_in(chromium, shared.url) as (context, _):
            page = await opened(context, site.url)
            await page.evaluate("(url) => fetch(url, {credentials: 'include'}).then(() => 0)", site.url)
    assert site.asked != []
    assert {cookie for _, cookie in site.asked} == {""}


async def test_a_cookie_of_a_session_that_ended_opens_nothing(chromium: Browser, shared: RunningConsole) -> None:
    """The reviewer logged out; somebody has the cookie from before."""
    shared.provider.user = ANNA
    async with logged_in(chromium, shared.url) as (context, token):
        stolen = await session_id(context, shared)
        page = await opened(context, f"{shared.url}/approvals")
        shared.provider.user = {"sub": "nobody", "groups": []}  # the provider would let anna in again
        await page.get_by_role("button", name="Log out").click()
        await page.wait_for_url(f"{shared.url}/logged-out")
        await page.go_back()
        assert "corp:anna" not in await page.content(), "the page before must not be in the browser's memory"
    hold = await shared.open_hold("req-after")
    async with httpx.AsyncClient(base_url=shared.url, trust_env=False) as thief:
        headers = {"Cookie": f"{session_cookie(shared)}={stolen}", "Origin": shared.url, "Doorward-Token": token}
        answer = await thief.post(
            f"/api/holds/{hold.id}/approve", headers=headers, json={"reason": "mine", "digest": hold.digest}
        )
        assert answer.status_code == 401
        assert (await thief.get("/api/holds", headers=headers)).status_code == 401
    assert (await shared.worker.hold(hold.id)).approvals == ()
