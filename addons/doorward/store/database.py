"""A connection to one SQLite file: open, transaction, checkpoint, and errors in our own words.

The one module that knows the driver. Writers open with WAL and checkpoint on this same
connection between commits (SQLite before 3.51.3 can lose commits when a second connection
checkpoints: WAL-reset bug); readers open read-only. Called by the store's own modules.
"""

import errno
import sqlite3
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal, Self

from doorward.errors import Unavailable

BUSY_TIMEOUT_S = 5.0


class Database:
    """One connection, used by one thread at a time."""

    def __init__(self, path: Path, raw: sqlite3.Connection) -> None:
        self.path = path
        self.raw = raw

    @classmethod
    def writer(cls, path: Path, *, synchronous: Literal["FULL", "NORMAL"]) -> Self:
        """Open for writing, in WAL mode; creates the file, for its owner alone."""
        with _translated(path):
            path.touch(mode=0o600)
            raw = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S)
            try:
                raw.execute("PRAGMA journal_mode=WAL")
                raw.execute(f"PRAGMA synchronous={synchronous}")
                raw.execute("PRAGMA wal_autocheckpoint=0")
            except sqlite3.Error:
                raw.close()
                raise
        return cls(path, raw)

    @classmethod
    def reader(cls, path: Path) -> Self:
        """Open read-only; raises Unavailable if the file is not there."""
        with _translated(path):
            raw = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
                timeout=BUSY_TIMEOUT_S,
            )
        return cls(path, raw)

    def translated(self) -> AbstractContextManager[None]:
        """Return a context that turns the driver's errors into Unavailable."""
        return _translated(self.path)

    def rows(self, statement: str, values: Sequence[object] | Mapping[str, object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return all its rows."""
        with _translated(self.path):
            return self.raw.execute(statement, values).fetchall()

    def each(self, statement: str, values: Sequence[object] = ()) -> Generator[tuple[Any, ...]]:
        """Run one statement and yield its rows one by one; exhaust it, or checkpoints wait for it."""
        with _translated(self.path):
            yield from self.raw.execute(statement, values)

    def many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """Run one statement for each row."""
        with _translated(self.path):
            self.raw.executemany(statement, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit at the end of the block (durable if synchronous=FULL), or roll back and raise."""
        with _translated(self.path):
            self.raw.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.raw.execute("COMMIT")
            finally:
                if self.raw.in_transaction:
                    self.raw.execute("ROLLBACK")

    def checkpoint(self) -> None:
        """Move what the write-ahead log holds into the file, as far as readers allow."""
        self.rows("PRAGMA wal_checkpoint(PASSIVE)")

    def finish(self) -> None:
        """Turn the file into one without a write-ahead log, and close; raises Unavailable while somebody reads it."""
        self.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        if self.rows("PRAGMA journal_mode=DELETE") != [("delete",)]:
            raise Unavailable(f"{self.path.name} is being read", cause="ledger-busy")
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.raw.close()


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _unavailable(path, error) from error
    except OSError as error:
        cause = "disk-full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "ledger-failed"
        raise Unavailable(f"{path.name} cannot be opened ({error.strerror})", cause=cause) from error


def _unavailable(path: Path, error: sqlite3.Error) -> Unavailable:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return Unavailable(
            f"no space left to write {path.name}", cause="disk-full", hint="free space on the disk of the ledger"
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return Unavailable(
            f"{path.name} is damaged", cause="store-damaged", hint="put it back from a backup; keep the damaged file"
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Unavailable(f"{path.name} is busy", cause="ledger-busy")
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return Unavailable(f"{path.name} could not be read or written ({name})", cause="ledger-failed")
