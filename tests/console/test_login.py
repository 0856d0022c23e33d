"""Logins through a provider: who gets in, as what, where to, and what the record says."""

import json
import sqlite3
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from doorward.console.login import MOST_PENDING, PENDING_S, Pending
from doorward.oidc.login import PendingLogin
from tests.parts.console import RunningConsole


def entries(console: RunningConsole, kind: str) -> Iterator[dict[str, object]]:
    for path in sorted((console.ledger / "segments").glob("*.db")):
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            rows = database.execute("SELECT entry FROM entries WHERE kind = ? ORDER BY seq", (kind,)).fetchall()
        database.close()
        yield from (json.loads(entry) for (entry,) in rows)


def stranger(console: RunningConsole) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=console.url, trust_env=False, timeout=20)


async def test_a_reviewer_gets_in_and_the_record_says_so(console: RunningConsole) -> None:
    async with console.person("anna", "sre", "choir") as anna:
        assert "corp:anna" in anna.page
        assert "reviewer" in anna.page
        assert "Nothing waits for an answer" in anna.page
    (entry,) = entries(console, "login.succeeded")
    assert entry["person"] == "corp:anna"
    assert entry["groups"] == ["corp:sre"], "groups that no role asks for are nobody's business"
    assert entry["client"] == "127.0.0.1"


async def test_cookies_are_out_of_reach_of_scripts_and_other_sites(console: RunningConsole) -> None:
    async with stranger(console) as browser:
        answer = await browser.get("/login")
        assert answer.status_code == 303
        cookie = answer.headers["set-cookie"]
        assert all(word in cookie for word in ("HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=600"))
        query = parse_qs(urlsplit(answer.headers["location"]).query)
        assert query["code_challenge_method"] == ["S256"]
        console.provider.user = {"sub": "alice", "groups": ["choir"]}
        answer = await browser.get(answer.headers["location"])
        answer = await browser.get(answer.headers["location"])
        assert answer.status_code == 403, "alice is in no group that has a role"
        console.provider.user = {"sub": "anna", "groups": ["sre"]}
        answer = await browser.get((await browser.get("/login")).headers["location"])
        answer = await browser.get(answer.headers["location"])
        cookies = answer.headers.get_list("set-cookie")
        session = next(one for one in cookies if "-login=" not in one)
        assert all(word in session for word in ("HttpOnly", "SameSite=Lax", "Path=/"))
        assert "Domain" not in session
        assert "anna" not in session


async def test_nobody_without_a_role_gets_in(console: RunningConsole) -> None:
    async with console.person("mallory", "choir") as mallory:
        assert "o group gives corp:mallory a role at this console" in mallory.page
        assert (await mallory.browser.get("/api/holds")).status_code == 401
        assert (await mallory.browser.get("/approvals")).status_code == 303
    (entry,) = entries(console, "login.failed")
    assert (entry["person"], entry["cause"]) == ("corp:mallory", "no-role")


async def test_the_id_is_new_at_each_login(console: RunningConsole) -> None:
    async with console.person("anna", "sre") as anna:
        (name,) = anna.browser.cookies
        before = anna.browser.cookies[name]
        await anna.log_in("anna", "sre")
        assert anna.browser.cookies[name] != before
        async with stranger(console) as thief:
            answer = await thief.get("/api/holds", headers={"Cookie": f"{name}={before}"})
            assert answer.status_code == 401, "the session before is over"


async def test_an_id_that_was_planted_is_not_taken_over(console: RunningConsole) -> None:
    name = f"doorward-{console.url.rpartition(':')[2]}"
    console.provider.user = {"sub": "anna", "groups": ["sre"]}
    async with stranger(console) as browser:
        browser.cookies.set(name, "planted", domain="127.0.0.1", path="/")
        await browser.get("/login", follow_redirects=True)
        async with stranger(console) as thief:
            answer = await thief.get("/api/holds", headers={"Cookie": f"{name}=planted"})
            assert answer.status_code == 401


@pytest.mark.parametrize("goes_to", ["https://evil.example/", "//evil.example", "/\\evil.example", "/login"])
async def test_the_way_back_is_ours(console: RunningConsole, goes_to: str) -> None:
    console.provider.user = {"sub": "anna", "groups": ["sre"]}
    async with stranger(console) as browser:
        answer = await browser.get("/login", params={"next": goes_to})
        answer = await browser.get(answer.headers["location"])
        answer = await browser.get(answer.headers["location"])
        assert answer.status_code == 303
        assert answer.headers["location"] == "/"


async def test_a_link_to_a_hold_survives_the_login(console: RunningConsole) -> None:
    hold = await console.open_hold()
    console.provider.user = {"sub": "anna", "groups": ["sre"]}
    async with stranger(console) as browser:
        answer = await browser.get(f"/approvals/{hold.id}?from=chat", follow_redirects=True)
        assert answer.status_code == 200
        assert str(answer.url) == f"{console.url}/approvals/{hold.id}?from=chat"


async def test_an_answer_is_good_once_and_in_one_browser(console: RunningConsole) -> None:
    console.provider.user = {"sub": "anna", "groups": ["sre"]}
    async with stranger(console) as browser, stranger(console) as other:
        answer = await browser.get((await browser.get("/login")).headers["location"])
        callback = answer.headers["location"]
        refused = await other.get(callback)
        assert refused.status_code == 400
        assert "was not begun in this browser" in refused.text
        assert "code=" not in refused.text
        assert (await browser.get(callback)).status_code == 303
        assert (await browser.get(callback)).status_code == 400


async def test_a_refused_login_is_recorded_without_its_code(console: RunningConsole) -> None:
    async with stranger(console) as browser:
        await browser.get("/login")
        answer = await browser.get("/oidc/callback", params={"code": "sesame", "state": "wrong"})
        assert answer.status_code == 403
        assert "The answer belongs to another login." in answer.text
        await browser.get("/login")
        answer = await browser.get("/oidc/callback?state=a&state=b&code=x")
        assert answer.status_code == 400
    (entry,) = entries(console, "login.failed")
    assert entry["cause"] == "login-state"
    assert "sesame" not in json.dumps(entry)


async def test_a_provider_that_is_away_is_said_to_be_so(console: RunningConsole) -> None:
    console.provider.go_away()
    async with stranger(console) as browser:
        answer = await browser.get("/login")
        assert answer.status_code == 503
        assert "could not be reached" in answer.text
    console.provider.come_back()


async def test_logout_ends_the_session(console: RunningConsole) -> None:
    async with console.person("anna", "sre") as anna:
        (name,) = anna.browser.cookies
        session_id = anna.browser.cookies[name]
        answer = await anna.post("/logout", headers={"Doorward-Token": ""}, data={"token": anna.token})
        assert answer.status_code == 303
        assert answer.headers["location"] == "/logged-out"
        answer = await anna.browser.get("/api/holds", headers={"Cookie": f"{name}={session_id}"})
        assert answer.status_code == 401
        assert "You are logged out." in (await anna.browser.get("/logged-out")).text


def test_pending_logins_are_bounded_and_grow_old() -> None:
    pending = Pending()
    ids = [pending.keep(PendingLogin("s", "n", "v"), "/", 0) for _ in range(MOST_PENDING + 1)]
    assert pending.take(ids[0], 1) is None
    assert pending.take(ids[1], 1) is not None
    assert pending.take(ids[1], 1) is None
    assert pending.take(ids[2], PENDING_S) is None
    assert pending.take(None, 1) is None
