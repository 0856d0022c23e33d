import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from doorward.errors import Misconfigured, Unavailable
from doorward.store.index import Index
from doorward.store.lock import writer_lock
from doorward.store.rebuild import open_index, rebuild_index
from doorward.store.segments import Segments
from tests.parts.entries import NOW, intent, outcome, rows


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    segments = Segments.open(tmp_path / "segments")
    for day in range(3):
        for entry in (intent(f"r{day}"), outcome(f"r{day}")):
            row, bodies = rows(
                segments.last_seq + 1, entry.kind, dict(entry.fields), {}, NOW + timedelta(days=day, seconds=1)
            )
            segments.append([row], bodies)
    segments.close()
    return tmp_path


def dump(path: Path) -> list[str]:
    raw = sqlite3.connect(path)
    lines = [line for line in raw.iterdump() if "_sqlite_migrations" not in line]
    raw.close()
    return lines


def test_the_index_comes_from_the_segments_alone(ledger: Path) -> None:
    open_index(ledger, 6).close()
    first = dump(ledger / "index.db")
    told: list[int] = []
    assert rebuild_index(ledger, told.append) == 6
    assert told == [6]
    assert dump(ledger / "index.db") == first
    assert not list(ledger.glob("index.db.new*"))


def test_readers_see_the_new_index(ledger: Path) -> None:
    open_index(ledger, 6).close()
    index = Index(ledger / "index.db")
    assert len(index.flows()) == 3
    rebuild_index(ledger)
    assert len(index.flows()) == 3
    index.close()


def test_an_index_that_is_behind_catches_up(ledger: Path) -> None:
    open_index(ledger, 6).close()
    segments = Segments.open(ledger / "segments")
    row, _ = rows(7, "request.intent", dict(intent("late").fields), {}, NOW + timedelta(days=3))
    segments.append([row], [])
    segments.close()
    projection = open_index(ledger, 7)
    assert projection.seq == 7
    projection.close()


def test_a_damaged_index_is_made_again(ledger: Path) -> None:
    (ledger / "index.db").write_bytes(b"damaged " * 1000)
    projection = open_index(ledger, 6)
    assert projection.seq == 6
    projection.close()


def test_an_index_that_knows_more_than_the_segments_is_told(ledger: Path) -> None:
    open_index(ledger, 6).close()
    (ledger / "segments" / "2026-11-25.db").unlink()
    with pytest.raises(Misconfigured) as refused:
        open_index(ledger, 4)
    assert refused.value.cause == "segment-missing"
    assert rebuild_index(ledger) == 4  # on purpose
    open_index(ledger, 4).close()


def test_nothing_is_rebuilt_under_a_running_ledger(ledger: Path) -> None:
    with writer_lock(ledger), pytest.raises(Unavailable) as refused:
        rebuild_index(ledger)
    assert refused.value.cause == "ledger-locked"


def test_a_gap_inside_a_segment_is_noticed(ledger: Path) -> None:
    raw = sqlite3.connect(ledger / "segments" / "2026-11-24.db")
    raw.executescript("INSERT INTO entries SELECT 9, time, kind, entry, leaf FROM entries WHERE seq = 3")
    raw.executescript("DELETE FROM entries WHERE seq = 4")
    raw.close()
    with pytest.raises((Unavailable, Misconfigured)):
        rebuild_index(ledger)


def test_an_index_of_an_older_version_is_filled_again(ledger: Path) -> None:
    open_index(ledger, 6).close()
    raw = sqlite3.connect(ledger / "index.db")
    for column in ("generation", "sent_bytes", "request_truncated", "truncated", "kept"):
        raw.execute(f"ALTER TABLE flows DROP COLUMN {column}")
    for name in ("flows_time", "flows_principal", "flows_target", "flows_decision", "flows_executed", "masks_rule"):
        raw.execute(f"DROP INDEX {name}")
    raw.execute("DELETE FROM _sqlite_migrations WHERE name = '0003-looking-back'")
    raw.commit()
    raw.close()
    projection = open_index(ledger, 6)
    assert projection.seq == 6
    projection.close()
    index = Index(ledger / "index.db")
    assert [(row.request, row.sent_bytes, row.generation) for row in index.flows()] == [
        (f"r{day}", 2, "a" * 16) for day in (2, 1, 0)
    ]
    index.close()
