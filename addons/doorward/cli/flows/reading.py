"""Opens the record for a person at a terminal: who reads, why, and a channel to the ledger."""

import getpass
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from doorward.core.entry import Role
from doorward.errors import Unavailable
from doorward.ledger.channel import socket_path, unix_connect
from doorward.ledger.client import LedgerClient
from doorward.ledger.reader import RecordReader
from doorward.settings import Settings, runtime_folder
from doorward.store.index import Index

CONNECT_S = 2


def local_person() -> str:
    """Return how entries name whoever runs the command: nobody has proven who it is."""
    return f"local:{getpass.getuser()}"


@asynccontextmanager
async def ledger_client(settings: Settings) -> AsyncIterator[LedgerClient]:
    """A channel to the running ledger; raises Unavailable where it does not run."""
    path = socket_path(runtime_folder(settings), Role.COMMAND)
    client = LedgerClient(unix_connect(path), Role.COMMAND)
    try:
        if path.exists():  # else there is nothing to wait for
            await client.start(CONNECT_S)
        if not client.ready:
            raise Unavailable(
                "the ledger does not run, and heads and bodies are read through it",
                cause="ledger-away",
                hint="start `doorward serve`",
            )
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def record_reader(settings: Settings, index: Index, why: str) -> AsyncIterator[RecordReader]:
    """A reader of heads and bodies, for this person and reason."""
    async with ledger_client(settings) as client:
        yield RecordReader(client, index, reader=local_person(), why=why)
