"""Reads whole requests back: rows of the index, with heads and bodies through the ledger.

Heads come in hundreds and leave no trace; bodies come in small groups, each of which the ledger
records (`bodies.read`) before it gives them. So what was read is in the record also where the
reader stops half-way. Pages are bounded in number and bytes; nothing here holds a whole
record. Called by the commands that look back.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

import msgspec

from doorward.core.recorded import Kept, Message, RecordedFlow, parse_head
from doorward.ledger.client import LedgerClient
from doorward.ledger.frames import MOST_BODIES, MOST_HEADS
from doorward.model import Json, Mask, NewEntry
from doorward.store.flow_filter import FlowFilter
from doorward.store.index import FlowRow, Index, PartRow

_PAGE: Final = MOST_HEADS // 2  # rows; each has two heads at most
_MOST_BYTES: Final = 8 << 20  # of bodies at once
_HEADS: Final = ("request_head", "response_head")
_BODIES: Final = ("request_body", "response_body")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which flows to read."""

    filter: FlowFilter = field(default_factory=FlowFilter)
    text: str | None = None  # in URL, names and values of headers; masked, as all of it
    in_bodies: bool = False  # look for `text` in bodies too
    before_seq: int | None = None
    limit: int | None = None
    oldest_first: bool = False


class RecordReader:
    """Reads for one person and one reason."""

    def __init__(self, client: LedgerClient, index: Index, *, reader: str, why: str) -> None:
        self._client = client
        self._index = index
        self._reader = reader
        self._why = why

    async def rows(self, wanted: Wanted, looked_at: Callable[[int], None] | None = None) -> AsyncIterator[FlowRow]:
        """Yield the rows that are wanted; `looked_at` is told how many were looked at so far."""
        seen = found = 0
        for page in self._pages(wanted):
            hits = page if wanted.text is None else await self._hits(page, wanted.text, in_bodies=wanted.in_bodies)
            for row in hits:
                yield row
                found += 1
                if found == wanted.limit:
                    return
            seen += len(page)
            if looked_at is not None:
                looked_at(seen)

    async def flows(self, rows: AsyncIterator[FlowRow]) -> AsyncIterator[RecordedFlow]:
        """Yield rows as whole flows, in their order, bodies and all."""
        group: list[FlowRow] = []
        size = 0
        async for row in rows:
            more = _size(row) + sum(part.bytes for part in self.parts([row]).get(row.request, ()))
            if group and (size + more > _MOST_BYTES or 2 * (len(group) + 1) > MOST_BODIES):
                for flow in await self._read(group):
                    yield flow
                group, size = [], 0
            group.append(row)
            size += more
        if group:
            for flow in await self._read(group):
                yield flow

    async def heads(self, rows: Sequence[FlowRow]) -> dict[str, bytes]:
        """Return the heads of these rows that are there, by digest; not recorded."""
        found: dict[str, bytes] = {}
        digests = [row.bodies[name] for row in rows for name in _HEADS if name in row.bodies]
        for start in range(0, len(digests), MOST_HEADS):
            part = digests[start : start + MOST_HEADS]
            bodies = await self._client.read_heads(part)
            found.update((digest, body) for digest, body in zip(part, bodies, strict=True) if body is not None)
        return found

    def parts(self, rows: Sequence[FlowRow]) -> dict[str, list[PartRow]]:
        """Return the parts of those of the rows whose answers streamed, by request."""
        return {row.request: self._index.parts(row.request) for row in rows if row.parts}

    async def bodies(self, rows: Sequence[FlowRow]) -> dict[str, bytes]:
        """Return the bodies of these rows that are there, by digest, parts too; recorded."""
        return await self._bodies(rows, self.parts(rows))

    async def _bodies(self, rows: Sequence[FlowRow], parts: Mapping[str, list[PartRow]]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for part in _in_groups(_places(rows, parts)):
            bodies = await self._client.read_bodies(part, reader=self._reader, why=self._why)
            found.update((digest, body) for digest, body in zip(part, bodies, strict=True) if body is not None)
        return found

    async def part(self, part: PartRow) -> bytes | None:
        """Return the body of one part; None if it is not there any more. Recorded."""
        if part.digest is None:
            return b""
        (body,) = await self._client.read_bodies([part.digest], reader=self._reader, why=self._why)
        return body

    async def note_export(self, form: str, wanted: Mapping[str, Json], *, flows: int, size: int, sha256: str) -> None:
        """Record that an export was made; durable when it returns."""
        fields: dict[str, Json] = {
            "reader": self._reader,
            "why": self._why,
            "format": form,
            "flows": flows,
            "bytes": size,
            "sha256": sha256,
        }
        await self._client.append(NewEntry("export.made", fields, {"filter": msgspec.json.encode(wanted)}))

    async def _read(self, rows: Sequence[FlowRow]) -> list[RecordedFlow]:
        parts = self.parts(rows)
        found = {**(await self.heads(rows)), **(await self._bodies(rows, parts))}
        return [recorded_flow(row, found, self._masks(row), parts.get(row.request, ())) for row in rows]

    def _masks(self, row: FlowRow) -> tuple[Mask, ...]:
        masks = self._index.masks(row.request) if row.outcome_seq is not None else []
        return tuple(Mask(m.rule or "", m.path or "", m.replacement or "", m.count or 0) for m in masks)

    def _pages(self, wanted: Wanted) -> Iterator[list[FlowRow]]:
        before, after = wanted.before_seq, None
        size = _PAGE if wanted.text is not None or wanted.limit is None else min(_PAGE, wanted.limit)
        while page := self._index.flows(
            size, wanted.filter, before_seq=before, after_seq=after, oldest_first=wanted.oldest_first
        ):
            yield page
            if wanted.oldest_first:
                after = page[-1].seq
            else:
                before = page[-1].seq

    async def _hits(self, page: Sequence[FlowRow], text: str, *, in_bodies: bool) -> list[FlowRow]:
        wanted = text.casefold()
        heads = await self.heads(page)
        found = {row.request for row in page if _is_in_heads(wanted, _named(row, _HEADS, heads))}
        if in_bodies:
            rest = [row for row in page if row.request not in found]
            bodies = await self.bodies(rest)
            parts = self.parts(rest)
            for row in rest:
                streamed = b"".join(bodies.get(part.digest or "", b"") for part in parts.get(row.request, ()))
                if _is_in_bodies(wanted, [*_named(row, _BODIES, bodies), *([streamed] if streamed else [])]):
                    found.add(row.request)
        return [row for row in page if row.request in found]


def recorded_flow(
    row: FlowRow, found: dict[str, bytes], masks: tuple[Mask, ...], parts: Sequence[PartRow] = ()
) -> RecordedFlow:
    """Return a row with what was read of it, `found` being heads and bodies by digest."""
    method, url, headers = parse_head(found.get(row.bodies.get("request_head", "")))
    answered = None
    if "response_head" in row.bodies:
        _, _, answer_headers = parse_head(found.get(row.bodies["response_head"]))
        absent = Kept.NONE if row.kept else Kept.NOT_KEPT
        if row.parts:
            answered = _streamed(row, answer_headers, found, parts)
        else:
            answered = _message(row, "response_body", answer_headers, found, absent, is_cut=row.truncated)
    absent = Kept.NONE if row.sent_bytes == 0 else Kept.NOT_KEPT
    return RecordedFlow(
        request=row.request,
        at=row.time,
        decision=row.decision,
        executed=row.executed,
        principal=row.principal,
        owner=row.owner,
        session=row.session,
        label=row.label,
        target=row.target,
        method=method or row.verb or "",
        url=url,
        risk=row.risk,
        rules=row.rules,
        policy=row.policy,
        hold=row.hold,
        status=row.status,
        cause=row.cause,
        duration_ms=row.duration_ms,
        count=row.count,
        masks=masks,
        asked=_message(row, "request_body", headers, found, absent, is_cut=row.request_truncated),
        answered=answered,
    )


def _streamed(
    row: FlowRow, headers: tuple[tuple[str, str], ...], found: dict[str, bytes], parts: Sequence[PartRow]
) -> Message:
    """An answer that streamed, as far as its parts are there: one that goes on, or was never ended, is cut."""
    bodies = [found.get(part.digest) if part.digest else b"" for part in parts]
    size = sum(part.bytes for part in parts)
    if any(body is None for body in bodies):
        return Message(headers, b"", Kept.DELETED, size)
    whole = row.outcome_seq is not None and not row.truncated and row.cause is None
    return Message(headers, b"".join(body or b"" for body in bodies), Kept.WHOLE if whole else Kept.CUT, size)


def _message(
    row: FlowRow,
    name: str,
    headers: tuple[tuple[str, str], ...],
    found: dict[str, bytes],
    absent: Kept,
    *,
    is_cut: bool,
) -> Message:
    digest = row.bodies.get(name)
    if digest is None:
        return Message(headers, b"", absent)
    body = found.get(digest)
    if body is None:
        return Message(headers, b"", Kept.DELETED, row.sizes[name])
    return Message(headers, body, Kept.CUT if is_cut else Kept.WHOLE, row.sizes[name])


def _size(row: FlowRow) -> int:
    return sum(row.sizes[name] for name in _BODIES if name in row.bodies)


def _places(rows: Iterable[FlowRow], parts: Mapping[str, list[PartRow]]) -> Iterator[tuple[str, int]]:
    """Digest and size of each body of the rows."""
    for row in rows:
        yield from ((row.bodies[name], row.sizes[name]) for name in _BODIES if name in row.bodies)
        yield from ((part.digest, part.bytes) for part in parts.get(row.request, ()) if part.digest)


def _in_groups(places: Iterable[tuple[str, int]]) -> Iterator[list[str]]:
    """Digests, in groups that the ledger gives at once."""
    group: list[str] = []
    size = 0
    for digest, more in places:
        if group and (size + more > _MOST_BYTES or len(group) == MOST_BODIES):
            yield group
            group, size = [], 0
        group.append(digest)
        size += more
    if group:
        yield group


def _named(row: FlowRow, names: Sequence[str], parts: dict[str, bytes]) -> list[bytes]:
    return [parts[row.bodies[name]] for name in names if row.bodies.get(name) in parts]


def _is_in_heads(wanted: str, heads: Sequence[bytes]) -> bool:
    for head in heads:
        if wanted.isascii() and b"\\" not in head and b"%" not in head and wanted.encode() not in head.lower():
            continue  # nothing in it is written in another way, and so it is not in it
        _, url, headers = parse_head(head)
        texts = (url, unquote(url), *(f"{name}: {value}" for name, value in headers))
        if any(wanted in text.casefold() for text in texts):
            return True
    return False


def _is_in_bodies(wanted: str, bodies: Sequence[bytes]) -> bool:
    return any(wanted in text.casefold() for body in bodies for text in _readings(body))


def _readings(body: bytes) -> Iterator[str]:
    """A body as text, and where it is JSON also with its escapes undone."""
    yield body.decode("utf-8", "replace")
    if b"\\" in body:
        try:
            yield msgspec.json.encode(msgspec.json.decode(body)).decode()
        except (msgspec.DecodeError, msgspec.ValidationError, RecursionError, UnicodeError):
            return
