"""What an agent writes, on its way through the gateway to the eyes of people: pages, terminals, logs."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

from tests.parts.browser import in_chromium, logged_in, running_chromium
from tests.parts.command import Terminal
from tests.parts.deployment import Deployment
from tests.parts.hostile_text import ALL, raw_in, speak
from tests.parts.person import Person
from tests.parts.policies import policy_for
from tests.parts.provider import Provider
from tests.parts.target import Target

BOB = {"sub": "bob", "groups": ["owners", "staff"]}


@pytest.fixture(scope="module")
def spoken() -> Iterator[Deployment]:
    """A deployment in which agents have said it all, and some of it waits for a person."""
    settings: dict[str, Any] = {"hold": {"wait": "1s"}}
    with (
        Provider() as provider,
        Target() as target,
        Deployment(provider, policy_for(target), console=True, **settings) as deployment,
    ):
        with ThreadPoolExecutor(10) as agents:
            sent = list(agents.map(lambda each: speak(deployment, each[1], f"agent-{each[0]}"), enumerate(ALL)))
        assert all(sent), "each agent has said something that went out"
        provider.user = BOB
        yield deployment


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def reviewer(spoken: Deployment) -> AsyncIterator[tuple[BrowserContext, list[str]]]:
    """A reviewer's browser, and what went on in it that should not have."""
    happened: list[str] = []
    async with (
        running_chromium() as chromium,
        logged_in(chromium, f"http://127.0.0.1:{spoken.console_port}") as (context, _),
    ):
        context.on("dialog", lambda dialog: happened.append(dialog.message))
        context.on("weberror", lambda error: happened.append(str(error.error)))
        context.on("request", lambda asked: happened.append(asked.url) if "evil.example" in asked.url else None)
        context.on(
            "console",
            lambda said: happened.append(said.text) if "Content Security Policy" in said.text else None,
        )
        yield context, happened


@pytest.fixture
def terminal(spoken: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("DOORWARD_CONFIG", str(spoken.folder / "doorward.yaml"))
    monkeypatch.setenv("COLUMNS", "2000")
    monkeypatch.setenv("TERM", "xterm-256color")
    running = Terminal(tmp_path, monkeypatch)
    monkeypatch.setenv("DOORWARD_CONFIG", str(spoken.folder / "doorward.yaml"))
    return running


def test_it_reached_the_record_and_people(spoken: Deployment) -> None:
    """The attack is none if the gateway refused it all."""
    assert len(spoken.entries("hold.opened")) >= len(ALL)
    assert len(spoken.entries("request.intent")) >= 2 * len(ALL)
    names = {str(entry.fields["principal"]) for entry in spoken.entries("request.intent")}
    assert "corp:<img src=x onerror=window.pwned=1>" in names
    assert len(names) >= len(ALL)


def test_no_log_of_the_gateway_repaints_a_terminal(spoken: Deployment) -> None:
    assert raw_in(spoken.log) == []


def lines_of(terminal: Terminal, *arguments: str) -> str:
    """The output of a command on a screen, which is as clean in a file and as JSON."""
    for each, screen in ((arguments, True), (arguments, False), ((*arguments, "--json"), True)):
        ran = terminal.run(*each, screen=screen)
        assert ran.code == 0, (each, ran.err)
        assert raw_in(ran.out, styled=screen) == [], each
        assert raw_in(ran.err) == [], each
        if "--json" in each:
            json.loads(ran.out)
    return terminal.run(*arguments, screen=True).out


def test_lists_of_flows_and_holds_show_what_was_said_and_obey_none_of_it(terminal: Terminal) -> None:
    flows = lines_of(terminal, "flows", "list", "--limit", "1000", "--urls")
    holds = lines_of(terminal, "holds", "list", "--limit", "1000")
    for shown in (flows, holds):
        assert not re.search("\x1b\\[[0-9;]*[3-9][0-9]*m", shown), "no colour and no blinking"
        for text in ("[bold red]x[/]", "\\[link=http://evil.example]x[/link]", "\\[/]", ":warning:", "\\\\[blink]x"):
            assert f"corp:{text}" in shown, text


def test_single_flows_and_holds_show_it_too(spoken: Deployment, terminal: Terminal) -> None:
    shown = set()
    for flow in spoken.flows():
        # one of each kind: who, what, why
        kind = (flow.principal, flow.cause if flow.decision == "refused" else flow.decision)
        if flow.count == 1 and kind not in shown:
            shown.add(kind)
            ran = terminal.run("flows", "show", flow.request, "--bodies", "--why", "to see", screen=True)
            assert ran.code == 0, (flow, ran.err)
            assert raw_in(ran.out, styled=True) == [], ascii(ran.out)
    lines_of(terminal, "flows", "show", spoken.flows()[-1].request, "--bodies")
    for entry in spoken.entries("hold.opened")[:3]:
        lines_of(terminal, "holds", "show", str(entry.fields["hold"]))
    ran = terminal.run("status", screen=True)
    assert (ran.code, raw_in(ran.out)) == (0, [])


@pytest.mark.parametrize("text", ALL, ids=ascii)
def test_questions_about_the_policy_quote_nothing_raw(terminal: Terminal, text: str) -> None:
    """An operator pastes what an agent asked for."""
    for words in (
        (text, "https://billing.internal/v1/a"),
        ("POST", f"https://billing.internal/v1/{text}"),
        ("POST", f"https://{text}/v1/a"),
        ("POST", text),
    ):
        for as_json in ((), ("--json",)):
            ran = terminal.run(
                "policy", "explain", *words, "--as", f"corp:{text}", "--group", text, *as_json, screen=True
            )
            assert raw_in(ran.out, styled=True) == [], ascii(ran.out)
            assert raw_in(ran.err) == [], ascii(ran.err)


def test_a_reason_that_a_reviewer_types_repaints_no_terminal(spoken: Deployment, terminal: Terminal) -> None:
    """Neither that of the agent's developer, who prints the refusal, nor that of the auditor."""
    reasons = [f"because {text}"[:1900].replace("\ud800", "?").replace("\udfff", "?") for text in ALL]

    def ask(number: int) -> dict[str, Any]:
        with spoken.agent(spoken.provider.token(f"agent-r{number}")) as agent:
            return dict(agent.delete(f"https://billing.internal/v1/reason/{number}").json())

    with ThreadPoolExecutor(len(reasons)) as agents, Person(spoken, "bob", "owners") as bob:
        asking = {f"corp:agent-r{number}": agents.submit(ask, number) for number in range(len(reasons))}
        left = dict(zip(asking, reasons, strict=True))
        decided = {}
        for _ in range(600):
            for hold in bob.holds():
                if hold["principal"] in left:
                    answer = bob.answer(hold, "deny", reason=left.pop(hold["principal"]))
                    assert answer.status_code == 200, answer.text
                    decided[hold["id"]] = hold["principal"]
            if not left:
                break
        problems = [each.result() for each in asking.values()]
    assert left == {}
    denied = [problem for problem in problems if problem["cause"] == "hold-denied"]
    assert denied != [], "some were still waiting for the answer"
    for problem in denied:
        assert raw_in("".join(str(value) for value in problem.values())) == []
        assert "corp:bob denied it: because" in problem["detail"]
    for hold_id in decided:
        ran = terminal.run("holds", "show", hold_id, screen=True)
        assert (ran.code, raw_in(ran.out, styled=True)) == (0, []), ascii(ran.out)
        assert "because" in ran.out


async def nothing_ran(page: Page, happened: list[str]) -> None:
    """No script ran, nothing was stopped by the policy alone, and no element came out of a text."""
    assert happened == []
    assert await page.evaluate("typeof window.pwned") == "undefined"
    assert await page.locator("[onerror], [onload], img[src=x], a[href^=javascript], blink").count() == 0


async def read(page: Page, selector: str) -> str:
    """The text of a part of the page, with all that is in it, drawn or not."""
    return "\n".join(await page.locator(selector).all_text_contents())


@in_chromium
async def test_the_page_of_holds_shows_texts_as_texts(
    spoken: Deployment, reviewer: tuple[BrowserContext, list[str]]
) -> None:
    context, happened = reviewer
    page = await context.new_page()
    url = f"http://127.0.0.1:{spoken.console_port}"
    hold = spoken.entries("hold.opened")[0].fields["hold"]
    for path in ("/approvals", f"/approvals/{hold}"):
        await page.goto(url + path)
        await nothing_ran(page, happened)
        shown = await read(page, "body")
        assert raw_in(shown) == []
        assert "215979" not in shown, "a template was filled in"
    await page.goto(f"{url}/approvals")
    shown = await read(page, "body")
    for text in ("<img src=x onerror=window.pwned=1>", "{{71993*3}}", r"\x1b[2J", r"\u202e", r"\x9b2J", r"\u3164"):
        assert text in shown, "it is there, as text"
    await page.close()


@in_chromium
async def test_the_page_of_flows_shows_texts_as_texts(
    spoken: Deployment, reviewer: tuple[BrowserContext, list[str]]
) -> None:
    context, happened = reviewer
    page = await context.new_page()
    url = f"http://127.0.0.1:{spoken.console_port}"
    await page.goto(url)
    await expect(page.locator(".flow-table tbody tr").first).to_be_visible()
    flows = await (await context.request.get(f"{url}/flows")).json()
    assert raw_in(json.dumps(flows, ensure_ascii=False)) == []
    assert len(flows) > len(ALL)
    assert raw_in(await read(page, ".flow-table")) == []
    rows = page.locator(".flow-table tbody tr.has-request")
    for number in range(0, min(await rows.count(), 24), 3):
        await rows.nth(number).click()
        await expect(page.locator(".request-line")).to_be_visible()
        assert raw_in(await read(page, ".request-line, .headers")) == []
    for flow in flows[:: max(1, len(flows) // 24)]:
        for view in ("Auto", "Raw", "Hex%20Dump", "XML%2FHTML", "JSON", "URL-encoded"):
            answer = await context.request.get(f"{url}/flows/{flow['id']}/request/content/{view}.json?lines=512")
            if answer.ok:
                drawn = await answer.json()
                assert raw_in("\n".join(str(value) for value in drawn.values())) == [], view
    await nothing_ran(page, happened)
    await page.close()


@in_chromium
async def test_a_body_that_is_a_page_is_none_in_the_reviewers_browser(
    spoken: Deployment, reviewer: tuple[BrowserContext, list[str]]
) -> None:
    """Opened by its own address, HTML of an agent would run as the console's."""
    context, happened = reviewer
    url = f"http://127.0.0.1:{spoken.console_port}"
    flows = await (await context.request.get(f"{url}/flows")).json()
    page = await context.new_page()
    with_body = [flow["id"] for flow in flows if flow["request"]["contentLength"]][:5]
    assert with_body
    for flow in with_body:
        for path in ("content.data", "content/Raw.json", "content/Auto"):
            answer = await context.request.get(f"{url}/flows/{flow}/request/{path}")
            kind = answer.headers["content-type"]
            assert kind.partition(";")[0] in ("application/octet-stream", "application/json"), path
            assert "script-src" not in answer.headers["content-security-policy"]
            assert kind.startswith("application/json") or answer.headers["content-disposition"].startswith(
                "attachment; "
            )
        await page.goto(f"{url}/flows/{flow}/request/content/Raw.json")
        assert await page.evaluate("typeof window.pwned") == "undefined"
    assert happened == []
    await page.close()
