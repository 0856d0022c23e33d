import asyncio
import socket

import pytest

from doorward.core.entry import Role
from doorward.errors import Refused, TooLarge, Unavailable
from doorward.ledger.channel import socket_path, unix_connect
from doorward.ledger.client import LedgerClient
from doorward.ledger.frames import MAX_FRAME_BYTES
from doorward.model import NewEntry
from tests.ledger.conftest import RunningLedger
from tests.parts.entries import intent


async def test_a_client_over_one_socket_stays_away_when_it_is_gone(ledger: RunningLedger) -> None:
    channel = await unix_connect(socket_path(ledger.runtime, Role.WORKER))()
    client = await LedgerClient.over(channel, Role.WORKER)
    was_ready = client.ready
    assert was_ready
    assert (await client.append(intent())).seqs == (1,)
    await ledger.stop()
    with pytest.raises(Unavailable) as away:
        await client.append(intent())
    assert away.value.cause == "ledger-away"
    await ledger.start()
    await asyncio.sleep(0.2)
    assert not client.ready
    await client.close()


async def test_a_wrong_role_gets_no_welcome(ledger: RunningLedger) -> None:
    client = LedgerClient(unix_connect(socket_path(ledger.runtime, Role.WORKER)), Role.CONSOLE)
    await client.start(timeout_s=0.2)
    assert not client.ready
    await client.close()


async def test_whatever_waits_fails_when_the_ledger_goes(ledger: RunningLedger) -> None:
    ours, theirs = socket.socketpair()
    client = LedgerClient(lambda: asyncio.sleep(0, ours), Role.WORKER)
    theirs.setblocking(False)
    starting = asyncio.create_task(client.start())
    await asyncio.sleep(0.05)
    welcome = b"\x91\xa7Welcome"
    theirs.send(len(welcome).to_bytes(4, "big") + welcome)
    await starting
    assert client.ready
    with pytest.raises(Unavailable) as slow:
        await client.append(intent(), timeout_s=0.05)
    assert slow.value.cause == "ledger-away"
    waiting = [asyncio.create_task(client.append(intent(), timeout_s=20)) for _ in range(5)]
    await asyncio.sleep(0.05)
    theirs.close()
    for one in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(one, Unavailable)
        assert one.cause == "ledger-away"
    await client.close()


async def test_what_no_frame_holds_is_refused_here(worker: LedgerClient) -> None:
    with pytest.raises(Refused):
        await worker.append(NewEntry("request.intent", {"x": object()}))  # type: ignore[dict-item]
    with pytest.raises(TooLarge):
        await worker.append(intent("r", {"request_body": bytes(MAX_FRAME_BYTES)}))
    assert (await worker.append(intent())).seqs == (1,)


async def test_a_cancelled_request_leaves_the_others_alone(worker: LedgerClient) -> None:
    first = asyncio.create_task(worker.append(intent("a")))
    second = asyncio.create_task(worker.append(intent("b")))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).seqs
    await worker.close()
    with pytest.raises(Unavailable):
        await worker.append(intent("c"))


async def noticed(client: LedgerClient) -> None:
    for _ in range(500):
        if not client.ready:
            return
        await asyncio.sleep(0.01)


async def test_a_patient_request_waits_for_a_ledger_that_comes_back(ledger: RunningLedger) -> None:
    client = LedgerClient(unix_connect(socket_path(ledger.runtime, Role.WORKER)), Role.WORKER, patience_s=20)
    await client.start()
    await ledger.stop()
    await noticed(client)
    waiting = asyncio.create_task(client.append(intent(), timeout_s=20))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await ledger.start()
    assert (await waiting).seqs == (1,)
    await client.close()


async def test_patience_ends(ledger: RunningLedger) -> None:
    client = LedgerClient(unix_connect(socket_path(ledger.runtime, Role.WORKER)), Role.WORKER, patience_s=0.05)
    await client.start()
    await ledger.stop()
    await noticed(client)
    with pytest.raises(Unavailable) as away:
        await client.append(intent())
    assert away.value.cause == "ledger-away"
    await client.close()
    await ledger.start()
