"""A web site of somebody else, open beside the console in the browser of a reviewer who is logged in.

The attacker knows the hold, its digest, and even the session's token; each attack comes from another
port of the console's own host, which is the same site for browsers, and from another site.
"""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page

from doorward.console.copies import flow_id
from doorward.model import Hold, Principal
from tests.console.test_login import entries
from tests.parts.browser import IN_CHROMIUM, logged_in, opened, running_chromium
from tests.parts.console import RunningConsole, running_console
from tests.parts.hostile_site import HostileSite
from tests.parts.provider import Provider

pytestmark = IN_CHROMIUM
BEN = Principal("corp", "ben", ("corp:sre",))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def chromium() -> AsyncIterator[Browser]:
    async with running_chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared() -> AsyncIterator[RunningConsole]:
    with Provider() as provider:
        async with running_console(provider) as console:
            yield console


@dataclass
class Scene:
    """A reviewer, what they have to decide, and the site that they should not have opened."""

    console: RunningConsole
    site: HostileSite
    context: BrowserContext
    token: str
    hold: Hold

    async def lure(self) -> Page:
        """The reviewer opens the site."""
        return await opened(self.context, self.site.url)

    @property
    def doors(self) -> list[str]:
        """Where a yes could be posted."""
        return [
            f"{self.console.url}/approvals/{self.hold.id}/approve",
            f"{self.console.url}/api/holds/{self.hold.id}/approve",
            f"{self.console.url}/flows/{flow_id(self.hold.request)}/resume",
        ]

    @property
    def pages(self) -> list[str]:
        """What a reviewer may read."""
        paths = ("/approvals", f"/approvals/{self.hold.id}", "/", "/api/holds", "/flows", "/options")
        return [self.console.url + path for path in paths]

    async def is_untouched(self) -> bool:
        """Nothing was decided or read in the reviewer's name, and they are still logged in."""
        now = await self.console.worker.hold(self.hold.id)
        read = [entry for entry in entries(self.console, "record.read") if self.hold.id in str(entry["why"])]
        logins = len(list(entries(self.console, "login.succeeded")))
        answer = await self.context.request.get(f"{self.console.url}/api/holds")
        return (now.state, now.approvals, read, logins, answer.status) == ("open", (), [], self.logins, 200)

    def __post_init__(self) -> None:
        self.logins = len(list(entries(self.console, "login.succeeded")))


@pytest.fixture(params=["127.0.0.1", "localhost"], ids=["another-port", "another-site"])
def site(request: pytest.FixtureRequest) -> Iterator[HostileSite]:
    with HostileSite(request.param) as site:
        yield site


@pytest_asyncio.fixture(loop_scope="module")
async def scene(chromium: Browser, shared: RunningConsole, site: HostileSite) -> AsyncIterator[Scene]:
    shared.provider.user = {"sub": "anna", "groups": ["sre"]}
    async with logged_in(chromium, shared.url) as (context, token):
        hold = await shared.open_hold(f"req-{len(list(entries(shared, 'hold.opened')))}")
        yield Scene(shared, site, context, token, hold)
        async with shared.console_client() as client:
            await client.decide_hold(hold.id, person=BEN, verdict="deny", reason="cleared", digest=hold.digest)


async def test_a_form_of_another_origin_approves_nothing_and_logs_nobody_out(scene: Scene) -> None:
    fields = {"token": scene.token, "digest": scene.hold.digest, "reason": "a fine request"}
    page = await scene.lure()
    for door in (*scene.doors, f"{scene.console.url}/logout"):
        for enctype in ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain"):
            async with page.expect_navigation(url=door) as waiting:
                await page.evaluate(
                    """([action, enctype, fields]) => {
                        const form = document.createElement("form");
                        Object.assign(form, {action, enctype, method: "post"});
                        for (const [name, value] of Object.entries(fields)) {
                            const input = document.createElement("input");
                            Object.assign(input, {name, value, type: "hidden"});
                            form.append(input);
                        }
                        document.body.append(form);
                        form.submit();
                    }""",
                    [door, enctype, fields],
                )
            answer = await waiting.value
            assert answer is not None
            assert answer.status == 403, (door, enctype)
            await page.goto(scene.site.url)
    assert await scene.is_untouched()


async def test_json_smuggled_through_a_text_form_approves_nothing(scene: Scene) -> None:
    """The name and the value of one field make a JSON object of a text/plain form."""
    page = await scene.lure()
    name = json.dumps({"reason": "a fine request", "digest": scene.hold.digest})[:-1] + ', "x": "'
    for door in scene.doors[1:]:
        await page.set_content(
            f'<form method="post" enctype="text/plain" action="{door}"><input><button>go</button></form>'
        )
        await page.eval_on_selector("input", '(input, name) => { input.name = name; input.value = "\\"}"; }', name)
        async with page.expect_navigation(url=door) as waiting:
            await page.click("button")
        answer = await waiting.value
        assert answer is not None
        assert answer.status == 403
        await page.goto(scene.site.url)
    assert await scene.is_untouched()


async def test_a_script_of_another_origin_posts_and_reads_nothing(scene: Scene) -> None:
    page = await scene.lure()
    body = json.dumps({"reason": "a fine request", "digest": scene.hold.digest})
    form = f"token={scene.token}&digest={scene.hold.digest}&reason=a+fine+request"
    got: list[Any] = await page.evaluate(
        """async ([doors, pages, token, body, form]) => {
            const got = [];
            const attempt = async (url, init) => {
                try {
                    const answer = await fetch(url, {credentials: "include", ...init});
                    got.push([url, init.mode, answer.type, answer.status, await answer.text()]);
                } catch { /* the browser gave nothing */ }
            };
            const json = {"Content-Type": "application/json", "Doorward-Token": token};
            const plain = {"Content-Type": "text/plain"};
            const coded = {"Content-Type": "application/x-www-form-urlencoded"};
            for (const url of doors)
                for (const mode of ["cors", "no-cors"])
                    for (const [headers, sent] of [[json, body], [plain, body], [coded, form]])
                        await attempt(url, {method: "POST", mode, headers, body: sent});
            for (const url of doors) {
                navigator.sendBeacon(url, new URLSearchParams(form));
                await attempt(url, {method: "POST", mode: "no-cors", body: new URLSearchParams(form), keepalive: true});
            }
            for (const url of pages)
                for (const mode of ["cors", "no-cors"])
                    for (const cache of ["default", "force-cache"]) await attempt(url, {mode, cache});
            return got;
        }""",
        [scene.doors, scene.pages, scene.token, body, form],
    )
    assert [each for each in got if each[2] != "opaque" or each[3] or each[4]] == []
    assert await scene.is_untouched()


async def test_a_socket_of_another_origin_learns_nothing(scene: Scene) -> None:
    page = await scene.lure()
    said = await page.evaluate(
        """(url) => new Promise((resolve) => {
            const socket = new WebSocket(url);
            socket.onopen = () => resolve("open");
            socket.onmessage = (message) => resolve(message.data);
            socket.onclose = () => resolve("closed");
        })""",
        scene.console.url.replace("http", "ws") + "/updates",
    )
    assert said == "closed"
    assert await scene.is_untouched()


async def test_a_frame_over_bait_shows_nothing_and_reads_nothing(scene: Scene) -> None:
    """A click on the bait would be a click on Approve."""
    tags = [
        f"<{tag}></{tag.split()[0]}>"
        for url in scene.pages
        for tag in (f'iframe src="{url}"', f'iframe sandbox src="{url}"', f'object data="{url}"', f'embed src="{url}"')
    ]
    scene.site.html = "<!doctype html><p>Win a prize</p>" + "".join(tags)
    page = await scene.lure()
    await page.wait_for_load_state("networkidle")
    shown = [await frame.content() for frame in page.frames if frame is not page.main_frame]
    for text in ("Approve", "corp:anna", scene.token, scene.hold.digest, "mitmproxy"):
        assert [each for each in shown if text in each] == [], text
    assert await scene.is_untouched()


async def test_tags_of_another_origin_read_nothing(scene: Scene) -> None:
    """Scripts, styles, pictures, prefetches: what needs no CORS and carries the cookies."""
    urls = [*scene.pages, f"{scene.console.url}/login", f"{scene.console.url}/state"]
    tags = [
        f'<{tag}="{url}"></{tag.split()[0]}>'
        for url in urls
        for tag in ("script src", "img src", "link rel=stylesheet href", "video src", "audio src", "track src")
    ]
    tags += [f'<link rel="{rel}" as="document" href="{url}">' for url in urls for rel in ("prefetch", "preload")]
    stolen = "<script>window.stolen = []; for (const name of ['open', 'digest', 'principal', 'id', 'token'])"
    stolen += "Object.defineProperty(Object.prototype, name, {set(value) { stolen[stolen.length] = `${value}`; }})"
    stolen += "</script>"
    scene.site.html = f"<!doctype html>{stolen}{''.join(tags)}"
    page = await scene.lure()
    await page.wait_for_load_state("networkidle")
    assert await page.evaluate("stolen.filter((each) => each.includes('corp:'))") == []
    assert await page.evaluate("[...document.images].filter((each) => each.naturalWidth).length") == 0
    assert await scene.is_untouched()


async def test_a_window_that_was_opened_cannot_be_reached_into(scene: Scene) -> None:
    page = await scene.lure()
    for path in ("/approvals", "/"):
        async with scene.context.expect_page() as waiting:
            await page.evaluate("(url) => { window.child = window.open(url, 'console'); }", scene.console.url + path)
        child = await waiting.value
        await child.wait_for_load_state()
        assert await child.evaluate("window.opener") is None
        assert await child.evaluate("window.name") == ""
        reached = await page.evaluate(
            """() => {
                const got = [];
                for (const look of [() => child.document.title, () => child.token, () => child.fetch.name,
                                    () => child.localStorage.length, () => child.location.href])
                    try { const found = look(); if (found !== undefined) got.push(String(found)); } catch {}
                try { child.location.hash = "#/flows"; } catch {}
                try { child.postMessage({type: "approve"}, "*"); } catch {}
                return [child.closed, got];
            }"""
        )
        assert reached[0] is True, "the browser has cut the two apart"
        assert [each for each in reached[1] if "doorward" in each or scene.token in each] == []
        assert child.url.startswith(scene.console.url + path)
        await child.close()
    assert (await scene.console.worker.hold(scene.hold.id)).approvals == ()


async def test_a_link_that_asks_for_a_yes_is_none(scene: Scene) -> None:
    """Top-level links carry the cookies: they show pages, and change nothing."""
    page = await scene.lure()
    fields = f"token={scene.token}&digest={scene.hold.digest}&reason=a+fine+request"
    for door in (*scene.doors, f"{scene.console.url}/logout"):
        for url in (f"{door}?_method=POST&{fields}", f"{door}/?{fields}"):
            await page.set_content(f'<a href="{url.replace("&", "&amp;")}">a prize</a>')
            async with page.expect_navigation() as waiting:
                await page.click("a")
            answer = await waiting.value
            assert answer is not None
            assert answer.status == 403, url
            await page.goto(scene.site.url)
    assert await scene.is_untouched()


async def test_an_address_of_the_console_under_another_name_is_refused(scene: Scene) -> None:
    """As after DNS rebinding: the browser takes the console's answers for the attacker's own."""
    port = scene.console.url.rpartition(":")[2]
    for name in ("localhost", "evil.localhost"):
        page = await scene.context.new_page()
        for path in ("/approvals", "/api/holds", "/login", "/doorward/approvals.js"):
            answer = await page.goto(f"http://{name}:{port}{path}")
            assert answer is not None
            assert answer.status == 403, (name, path)
        await page.close()
    assert await scene.is_untouched()
