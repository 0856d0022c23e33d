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


@index(name="0003-looking-back")
def _looking_back(db: Database) -> None:
    """More of each request, and ways to find it; what is there is projected again, since entries tell it all."""
    for statement in (
        "ALTER TABLE flows ADD COLUMN generation TEXT",
        "ALTER TABLE flows ADD COLUMN sent_bytes INTEGER",
        "ALTER TABLE flows ADD COLUMN request_truncated INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE flows ADD COLUMN truncated INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE flows ADD COLUMN kept INTEGER NOT NULL DEFAULT 1",
        "CREATE INDEX flows_time ON flows(time, seq)",
        "CREATE INDEX flows_principal ON flows(principal, seq)",
        "CREATE INDEX flows_target ON flows(target, seq)",
        "CREATE INDEX flows_decision ON flows(decision, seq)",
        "CREATE INDEX flows_executed ON flows(executed, seq)",
        "CREATE INDEX masks_rule ON masks(rule, request)",
        "DELETE FROM flows",
        "DELETE FROM holds",
        "DELETE FROM masks",
        "UPDATE progress SET seq = 0",
    ):
        db.execute(statement)


@index(name="0004-parts")
def _parts(db: Database) -> None:
    """Streams, part by part."""
    for statement in (
        "ALTER TABLE flows ADD COLUMN parts INTEGER NOT NULL DEFAULT 0",
        """CREATE TABLE parts (
            request TEXT NOT NULL,
            part INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            time TEXT NOT NULL,
            pieces TEXT NOT NULL,
            digest TEXT,
            bytes INTEGER NOT NULL,
            PRIMARY KEY (request, part)
        ) WITHOUT ROWID""",
    ):
        db.execute(statement)
