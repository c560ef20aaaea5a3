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
from nas.definitions import same_search
from nas.errors import InputError, NasError, SearchError, TemporaryError, printable
from nas.evaluation import ChildResult, Proposal, Status
from nas.search.lock import take_lock
from nas.search.memory import States
from nas.search.migrations import SCHEMA, TABLES, VIEWS, migrate
from nas.search.rows import Batch, Child
from nas.search.states import POLICY, copy_files, files_folder, files_of, pack, remove_others, unpack
from nas.spaces import Architecture

EVERY = 50
"""Of the policies that nothing needs any more, every 50th version is kept."""

_PATIENCE_SECONDS = 2
"""How long a reader waits for a record that somebody has locked: a search locks none, so it isn't one."""

_BATCHES_AT_ONCE = 64
"""Of which results are in memory together where all are read."""


class Record:
    """A search's record, open for reading (`read`) or, by one process at a time, for going on (`hold`)."""

    keeps_states = True

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: IO[str] | None) -> None:
        self.path = path
        self._db = connection
        self._db.row_factory = sqlite3.Row
        self._lock = lock
        self._serial = threading.RLock()
        try:
            schema, writer = self.meta("schema", -1), self.meta("nasflow", "?")
        except NasError:
            self.close()
            raise
        if schema == SCHEMA:
            return
        if schema not in VIEWS:
            self.close()
            raise SearchError(
                f"the record {path} was written by nasflow {writer} in schema {schema}; this is nasflow "
                f"{nas.__version__}, which reads schemas up to {SCHEMA}. Use that version, or move "
                "the file away"
            )
        with _sentences(path):
            if lock is None:
                connection.executescript(VIEWS[schema])
            else:
                self._migrate(schema)

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
            definition: what defines the search; a new record keeps it, an old one its own of the same.
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
            record = cls(path, connection, lock)
            if not same_search(record.definition, definition):
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

    def begin_batch(
        self,
        proposals: Sequence[Proposal],
        seeds: Sequence[int],
        states: States,
        *,
        policy_version: int = 0,
        replica: int = 0,
    ) -> Batch:
        """Commits a batch's proposals, which get their numbers here, before any of its children starts.

        Args:
            proposals: without numbers; none for a batch without children (an epoch).
            seeds: one for each.
            states: by owner, as they are after the proposals were made.
            policy_version: of the policy that made them.
            replica: whose batch it is.
        """
        with self._serial:
            packed = self._packed(states)
            with self._transaction() as db:
                number, first = self.count_batches(), self.count()
                db.execute(
                    "INSERT INTO batches(number, sampled_at, policy_version, replica) VALUES (?, ?, ?, ?)",
                    (number, time.time(), policy_version, replica),
                )
                numbered = [replace(p, number=first + place) for place, p in enumerate(proposals)]
                db.executemany(
                    "INSERT INTO children(number, batch, seed, proposal, architecture) "
                    "VALUES (?, ?, ?, ?, ?)",
                    [
                        (p.number, number, seed, json.dumps(p.to_json()), p.architecture.text())
                        for p, seed in zip(numbered, seeds, strict=True)
                    ],
                )
                self._put_states(packed, policy_version)
            self._forget_files()
        return self.batch(number)

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

    def end_batch(
        self,
        number: int,
        statistics: Mapping[str, float],
        states: States,
        *,
        policy_version: int = 0,
        keep: int = 1,
    ) -> None:
        """Commits an update whole: its statistics and the new states.

        Args:
            number: of the batch that was learnt from.
            statistics: of the update.
            states: by owner, as they are after it.
            policy_version: of the policy after it.
            keep: how many of the newest policies are still needed; of older ones every 50th stays.
        """
        with self._serial:
            packed = self._packed(states)
            with self._transaction() as db:
                db.execute(
                    "UPDATE batches SET updated_at = ?, statistics = ? WHERE number = ?",
                    (time.time(), json.dumps(dict(statistics)), number),
                )
                self._put_states(packed, policy_version)
                db.execute(
                    "DELETE FROM states WHERE owner = ? AND version <= ? AND version % ? != 0",
                    (POLICY, policy_version - keep, EVERY),
                )
            self._forget_files()

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

    def state(self, owner: str, version: int | None = None) -> Any:
        """The committed state of an owner, the newest or that of a version; None if there is none."""
        rows = self._rows(
            "SELECT state FROM states WHERE owner = ? AND (? IS NULL OR version = ?) "
            "ORDER BY version DESC LIMIT 1",
            (owner, version, version),
        )
        with _sentences(self.path):
            return unpack(json.loads(rows[0]["state"]), files_folder(self.path)) if rows else None

    def state_versions(self, owner: str) -> list[int]:
        """The versions of an owner's states that are kept, ascending."""
        rows = self._rows("SELECT version FROM states WHERE owner = ? ORDER BY version", (owner,))
        return [int(row["version"]) for row in rows]

    def batch(self, number: int) -> Batch:
        return self._batches("WHERE number = ?", (number,))[0]

    def batches(self) -> list[Batch]:
        """All batches in order."""
        return self._batches("ORDER BY number")

    def count_batches(self, updated_only: bool = False) -> int:
        """How many batches were begun, or were learnt from."""
        if updated_only:
            open_ones = int(self._rows("SELECT COUNT(*) AS n FROM batches WHERE updated_at IS NULL")[0]["n"])
            return self.count_batches() - open_ones
        return int(self._rows("SELECT COALESCE(MAX(number) + 1, 0) AS n FROM batches")[0]["n"])

    def last_update(self) -> Batch | None:
        """The batch of the highest number that was learnt from."""
        found = self._batches("WHERE updated_at IS NOT NULL ORDER BY number DESC LIMIT 1")
        return found[0] if found else None

    def open_batches(self) -> list[Batch]:
        """The batches that were sampled but not yet learnt from, in order."""
        return self._batches("WHERE updated_at IS NULL ORDER BY number")

    def child(self, number: int) -> Child:
        """The child with this number.

        Raises:
            InputError: there is none.
        """
        found = self._children("WHERE number = ?", (number,))
        if not found:
            raise InputError(f"this search has no child {number}; it has {self.count()} so far, from 0")
        return found[0]

    def children(self, batch: int | None = None, finished_only: bool = False) -> list[Child]:
        """Children in the order of their numbers, all or those of one batch."""
        where = ["1"] + ["batch = ?"] * (batch is not None) + ["result IS NOT NULL"] * finished_only
        return self._children(
            f"WHERE {' AND '.join(where)} ORDER BY number", () if batch is None else (batch,)
        )

    def running(self) -> list[Child]:
        """Children that were begun and have no result yet."""
        return self._children(  # by the index of rewards, which only a result has
            "WHERE reward IS NULL AND started_at IS NOT NULL AND result IS NULL ORDER BY started_at"
        )

    def best(self, count: int, rule: Callable[[ChildResult], float] | None = None) -> list[Child]:
        """The `count` successful children of highest reward, each architecture once (its best child).

        A cell that was trained in several stacks counts as several (see `Proposal.network`).

        Args:
            count: how many.
            rule: rewards them anew in place of the rewards that the record keeps; all results are read.
        """
        if rule is not None:
            ok = self._children("WHERE status = 'ok' ORDER BY number")
            best: dict[tuple[Architecture, str], Child] = {}
            for child in sorted((child.judged(rule) for child in ok), key=lambda child: -child.reward):
                best.setdefault(child.proposal.network, child)
            return list(best.values())[:count]
        once: dict[tuple[str, str | None], int] = {}
        with self._serial, _sentences(self.path):
            rows = self._db.execute(  # by the index of rewards, as far as is needed
                "SELECT number, architecture, json_extract(proposal, '$.overrides.stack') AS stack "
                "FROM children WHERE +status = 'ok' ORDER BY reward DESC, number"
            )
            while len(once) < count and (row := rows.fetchone()) is not None:
                once.setdefault((row["architecture"], row["stack"]), row["number"])
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
        """The values of `metric` by epoch, of all good children of the batches from `first` to `before`."""
        for begin in range(first, before, _BATCHES_AT_ONCE):
            for row in self._rows(
                "SELECT result FROM children WHERE batch >= ? AND batch < ? AND +status = 'ok' "
                "ORDER BY number",
                (begin, min(begin + _BATCHES_AT_ONCE, before)),
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
        if status is None:
            return int(self._rows("SELECT COALESCE(MAX(number) + 1, 0) AS n FROM children")[0]["n"])
        where = {"finished": "status IS NOT NULL"}.get(status, "status = ?")
        parameters = (status,) if where.endswith("?") else ()
        return int(self._rows(f"SELECT COUNT(*) AS n FROM children WHERE {where}", parameters)[0]["n"])

    def begins(self, other: Record) -> bool:
        """Whether the children here were proposed in `other` just so."""
        sql = "SELECT number, proposal FROM children WHERE number >= ? ORDER BY number LIMIT ?"
        at_once = 8 * _BATCHES_AT_ONCE
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

    def unprojected_batches(self, target: str) -> list[Batch]:
        """Batches that were learnt from and don't stand in `target` yet, by number."""
        return self._batches(
            "WHERE updated_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM projected "
            "WHERE target = ? AND item = 'round ' || batches.number) ORDER BY number",
            (target,),
        )

    def best_reward_before(self, batch: int) -> float | None:
        """The highest reward of a successful child of the batches before `batch`; None without one."""
        rows = self._rows(
            "SELECT MAX(reward) AS best FROM children WHERE batch < ? AND status = 'ok'", (batch,)
        )
        return None if rows[0]["best"] is None else float(rows[0]["best"])

    def progress(self) -> tuple[int, int]:
        """How far the search is: updates that were applied, and finished children."""
        return self.count_batches(updated_only=True), self.count("finished")

    def snapshot(self, target: Path) -> int:
        """Writes a compact copy that no write-ahead log belongs to, replacing `target` at once.

        Of each owner only the newest state is kept, with exactly the files that it names beside the copy.

        Returns:
            The size in bytes, files included.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        whole, fresh = target.with_suffix(".whole"), target.with_suffix(".new")
        for path in (whole, fresh):
            path.unlink(missing_ok=True)
        with self._serial, _sentences(self.path):
            self._db.execute("VACUUM INTO ?", (str(whole),))
        with _sentences(whole), closing(sqlite3.connect(whole, isolation_level=None)) as db:
            if _has_table(db, "states"):
                db.execute(
                    "DELETE FROM states WHERE version < (SELECT MAX(version) FROM states AS other "
                    "WHERE other.owner = states.owner)"
                )
            db.execute("VACUUM INTO ?", (str(fresh),))
            named = _named_files(db)
        whole.unlink()
        files = files_folder(target)
        copy_files(files_folder(self.path), files, named, keep=os.listdir(files) if files.is_dir() else ())
        fresh.replace(target)
        remove_others(files, named)
        return target.stat().st_size + sum((files_folder(target) / name).stat().st_size for name in named)

    # --- inside -----------------------------------------------------------------------------------

    def _rows(self, sql: str, parameters: Iterable[Any] = ()) -> list[sqlite3.Row]:
        with self._serial, _sentences(self.path):
            return self._db.execute(sql, tuple(parameters)).fetchall()

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db, self._serial, self.path)

    def _packed(self, states: States) -> dict[str, str]:
        """States as text; the files that they hand over are on disk, under their hashes, after this."""
        folder = files_folder(self.path)
        return {owner: json.dumps(pack(state, folder)) for owner, state in states.items()}

    def _put_states(self, packed: Mapping[str, str], version: int) -> None:
        """Within a transaction: new states by owner; only policies keep earlier versions."""
        for owner, text in packed.items():
            if owner != POLICY:
                self._db.execute("DELETE FROM states WHERE owner = ?", (owner,))
            self._db.execute("INSERT OR REPLACE INTO states VALUES (?, ?, ?)", (owner, version, text))

    def _forget_files(self) -> None:
        """After a commit: removes the files that no state names any more."""
        folder = files_folder(self.path)
        if folder.is_dir():
            with self._serial:
                remove_others(folder, _named_files(self._db))

    def _migrate(self, schema: int) -> None:
        """Brings a record of an earlier version up, after a copy of it was set aside."""
        aside = self.path.with_name(f"record-schema-{schema}.sqlite")
        if not aside.exists():
            fresh = aside.with_suffix(".new")
            fresh.unlink(missing_ok=True)
            self._db.execute("VACUUM INTO ?", (str(fresh),))
            fresh.replace(aside)
        migrate(self._db, schema)

    def _batches(self, where: str, parameters: Iterable[Any] = ()) -> list[Batch]:
        with _sentences(self.path):
            return [Batch.from_row(row) for row in self._rows(f"SELECT * FROM batches {where}", parameters)]

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
    once: dict[tuple[Architecture, str], tuple[Record, Child]] = {}
    for record, child in ranked:
        once.setdefault(child.proposal.network, (record, child))
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
    if any(word in said for word in ("no such table: main.rounds", "no such column: round")):
        return TemporaryError(
            f"the record {path} was brought up to this version meanwhile: repeat the command"
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
        f"{path} is not the record of a search, or is damaged ({printable(why)[:200]}). Move its folder "
        "away: `nas search` then goes on from the snapshot in data/searches, if there is one, or begins anew"
    )


def is_of(path: Path, definition: Mapping[str, Any]) -> bool:
    """Whether there is a record at `path`, of the search that `definition` defines."""
    if not path.is_file():
        return False
    with Record.read(path) as record:
        return same_search(record.definition, definition)


def is_ahead(snapshot: Path, live: Path, definition: Mapping[str, Any]) -> bool:
    """Whether `snapshot` is of the search that `definition` defines and further than the record `live`.

    The one that has applied more updates is ahead; of equal ones, the one with more finished children.

    Raises:
        SearchError: the snapshot is ahead, but it doesn't go on from what the live record proposed.
    """
    if not is_of(snapshot, definition):
        return False
    if not live.is_file():
        return True
    with Record.read(snapshot) as there, Record.read(live) as here:
        if here.progress() >= there.progress():
            return False
        if not here.begins(there):
            raise SearchError(
                f"the record {live} and the snapshot {snapshot} are of the same search but went different "
                "ways; move one of them away"
            )
    return True


def _take_up(snapshot: Path, live: Path) -> None:
    """Puts a copy of `snapshot` in the place of the record `live`, which is kept beside it."""
    fresh = live.with_suffix(".new")
    shutil.copyfile(snapshot, fresh)
    with closing(sqlite3.connect(f"file:{fresh}?mode=ro", uri=True)) as db:
        named = _named_files(db)
    kept = set(os.listdir(files_folder(live))) if files_folder(live).is_dir() else set()
    copy_files(files_folder(snapshot), files_folder(live), named, keep=kept)
    if live.exists():
        with closing(sqlite3.connect(live)) as db:
            db.execute("PRAGMA journal_mode = DELETE")  # all of it into the one file
        live.replace(live.with_name("record-before-snapshot.sqlite"))
    fresh.replace(live)


def _begin(path: Path, definition: Mapping[str, Any]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(TABLES)
        meta = {
            "schema": SCHEMA,
            "nasflow": nas.__version__,
            "definition": definition,
            "created_at": time.time(),
        }
        db.executemany(
            "INSERT INTO meta VALUES (?, ?)", [(key, json.dumps(value)) for key, value in meta.items()]
        )


def _has_table(db: sqlite3.Connection, name: str) -> bool:
    return bool(
        db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,)).fetchall()
    )


def _named_files(db: sqlite3.Connection) -> set[str]:
    """The hashes of all files that the states of a record name."""
    if not _has_table(db, "states"):
        return set()
    texts = db.execute("SELECT state FROM states WHERE instr(state, '__file__')").fetchall()
    return set().union(*(files_of(json.loads(text)) for (text,) in texts))
