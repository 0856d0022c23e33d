from pathlib import Path

import pytest
from sqlite_utils import Migrations

from doorward.errors import Misconfigured
from doorward.store.database import Database
from doorward.store.migrate import migrate
from doorward.store.migrations.index import index
from doorward.store.migrations.segment import segment


@pytest.mark.parametrize(
    ("tables", "names"),
    [(segment, {"entries", "bodies"}), (index, {"flows", "holds", "masks", "progress"})],
    ids=["segment", "index"],
)
def test_tables_are_made_once(tmp_path: Path, tables: Migrations, names: set[str]) -> None:
    database = Database.writer(tmp_path / "x.db", synchronous="NORMAL")
    try:
        migrate(database, tables)
        made = database.rows("SELECT name, sql FROM sqlite_master ORDER BY name")
        migrate(database, tables)
        assert database.rows("SELECT name, sql FROM sqlite_master ORDER BY name") == made
        assert names < {name for name, _ in made}
        applied = database.rows("SELECT migration_set, name FROM _sqlite_migrations")
        assert applied
        assert {name for name, _ in applied} == {tables.name}
    finally:
        database.close()


def test_tables_of_a_newer_version_are_left_alone(tmp_path: Path) -> None:
    database = Database.writer(tmp_path / "x.db", synchronous="NORMAL")
    try:
        migrate(database, segment)
        database.rows(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('segment', '9999-later', 'then')"
        )
        with pytest.raises(Misconfigured, match="newer"):
            migrate(database, segment)
    finally:
        database.close()
