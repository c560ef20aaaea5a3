"""The record of a search: one SQLite file that is the truth about it.

Everything that a search must know to go on after any interruption is committed here before it is
acted upon. What else shows a search (MLflow, the report, DVC's metrics) is made from the record.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Self

import nas
from nas.errors import InputError, SearchError
from nas.evaluation import ChildResult, Proposal
from nas.search.lock import take_lock
from nas.search.packing import pack, unpack
from nas.search.rows import Child, Round
from nas.spaces import Architecture

SCHEMA = 1
"""Version of the tables; a record of another version is refused in a sentence."""

_TABLES = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE rounds(
    number INTEGER PRIMARY KEY, sampled_at REAL NOT NULL, updated_at REAL,
    policy_version INTEGER NOT NULL, statistics TEXT);
CREATE TABLE children(
    number INTEGER PRIMARY KEY, round INTEGER NOT NULL REFERENCES rounds(number), seed INTEGER NOT NULL,
    proposal TEXT NOT NULL, architecture TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    slot TEXT, started_at REAL, finished_at REAL, status TEXT, reward REAL, same_as INTEGER, result TEXT);
CREATE INDEX children_by_round ON children(round);
CREATE INDEX children_by_architecture ON children(architecture);
CREATE INDEX children_by_reward ON children(reward);
CREATE INDEX open_rounds ON rounds(number) WHERE updated_at IS NULL;
CREATE TABLE controller(only INTEGER PRIMARY KEY CHECK (only = 0), state TEXT NOT NULL);
CREATE TABLE projected(
    target TEXT NOT NULL, item TEXT NOT NULL, reference TEXT NOT NULL, PRIMARY KEY (target, item));
"""


class Record:
    """A search's record, open for reading (`read`) or, by one process at a time, for going on (`hold`)."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: IO[str] | None) -> None:
        self.path = path
        self._db = connection
        self._db.row_factory = sqlite3.Row
        self._lock = lock
        self._serial = threading.RLock()
        version = self.meta("schema", -1)
        if version != SCHEMA:
            writer = self.meta("nasflow", "?")
            self.close()
            raise SearchError(
                f"the record {path} was written by nasflow {writer} in schema {version}; this is nasflow "
                f"{nas.__version__}, which reads schema {SCHEMA}. Use that version, or move the file away"
            )

    @classmethod
    def read(cls, path: Path) -> Record:
        """Opens an existing record for reading, also while a search writes to it.

        Raises:
            InputError: there is no record.
        """
        if not path.is_file():
            raise InputError(f"there is no record at {path}; `nas search` begins one")
        connection = sqlite3.connect(
            f"file:{path}?mode=ro", uri=True, isolation_level=None, timeout=30, check_same_thread=False
        )
        return cls(path, connection, lock=None)

    @classmethod
    def hold(cls, path: Path, definition: Mapping[str, Any], snapshot: Path | None = None) -> Record:
        """Opens the record for going on, and begins it if it is new.

        Args:
            path: the live record.
            definition: what defines the search; a new record keeps it.
            snapshot: where another clone's snapshot may lie; a new record goes on from it if it is
                one of the same search.

        Raises:
            RecordLockedError: another process holds it; the message names the process.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = take_lock(path.parent / "lock")
        try:
            if snapshot is not None and is_ahead(snapshot, path, definition):
                _take_up(snapshot, path)
            elif not path.exists():
                fresh = path.with_suffix(".new")
                fresh.unlink(missing_ok=True)
                _begin(fresh, definition)
                fresh.replace(path)
            connection = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            record = cls(path, connection, lock)
            if record.definition != json.loads(json.dumps(definition)):
                record.close()
                raise SearchError(f"the record {path} belongs to another definition of the search")
            return record
        except BaseException:
            lock.close()
            raise

    def close(self) -> None:
        """Ends the use of the record. Safe to repeat."""
        with self._serial:
            self._db.close()
        if self._lock is not None:
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- what the search writes ------------------------------------------------------------------

    def begin_round(
        self, proposals: Sequence[Proposal], seeds: Sequence[int], state: Mapping[str, Any]
    ) -> Round:
        """Numbers a round's proposals and commits them, and the controller's state, before a child starts."""
        with self._transaction() as db:
            first = db.execute("SELECT COALESCE(MAX(number) + 1, 0) FROM children").fetchone()[0]
            numbered = [replace(proposal, number=first + place) for place, proposal in enumerate(proposals)]
            number = db.execute("SELECT COALESCE(MAX(number) + 1, 0) FROM rounds").fetchone()[0]
            version = proposals[0].policy_version
            db.execute(
                "INSERT INTO rounds(number, sampled_at, policy_version) VALUES (?, ?, ?)",
                (number, time.time(), version),
            )
            db.executemany(
                "INSERT INTO children(number, round, seed, proposal, architecture) VALUES (?, ?, ?, ?, ?)",
                [
                    (p.number, number, seed, json.dumps(p.to_json()), p.architecture.text())
                    for p, seed in zip(numbered, seeds, strict=True)
                ],
            )
            self._put_state(state)
        return self.round(number)

    def begin_child(self, number: int, slot: str) -> None:
        """Notes that the child's training begins now, on `slot`."""
        with self._transaction() as db:
            db.execute(
                "UPDATE children SET attempts = attempts + 1, slot = ?, started_at = ? WHERE number = ?",
                (slot, time.time(), number),
            )

    def stop_child(self, number: int) -> None:
        """Takes back that the child's training began, because it was stopped on purpose, not lost."""
        with self._transaction() as db:
            db.execute(
                "UPDATE children SET attempts = attempts - 1, slot = NULL, started_at = NULL "
                "WHERE number = ? AND started_at IS NOT NULL AND result IS NULL",
                (number,),
            )

    def end_child(self, number: int, result: ChildResult, same_as: int | None = None) -> None:
        """Commits a child's result. A second result for the same child is ignored."""
        with self._transaction() as db:
            db.execute(
                "UPDATE children SET finished_at = ?, status = ?, reward = ?, same_as = ?, result = ? "
                "WHERE number = ? AND result IS NULL",
                (
                    time.time(),
                    str(result.status),
                    result.reward,
                    same_as,
                    json.dumps(result.to_json()),
                    number,
                ),
            )

    def end_round(self, number: int, statistics: Mapping[str, float], state: Mapping[str, Any]) -> None:
        """Commits an update whole: its statistics and the controller's new state."""
        with self._transaction() as db:
            db.execute(
                "UPDATE rounds SET updated_at = ?, statistics = ? WHERE number = ?",
                (time.time(), json.dumps(dict(statistics)), number),
            )
            self._put_state(state)

    def set_meta(self, key: str, value: Any) -> None:
        """Keeps a JSON value under `key`."""
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value)))

    def set_projected(self, target: str, references: Mapping[str, str]) -> None:
        """Notes that items of this record stand in `target` (e.g. MLflow) under these references."""
        with self._transaction() as db:
            db.executemany(
                "INSERT OR REPLACE INTO projected VALUES (?, ?, ?)",
                [(target, item, reference) for item, reference in references.items()],
            )

    def forget_projected(self, target: str) -> None:
        """Forgets all references into `target`, which no longer holds them."""
        with self._transaction() as db:
            db.execute("DELETE FROM projected WHERE target = ?", (target,))

    # --- what everybody reads --------------------------------------------------------------------

    @property
    def held(self) -> bool:
        """Whether this process may write to the record."""
        return self._lock is not None

    def meta(self, key: str, default: Any = None) -> Any:
        """The JSON value kept under `key`."""
        try:
            rows = self._rows("SELECT value FROM meta WHERE key = ?", (key,))
        except sqlite3.DatabaseError as error:
            raise SearchError(f"{self.path} is no record of a search: {error}") from error
        return json.loads(rows[0]["value"]) if rows else default

    @property
    def definition(self) -> dict[str, Any]:
        """What defines the search (see `Experiment.definition`)."""
        return dict(self.meta("definition", {}))

    def controller_state(self) -> dict[str, Any] | None:
        """The controller's last committed state; None before the first round."""
        rows = self._rows("SELECT state FROM controller")
        return unpack(json.loads(rows[0]["state"])) if rows else None

    def round(self, number: int) -> Round:
        return self._rounds("WHERE number = ?", (number,))[0]

    def rounds(self) -> list[Round]:
        """All rounds in order."""
        return self._rounds("ORDER BY number")

    def count_rounds(self) -> int:
        """How many rounds were begun."""
        return int(self._rows("SELECT COUNT(*) AS n FROM rounds")[0]["n"])

    def open_round(self) -> Round | None:
        """The round that was sampled but not yet learnt from."""
        found = self._rounds("WHERE updated_at IS NULL LIMIT 1")  # there is never more than one
        return found[0] if found else None

    def child(self, number: int) -> Child:
        """The child with this number.

        Raises:
            InputError: there is none.
        """
        found = self._children("WHERE number = ?", (number,))
        if not found:
            raise InputError(f"this search has no child {number}; it has {self.count()} so far, from 0")
        return found[0]

    def children(self, round: int | None = None, finished_only: bool = False) -> list[Child]:
        """Children in the order of their numbers, all or those of one round."""
        where = ["1"] + ["round = ?"] * (round is not None) + ["result IS NOT NULL"] * finished_only
        return self._children(
            f"WHERE {' AND '.join(where)} ORDER BY number", () if round is None else (round,)
        )

    def running(self) -> list[Child]:
        """Children that were begun and have no result yet."""
        return self._children("WHERE started_at IS NOT NULL AND result IS NULL ORDER BY started_at")

    def best(self, count: int) -> list[Child]:
        """The `count` successful children of highest reward, each architecture once (its best child)."""
        return self._children(
            "WHERE number IN (SELECT number FROM (SELECT number, reward, ROW_NUMBER() OVER "
            "(PARTITION BY architecture ORDER BY reward DESC, number) AS place FROM children "
            "WHERE status = 'ok') WHERE place = 1 ORDER BY reward DESC, number LIMIT ?) "
            "ORDER BY reward DESC, number",
            (count,),
        )

    def successes(self) -> Iterator[tuple[int, ChildResult]]:
        """Number and result of every successful child, without the rest of its row: for what reads all."""
        for row in self._rows("SELECT number, result FROM children WHERE status = 'ok' ORDER BY number"):
            yield row["number"], ChildResult.from_json(json.loads(row["result"]))

    def twins_before(self, child: Child) -> list[Child]:
        """Earlier children with the same architecture and overrides, in the order of their numbers."""
        twins = self._children(
            "WHERE architecture = ? AND number < ? ORDER BY number",
            (child.proposal.architecture.text(), child.number),
        )
        return [twin for twin in twins if twin.proposal.overrides == child.proposal.overrides]

    def count(self, status: str | None = None) -> int:
        """How many children were proposed, or ended with `status`; `finished` counts all that ended."""
        where = {None: "1", "finished": "status IS NOT NULL"}.get(status, "status = ?")
        parameters = (status,) if where.endswith("?") else ()
        return int(self._rows(f"SELECT COUNT(*) AS n FROM children WHERE {where}", parameters)[0]["n"])

    def cost_seconds(self) -> float:
        """Training time of all children together; one that shares another's result cost nothing."""
        rows = self._rows(
            "SELECT SUM(json_extract(result, '$.train_seconds')) AS cost FROM children WHERE same_as IS NULL"
        )
        return float(rows[0]["cost"] or 0.0)

    def projected(self, target: str) -> dict[str, str]:
        """The references of the items that stand in `target`."""
        rows = self._rows("SELECT item, reference FROM projected WHERE target = ?", (target,))
        return {row["item"]: row["reference"] for row in rows}

    def unprojected_children(self, target: str, limit: int) -> list[Child]:
        """At most `limit` finished children that don't stand in `target` yet, by number."""
        return self._children(
            "WHERE number IN (SELECT number FROM children AS own WHERE reward IS NOT NULL AND NOT EXISTS "
            "(SELECT 1 FROM projected WHERE target = ? AND item = 'child ' || own.number) "
            "ORDER BY +own.number LIMIT ?) ORDER BY number",
            (target, limit),
        )

    def unprojected_rounds(self, target: str) -> list[Round]:
        """Finished rounds that don't stand in `target` yet, by number."""
        return self._rounds(
            "WHERE updated_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM projected "
            "WHERE target = ? AND item = 'round ' || rounds.number) ORDER BY number",
            (target,),
        )

    def best_reward_before(self, round: int) -> float | None:
        """The highest reward of a successful child of the rounds before `round`; None without one."""
        rows = self._rows(
            "SELECT MAX(reward) AS best FROM children WHERE round < ? AND status = 'ok'", (round,)
        )
        return None if rows[0]["best"] is None else float(rows[0]["best"])

    def snapshot(self, target: Path) -> None:
        """Writes a compact copy that no write-ahead log belongs to, replacing `target` at once."""
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with self._serial:
            self._db.execute("VACUUM INTO ?", (str(fresh),))
        fresh.replace(target)

    # --- inside -----------------------------------------------------------------------------------

    def _rows(self, sql: str, parameters: Iterable[Any] = ()) -> list[sqlite3.Row]:
        with self._serial:
            return self._db.execute(sql, tuple(parameters)).fetchall()

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db, self._serial)

    def _put_state(self, state: Mapping[str, Any]) -> None:
        self._db.execute("INSERT OR REPLACE INTO controller VALUES (0, ?)", (json.dumps(pack(state)),))

    def _rounds(self, where: str, parameters: Iterable[Any] = ()) -> list[Round]:
        return [Round.from_row(row) for row in self._rows(f"SELECT * FROM rounds {where}", parameters)]

    def _children(self, where: str, parameters: Iterable[Any] = ()) -> list[Child]:
        return [Child.from_row(row) for row in self._rows(f"SELECT * FROM children {where}", parameters)]


def best_children(records: Sequence[Record], count: int) -> list[tuple[Record, Child]]:
    """The `count` successful children of highest reward over all `records`, each architecture once.

    Of equal rewards the one in the earlier record, then the earlier child, stands first.
    """
    ranked = sorted(
        ((record, child) for record in records for child in record.best(count)),
        key=lambda found: -found[1].reward,
    )
    once: dict[Architecture, tuple[Record, Child]] = {}
    for record, child in ranked:
        once.setdefault(child.proposal.architecture, (record, child))
    return list(once.values())[:count]


class _Transaction:
    """All or nothing: commits at the end of the block, rolls back on any error."""

    def __init__(self, db: sqlite3.Connection, serial: threading.RLock) -> None:
        self._db, self._serial = db, serial

    def __enter__(self) -> sqlite3.Connection:
        self._serial.acquire()
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._serial.release()
            raise
        return self._db

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            self._db.execute("ROLLBACK" if kind else "COMMIT")
        finally:
            self._serial.release()


def is_of(path: Path, definition: Mapping[str, Any]) -> bool:
    """Whether there is a record at `path`, of the search that `definition` defines."""
    if not path.is_file():
        return False
    with Record.read(path) as record:
        return bool(record.definition == json.loads(json.dumps(definition)))


def is_ahead(snapshot: Path, live: Path, definition: Mapping[str, Any]) -> bool:
    """Whether `snapshot` is of the search that `definition` defines and further than the record `live`.

    Raises:
        SearchError: both went on from where they were equal, so that neither contains the other.
    """
    if not is_of(snapshot, definition):
        return False
    if not live.is_file():
        return True
    with Record.read(snapshot) as there, Record.read(live) as here:
        if here.count("finished") >= there.count("finished"):
            return False
        pairs = zip(here.children(), there.children(), strict=False)
        if here.count() > there.count() or any(mine.proposal != theirs.proposal for mine, theirs in pairs):
            raise SearchError(
                f"the record {live} and the snapshot {snapshot} are of the same search but went different "
                "ways; move one of them away"
            )
    return True


def _take_up(snapshot: Path, live: Path) -> None:
    """Puts a copy of `snapshot` in the place of the record `live`, which is kept beside it."""
    fresh = live.with_suffix(".new")
    shutil.copyfile(snapshot, fresh)
    if live.exists():
        with closing(sqlite3.connect(live)) as db:
            db.execute("PRAGMA journal_mode = DELETE")  # all of it into the one file
        live.replace(live.with_name("record-before-snapshot.sqlite"))
    fresh.replace(live)


def _begin(path: Path, definition: Mapping[str, Any]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(_TABLES)
        meta = {
            "schema": SCHEMA,
            "nasflow": nas.__version__,
            "definition": definition,
            "created_at": time.time(),
        }
        db.executemany(
            "INSERT INTO meta VALUES (?, ?)", [(key, json.dumps(value)) for key, value in meta.items()]
        )
