"""A yes by somebody who may not, twice, too late, or about something else; through every door there is."""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from doorward.console.copies import flow_id
from doorward.model import Approvers, Ask, Hold
from tests.console.test_login import entries
from tests.console.test_stock import shown
from tests.parts.console import CHANGE, Person, RunningConsole, running_console
from tests.parts.provider import Provider

DOORS = ("form", "form-json", "form-multipart", "api", "mitmweb")
VERDICTS = ("approve", "deny")


async def knock(person: Person, hold: Hold, door: str, verdict: str = "approve", **changes: Any) -> httpx.Response:
    """Answer a hold by one of the doors, as its own page does."""
    fields = {"reason": "a fine request", "digest": hold.digest, **changes}
    form, plain = f"/approvals/{hold.id}/{verdict}", {"Doorward-Token": ""}
    match door:
        case "form":
            return await person.post(form, headers=plain, data={**fields, "token": person.token})
        case "form-multipart":
            files = {name: (None, value) for name, value in {**fields, "token": person.token}.items()}
            return await person.post(form, headers=plain, files=files)
        case "form-json":
            return await person.post(form, json=fields)
        case "api":
            return await person.post(f"/api/holds/{hold.id}/{verdict}", json=fields)
        case _:
            stock = "resume" if verdict == "approve" else "kill"
            return await person.post(f"/flows/{flow_id(hold.request)}/{stock}", json=fields)


def decisions(console: RunningConsole) -> Sequence[dict[str, object]]:
    return [entry for kind in ("hold.assented", "hold.approved", "hold.denied") for entry in entries(console, kind)]


async def test_a_viewer_decides_by_no_door(console: RunningConsole) -> None:
    hold = await console.open_hold()
    async with console.person("vera", "staff") as vera, console.person("anna", "sre") as anna:
        for door, verdict in itertools.product(DOORS, VERDICTS):
            answer = await knock(vera, hold, door, verdict)
            assert answer.status_code == 403, (door, verdict)
            assert "your role does not allow this" in answer.text.lower()
        for door in DOORS:  # with the token of somebody who may
            vera.page = anna.page
            assert (await knock(vera, hold, door)).status_code == 403, door
    assert (await console.worker.hold(hold.id)).state == "open"
    assert decisions(console) == []


@pytest.mark.parametrize(
    ("sub", "groups"),
    [
        ("alice", ("sre",)),
        ("Alice", ("sre",)),
        ("agent-7", ("sre",)),
        ("AGENT-7", ("sre",)),
        ("ben", ("billing-owners",)),
    ],
    ids=["owner", "owner-in-capitals", "agent", "agent-in-capitals", "a-reviewer-of-other-things"],
)
async def test_a_reviewer_whom_the_hold_does_not_name_decides_by_no_door(
    console: RunningConsole, sub: str, groups: tuple[str, ...]
) -> None:
    hold = await console.open_hold()
    async with console.person(sub, *groups) as person:
        for door, verdict in itertools.product(DOORS, VERDICTS):
            answer = await knock(person, hold, door, verdict)
            assert answer.status_code in (400, 403), (door, verdict)
    assert (await console.worker.hold(hold.id)).state == "open"
    assert decisions(console) == []


async def test_twenty_answers_of_one_person_at_once_are_one(console: RunningConsole) -> None:
    """Two persons have to say yes: one who presses often, by all doors, is still one."""
    twice = Ask("two persons", Approvers(groups=("corp:sre",)), 2, 900)
    hold = await console.open_hold(asks=(twice,))
    async with console.person("anna", "sre") as anna:
        await shown(anna, hold.request)
        doors = itertools.islice(itertools.cycle(("form", "api", "mitmweb")), 20)
        answers = await asyncio.gather(*(knock(anna, hold, door) for door in doors))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 19
    now = await console.worker.hold(hold.id)
    assert (now.state, [each.person for each in now.approvals]) == ("open", ["corp:anna"])
    assert len(decisions(console)) == 1


async def test_a_yes_and_a_no_at_once_are_one_answer(console: RunningConsole) -> None:
    hold = await console.open_hold()
    async with console.person("anna", "sre") as anna, console.person("ben", "sre") as ben:
        await shown(anna, hold.request)
        answers = await asyncio.gather(
            *(
                knock(person, hold, door, verdict)
                for person, verdict in ((anna, "approve"), (ben, "deny"))
                for door in ("api", "form", "mitmweb")
            )
        )
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5
    (entry,) = decisions(console)
    now = await console.worker.hold(hold.id)
    assert [each.person for each in now.approvals] == [entry["person"]]


async def test_two_logins_of_one_person_are_one_person(console: RunningConsole) -> None:
    twice = Ask("two persons", Approvers(groups=("corp:sre",)), 2, 900)
    hold = await console.open_hold(asks=(twice,))
    async with (
        console.person("anna", "sre") as one,
        console.person("anna", "sre") as two,
        console.person("ANNA", "sre") as three,
    ):
        answers = [await knock(person, hold, "api") for person in (one, two, three)]
    assert [answer.status_code for answer in answers] == [200, 409, 409]
    assert (await console.worker.hold(hold.id)).state == "open"


async def test_the_digest_of_another_hold_approves_neither(console: RunningConsole) -> None:
    hold, other = await console.open_hold("req-a"), await console.open_hold("req-b", digest="b" * 64)
    assert hold.digest != other.digest
    async with console.person("anna", "sre") as anna:
        await shown(anna, hold.request)
        for door in DOORS:
            for digest in (other.digest, "", "0" * 64, hold.digest.upper(), hold.digest[:16], hold.digest + "0"):
                answer = await knock(anna, hold, door, digest=digest)
                assert answer.status_code in (400, 403, 409), (door, digest)
        for other_form in (None, [hold.digest], {"digest": hold.digest}, True, 0):
            assert (await knock(anna, hold, "api", digest=other_form)).status_code == 400
    assert decisions(console) == []
    assert {hold.state for hold in await console.worker.holds()} == {"open"}


async def test_fields_given_twice_say_nothing_else_than_what_was_shown(console: RunningConsole) -> None:
    """Two digests or tokens in one form, where one reader takes the first and another the last."""
    hold = await console.open_hold("req-a")
    other = await console.open_hold("req-b", digest="b" * 64)
    async with console.person("anna", "sre") as anna:
        form = {"Content-Type": "application/x-www-form-urlencoded", "Doorward-Token": ""}
        for body in (
            f"token={anna.token}&reason=fine+enough&digest={hold.digest}&digest={other.digest}",
            f"token={anna.token}&token=x&reason=fine+enough&digest={hold.digest}",
            f"reason=fine+enough&digest={hold.digest}",
        ):
            answer = await anna.post(f"/approvals/{hold.id}/approve", headers=form, content=body)
            assert answer.status_code in (400, 403, 409), body
            # a token and a digest in the query are none
            query = f"?token={anna.token}&digest={hold.digest}&reason=fine+enough"
            answer = await anna.post(f"/approvals/{hold.id}/approve{query}", headers=form, content="")
            assert answer.status_code in (400, 403, 409)
    assert decisions(console) == []


async def test_a_body_that_is_no_answer_decides_nothing_and_breaks_nothing(console: RunningConsole) -> None:
    """Depth, numbers without end, halves of characters: refused in words, never by a failure of the console."""
    hold = await console.open_hold()
    digest = hold.digest.encode()
    async with console.person("anna", "sre") as anna:
        await shown(anna, hold.request)
        for body in (
            b'{"reason": "fine \\ud800 enough", "digest": "%s"}' % digest,
            b'{"reason": "fine enough", "digest": "\\udfff"}',
            b'{"reason": "\\u0000\\u202e\\u200b\\u00a0", "digest": "%s"}' % digest,
            b'{"reason": "%s", "digest": "%s"}' % (b"x" * 2001, digest),
            b'{"reason": NaN, "digest": 1e999}',
            b'{"reason": ' + b"9" * 5000 + b"}",
            b"[" * 30_000,
            b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
            b"\xff\xfe",
            b"",
        ):
            for door in (f"/api/holds/{hold.id}/approve", f"/flows/{flow_id(hold.request)}/resume"):
                answer = await anna.post(door, content=body, headers={"Content-Type": "application/json"})
                assert answer.status_code in (400, 403), (body[:40], answer.text)
        coded = {"Content-Type": "application/x-www-form-urlencoded", "Doorward-Token": ""}
        for field in (b"token=%ff", b"token=\xc3\xa9", b"reason=%ed%a0%80%ff%fe", b"digest=%00", b"=&&=;" * 100):
            content = b"token=%s&digest=%s&%s" % (anna.token.encode(), digest, field)
            answer = await anna.post(f"/approvals/{hold.id}/approve", content=content, headers=coded)
            assert answer.status_code in (400, 403, 409), field
        assert (await anna.browser.get("/api/holds")).status_code == 200
    assert decisions(console) == []


async def test_a_session_that_was_logged_out_decides_by_no_door(console: RunningConsole) -> None:
    hold = await console.open_hold()
    async with console.person("anna", "sre") as anna:
        cookies = dict(anna.browser.cookies)
        await anna.post("/logout")
        for door, verdict in itertools.product(DOORS, VERDICTS):
            anna.browser.cookies.update(cookies)
            answer = await knock(anna, hold, door, verdict)
            assert answer.status_code == 401, (door, verdict)
            assert hold.digest not in answer.text
    assert decisions(console) == []


async def test_logging_out_while_answers_are_on_their_way_lets_none_in_afterwards(console: RunningConsole) -> None:
    holds = [await console.open_hold(f"req-{number}") for number in range(10)]
    async with console.person("anna", "sre") as anna:
        logout = anna.post("/logout")
        answers = await asyncio.gather(logout, *(knock(anna, hold, "api") for hold in holds))
        made = len(decisions(console))
        assert made == sum(answer.status_code == 200 for answer in answers[1:])
        assert (await knock(anna, holds[0], "api")).status_code == 401
    assert len(decisions(console)) == made


async def test_a_session_that_grew_old_decides_by_no_door(provider: Provider) -> None:
    async with running_console(provider, session_s=1) as console:
        hold = await console.open_hold()
        async with console.person("anna", "sre") as anna:
            await asyncio.sleep(1)
            for door in DOORS:
                assert (await knock(anna, hold, door)).status_code == 401, door
        assert decisions(console) == []


async def test_a_new_login_without_the_role_ends_what_the_old_one_allowed(console: RunningConsole) -> None:
    """Somebody who was taken out of the group logs in again: the session from before is over."""
    hold = await console.open_hold()
    async with console.person("anna", "sre") as anna:
        cookies, page = dict(anna.browser.cookies), anna.page
        await anna.log_in("anna", "staff")
        assert (await knock(anna, hold, "api")).status_code == 403
        anna.page = page
        anna.browser.cookies.clear()
        anna.browser.cookies.update(cookies)
        assert (await knock(anna, hold, "api")).status_code == 401
    assert decisions(console) == []


async def test_nobody_answers_a_hold_that_ended(console: RunningConsole) -> None:
    hold = await console.open_hold(asks=(Ask(CHANGE.rule, CHANGE.approvers, 1, 1),))
    async with console.person("anna", "sre") as anna:
        await shown(anna, hold.request)
        await asyncio.sleep(1.1)
        for door, verdict in itertools.product(DOORS, VERDICTS):
            assert (await knock(anna, hold, door, verdict)).status_code in (400, 409), (door, verdict)
    assert decisions(console) == []
