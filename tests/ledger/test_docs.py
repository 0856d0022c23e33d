"""docs/ledger.md says what the tables and the kinds really are."""

import sqlite3
from pathlib import Path

import pytest

from doorward.core.entry import KINDS
from doorward.store.database import Database
from doorward.store.migrate import migrate
from doorward.store.migrations.index import index
from doorward.store.migrations.segment import segment

TEXT = (Path(__file__).parents[2] / "docs" / "ledger.md").read_text()


def row(kind: str) -> str:
    known = KINDS[kind]
    writers = ", ".join(sorted(known.writers)) or "ledger"
    if known.through not in ("append", "ledger"):
        writers += f" (through `{known.through}`)"
    fields = [f"`{name}` {types.replace('|', ' or ')}" for name, types in known.fields.items()]
    fields += [f"`{name}` {types.replace('|', ' or ')}, optional" for name, types in known.optional.items()]
    bodies = ", ".join("any name" if name == "*" else f"`{name}`" for name in known.bodies)
    return f"| `{kind}` | {writers} | {', '.join(fields)} | {bodies} |"


def test_the_table_of_kinds_is_the_one_in_the_core() -> None:
    table = TEXT.partition("<!-- kinds")[2].partition("<!-- end of kinds")[0].splitlines()
    assert [line for line in table if line.startswith("| `")] == [row(kind) for kind in KINDS]


@pytest.mark.parametrize("tables", [segment, index], ids=["segment", "index"])
def test_every_table_and_column_is_described(tmp_path: Path, tables: object) -> None:
    database = Database.writer(tmp_path / "x.db", synchronous="NORMAL")
    migrate(database, tables)  # type: ignore[arg-type]
    database.close()
    raw = sqlite3.connect(tmp_path / "x.db")
    names = [name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    described = [name for name in names if not name.startswith(("_", "sqlite_"))]
    columns = {column for name in described for _, column, *_ in raw.execute(f"PRAGMA table_info({name})")} - {"id"}
    raw.close()
    assert described
    for name in described:
        assert f"**`{name}`**" in TEXT
    for column in columns - {"seq"}:
        assert f"`{column}`" in TEXT
