"""What a session was shown is kept for it alone, within bounds."""

import pytest

from doorward.console import bodies as subject
from doorward.console.bodies import Bodies
from doorward.console.copies import flow_id
from doorward.console.routes import Role
from doorward.console.sessions import Session
from doorward.errors import Refused
from doorward.model import Principal
from doorward.store.index import Index
from doorward.store.rebuild import INDEX
from tests.console.test_login import entries
from tests.console.test_stock import shown
from tests.parts.console import BODY, RunningConsole


def session(key: str) -> Session:
    return Session(key, "t", Principal("corp", key), frozenset({Role.VIEWER}), 0)


async def digest_of(console: RunningConsole) -> str:
    await console.send("req-1")
    async with console.person("vera", "staff") as vera:
        await shown(vera, "req-1")
    index = Index(console.ledger / INDEX)
    row = index.flow("req-1")
    index.close()
    assert row is not None
    assert flow_id(row.request) == flow_id("req-1")
    return row.bodies["request_body"]


async def test_each_session_reads_for_itself(console: RunningConsole) -> None:
    digest = await digest_of(console)
    async with console.console_client() as client:
        bodies = Bodies(client)
        for key in ("anna", "anna", "ben"):
            assert await bodies.read(session(key), digest, "looking") == BODY
        bodies.forget("anna")
        bodies.forget("anna")
        await bodies.read(session("anna"), digest, "looking again")
        with pytest.raises(Refused):
            await bodies.read(session("anna"), "0" * 64, "guessing")
    assert [read["reader"] for read in entries(console, "record.read")] == ["corp:anna", "corp:ben", "corp:anna"]


async def test_the_oldest_go_when_there_is_no_room(console: RunningConsole, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = await digest_of(console)
    monkeypatch.setattr(subject, "ROOM_BYTES", 2 * len(BODY))
    async with console.console_client() as client:
        bodies = Bodies(client)
        for key in ("a", "b", "c", "a", "c"):
            await bodies.read(session(key), digest, "looking")
    readers = [read["reader"] for read in entries(console, "record.read")]
    assert readers == ["corp:a", "corp:b", "corp:c", "corp:a"]
