"""Finished runs are kept by what defines them, and longer ones serve smaller budgets."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nas.search.compare.runs import Run, Runs


def run(*rows: int, budget: float = 100.0) -> Run:
    return Run(np.array(rows, dtype="<i4"), budget, 0.5)


def test_runs_come_back_as_they_were_put(tmp_path: Path):
    Runs(tmp_path / "new" / "runs.sqlite").put("key", {3: run(1, -1, 70_000), 4: run(2)})
    found = Runs(tmp_path / "new" / "runs.sqlite").get("key", [3, 5], 100.0)
    assert list(found) == [3]
    assert found[3].rows.tolist() == [1, -1, 70_000]
    assert (found[3].budget_seconds, found[3].cpu_seconds) == (100.0, 0.5)


def test_other_definitions_and_larger_budgets_have_no_runs(tmp_path: Path):
    runs = Runs(tmp_path / "runs.sqlite")
    runs.put("key", {0: run(1)})
    assert runs.get("other", [0], 50.0) == {}
    assert runs.get("key", [0], 100.5) == {}
    assert list(runs.get("key", [0], 50.0)) == [0]


def test_a_longer_run_takes_the_place_of_a_shorter_one_and_never_the_other_way(tmp_path: Path):
    runs = Runs(tmp_path / "runs.sqlite")
    runs.put("key", {0: run(1, 2)})
    runs.put("key", {0: run(1, 2, 3, budget=200.0)})
    runs.put("key", {0: run(1)})
    assert runs.get("key", [0], 0.0)[0].rows.tolist() == [1, 2, 3]
