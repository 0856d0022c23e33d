"""What requests do to entries and holds, through the whole ledger."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import pytest

from doorward.core.entry import KINDS, Role
from doorward.core.holds import asks_json
from doorward.errors import Conflict, DoorwardError, Refused, TooLarge, TooMany
from doorward.ledger.client import LedgerClient
from doorward.model import Approvers, Ask, Hold, HoldState, NewEntry, Principal
from tests.ledger.conftest import RunningLedger
from tests.parts.entries import ASK, BOB, DIGEST, held, intent, intent_fields, outcome

TWO = replace(ASK, count=2)
EVE = Principal("corp", "eve", ("corp:owners",))


async def answer(
    console: LedgerClient,
    hold: Hold,
    person: Principal = BOB,
    verdict: Literal["approve", "deny"] = "approve",
    **changes: Any,
) -> Hold:
    given: dict[str, Any] = {"reason": "looks right", "digest": hold.digest, **changes}
    return await console.decide_hold(hold.id, person=person, verdict=verdict, **given)


def used(hold: Hold, request: str = "r2", **changes: Any) -> tuple[NewEntry, NewEntry]:
    fields = {"hold": hold.id, "request": request, "digest": hold.digest} | changes
    return NewEntry("hold.used", fields), intent(request, hold=hold.id, digest=fields["digest"])


async def test_appends_are_numbered_without_gaps(ledger: RunningLedger, worker: LedgerClient) -> None:
    appended = await asyncio.gather(*(worker.append(intent(f"a{n}"), outcome(f"a{n}")) for n in range(50)))
    assert sorted(seq for one in appended for seq in one.seqs) == list(range(1, 101))
    assert all(one.seqs[1] == one.seqs[0] + 1 for one in appended)
    assert [entry.seq for entry in ledger.entries()] == list(range(1, 101))
    assert appended[0].time == ledger.now


async def test_bodies_stand_beside_the_entry(ledger: RunningLedger, worker: LedgerClient) -> None:
    await worker.append(intent("r1", {"request_head": b"{}", "request_body": b"card 4711"}))
    (entry,) = ledger.entries()
    bodies = entry.fields["bodies"]
    assert isinstance(bodies, Mapping)
    assert {name: ref["bytes"] for name, ref in bodies.items()} == {"request_head": 2, "request_body": 9}  # type: ignore[index, call-overload]


@pytest.mark.parametrize(
    ("entry", "error", "cause"),
    [
        pytest.param(NewEntry("no.such", {}), Refused, "kind-not-allowed", id="unknown kind"),
        pytest.param(NewEntry("login.succeeded", {"person": "corp:eve"}), Refused, "kind-not-allowed", id="a login"),
        pytest.param(NewEntry("hold.expired", {"hold": "h1"}), Refused, "kind-not-allowed", id="the ledger's own"),
        pytest.param(intent(surplus=1), Refused, "entry-malformed", id="surplus field"),
        pytest.param(intent(sent_bytes=1.5), Refused, "entry-malformed", id="float"),
        pytest.param(intent(session="x" * 20_000), TooLarge, "entry-too-large", id="too large"),
        pytest.param(intent("r1", {"extra": b""}), Refused, "entry-malformed", id="unknown body"),
        pytest.param(NewEntry("hold.withdrawn", {"hold": "h0", "cause": "x"}), Refused, "hold-unknown", id="no hold"),
    ],
)
async def test_a_bad_entry_fails_its_own_request_alone(
    ledger: RunningLedger, worker: LedgerClient, entry: NewEntry, error: type[DoorwardError], cause: str
) -> None:
    results = await asyncio.gather(
        worker.append(intent("before")),
        worker.append(intent("with it"), entry),
        worker.append(intent("after")),
        return_exceptions=True,
    )
    assert type(results[1]) is error
    assert isinstance(results[1], DoorwardError)
    assert results[1].cause == cause
    assert [entry.fields["request"] for entry in ledger.entries()] == ["before", "after"]
    assert [entry.seq for entry in ledger.entries()] == [1, 2]


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind.startswith(("hold.", "login.", "record.", "segment."))]
)
async def test_no_role_forges_what_it_must_ask_for(ledger: RunningLedger, kind: str) -> None:
    for role in Role:
        client = await ledger.client(role)
        row = KINDS[kind]
        if role in row.writers and row.through == "append":
            continue
        with pytest.raises(Refused) as refused:
            await client.append(NewEntry(kind, {}))
        assert refused.value.cause == "kind-not-allowed"
    assert ledger.entries() == []


async def test_only_the_console_decides(ledger: RunningLedger, worker: LedgerClient) -> None:
    hold = (await worker.open_hold(held())).hold
    for role in (Role.WORKER, Role.SUPERVISOR, Role.COMMAND):
        with pytest.raises(Refused) as refused:
            await answer(await ledger.client(role), hold)
        assert refused.value.cause == "kind-not-allowed"
    for role in (Role.CONSOLE, Role.SUPERVISOR, Role.COMMAND):
        with pytest.raises(Refused):
            await (await ledger.client(role)).open_hold(held())


async def test_a_hold_is_opened_joined_approved_used_and_repeated(
    ledger: RunningLedger, worker: LedgerClient, console: LedgerClient
) -> None:
    opened = await worker.open_hold(held())
    assert (opened.outcome, opened.hold.state, opened.hold.request) == ("opened", HoldState.OPEN, "r1")
    assert opened.hold.summary == {"verb": "PATCH", "risk": "medium", "path": "/v1/customers/1"}
    joined = await worker.open_hold(held(request="r2"))
    assert (joined.outcome, joined.hold) == ("joined", opened.hold)
    approved = await answer(console, opened.hold)
    assert approved.state is HoldState.APPROVED
    assert [(a.person, a.groups, a.reason) for a in approved.approvals] == [
        ("corp:bob", ("corp:owners",), "looks right")
    ]
    assert await worker.open_hold(held(request="r2")) == replace(joined, outcome="approved", hold=approved)
    await worker.append(*used(approved))
    repeated = await worker.open_hold(held(request="r3"))
    assert (repeated.outcome, repeated.hold.used_by) == ("repeated", "r2")
    ledger.later(seconds=601)
    assert (await worker.open_hold(held(request="r4"))).outcome == "opened"
    assert ledger.kinds() == ["hold.opened", "hold.approved", "hold.used", "request.intent", "hold.opened"]


async def test_holds_are_per_principal_and_digest(worker: LedgerClient) -> None:
    first = await worker.open_hold(held())
    assert (await worker.open_hold(held(principal="corp:agent-8"))).outcome == "opened"
    assert (await worker.open_hold(held("f" * 64))).outcome == "opened"
    assert (await worker.open_hold(held())).hold == first.hold


async def test_two_persons_are_needed_where_two_are_asked_for(worker: LedgerClient, console: LedgerClient) -> None:
    hold = (await worker.open_hold(held(DIGEST, "r1", TWO))).hold
    assert (await answer(console, hold)).state is HoldState.OPEN
    with pytest.raises(Conflict) as refused:
        await answer(console, hold)
    assert refused.value.cause == "decided-already"
    with pytest.raises(Conflict) as refused:
        await worker.append(*used(hold))
    assert refused.value.cause == "hold-open"
    assert (await answer(console, hold, EVE)).state is HoldState.APPROVED


async def test_one_no_ends_it(worker: LedgerClient, console: LedgerClient) -> None:
    hold = (await worker.open_hold(held(DIGEST, "r1", TWO))).hold
    await answer(console, hold)
    assert (await answer(console, hold, EVE, "deny")).state is HoldState.DENIED
    with pytest.raises(Conflict) as refused:
        await answer(console, hold, Principal("corp", "zoe", ("corp:owners",)))
    assert refused.value.cause == "hold-denied"
    with pytest.raises(Conflict):
        await worker.append(*used(hold))
    assert (await worker.open_hold(held())).outcome == "opened"


@pytest.mark.parametrize(
    ("person", "changes", "cause"),
    [
        pytest.param(Principal("corp", "agent-7", ("corp:owners",)), {}, "own-request", id="the agent"),
        pytest.param(Principal("corp", "alice", ("corp:owners",)), {}, "own-request", id="its owner"),
        pytest.param(Principal("corp", "mallory", ("corp:staff",)), {}, "not-an-approver", id="no approver"),
        pytest.param(BOB, {"digest": "f" * 64}, "digest-differs", id="another digest was shown"),
        pytest.param(BOB, {"digest": "ü"}, "digest-differs", id="no digest at all"),
        pytest.param(BOB, {"reason": " \n"}, "reason-missing", id="no reason"),
        pytest.param(BOB, {"reason": "x" * 2001}, "reason-too-long", id="too long a reason"),
    ],
)
async def test_an_answer_that_does_not_count(
    ledger: RunningLedger,
    worker: LedgerClient,
    console: LedgerClient,
    person: Principal,
    changes: dict[str, Any],
    cause: str,
) -> None:
    hold = (await worker.open_hold(held())).hold
    with pytest.raises(Refused) as refused:
        await answer(console, hold, person, **changes)
    assert refused.value.cause == cause
    assert ledger.kinds() == ["hold.opened"]
    assert await console.hold(hold.id) == hold


@pytest.mark.parametrize(
    ("entries", "cause"),
    [
        pytest.param(lambda hold: used(hold, digest="f" * 64), "digest-differs", id="another digest"),
        pytest.param(lambda hold: used(hold)[:1], "hold-not-used", id="use without intent"),
        pytest.param(lambda hold: used(hold)[1:], "hold-not-used", id="intent without use"),
        pytest.param(lambda hold: (used(hold)[0], intent("r9", hold=hold.id)), "hold-not-used", id="other request"),
        pytest.param(lambda hold: (used(hold)[0], intent("r2")), "hold-not-used", id="intent that names no hold"),
        pytest.param(lambda hold: used(hold) * 2, "hold-used", id="twice at once"),
        pytest.param(lambda hold: used(hold, asks=asks_json((TWO,))), "asks-differ", id="the policy asks for more"),
        pytest.param(lambda hold: used(hold, asks=[]), "asks-malformed", id="asks for nothing"),
    ],
)
async def test_a_use_that_does_not_fit(
    ledger: RunningLedger, worker: LedgerClient, console: LedgerClient, entries: Any, cause: str
) -> None:
    hold = await answer(console, (await worker.open_hold(held())).hold)
    with pytest.raises(Refused) as refused:
        await worker.append(*entries(hold))
    assert refused.value.cause == cause
    assert (await worker.hold(hold.id)).state is HoldState.APPROVED
    await worker.append(*used(hold, asks=asks_json(hold.asks)))
    assert ledger.kinds() == ["hold.opened", "hold.approved", "hold.used", "request.intent"]


async def test_of_many_uses_at_once_one_wins(
    ledger: RunningLedger, worker: LedgerClient, console: LedgerClient
) -> None:
    hold = await answer(console, (await worker.open_hold(held())).hold)
    other = await ledger.client(Role.WORKER)
    clients = [worker, other] * 10
    results = await asyncio.gather(
        *(client.append(*used(hold, f"u{n}")) for n, client in enumerate(clients)), return_exceptions=True
    )
    assert sum(not isinstance(result, Conflict) for result in results) == 1
    assert ledger.kinds().count("hold.used") == 1


async def test_an_open_hold_expires_by_itself(
    ledger: RunningLedger, worker: LedgerClient, console: LedgerClient
) -> None:
    quick = replace(ASK, expires_s=1)
    hold = (await worker.open_hold(held(DIGEST, "r1", quick))).hold
    waiting = asyncio.create_task(worker.wait_hold(hold.id, 20))
    await asyncio.sleep(0.05)
    ledger.later(seconds=1)
    assert (await waiting).state is HoldState.EXPIRED
    assert ledger.kinds() == ["hold.opened", "hold.expired"]
    with pytest.raises(Conflict) as refused:
        await answer(console, hold)
    assert refused.value.cause == "hold-expired"


async def test_an_approval_expires_too(ledger: RunningLedger, worker: LedgerClient, console: LedgerClient) -> None:
    hold = await answer(console, (await worker.open_hold(held())).hold)
    ledger.later(seconds=900)
    with pytest.raises(Conflict) as refused:
        await worker.append(*used(hold))
    assert refused.value.cause == "hold-expired"
    assert ledger.kinds() == ["hold.opened", "hold.approved", "hold.expired"]


async def test_time_never_runs_back(ledger: RunningLedger, worker: LedgerClient, console: LedgerClient) -> None:
    hold = await answer(console, (await worker.open_hold(held())).hold)
    ledger.later(seconds=900)
    late = await worker.append(intent("late"))
    ledger.later(days=-3)
    early = await worker.append(intent("early"))
    assert early.time == late.time
    with pytest.raises(Conflict) as refused:
        await worker.append(*used(hold))
    assert refused.value.cause == "hold-expired"


async def test_a_policy_that_asks_for_more_withdraws_the_old_hold(
    ledger: RunningLedger, worker: LedgerClient, console: LedgerClient
) -> None:
    old = await answer(console, (await worker.open_hold(held())).hold)
    new = await worker.open_hold(held(DIGEST, "r2", TWO))
    assert (new.outcome, new.hold.asks) == ("opened", (TWO,))
    assert (await worker.hold(old.id)).state is HoldState.WITHDRAWN
    assert ledger.entries()[2].fields == {"hold": old.id, "cause": "policy-changed"}
    with pytest.raises(Conflict):
        await worker.append(*used(old))


async def test_open_holds_are_limited_per_principal(
    ledger: RunningLedger, worker: LedgerClient, console: LedgerClient
) -> None:
    opened = [(await worker.open_hold(held(f"{n:064}", open_per_principal=3))).hold for n in range(3)]
    with pytest.raises(TooMany) as refused:
        await worker.open_hold(held("f" * 64, open_per_principal=3))
    assert (refused.value.status, refused.value.cause) == (429, "too-many-holds")
    assert (await worker.open_hold(held("f" * 64, principal="corp:agent-8"))).outcome == "opened"
    await answer(console, opened[0], verdict="deny")
    assert (await worker.open_hold(held("f" * 64, open_per_principal=3))).outcome == "opened"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"asks": (Ask("r", Approvers(), 1, 60),)}, id="nobody may answer"),
        pytest.param({"asks": (replace(ASK, count=0),)}, id="nobody need answer"),
        pytest.param({"summary": {"total": 1.5}}, id="a float"),
        pytest.param({"bodies": {"other": b""}}, id="unknown body"),
    ],
)
async def test_a_hold_that_makes_no_sense(worker: LedgerClient, changes: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        await worker.open_hold(replace(held(), **changes))
    assert await worker.holds() == ()


async def test_the_holds_survive_a_restart(ledger: RunningLedger, worker: LedgerClient, console: LedgerClient) -> None:
    first = (await worker.open_hold(held(f"{1:064}", "r1", TWO))).hold
    await answer(console, first)
    approved = await answer(console, (await worker.open_hold(held(f"{2:064}"))).hold)
    gone = await answer(console, (await worker.open_hold(held(f"{3:064}"))).hold)
    await worker.append(*used(gone))
    ledger.later(days=0.005)
    before = await console.holds()
    await ledger.restart()
    assert await console.holds() == before
    assert await console.holds(HoldState.APPROVED) == (approved,)
    assert (await answer(console, first, EVE)).state is HoldState.APPROVED
    await worker.append(*used(approved))
    with pytest.raises(Conflict):
        await worker.append(*used(gone))


async def test_what_expired_while_the_ledger_was_away_is_expired(
    ledger: RunningLedger, worker: LedgerClient, console: LedgerClient
) -> None:
    hold = (await worker.open_hold(held())).hold
    await ledger.stop()
    ledger.later(days=1)
    await ledger.start()
    async with asyncio.timeout(5):
        while not console.ready:
            await asyncio.sleep(0.01)
    with pytest.raises(Conflict):
        await answer(console, hold)
    assert ledger.kinds()[:2] == ["hold.opened", "hold.expired"]


async def test_reading_a_body_is_recorded_first(
    ledger: RunningLedger, worker: LedgerClient, console: LedgerClient
) -> None:
    await worker.append(intent("r1", {"request_head": b"{}", "request_body": b"card 4711"}))
    bodies: Any = ledger.entries()[0].fields["bodies"]
    body, head = bodies["request_body"]["digest"], bodies["request_head"]["digest"]
    assert await console.read_body(body, reader="corp:bob", why="looked at r1", request="r1") == b"card 4711"
    assert ledger.entries()[-1].fields == {"reader": "corp:bob", "why": "looked at r1", "digest": body, "request": "r1"}
    assert await console.read_head(head) == b"{}"
    assert ledger.kinds() == ["request.intent", "record.read"]
    with pytest.raises(Refused) as refused:
        await console.read_head(body)
    assert refused.value.cause == "body-unknown"
    with pytest.raises(Refused) as refused:
        await console.read_body("0" * 64, reader="corp:bob", why="curious")
    assert refused.value.cause == "body-unknown"
    with pytest.raises(Refused) as refused:
        await worker.read_body(body, reader="corp:agent-7", why="curious")
    assert refused.value.cause == "kind-not-allowed"
    with pytest.raises(TooLarge):
        await console.read_body(body, reader="corp:bob", why="x" * 20_000)
    assert ledger.kinds() == ["request.intent", "record.read"]


async def test_intents_may_name_no_hold(worker: LedgerClient) -> None:
    assert (await worker.append(NewEntry("request.intent", intent_fields()))).seqs == (1,)
