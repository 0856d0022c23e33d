"""Answers by the API and by the form: who may, about what, once; and what the pages show."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from doorward.console.copies import flow_id
from doorward.model import Approvers, Ask
from tests.console.test_login import entries
from tests.parts.console import BODY, CHANGE, RunningConsole


async def test_a_reviewer_approves_by_the_api(console: RunningConsole) -> None:
    hold = await console.open_hold()
    async with console.person("anna", "sre") as anna:
        answer = await anna.answer(hold)
        assert answer.status_code == 200
        assert answer.json()["said"] == "You said yes. The request may go out now, once."
        assert answer.json()["hold"]["state"] == "approved"
    decided = await console.worker.hold(hold.id)
    assert decided.state == "approved"
    assert decided.approvals[0].person == "corp:anna"
    assert decided.approvals[0].reason == "asked Alice"


async def test_a_reviewer_denies_by_mitmwebs_route(console: RunningConsole) -> None:
    hold = await console.open_hold()
    async with console.person("anna", "sre") as anna:
        flow = flow_id(hold.request)
        shown = (await anna.browser.get(f"/flows/{flow}/hold")).json()
        assert shown["id"] == hold.id
        answer = await anna.post(f"/flows/{flow}/kill", json={"reason": "not now", "digest": shown["digest"]})
        assert answer.json()["said"] == "You said no. The request will not go out."
        assert (await anna.browser.get(f"/flows/{flow_id('nothing')}/hold")).status_code == 404
        assert (await anna.post(f"/flows/{flow_id('nothing')}/resume", json={})).status_code == 404
    assert (await console.worker.hold(hold.id)).state == "denied"


async def test_the_form_works_without_scripts(console: RunningConsole) -> None:
    hold = await console.open_hold()
    async with console.person("anna", "sre") as anna:
        page = (await anna.browser.get("/approvals")).text
        fields = dict(re.findall(r'type="hidden" name="(token|digest)" value="([^"]+)"', page))
        assert fields["digest"] == hold.digest
        where = f"/approvals/{hold.id}/approve"
        assert f'action="{where}"' in page
        answer = await anna.post(where, headers={"Doorward-Token": ""}, data={**fields, "reason": "asked Alice"})
        assert answer.status_code == 200
        assert "You said yes. The request may go out now, once." in answer.text
        assert "“asked Alice”" in answer.text
        again = await anna.post(where, headers={"Doorward-Token": ""}, data={**fields, "reason": "again"})
        assert again.status_code == 409
        assert "The hold is approved" in again.text
    assert (await console.worker.hold(hold.id)).state == "approved"


@pytest.mark.parametrize(
    ("sub", "groups", "changes", "status", "cause"),
    [
        ("anna", ("sre",), {"digest": "0" * 64}, 403, "digest-differs"),
        ("anna", ("sre",), {"digest": ""}, 403, "digest-differs"),
        ("anna", ("sre",), {"digest": None}, 400, "not-json"),
        ("anna", ("sre",), {"reason": " \n"}, 403, "reason-missing"),
        ("anna", ("sre",), {"reason": ["x"]}, 400, "not-json"),
        ("alice", ("sre",), {}, 403, "own-request"),
        ("agent-7", ("sre",), {}, 403, "own-request"),
        ("ben", ("billing-owners",), {}, 403, "not-an-approver"),
        ("vera", ("staff",), {}, 403, "wrong-role"),
    ],
    ids=["wrong digest", "no digest", "null digest", "no reason", "odd reason", "owner", "agent", "other", "viewer"],
)
async def test_answers_that_do_not_count(
    console: RunningConsole, sub: str, groups: tuple[str, ...], changes: dict[str, Any], status: int, cause: str
) -> None:
    hold = await console.open_hold()
    async with console.person(sub, *groups) as person:
        answer = await person.answer(hold, **changes)
        assert (answer.status_code, answer.json()["cause"]) == (status, cause)
        assert answer.json()["error"]
    assert (await console.worker.hold(hold.id)).state == "open"


async def test_the_page_says_why_not(console: RunningConsole) -> None:
    await console.open_hold()
    for sub, groups, why in (
        ("vera", ("staff",), "You are logged in as a viewer; only a reviewer answers holds."),
        ("alice", ("sre",), "Nobody decides about a request of their own"),
        ("ben", ("billing-owners",), "This hold asks for other people"),
    ):
        async with console.person(sub, *groups) as person:
            assert why in person.page, sub
            assert '<button class="yes" disabled' in person.page
            assert "<textarea" not in person.page


async def test_two_persons_of_two_groups(console: RunningConsole) -> None:
    money = Ask("move money", Approvers(groups=("corp:billing-owners",)), 1, 900)
    hold = await console.open_hold(asks=(CHANGE, money))
    async with console.person("anna", "sre") as anna, console.person("ben", "billing-owners") as ben:
        first = await anna.answer(hold)
        assert first.json()["said"] == "You said yes. It waits for others: move money."
        assert [len(ask["given"]) for ask in first.json()["hold"]["asks"]] == [1, 0]
        twice = await anna.answer(hold)
        assert (twice.status_code, twice.json()["cause"]) == (409, "decided-already")
        assert twice.json()["hint"] == "reload the page to see what became of it"
        last = await ben.answer(hold)
        assert last.json()["hold"]["state"] == "approved"


async def test_what_a_page_shows_of_a_hold(console: RunningConsole) -> None:
    url = "https://billing.internal/v1/\u202ecustomers/<script>alert(1)</script>?email=doorward-masked-0123456789"
    summary = {"verb": "DELETE", "risk": "high", "label": '"><img src=x>'}
    bodies = {"request_head": json.dumps({"url": url, "headers": []}).encode(), "request_body": BODY}
    hold = await console.open_hold(owner=None, summary=summary, bodies=bodies)
    async with console.person("anna", "sre") as anna:
        page = anna.page
        assert "/v1/\\u202ecustomers/&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert "\u202e" not in page
        assert "<img src=x>" not in page
        assert "no owner is known" in page
        assert "corp:agent-7" in page
        assert "change a customer" in page
        assert "high risk" in page
        assert "0 of 1" in page
        assert hold.digest[:16] in page
        assert "10.50" in page, "numbers keep their digits"
        card = (await anna.browser.get(f"/api/holds/{hold.id}")).json()
        assert card["path"].startswith("/v1/\\u202ecustomers")
        assert card["may_decide"] is True
        assert card["body"] is None
    (read,) = entries(console, "record.read")
    assert read["reader"] == "corp:anna"
    assert hold.id in str(read["why"])


async def test_a_body_is_recorded_once_for_each_session_that_sees_it(console: RunningConsole) -> None:
    await console.open_hold()
    async with console.person("anna", "sre") as anna, console.person("vera", "staff") as vera:
        await anna.browser.get("/approvals")
        await anna.browser.get("/api/holds")
        await vera.browser.get("/approvals")
    assert sorted(str(read["reader"]) for read in entries(console, "record.read")) == ["corp:anna", "corp:vera"]


async def test_the_lists_of_the_api(console: RunningConsole) -> None:
    first = await console.open_hold("req-1")
    second = await console.open_hold("req-2", asks=(replace(CHANGE, expires_s=60),))
    async with console.person("anna", "sre") as anna:
        listed = (await anna.browser.get("/api/holds")).json()
        assert [card["id"] for card in listed["open"]] == [second.id, first.id], "the most urgent first"
        await anna.answer(second, "deny")
        later = (await anna.browser.get("/api/holds")).json()
        assert [card["id"] for card in later["open"]] == [first.id]
        assert [card["id"] for card in later["decided"]] == [second.id]
        assert later["seen"] != listed["seen"]
        page = (await anna.browser.get("/approvals")).text
        assert "Answered lately" in page
        assert f'href="/approvals/{second.id}"' in page
