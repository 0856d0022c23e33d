import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from doorward.ledger.follower import Follower
from doorward.model import Entry
from doorward.store.projection import Projection
from doorward.store.rebuild import open_index
from doorward.store.rows import entry_from_row
from doorward.store.segments import Segments
from tests.parts.entries import NOW, intent_fields, rows


@pytest.fixture
def segments(tmp_path: Path) -> Iterator[Segments]:
    opened = Segments.open(tmp_path / "segments")
    yield opened
    opened.close()


def write(segments: Segments, count: int) -> list[Entry]:
    made = [
        rows(seq, "request.intent", intent_fields(f"r{seq}"), at=NOW + timedelta(microseconds=seq))[0]
        for seq in range(segments.last_seq + 1, segments.last_seq + count + 1)
    ]
    segments.append(made, [])
    return [entry_from_row(row) for row in made]


async def reaches(projection: Projection, seq: int) -> None:
    async with asyncio.timeout(20):
        while projection.seq < seq:
            await asyncio.sleep(0.01)


async def test_it_follows_and_finishes_at_the_end(segments: Segments, tmp_path: Path) -> None:
    projection = open_index(tmp_path, 0)
    follower = Follower(projection, segments)
    follower.committed([])
    follower.committed(write(segments, 300))
    assert projection.seq == 0  # not at once
    await reaches(projection, 300)
    follower.committed(write(segments, 5))
    follower.close()
    assert projection.seq == 305


async def test_too_much_to_remember_is_read_from_the_segments(segments: Segments, tmp_path: Path) -> None:
    projection = open_index(tmp_path, 0)
    follower = Follower(projection, segments)
    follower.committed(write(segments, 5500))
    follower.committed(write(segments, 10))
    await reaches(projection, 5510)
    follower.committed(write(segments, 1))
    await reaches(projection, 5511)
    follower.close()


async def test_an_index_that_cannot_be_written_does_not_matter(
    segments: Segments, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    projection = open_index(tmp_path, 0)
    blocker = open_index(tmp_path, 0)
    projection._database.rows("PRAGMA busy_timeout=20")
    follower = Follower(projection, segments)
    blocker._database.rows("BEGIN IMMEDIATE")
    follower.committed(write(segments, 3))
    await asyncio.sleep(0.2)
    assert "the index is behind" in caplog.text
    follower.close()
    blocker._database.rows("ROLLBACK")
    blocker.close()
    again = open_index(tmp_path, 3)
    assert again.seq == 3
    again.close()
