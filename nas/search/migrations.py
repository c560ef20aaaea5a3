"""Records of earlier versions: brought up to the present tables, or read as if they were.

Whoever holds a record brings it up, one schema after the other, after a copy was set aside. Readers change
nothing: over an older record they lay temporary views with the names of the present tables.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable

from nas.search.states import EVALUATOR, POLICY, replica_owner, split_halves

SCHEMA = 2
"""Version of the tables below."""

TABLES = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE batches(
    number INTEGER PRIMARY KEY, sampled_at REAL NOT NULL, updated_at REAL,
    policy_version INTEGER NOT NULL, statistics TEXT, replica INTEGER NOT NULL DEFAULT 0);
CREATE TABLE children(
    number INTEGER PRIMARY KEY, batch INTEGER NOT NULL REFERENCES batches(number), seed INTEGER NOT NULL,
    proposal TEXT NOT NULL, architecture TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    slot TEXT, started_at REAL, finished_at REAL, status TEXT, reward REAL, same_as INTEGER, result TEXT);
CREATE INDEX children_by_batch ON children(batch);
CREATE INDEX children_by_architecture ON children(architecture);
CREATE INDEX children_by_reward ON children(reward);
CREATE INDEX children_by_status ON children(status);
CREATE INDEX open_batches ON batches(number) WHERE updated_at IS NULL;
CREATE TABLE states(
    owner TEXT NOT NULL, version INTEGER NOT NULL, state TEXT NOT NULL, PRIMARY KEY (owner, version));
CREATE TABLE projected(
    target TEXT NOT NULL, item TEXT NOT NULL, reference TEXT NOT NULL, PRIMARY KEY (target, item));
"""


def _to_2(db: sqlite3.Connection) -> None:
    """Rounds become batches with a replica; the one state becomes one for each owner."""
    db.execute("ALTER TABLE rounds RENAME TO batches")
    db.execute("ALTER TABLE batches ADD COLUMN replica INTEGER NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE children RENAME COLUMN round TO batch")
    db.execute("DROP INDEX children_by_round")
    db.execute("CREATE INDEX children_by_batch ON children(batch)")
    db.execute("CREATE INDEX IF NOT EXISTS children_by_status ON children(status)")
    db.execute("DROP INDEX open_rounds")
    db.execute("CREATE INDEX open_batches ON batches(number) WHERE updated_at IS NULL")
    db.execute(
        "CREATE TABLE states(owner TEXT NOT NULL, version INTEGER NOT NULL, state TEXT NOT NULL, "
        "PRIMARY KEY (owner, version))"
    )
    for (text,) in db.execute("SELECT state FROM controller").fetchall():
        state = json.loads(text)
        policy, sampler = split_halves(state["controller"])
        owned = {POLICY: policy, replica_owner(0): sampler, EVALUATOR: state["evaluator"]}
        version = int(policy.get("updates", 0))
        db.executemany(
            "INSERT INTO states VALUES (?, ?, ?)",
            [(owner, version, json.dumps(half)) for owner, half in owned.items()],
        )
    db.execute("DROP TABLE controller")


MIGRATIONS: dict[int, Callable[[sqlite3.Connection], None]] = {2: _to_2}
"""What brings a record to a schema from the one before it."""

VIEWS = {
    1: """
    CREATE TEMP VIEW batches AS
        SELECT number, sampled_at, updated_at, policy_version, statistics, 0 AS replica FROM main.rounds;
    CREATE TEMP VIEW children AS
        SELECT number, round AS batch, seed, proposal, architecture, attempts, slot, started_at, finished_at,
               status, reward, same_as, result FROM main.children;
    """
}
"""What makes an older record look like a present one to a reader, by its schema."""


def migrate(db: sqlite3.Connection, schema: int) -> None:
    """Brings the tables from `schema` to the present one, whole or not at all."""
    db.execute("BEGIN IMMEDIATE")
    try:
        for version in range(schema + 1, SCHEMA + 1):
            MIGRATIONS[version](db)
        db.execute("INSERT OR REPLACE INTO meta VALUES ('schema', ?)", (json.dumps(SCHEMA),))
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
