"""The reader over a real ledger: what it gives, in which groups, and what it leaves in the record."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from doorward.core.entry import Role
from doorward.core.recorded import Kept, RecordedFlow
from doorward.errors import Refused, Unavailable
from doorward.ledger.client import LedgerClient
from doorward.ledger.reader import RecordReader, Wanted
from doorward.store.index import Index
from tests.ledger.conftest import RunningLedger, ledger, runtime, worker
from tests.parts.entries import intent, outcome, part, refused

__all__ = ["ledger", "runtime", "worker"]

HEAD = b'{"method": "GET", "url": "https://a/%d", "headers": []}'


@pytest.fixture
async def command(ledger: RunningLedger) -> LedgerClient:
    return await ledger.client(Role.COMMAND)


@pytest.fixture
def index(ledger: RunningLedger) -> Iterator[Index]:
    made = Index(ledger.path / "index.db")
    yield made
    made.close()


@pytest.fixture
async def reader(command: LedgerClient, index: Index) -> RecordReader:
    return RecordReader(command, index, reader="local:ann", why="ticket 7")


async def projected(ledger: RunningLedger, index: Index) -> None:
    await ledger.restart()  # the index is up to date after a start


async def flows(reader: RecordReader, **wanted: Any) -> list[RecordedFlow]:
    return [flow async for flow in reader.flows(reader.rows(Wanted(**wanted)))]


async def test_flows_come_whole_in_order_and_in_recorded_groups(
    ledger: RunningLedger, worker: LedgerClient, reader: RecordReader, index: Index
) -> None:
    for at in range(120):
        await worker.append(intent(f"r{at}", {"request_head": HEAD % at, "request_body": b"%d" % at}))
        await worker.append(outcome(f"r{at}", {"response_head": b"{}", "response_body": b"-%d" % at}))
    await projected(ledger, index)
    found = await flows(reader, oldest_first=True)
    assert [(each.url, each.asked.body, each.answered and each.answered.body) for each in found] == [
        (f"https://a/{at}", b"%d" % at, b"-%d" % at) for at in range(120)
    ]
    reads = [entry for entry in ledger.entries() if entry.kind == "bodies.read"]
    assert [len(entry.fields["digests"]) for entry in reads] == [100, 100, 40]  # type: ignore[arg-type]  # lists
    assert {(entry.fields["reader"], entry.fields["why"]) for entry in reads} == {("local:ann", "ticket 7")}


async def test_large_bodies_come_a_few_at_a_time(
    ledger: RunningLedger, worker: LedgerClient, reader: RecordReader, index: Index
) -> None:
    for at in range(3):
        await worker.append(intent(f"r{at}", {"request_body": b"x" * (5 << 20)}))
    await projected(ledger, index)
    assert [len(flow.asked.body) for flow in await flows(reader)] == [5 << 20] * 3
    assert ledger.kinds().count("bodies.read") == 3


async def test_how_much_of_a_body_is_there_is_said(
    ledger: RunningLedger, worker: LedgerClient, reader: RecordReader, index: Index
) -> None:
    head = {"response_head": b"{}"}
    await worker.append(intent("whole", {"request_body": b"a"}), outcome("whole", {**head, "response_body": b"b"}))
    await worker.append(intent("none", sent_bytes=0), outcome("none", head))
    await worker.append(intent("not kept", sent_bytes=7), outcome("not kept", head, kept=False))
    cut = outcome("cut", {**head, "response_body": b"b"}, truncated=True)
    await worker.append(intent("cut", {"request_body": b"a"}, truncated=True), cut)
    await worker.append(intent("withheld"), outcome("withheld", cause="not-json", status=502))
    await worker.append(refused("refused"))
    await projected(ledger, index)
    told = {each.request: (each.asked.kept, each.answered and each.answered.kept) for each in await flows(reader)}
    assert told == {
        "whole": (Kept.WHOLE, Kept.WHOLE),
        "none": (Kept.NONE, Kept.NONE),
        "not kept": (Kept.NOT_KEPT, Kept.NOT_KEPT),
        "cut": (Kept.CUT, Kept.CUT),
        "withheld": (Kept.NOT_KEPT, None),
        "refused": (Kept.NOT_KEPT, None),
    }


async def test_a_deleted_body_is_missing_and_not_said_to_be_read(
    ledger: RunningLedger, worker: LedgerClient, reader: RecordReader, index: Index
) -> None:
    await worker.append(intent("r", {"request_body": b"a"}))
    await projected(ledger, index)
    (row,) = index.flows()
    bodies = dict(row.bodies) | {"request_body": "0" * 64}

    async def rows() -> AsyncIterator[Any]:
        yield type(row)(**{name: getattr(row, name) for name in row.__dataclass_fields__} | {"bodies": bodies})

    (flow,) = [each async for each in reader.flows(rows())]
    assert flow.asked.kept is Kept.DELETED
    assert "bodies.read" not in ledger.kinds()


async def test_what_is_read_is_in_the_record_before_it_is_given(
    ledger: RunningLedger, worker: LedgerClient, reader: RecordReader, index: Index
) -> None:
    for at in range(60):
        await worker.append(intent(f"r{at}", {"request_body": b"a"}))
    await projected(ledger, index)
    async for _ in reader.flows(reader.rows(Wanted())):
        break  # the reader goes away after the first
    assert ledger.kinds().count("bodies.read") == 1


async def test_limit_and_text(ledger: RunningLedger, worker: LedgerClient, reader: RecordReader, index: Index) -> None:
    for at in range(5):
        await worker.append(intent(f"r{at}", {"request_head": HEAD % at, "request_body": b'{"a": "\\u00e4%d"}' % at}))
    await projected(ledger, index)

    async def requests(**wanted: Any) -> list[str]:
        return [row.request async for row in reader.rows(Wanted(**wanted))]

    assert await requests(limit=2) == ["r4", "r3"]
    assert await requests(text="HTTPS://A/3") == ["r3"]
    assert await requests(text="ä3") == []
    assert await requests(text="Ä3", in_bodies=True) == ["r3"]
    assert await requests(text="https", limit=2, oldest_first=True) == ["r0", "r1"]


@pytest.mark.parametrize("role", [Role.WORKER, Role.SUPERVISOR])
async def test_only_commands_and_the_console_read_in_bulk(
    ledger: RunningLedger, worker: LedgerClient, role: Role
) -> None:
    await worker.append(intent("r", {"request_body": b"a"}))
    client = await ledger.client(role)
    for ask in (client.read_bodies(["0" * 64], reader="x", why="x"), client.read_heads(["0" * 64])):
        with pytest.raises(Refused) as error:
            await ask
        assert error.value.cause == "kind-not-allowed"


async def test_heads_are_no_way_to_bodies(
    ledger: RunningLedger, worker: LedgerClient, command: LedgerClient, index: Index
) -> None:
    await worker.append(intent("r", {"request_head": HEAD % 1, "request_body": b"secret"}))
    await projected(ledger, index)
    (row,) = index.flows()
    assert await command.read_heads([row.bodies["request_body"], row.bodies["request_head"]]) == [None, HEAD % 1]


async def test_too_many_at_once_are_refused(command: LedgerClient) -> None:
    for ask in (command.read_bodies(["0"] * 101, reader="x", why="x"), command.read_heads(["0"] * 1001)):
        with pytest.raises(Refused, match="too many"):
            await ask


async def test_without_a_ledger(
    ledger: RunningLedger, worker: LedgerClient, reader: RecordReader, index: Index
) -> None:
    await worker.append(intent("r", {"request_body": b"a"}))
    await projected(ledger, index)
    rows = index.flows()
    await ledger.stop()
    with pytest.raises(Unavailable):
        await reader.bodies(rows)


async def test_a_stream_comes_as_one_answer(
    ledger: RunningLedger, worker: LedgerClient, reader: RecordReader, index: Index
) -> None:
    for request, cause in (("r0", None), ("r1", "echo"), ("r2", "runs")):
        await worker.append(intent(request, {"request_head": HEAD % 1}))
        await worker.append(part(request, 1, b"data: 1\n\n"))
        await worker.append(part(request, 2, b"data: 2\n\n"))
        if cause != "runs":
            await worker.append(outcome(request, parts=2, cause=cause))
    await projected(ledger, index)
    found = await flows(reader, oldest_first=True)
    assert [each.answered and each.answered.body for each in found] == [b"data: 1\n\ndata: 2\n\n"] * 3
    assert [each.answered and each.answered.kept for each in found] == [Kept.WHOLE, Kept.CUT, Kept.CUT]
    assert [each.answered and each.answered.size for each in found] == [18] * 3
    assert [each.executed for each in found] == ["yes"] * 3
    (read,) = [entry for entry in ledger.entries() if entry.kind == "bodies.read"]
    assert len(read.fields["digests"]) == 6  # type: ignore[arg-type]  # a list
    hits = reader.rows(Wanted(text="data: 2", in_bodies=True))
    assert [row.request async for row in hits] == ["r2", "r1", "r0"]
