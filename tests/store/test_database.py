import stat
from pathlib import Path

import pytest

from doorward.errors import Unavailable
from doorward.store.database import Database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    database = Database.writer(tmp_path / "x.db", synchronous="FULL")
    database.rows("CREATE TABLE t (a)")
    database.close()
    return tmp_path / "x.db"


def test_a_writer_flushes_and_checkpoints_when_told_only(path: Path) -> None:
    database = Database.writer(path, synchronous="FULL")
    try:
        assert database.rows("PRAGMA journal_mode") == [("wal",)]
        assert database.rows("PRAGMA synchronous") == [(2,)]
        assert database.rows("PRAGMA wal_autocheckpoint") == [(0,)]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        before = path.stat().st_size
        with database.transaction():
            database.many("INSERT INTO t VALUES (?)", [(n,) for n in range(2000)])
        assert path.stat().st_size == before
        database.checkpoint()
        assert path.stat().st_size > before
    finally:
        database.close()


def test_a_failed_transaction_leaves_nothing(path: Path) -> None:
    database = Database.writer(path, synchronous="NORMAL")
    try:
        with pytest.raises(Unavailable) as failed, database.transaction():  # noqa: PT012 # both lines belong to it
            database.rows("INSERT INTO t VALUES (1)")
            database.rows("INSERT INTO nowhere VALUES (1)")
        assert failed.value.cause == "ledger-failed"
        assert database.rows("SELECT * FROM t") == []
        with pytest.raises(ZeroDivisionError), database.transaction():  # noqa: PT012 # both lines belong to it
            database.rows("INSERT INTO t VALUES (1)")
            1 / 0  # noqa: B018 # the failure of the caller
        assert database.rows("SELECT * FROM t") == []
    finally:
        database.close()


def test_a_reader_changes_nothing(path: Path) -> None:
    database = Database.reader(path)
    try:
        with pytest.raises(Unavailable):
            database.rows("INSERT INTO t VALUES (1)")
        assert list(database.each("SELECT count(*) FROM t")) == [(0,)]
    finally:
        database.close()


def test_a_reader_needs_a_file(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        Database.reader(tmp_path / "absent.db").rows("SELECT 1")


def test_a_damaged_file_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database" * 100)
    with pytest.raises(Unavailable) as failed:
        Database.writer(tmp_path / "x.db", synchronous="FULL")
    assert failed.value.cause == "store-damaged"


def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be opened"):
        Database.writer(tmp_path / "absent" / "x.db", synchronous="FULL")


def test_finish_waits_for_readers(path: Path) -> None:
    database = Database.writer(path, synchronous="FULL")
    database.rows("PRAGMA busy_timeout=50")
    database.rows("INSERT INTO t VALUES (1)")
    reader = Database.reader(path)
    reading = reader.each("SELECT * FROM t")
    next(reading)
    with pytest.raises(Unavailable) as failed:
        database.finish()
    assert failed.value.cause == "ledger-busy"
    reading.close()
    reader.close()
    database.finish()
    assert [p.name for p in path.parent.iterdir()] == ["x.db"]
    assert path.read_bytes()[18:20] == b"\x01\x01"  # no write-ahead log, sqlite.org/fileformat.html
