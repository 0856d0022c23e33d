from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core.holds import (
    MAX_REASON_CHARS,
    TRANSITIONS,
    Expire,
    HoldEvent,
    Step,
    Use,
    Withdraw,
    advance,
    answering_groups,
    asks_json,
    checked_reason,
    expiry,
    is_over,
    may_answer,
    missing,
    parse_asks,
    same_asks,
)
from doorward.errors import Conflict, Refused
from doorward.model import Approval, Approvers, Ask, Hold, HoldState, Principal

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SRE = Ask("restart", Approvers(groups=("corp:sre",)), 1, 900)
OWNERS = Ask("change a customer", Approvers(groups=("corp:owners",), subjects=("corp:carol",)), 2, 600)


def hold(*asks: Ask, **changes: Any) -> Hold:
    made = Hold(
        id="h1",
        state=HoldState.OPEN,
        digest="d" * 64,
        principal="corp:agent-7",
        owner="corp:alice",
        target="billing",
        asks=asks or (SRE,),
        opened_at=NOW,
        expires_at=NOW + timedelta(minutes=10),
        request="r1",
    )
    return replace(made, **changes)


def person(name: str, *groups: str, owner: str | None = None) -> Principal:
    return Principal("corp", name, tuple(f"corp:{group}" for group in groups), owner)


def yes(name: str, *groups: str) -> Approval:
    return Approval(f"corp:{name}", tuple(f"corp:{group}" for group in groups), "approve", "fine", NOW)


def no(name: str, *groups: str) -> Approval:
    return replace(yes(name, *groups), verdict="deny")


EVENTS: dict[Step, HoldEvent] = {
    Step.ASSENTED: yes("bob", "owners"),
    Step.APPROVED: yes("carol"),
    Step.DENIED: no("bob", "owners"),
    Step.EXPIRED: Expire(),
    Step.WITHDRAWN: Withdraw(),
    Step.USED: Use("r2"),
}


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("state", HoldState)
def test_every_cell_of_the_table(state: HoldState, step: Step) -> None:
    answered = () if step is Step.ASSENTED else (yes("dave", "owners"),)
    before = hold(OWNERS, state=state, approvals=answered)
    now = before.expires_at if step is Step.EXPIRED else NOW
    if (state, step) in TRANSITIONS:
        assert advance(before, EVENTS[step], now).state is TRANSITIONS[state, step]
    else:
        with pytest.raises(Conflict) as refused:
            advance(before, EVENTS[step], now)
        assert refused.value.cause == f"hold-{state}"


def test_the_table_leads_out_of_open_and_approved_only() -> None:
    assert {state for state, _ in TRANSITIONS} == {HoldState.OPEN, HoldState.APPROVED}
    assert len(TRANSITIONS) == 8


@pytest.mark.parametrize("event", [yes("bob", "sre"), no("bob", "sre")], ids=["yes", "no"])
def test_nothing_is_decided_after_its_time(event: HoldEvent) -> None:
    before = hold()
    assert advance(before, event, before.expires_at - timedelta(microseconds=1)).state is not HoldState.OPEN
    with pytest.raises(Conflict) as refused:
        advance(before, event, before.expires_at)
    assert refused.value.cause == "hold-expired"


def test_an_approval_is_not_used_after_its_time() -> None:
    approved = advance(hold(), yes("bob", "sre"), NOW + timedelta(minutes=9))
    assert approved.expires_at == NOW + timedelta(minutes=24)  # counted from the approval
    with pytest.raises(Conflict) as refused:
        advance(approved, Use("r2"), approved.expires_at)
    assert refused.value.cause == "hold-expired"
    assert advance(approved, Use("r2"), approved.expires_at - timedelta(seconds=1)).used_by == "r2"


def test_nothing_expires_before_its_time() -> None:
    with pytest.raises(Conflict) as refused:
        advance(hold(), Expire(), NOW)
    assert refused.value.cause == "hold-not-over"
    assert is_over(hold(), NOW + timedelta(minutes=10))
    assert not is_over(hold(), NOW)


def test_what_is_over_may_still_be_withdrawn() -> None:
    assert advance(hold(), Withdraw(), NOW + timedelta(days=1)).state is HoldState.WITHDRAWN


def test_the_shortest_ask_sets_the_time() -> None:
    assert expiry((SRE, OWNERS), NOW) == NOW + timedelta(seconds=600)


@pytest.mark.parametrize(
    ("asks", "approvals", "rules"),
    [
        pytest.param((SRE,), (), ["restart"], id="nobody yet"),
        pytest.param((SRE,), (yes("bob", "sre"),), [], id="one of one"),
        pytest.param((SRE,), (no("bob", "sre"),), ["restart"], id="a no is no yes"),
        pytest.param((OWNERS,), (yes("bob", "owners"),), ["change a customer"], id="one of two"),
        pytest.param((OWNERS,), (yes("bob", "owners"), yes("carol")), [], id="group and name"),
        pytest.param((OWNERS,), (yes("bob", "owners"), yes("BOB", "owners")), ["change a customer"], id="same person"),
        pytest.param((OWNERS,), (yes("bob", "owners"), yes("eve", "sre")), ["change a customer"], id="wrong group"),
        pytest.param((SRE, OWNERS), (yes("bob", "owners", "sre"), yes("carol")), [], id="one counts for two asks"),
        pytest.param((SRE, OWNERS), (yes("bob", "owners"), yes("carol")), ["restart"], id="one ask is left"),
    ],
)
def test_missing_counts_distinct_persons(
    asks: tuple[Ask, ...], approvals: tuple[Approval, ...], rules: list[str]
) -> None:
    assert [ask.rule for ask in missing(hold(*asks, approvals=approvals))] == rules


@given(st.lists(st.sampled_from(["ann", "bob", "cid", "dan"]), max_size=8), st.integers(1, 4))
def test_k_of_n_wants_k_different_names(names: list[str], count: int) -> None:
    ask = replace(SRE, count=count)
    left = missing(hold(ask, approvals=tuple(yes(name, "sre") for name in names)))
    assert bool(left) == (len(set(names)) < count)


@pytest.mark.parametrize(
    ("who", "cause"),
    [
        pytest.param(person("agent-7", "sre"), "own-request", id="the agent itself"),
        pytest.param(person("AGENT-7", "sre"), "own-request", id="the agent in capitals"),
        pytest.param(person("alice", "sre"), "own-request", id="its owner"),
        pytest.param(person("agent-8", "sre", owner="corp:alice"), "own-request", id="another agent of its owner"),
        pytest.param(person("agent-of-agent", "sre", owner="corp:agent-7"), "own-request", id="an agent of the agent"),
        pytest.param(person("bob"), "not-an-approver", id="no group"),
        pytest.param(Principal("other", "bob", ("other:sre",)), "not-an-approver", id="group of another issuer"),
        pytest.param(person("dave", "sre"), "decided-already", id="decided before"),
        pytest.param(person("Dave", "sre"), "decided-already", id="decided before in other letters"),
    ],
)
def test_who_may_not_answer(who: Principal, cause: str) -> None:
    with pytest.raises(Refused) as refused:
        may_answer(hold(approvals=(yes("dave", "sre"),)), who)
    assert refused.value.cause == cause
    assert isinstance(refused.value, Conflict) == (cause == "decided-already")


@pytest.mark.parametrize(
    "who",
    [person("bob", "sre"), person("carol"), person("eve", "owners", owner="corp:frank")],
    ids=["by group", "by name", "an agent of others"],
)
def test_who_may_answer(who: Principal) -> None:
    may_answer(hold(SRE, OWNERS, owner=None), who)


def test_only_groups_that_were_asked_for_are_recorded() -> None:
    assert answering_groups(hold(SRE, OWNERS), person("bob", "staff", "sre", "gym", "owners")) == (
        "corp:owners",
        "corp:sre",
    )


@pytest.mark.parametrize("reason", ["", "  ", "\n\t", "\u200b\u200b", "\u00a0", "x" * (MAX_REASON_CHARS + 1)])
def test_a_reason_that_says_nothing_is_refused(reason: str) -> None:
    with pytest.raises(Refused):
        checked_reason(reason)


@pytest.mark.parametrize("reason", [" ok ", "理由", "👍", "x" * MAX_REASON_CHARS])
def test_a_reason_is_kept_without_outer_blanks(reason: str) -> None:
    assert checked_reason(reason) == reason.strip()


def test_asks_go_into_an_entry_and_back() -> None:
    assert parse_asks(asks_json((SRE, OWNERS))) == (SRE, OWNERS)
    assert same_asks((SRE, OWNERS), (OWNERS, SRE))
    assert not same_asks((SRE,), (replace(SRE, count=2),))


GOOD = {"rule": "r", "approvers": {"groups": ["corp:sre"], "subjects": []}, "count": 1, "expires_s": 60}


@pytest.mark.parametrize(
    "value",
    [
        pytest.param([], id="none"),
        pytest.param("asks", id="text"),
        pytest.param([{"rule": "r"}], id="fields missing"),
        pytest.param([{**GOOD, "count": 0}], id="nobody is needed"),
        pytest.param([GOOD, {**GOOD, "approvers": {"groups": [], "subjects": []}}], id="nobody may"),
        pytest.param([{**GOOD, "expires_s": 0}], id="over at once"),
        pytest.param([{**GOOD, "expires_s": 10**12}], id="never over"),
    ],
)
def test_asks_that_ask_for_nothing_are_refused(value: object) -> None:
    with pytest.raises(Refused) as refused:
        parse_asks(value)
    assert refused.value.cause == "asks-malformed"
