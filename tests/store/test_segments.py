import sqlite3
import stat
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from doorward.errors import Misconfigured, Unavailable
from doorward.store.segments import BLOCKS, HOLDS, SEALS, Segments, read_entries, segment_paths
from tests.parts.entries import NOW, intent_fields, rows


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "segments"


@pytest.fixture
def segments(directory: Path) -> Iterator[Segments]:
    opened = Segments.open(directory)
    yield opened
    opened.close()


def write(segments: Segments, count: int, at: datetime = NOW) -> None:
    for _ in range(count):
        seq = segments.last_seq + 1
        entry, bodies = rows(seq, "request.intent", intent_fields(f"r{seq}"), {"request_head": b"head %d" % seq}, at)
        segments.append([entry], bodies)


def test_entries_come_back_in_order_across_days(segments: Segments, directory: Path) -> None:
    write(segments, 2)
    write(segments, 2, NOW + timedelta(days=1))
    assert [path.name for path in segment_paths(directory)] == ["2026-11-23.db", "2026-11-24.db"]
    assert list(segments.finished) == ["2026-11-23.db"]
    assert [entry.seq for entry in segments.entries()] == [1, 2, 3, 4]
    assert [entry.seq for entry in segments.entries(2)] == [3, 4]
    assert list(segments.entries(where=HOLDS)) == []
    assert (segments.last_seq, segments.last_time) == (4, NOW + timedelta(days=1))


def test_opening_again_goes_on_where_it_ended(segments: Segments, directory: Path) -> None:
    write(segments, 2)
    write(segments, 1, NOW + timedelta(days=1))
    segments.close()
    again = Segments.open(directory)
    try:
        assert (again.last_seq, again.last_time) == (3, NOW + timedelta(days=1))
        assert list(again.finished) == ["2026-11-23.db"]
        write(again, 1, NOW + timedelta(days=1))
    finally:
        again.close()
    assert [entry.seq for entry in read_entries(segment_paths(directory))] == [1, 2, 3, 4]


def test_files_are_for_their_owner(segments: Segments, directory: Path) -> None:
    write(segments, 1)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}


def test_a_time_before_the_open_day_stays_in_the_open_file(segments: Segments, directory: Path) -> None:
    write(segments, 1, NOW + timedelta(days=1))
    write(segments, 1, NOW)
    assert [path.name for path in segment_paths(directory)] == ["2026-11-24.db"]


def test_a_sealed_day_is_not_written_again(segments: Segments, directory: Path) -> None:
    write(segments, 1)
    segments.close()
    (directory / "2026-11-23.db").chmod(0o400)
    again = Segments.open(directory)
    try:
        with pytest.raises(Misconfigured) as refused:
            write(again, 1)
        assert refused.value.cause == "segment-sealed"
        write(again, 1, NOW + timedelta(days=1))
    finally:
        again.close()


def test_a_missing_day_is_noticed(segments: Segments, directory: Path) -> None:
    for day in range(3):
        write(segments, 1, NOW + timedelta(days=day))
    segments.close()
    (directory / "2026-11-24.db").unlink()
    with pytest.raises(Misconfigured) as refused:
        Segments.open(directory)
    assert refused.value.cause == "segment-missing"
    assert "2026-11-25.db" in str(refused.value)


@pytest.mark.parametrize("day", ["2026-11-23.db", "2026-11-24.db"], ids=["an old file", "the last file"])
def test_a_damaged_file_is_noticed(segments: Segments, directory: Path, day: str) -> None:
    write(segments, 1)
    write(segments, 1, NOW + timedelta(days=1))
    segments.close()
    (directory / day).write_bytes(b"damaged " * 4096)
    with pytest.raises(Unavailable) as failed:
        Segments.open(directory)
    assert failed.value.cause == "store-damaged"


def test_a_changed_last_entry_is_noticed(segments: Segments, directory: Path) -> None:
    write(segments, 2)
    segments.close()
    with sqlite3.connect(directory / "2026-11-23.db") as raw:
        raw.execute("UPDATE entries SET entry = replace(entry, 'billing', 'payroll') WHERE seq = 2")
    raw.close()
    with pytest.raises(Unavailable) as failed:
        Segments.open(directory)
    assert failed.value.cause == "store-damaged"


def test_an_empty_file_of_a_crash_is_taken_up(segments: Segments, directory: Path) -> None:
    write(segments, 1)
    segments.close()
    (directory / "2026-11-24.db").touch()
    again = Segments.open(directory)
    try:
        write(again, 1, NOW + timedelta(days=1))
        assert again.last_seq == 2
    finally:
        again.close()


def test_a_failed_append_leaves_nothing(segments: Segments) -> None:
    write(segments, 1)
    entry, bodies = rows(1, "hold.expired", {"hold": "h1"})
    with pytest.raises(Unavailable):
        segments.append([entry], bodies)  # the number is taken
    segments.verify_end()
    assert segments.last_seq == 1
    write(segments, 1)
    assert [entry.seq for entry in segments.entries()] == [1, 2]


def test_an_end_that_is_not_ours_is_noticed(segments: Segments, directory: Path) -> None:
    segments.verify_end()  # nothing written yet
    write(segments, 1)
    with sqlite3.connect(directory / "2026-11-23.db") as raw:
        raw.execute("INSERT INTO entries VALUES (2, 't', 'k', '{}', x'')")
    raw.close()
    with pytest.raises(Unavailable) as failed:
        segments.verify_end()
    assert failed.value.cause == "store-damaged"


def test_bodies_are_found_in_any_day(segments: Segments) -> None:
    write(segments, 1)
    write(segments, 1, NOW + timedelta(days=1))
    digests = [entry.fields["bodies"]["request_head"]["digest"] for entry in segments.entries()]  # type: ignore[index, call-overload]
    assert [segments.body(str(digest)) for digest in digests] == [b"head 1", b"head 2"]
    assert segments.body(str(digests[0]), {"request_head"}) == b"head 1"
    assert segments.body(str(digests[0]), {"request_body"}) is None
    assert segments.body("0" * 64) is None


def test_checkpoints_are_due_after_enough_pages(segments: Segments, directory: Path) -> None:
    segments.checkpoint()  # nothing to do yet
    write(segments, 1)
    assert not segments.wants_checkpoint()
    while not segments.wants_checkpoint():
        write(segments, 10)
    before = (directory / "2026-11-23.db").stat().st_size
    segments.checkpoint()
    assert not segments.wants_checkpoint()
    assert (directory / "2026-11-23.db").stat().st_size > before


@pytest.mark.parametrize(
    ("where", "name"),
    [(HOLDS, "entries_of_holds"), (BLOCKS, "entries_of_blocks"), (SEALS, "entries_of_seals")],
    ids=["holds", "blocks", "seals"],
)
def test_what_the_start_reads_has_an_index(segments: Segments, directory: Path, where: str, name: str) -> None:
    write(segments, 1)
    with sqlite3.connect(directory / "2026-11-23.db") as raw:
        plan = raw.execute(
            f"EXPLAIN QUERY PLAN SELECT * FROM entries WHERE seq > 0 AND {where} ORDER BY seq"
        ).fetchall()
    raw.close()
    assert name in plan[0][3]
