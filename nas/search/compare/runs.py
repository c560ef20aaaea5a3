"""Finished runs of comparisons: what was done is not done again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Run:
    """One search in a table.

    Attributes:
        rows: asked for, in order; -1 where the table has none.
        budget_seconds: until where it went. What a smaller budget would have found is its beginning.
        cpu_seconds: time of the processor that it took.
    """

    rows: np.ndarray
    budget_seconds: float
    cpu_seconds: float


class Runs:
    """A SQLite file of finished runs, by what defines them (a key) and their seed.

    Safe to use by several processes; each run is kept the moment it is put.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._open()) as db:
            db.execute(
                "CREATE TABLE IF NOT EXISTS runs(key TEXT, seed INTEGER, budget REAL NOT NULL, rows BLOB "
                "NOT NULL, cpu REAL NOT NULL, PRIMARY KEY (key, seed)) WITHOUT ROWID"
            )

    def known(self, keys: Sequence[str]) -> str:
        """The first of the keys under which there are runs; the first of all if there are none."""
        with closing(self._open()) as db:
            there = {key for (key,) in db.execute("SELECT DISTINCT key FROM runs")}
        return next((key for key in keys if key in there), keys[0])

    def get(self, key: str, seeds: Iterable[int], budget_seconds: float) -> dict[int, Run]:
        """Those runs that are there and went at least as far as the budget, by seed."""
        wanted = set(seeds)
        with closing(self._open()) as db:
            found = db.execute(
                "SELECT seed, budget, rows, cpu FROM runs WHERE key = ? AND budget >= ?",
                (key, budget_seconds),
            ).fetchall()
        return {
            seed: Run(np.frombuffer(rows, dtype="<i4"), budget, cpu)
            for seed, budget, rows, cpu in found
            if seed in wanted
        }

    def put(self, key: str, runs: Mapping[int, Run]) -> None:
        """Keeps runs by seed, in place of shorter ones."""
        with closing(self._open()) as db:
            db.executemany(
                "INSERT INTO runs VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET budget = excluded.budget, "
                "rows = excluded.rows, cpu = excluded.cpu WHERE excluded.budget > budget",
                [
                    (key, seed, run.budget_seconds, run.rows.astype("<i4").tobytes(), run.cpu_seconds)
                    for seed, run in runs.items()
                ],
            )

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, isolation_level=None, timeout=30)
        db.execute("PRAGMA journal_mode = WAL")
        return db
