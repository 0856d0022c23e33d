"""Brings a database to the tables of this version, by the migrations of sqlite-utils.

The version stands in the database itself (`_sqlite_migrations`). A database that a newer
doorward wrote is refused, not guessed at. Called where a segment or the index is opened
for writing; apart from `database` because loading sqlite-utils takes a while, which
readers need not wait for.
"""

from contextlib import closing

from sqlite_utils import Database as UtilsDatabase
from sqlite_utils import Migrations

from doorward.errors import Misconfigured
from doorward.store.database import Database


def migrate(database: Database, migrations: Migrations) -> None:
    """Apply what is pending; raises Misconfigured if the database is of a newer version."""
    with database.translated():
        # the wrapper borrows the connection: it sets no pragma of its own and loads no plugins
        tables = UtilsDatabase(database.raw, recursive_triggers=False, execute_plugins=False)
        with closing(UtilsDatabase(memory=True)) as empty:
            known = {step.name for step in migrations.pending(empty)}
        if not known.issuperset(step.name for step in migrations.applied(tables)):
            raise Misconfigured(
                f"{database.path.name} was written by a newer doorward",
                cause="newer-tables",
                hint="use the version that wrote it, or a later one",
            )
        migrations.apply(tables)
