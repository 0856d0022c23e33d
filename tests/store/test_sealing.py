import hashlib
import sqlite3
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from doorward.errors import Unavailable
from doorward.store.sealing import seal, unsealed
from doorward.store.segments import Segments
from tests.parts.entries import NOW, rows

FIRST = "2026-11-23.db"


@pytest.fixture
def segments(tmp_path: Path) -> Segments:
    opened = Segments.open(tmp_path / "segments")
    for seq in (1, 2, 3):
        entry, _ = rows(seq, "hold.expired", {"hold": "h"}, at=NOW + timedelta(days=seq // 3))
        opened.append([entry], [])
    return opened


def test_a_finished_day_becomes_one_file_that_nobody_writes(segments: Segments) -> None:
    assert unsealed(segments) == [FIRST]
    done = seal(segments, FIRST)
    path = segments.directory / FIRST
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert not list(segments.directory.glob(f"{FIRST}-*"))
    assert done.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (done.segment, done.size, done.first, done.last) == (FIRST, path.stat().st_size, 1, 2)
    assert segments.finished == {}
    assert seal(segments, FIRST) == done  # as after a crash before the entry
    segments.close()
    again = Segments.open(segments.directory)
    assert unsealed(again) == [FIRST]
    assert seal(again, FIRST) == done
    entry, _ = rows(
        4,
        "segment.sealed",
        {"segment": FIRST, "digest": done.digest, "bytes": done.size, "first": 1, "last": 2},
        at=NOW + timedelta(days=1),
    )
    again.append([entry], [])
    assert unsealed(again) == []
    again.close()


def test_a_day_that_somebody_reads_is_sealed_later(segments: Segments) -> None:
    segments.finished[FIRST].rows("PRAGMA busy_timeout=50")
    reader = sqlite3.connect(segments.directory / FIRST)
    reading = reader.execute("SELECT * FROM entries")
    reading.fetchone()
    with pytest.raises(Unavailable):
        seal(segments, FIRST)
    assert list(segments.finished) == [FIRST]
    reading.close()
    reader.close()
    assert seal(segments, FIRST).last == 2
    segments.close()
