import asyncio
import json
from typing import Any

import pytest

from doorward.core.entry import Role
from doorward.errors import Refused
from doorward.gateway import refusals
from doorward.gateway.exchange import Exchange
from doorward.gateway.refusals import Refusals
from doorward.ledger.client import LedgerClient
from tests.ledger.conftest import RunningLedger
from tests.parts.flows import client, flow_for


@pytest.fixture
async def counting(worker: LedgerClient) -> Refusals:
    return Refusals(worker, window_s=0.02)


def total(ledger: RunningLedger, kind: str) -> int:
    counts: list[Any] = [entry.fields["count"] for entry in ledger.entries() if entry.kind == kind]
    return sum(counts)


async def refuse(counting: Refusals, cause: str = "policy", address: str = "127.0.0.1", path: str = "/a") -> None:
    exchange = Exchange(client=address, refusal=Refused("no", cause=cause), refused_rules=("deny x",))
    await counting.record(flow_for(client(address), path=path, host="billing.internal", port=443), exchange)


async def test_the_first_at_once_and_more_of_the_same_counted(counting: Refusals, ledger: RunningLedger) -> None:
    for _ in range(50):
        await refuse(counting)
    await refuse(counting, cause="unknown-host")
    await counting.record_connection("127.0.0.1", "sni-differs")
    first, second, third = ledger.entries()
    assert (first.fields["count"], first.fields["rules"], first.fields["executed"]) == (1, ["deny x"], "no")
    assert second.fields["cause"] == "unknown-host"
    assert third.kind == "connection.refused"
    await counting.write_counts()
    counted = ledger.entries()[3]
    assert (counted.fields["count"], counted.fields["request"]) == (49, None)
    await counting.write_counts()
    assert len(ledger.entries()) == 4
    await refuse(counting)
    assert ledger.entries()[4].fields["request"] is not None


async def test_a_head_in_the_record_has_no_query(counting: Refusals, ledger: RunningLedger) -> None:
    await refuse(counting, path="/a?token=s3cr3t")
    bodies: Any = ledger.entries()[0].fields["bodies"]
    head = json.loads(await body_of(ledger, bodies["request_head"]["digest"]))
    assert head == {"method": "GET", "url": "https://billing.internal:443/a", "headers": []}


async def body_of(ledger: RunningLedger, digest: str) -> bytes:
    return await (await ledger.client(Role.COMMAND)).read_body(digest, reader="test", why="test")


async def test_nothing_is_lost_while_the_ledger_is_away(counting: Refusals, ledger: RunningLedger) -> None:
    await ledger.stop()
    for window in range(4):
        for _ in range(5):
            await refuse(counting)
            await refuse(counting, address=f"10.0.0.{window}")
            await counting.record_connection("127.0.0.1", "not-http")
        await counting.write_counts()
    await ledger.restart()
    await refuse(counting)
    await counting.write_counts()
    assert total(ledger, "request.refused") == 41
    assert total(ledger, "connection.refused") == 20


async def test_a_window_that_is_cut_short_loses_no_count(
    counting: Refusals, ledger: RunningLedger, worker: LedgerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        await refuse(counting)
        await refuse(counting, cause="other")
    real = worker.append

    async def hang(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(worker, "append", hang)
    closing = asyncio.create_task(counting.write_counts_for_ever())
    await asyncio.sleep(0.05)
    closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)
    monkeypatch.setattr(worker, "append", real)
    await counting.write_counts()
    assert total(ledger, "request.refused") == 6


@pytest.mark.parametrize("away", [False, True])
async def test_many_places_are_counted_together(
    counting: Refusals, ledger: RunningLedger, away: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "_MOST_PLACES", 20)
    if away:
        await ledger.stop()
    for window in range(3):
        for number in range(60):
            await refuse(counting, address=f"10.{window}.0.{number}")
        if window < 2:
            await counting.write_counts()
        assert len(counting._known) <= 25
        assert len(counting._more) <= 25
    if away:
        await ledger.restart()
    await counting.write_counts()
    assert total(ledger, "request.refused") == 180
    assert len(ledger.entries()) <= 80
    assert "many" in {entry.fields["client"] for entry in ledger.entries()}
