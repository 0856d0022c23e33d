import asyncio

import pytest
from mitmproxy import connection

from doorward.errors import DoorwardError, TooMany
from doorward.gateway.admission import Admission
from doorward.model import Principal
from tests.parts.flows import client

ANN, BOB = Principal("corp", "ann"), Principal("corp", "bob")


class Door:
    """An admission and what it did."""

    def __init__(self, *, most: int = 3, most_per_principal: int = 2, wait_s: float = 60) -> None:
        self.recorded: list[tuple[connection.Client, str]] = []
        self.closed: list[connection.Client] = []
        self.admission = Admission(
            most=most,
            most_per_principal=most_per_principal,
            wait_s=wait_s,
            record=self._record,
            close=self.closed.append,
        )

    def _record(self, of: connection.Client, error: DoorwardError) -> None:
        self.recorded.append((of, error.cause))

    def enter(self, principal: Principal | None = None) -> connection.Client:
        made = client()
        assert self.admission.enter(made)
        if principal is not None:
            self.admission.identify(made, principal)
        return made


async def test_the_oldest_stranger_gives_way() -> None:
    door = Door()
    door.enter(ANN)
    first, second = door.enter(), door.enter()
    door.enter()
    assert door.closed == [first]
    assert door.recorded == [(first, "too-many-connections")]
    door.enter(BOB)
    assert door.closed == [first, second]


async def test_nobody_who_is_known_gives_way() -> None:
    door = Door()
    for who in (ANN, ANN, BOB):
        door.enter(who)
    late = client()
    assert not door.admission.enter(late)
    assert door.closed == []  # it was never served, so the listener closes it
    assert door.recorded == [(late, "too-many-connections")]


async def test_a_principal_has_so_many_and_gets_one_back() -> None:
    door = Door(most=10)
    mine = [door.enter(ANN) for _ in range(2)]
    third = door.enter()
    with pytest.raises(TooMany):
        door.admission.identify(third, ANN)
    door.admission.identify(third, BOB)
    door.admission.identify(mine[0], ANN)  # each further request on it
    door.admission.leave(mine[0])
    door.admission.leave(mine[0])
    door.admission.identify(door.enter(), ANN)


async def test_a_connection_of_two_principals_counts_for_both() -> None:
    door = Door(most=10, most_per_principal=1)
    shared = door.enter(ANN)
    door.admission.identify(shared, BOB)
    for who in (ANN, BOB):
        with pytest.raises(TooMany):
            door.admission.identify(door.enter(), who)
    door.admission.leave(shared)
    for who in (ANN, BOB):
        door.enter(who)


async def test_who_is_not_ready_in_time_ends() -> None:
    door = Door(wait_s=0.05, most=10)
    stranger, tunnel, plain = door.enter(), door.enter(ANN), door.enter(BOB)
    for each in (stranger, plain):
        door.admission.ready(each)  # which counts only for who is known
    await asyncio.sleep(0.03)
    door.admission.tunnelled(tunnel)  # anew
    await asyncio.sleep(0.04)
    assert door.closed == [stranger]
    await asyncio.sleep(0.1)
    assert door.closed == [stranger, tunnel]
    assert {cause for _, cause in door.recorded} == {"too-slow"}


async def test_who_left_is_not_ended_again() -> None:
    door = Door(wait_s=0.02)
    gone = door.enter()
    door.admission.leave(gone)
    for call in (door.admission.ready, door.admission.tunnelled):
        call(gone)
    door.admission.identify(gone, ANN)
    await asyncio.sleep(0.06)
    assert door.closed == []
