"""A comparison's files say what was measured."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from nas.report.comparison import picture, write_comparison
from nas.search.compare.compare import compare
from nas.search.compare.statistics import differences, summaries
from nas.workspace import Workspace
from tests.tables.factories import small_comparison


def test_the_files_hold_runs_means_differences_and_the_curve(tmp_path: Path):
    comparison = small_comparison(tmp_path)
    names = ["random", "evolution"]
    compared = compare(comparison, Workspace(tmp_path), names, [200, 400], range(3), 1)
    folder = tmp_path / "out"
    write_comparison(folder, compared, summaries(compared), differences(compared))
    runs, summary = pd.read_csv(folder / "runs.csv"), pd.read_csv(folder / "summary.csv")
    assert len(runs) == 2 * 2 * 3
    table = compared.results.table.column("test")
    assert runs["test %"].tolist() == table[runs["row"].to_numpy()].tolist()
    chosen = runs[(runs["configuration"] == "evolution") & (runs["budget_seconds"] == 400)]
    row = summary[
        (summary["configuration"] == "evolution")
        & (summary["budget_seconds"] == 400)
        & (summary["column"] == "test %")
    ].iloc[0]
    assert row["mean"] == pytest.approx(chosen["test %"].mean())
    assert row["std"] == pytest.approx(chosen["test %"].std())
    assert row["runs"] == 3
    assert len(pd.read_csv(folder / "differences.csv")) == 2
    curve = pd.read_csv(folder / "curve.csv")
    assert curve["seconds"].max() == 400
    assert set(curve["configuration"]) == set(names)
    drawn = (folder / "curve.svg").read_text()
    assert "evolution" in drawn
    assert "seconds of queries" in drawn
    assert drawn == picture(compared), "the same runs give the same picture"
