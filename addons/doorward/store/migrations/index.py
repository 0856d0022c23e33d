"""Tables of the index: projections of the entries for questions, made again at will.

Documented for readers in docs/ledger.md. Applied by store/migrate.py when the ledger
opens its index.
"""

from sqlite_utils import Database, Migrations

index = Migrations("index")


@index(name="0001-flows-holds-masks")
def _flows_holds_masks(db: Database) -> None:
    for statement in (
        "CREATE TABLE progress (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL)",
        "INSERT INTO progress VALUES (1, 0)",
        """CREATE TABLE flows (
            request TEXT PRIMARY KEY,
            seq INTEGER NOT NULL,
            time TEXT NOT NULL,
            decision TEXT NOT NULL,
            executed TEXT NOT NULL,
            principal TEXT,
            owner TEXT,
            session TEXT,
            label TEXT,
            target TEXT,
            verb TEXT,
            risk TEXT,
            rules TEXT NOT NULL,
            digest TEXT,
            policy TEXT,
            hold TEXT,
            credential TEXT,
            client TEXT,
            status INTEGER,
            cause TEXT,
            duration_ms INTEGER,
            count INTEGER NOT NULL,
            intent_seq INTEGER,
            outcome_seq INTEGER,
            bodies TEXT NOT NULL
        )""",
        "CREATE INDEX flows_seq ON flows(seq)",
        """CREATE TABLE holds (
            hold TEXT PRIMARY KEY,
            seq INTEGER NOT NULL,
            state TEXT NOT NULL,
            opened_at TEXT NOT NULL,
            changed_at TEXT NOT NULL,
            expires_at TEXT NOT NULL,
            principal TEXT NOT NULL,
            owner TEXT,
            target TEXT NOT NULL,
            digest TEXT NOT NULL,
            request TEXT NOT NULL,
            asks TEXT NOT NULL,
            approvals TEXT NOT NULL,
            used_by TEXT,
            cause TEXT,
            bodies TEXT NOT NULL
        )""",
        "CREATE INDEX holds_state ON holds(state, seq)",
        """CREATE TABLE masks (
            seq INTEGER NOT NULL,
            position INTEGER NOT NULL,
            request TEXT NOT NULL,
            rule TEXT,
            path TEXT,
            replacement TEXT,
            count INTEGER,
            PRIMARY KEY (seq, position)
        )""",
        "CREATE INDEX masks_request ON masks(request)",
    ):
        db.execute(statement)


@index(name="0002-flows-changed")
def _flows_changed(db: Database) -> None:
    for statement in (
        "ALTER TABLE flows ADD COLUMN changed_seq INTEGER",  # of the last entry that the row was made from
        "UPDATE flows SET changed_seq = coalesce(outcome_seq, seq)",
        "CREATE INDEX flows_changed ON flows(changed_seq)",
    ):
        db.execute(statement)
