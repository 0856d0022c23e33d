"""Recorded bodies for a person's eyes: fetched when opened, and the reading is itself recorded.

The ledger writes `record.read` with the person's name before it hands a body out. What one
session was shown is kept for that session alone, so that switching between views of one body
does not write the same fact again; it goes when the session or the room for it ends.
"""

from collections import OrderedDict
from collections.abc import Sequence

from doorward.console.sessions import Session
from doorward.ledger.client import LedgerClient
from doorward.ledger.frames import MOST_BODIES

ROOM_BYTES = 32 * 1024 * 1024


class Bodies:
    """What was read for whom."""

    def __init__(self, client: LedgerClient, why: str = "console") -> None:
        self._client = client
        self._why = why  # goes into the record before what is read
        self._read: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._held_bytes = 0

    async def read(self, session: Session, digest: str, what: str) -> bytes:
        """Return one masked body; raises what the ledger says when it cannot."""
        key = (session.key, digest)
        if (body := self._read.get(key)) is not None:
            self._read.move_to_end(key)
            return body
        body = await self._client.read_body(digest, reader=session.person.name, why=f"{self._why}: {what}")
        self._keep(key, body)
        return body

    async def read_parts(self, session: Session, digests: Sequence[str], what: str) -> bytes:
        """Return the parts of a stream as one body; those that are gone are left out."""
        unread = [digest for digest in digests if (session.key, digest) not in self._read]
        found: dict[str, bytes] = {}
        for start in range(0, len(unread), MOST_BODIES):
            group = unread[start : start + MOST_BODIES]
            bodies = await self._client.read_bodies(group, reader=session.person.name, why=f"{self._why}: {what}")
            found.update((digest, body or b"") for digest, body in zip(group, bodies, strict=True))
        whole = b"".join(found[each] if each in found else self._read[session.key, each] for each in digests)
        for digest, body in found.items():
            self._keep((session.key, digest), body)
        return whole

    def forget(self, session_key: str) -> None:
        """Drop what a session was shown; called when it ends."""
        for key in [key for key in self._read if key[0] == session_key]:
            self._held_bytes -= len(self._read.pop(key))

    def _keep(self, key: tuple[str, str], body: bytes) -> None:
        replaced = self._read.pop(key, b"")
        self._read[key] = body
        self._held_bytes += len(body) - len(replaced)
        while self._held_bytes > ROOM_BYTES and len(self._read) > 1:
            _, oldest = self._read.popitem(last=False)
            self._held_bytes -= len(oldest)
