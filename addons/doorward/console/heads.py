"""Masked heads out of the record: URL and headers of what was asked, status and headers of what was answered.

Reading a head is not recorded, since every list shows it; bodies are another matter
(`bodies`). The index follows the ledger by some milliseconds, so a head that was just
written is asked for again. Called by `feed` and `approvals`.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Mapping

from doorward.console.copies import Head
from doorward.errors import DoorwardError
from doorward.ledger.client import LedgerClient
from doorward.model import Hold
from doorward.store.index import Index, PartRow

MOST_KEPT = 2000
TRIES = 10
PAUSE_S = 0.03


class Heads:
    """Heads that were read, by digest."""

    def __init__(self, client: LedgerClient, index: Index) -> None:
        self._client = client
        self._index = index
        self._kept: OrderedDict[str, Head] = OrderedDict()

    async def read(self, digest: str | None) -> Head:
        """Return one head, empty if there is none; raises Unavailable if the ledger is away."""
        if digest is None:
            return Head()
        if (known := self._kept.get(digest)) is not None:
            return known
        head = parse_head(await self._client.read_head(digest))
        self._kept[digest] = head
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return head

    def parts(self, request: str) -> list[PartRow]:
        """Return the parts of an answer that streamed, as far as the index knows them."""
        return self._index.parts(request)

    async def of_hold(self, hold: Hold) -> Head:
        """Return the head of the request that opened a hold; empty if the record has it no more."""
        for _ in range(TRIES):
            row = self._index.flow(hold.request)
            if row is not None:
                break
            await asyncio.sleep(PAUSE_S)
        else:
            return Head()
        try:
            return await self.read(row.bodies.get("request_head"))
        except DoorwardError as error:
            if error.cause == "body-unknown":
                return Head()
            raise


def parse_head(body: bytes) -> Head:
    """Return a recorded head; what is not one is shown as empty."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return Head()
    if not isinstance(value, dict):
        return Head()
    url = value.get("url")
    return Head(_pairs(value.get("headers")), url if isinstance(url, str) else "")


def _pairs(value: object) -> tuple[tuple[str, str], ...]:
    if isinstance(value, Mapping):
        value = list(value.items())
    if not isinstance(value, list):
        return ()
    return tuple((str(pair[0]), str(pair[1])) for pair in value if isinstance(pair, list | tuple) and len(pair) == 2)
