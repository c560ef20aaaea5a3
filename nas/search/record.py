"""The record of a search: one SQLite file that is the truth about it.

Everything that a search must know to go on after any interruption is committed here before it is
acted upon. What else shows a search (MLflow, the report, DVC's metrics) is made from the record.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Self

import nas
from nas.errors import InputError, NasError, SearchError, TemporaryError, printable
from nas.evaluation import ChildResult, Proposal, Status
from nas.search.lock import take_lock
from nas.search.packing import pack, unpack
from nas.search.rows import Child, Round
from nas.spaces import Architecture

SCHEMA = 1
"""Version of the tables; a record of another version is refused in a sentence."""

_PATIENCE_SECONDS = 2
"""How long a reader waits for a record that somebody has locked: a search locks none, so it is no search."""

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

_ROUNDS_AT_ONCE = 64
"""Of which results are in memory together where all are read."""

_INDEX = "CREATE INDEX IF NOT EXISTS children_by_status ON children(status)"
"""Lets readers count without reading every row; an older record gets it when it is gone on with."""


class Record:
    """A search's record, open for reading (`read`) or, by one process at a time, for going on (`hold`)."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: IO[str] | None) -> None:
        self.path = path
        self._db = connection
        self._db.row_factory = sqlite3.Row
        self._lock = lock
        self._serial = threading.RLock()
        try:
            version, writer = self.meta("schema", -1), self.meta("nasflow", "?")
        except NasError:
            self.close()
            raise
        if version != SCHEMA:
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
            SearchError: it is damaged, another program's, or not this user's to read.
            TemporaryError: somebody has locked it.
        """
        with _sentences(path):
            try:
                path.lstat()
            except (FileNotFoundError, NotADirectoryError):
                raise InputError(f"there is no record at {path}; `nas search` begins one") from None
            if not path.is_file():
                raise _damaged(path, "it is a folder, or a link that leads nowhere")
            connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro",
                uri=True,
                isolation_level=None,
                timeout=_PATIENCE_SECONDS,
                check_same_thread=False,
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
            SearchError: the record that is there can't be gone on with; the message says why.
            TemporaryError: the disk is full.
        """
        with _sentences(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = take_lock(path.parent / "lock")
        try:
            with _sentences(path):
                if snapshot is not None and is_ahead(snapshot, path, definition):
                    _take_up(snapshot, path)
                elif not os.path.lexists(path):
                    fresh = path.with_suffix(".new")
                    fresh.unlink(missing_ok=True)
                    _begin(fresh, definition)
                    fresh.replace(path)
                if not path.is_file():
                    raise _damaged(path, "it is a folder, or a link that leads nowhere")
                connection = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute(_INDEX)
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

    def metas(self, prefix: str) -> dict[str, Any]:
        """The JSON values whose keys begin with `prefix`, by key."""
        rows = self._rows("SELECT key, value FROM meta WHERE substr(key, 1, ?) = ?", (len(prefix), prefix))
        return {row["key"]: json.loads(row["value"]) for row in rows}

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
        with _sentences(self.path):
            rows = self._rows("SELECT value FROM meta WHERE key = ?", (key,))
            return json.loads(rows[0]["value"]) if rows else default

    @property
    def definition(self) -> dict[str, Any]:
        """What defines the search (see `Experiment.definition`)."""
        with _sentences(self.path):
            return dict(self.meta("definition", {}))

    def controller_state(self) -> dict[str, Any] | None:
        """The controller's last committed state; None before the first round."""
        with _sentences(self.path):
            rows = self._rows("SELECT state FROM controller")
            return unpack(json.loads(rows[0]["state"])) if rows else None

    def round(self, number: int) -> Round:
        return self._rounds("WHERE number = ?", (number,))[0]

    def rounds(self) -> list[Round]:
        """All rounds in order."""
        return self._rounds("ORDER BY number")

    def last_update(self) -> Round | None:
        """The last round that was learnt from."""
        found = self._rounds("WHERE updated_at IS NOT NULL ORDER BY number DESC LIMIT 1")
        return found[0] if found else None

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
        return self._children(  # by the index of rewards, which only a result has
            "WHERE reward IS NULL AND started_at IS NOT NULL AND result IS NULL ORDER BY started_at"
        )

    def best(self, count: int, rule: Callable[[ChildResult], float] | None = None) -> list[Child]:
        """The `count` successful children of highest reward, each architecture once (its best child).

        Args:
            count: how many.
            rule: rewards them anew in place of the rewards that the record keeps; all results are read.
        """
        if rule is not None:
            ok = self._children("WHERE status = 'ok' ORDER BY number")
            best: dict[str, Child] = {}
            for child in sorted((child.judged(rule) for child in ok), key=lambda child: -child.reward):
                best.setdefault(child.proposal.architecture.text(), child)
            return list(best.values())[:count]
        once: dict[str, int] = {}
        with self._serial, _sentences(self.path):
            rows = self._db.execute(  # by the index of rewards, as far as is needed
                "SELECT number, architecture FROM children WHERE +status = 'ok' ORDER BY reward DESC, number"
            )
            while len(once) < count and (row := rows.fetchone()) is not None:
                once.setdefault(row["architecture"], row["number"])
            rows.close()
        return [self.child(number) for number in once.values()]

    def successes(self, least: float | None = None) -> Iterator[tuple[int, ChildResult]]:
        """Number and result of successful children, without the rest of their rows: for what reads many.

        Args:
            least: only those of at least this reward; None: all.
        """
        where, parameters = ("1", ()) if least is None else ("reward >= ?", (least,))
        for row in self._rows(
            f"SELECT number, result FROM children WHERE +status = 'ok' AND {where} ORDER BY number",
            parameters,
        ):
            with _sentences(self.path):
                result = ChildResult.from_json(json.loads(row["result"]))
            yield row["number"], result

    def curves(self, metric: str, first: int, before: int) -> Iterator[list[float]]:
        """The values of `metric` by epoch, of all good children of the rounds from `first` to `before`."""
        for begin in range(first, before, _ROUNDS_AT_ONCE):
            for row in self._rows(
                "SELECT result FROM children WHERE round >= ? AND round < ? AND +status = 'ok' "
                "ORDER BY number",
                (begin, min(begin + _ROUNDS_AT_ONCE, before)),
            ):
                with _sentences(self.path):
                    result = ChildResult(Status.OK, tuple(json.loads(row["result"])["history"]))
                with suppress(InputError):  # a trainer of one's own may not record it
                    yield result.curve(metric)

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

    def begins(self, other: Record) -> bool:
        """Whether the children here were proposed in `other` just so."""
        sql = "SELECT number, proposal FROM children WHERE number >= ? ORDER BY number LIMIT ?"
        at_once = 8 * _ROUNDS_AT_ONCE
        for begin in range(0, self.count(), at_once):
            pairs = zip(self._rows(sql, (begin, at_once)), other._rows(sql, (begin, at_once)), strict=False)
            for mine, theirs in pairs:
                with _sentences(self.path):
                    if mine["proposal"] != theirs["proposal"] and json.loads(mine["proposal"]) != json.loads(
                        theirs["proposal"]
                    ):
                        return False
        return True

    def counts(self) -> dict[Status, int]:
        """How many children ended with each status."""
        rows = self._rows(
            "SELECT status, COUNT(*) AS n FROM children WHERE status IS NOT NULL GROUP BY status"
        )
        found = {row["status"]: int(row["n"]) for row in rows}
        return {status: found.get(str(status), 0) for status in Status}

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
        with self._serial, _sentences(self.path):
            self._db.execute("VACUUM INTO ?", (str(fresh),))
        fresh.replace(target)

    # --- inside -----------------------------------------------------------------------------------

    def _rows(self, sql: str, parameters: Iterable[Any] = ()) -> list[sqlite3.Row]:
        with self._serial, _sentences(self.path):
            return self._db.execute(sql, tuple(parameters)).fetchall()

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db, self._serial, self.path)

    def _put_state(self, state: Mapping[str, Any]) -> None:
        self._db.execute("INSERT OR REPLACE INTO controller VALUES (0, ?)", (json.dumps(pack(state)),))

    def _rounds(self, where: str, parameters: Iterable[Any] = ()) -> list[Round]:
        with _sentences(self.path):
            return [Round.from_row(row) for row in self._rows(f"SELECT * FROM rounds {where}", parameters)]

    def _children(self, where: str, parameters: Iterable[Any] = ()) -> list[Child]:
        with _sentences(self.path):
            return [Child.from_row(row) for row in self._rows(f"SELECT * FROM children {where}", parameters)]


def best_children(
    records: Sequence[Record], count: int, rule: Callable[[ChildResult], float] | None = None
) -> list[tuple[Record, Child]]:
    """The `count` successful children of highest reward over all `records`, each architecture once.

    Of equal rewards the one in the earlier record, then the earlier child, stands first. A `rule` rewards
    them anew (see `Record.best`).
    """
    ranked = sorted(
        ((record, child) for record in records for child in record.best(count, rule)),
        key=lambda found: -found[1].reward,
    )
    once: dict[Architecture, tuple[Record, Child]] = {}
    for record, child in ranked:
        once.setdefault(child.proposal.architecture, (record, child))
    return list(once.values())[:count]


class _Transaction:
    """All or nothing: commits at the end of the block, rolls back on any error."""

    def __init__(self, db: sqlite3.Connection, serial: threading.RLock, path: Path) -> None:
        self._db, self._serial, self._path = db, serial, path

    def __enter__(self) -> sqlite3.Connection:
        self._serial.acquire()
        try:
            with _sentences(self._path):
                self._db.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._serial.release()
            raise
        return self._db

    def __exit__(self, kind: object, error: BaseException | None, *_: object) -> None:
        try:
            if error is None:
                with _sentences(self._path):
                    self._db.execute("COMMIT")
            elif isinstance(error, sqlite3.Error):
                with _sentences(self._path):
                    raise error
        finally:
            if self._db.in_transaction:  # a full disk may have rolled it back already
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
            self._serial.release()


@contextmanager
def _sentences(path: Path) -> Iterator[None]:
    """Says what is wrong with the record at `path`, and what can be done, in place of SQLite or Python."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise  # our own mistake, not the file's
    except sqlite3.Error as error:
        raise _told(path, error) from error
    except OSError as error:
        raise SearchError(f"the record {path} can't be used: {error}") from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        # it was opened, but what stands in it isn't what a search writes
        raise _damaged(path, f"{type(error).__name__}: {error}") from error


def _told(path: Path, error: sqlite3.Error) -> NasError:
    said = str(error)
    if "full" in said:
        return TemporaryError(
            f"the disk of {path} is full. Nothing that was finished is lost: make room and run the same "
            "command again"
        )
    if "locked" in said or "busy" in said:
        return TemporaryError(f"another program has locked {path}; end it, or try again later")
    if any(word in said for word in ("readonly", "unable to open", "disk I/O", "access permission")):
        return SearchError(
            f"the record {path} can't be used ({said}): its folder and disk must be readable, and for a "
            "search writable, by this user; what was finished is kept in it"
        )
    return _damaged(path, said)


def _damaged(path: Path, why: str) -> SearchError:
    return SearchError(
        f"{path} is no record of a search, or is damaged ({printable(why)[:200]}). Move its folder away: "
        "`nas search` then goes on from the snapshot in data/searches, if there is one, or begins anew"
    )


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
        if here.count() > there.count() or not here.begins(there):
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
