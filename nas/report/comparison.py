"""A comparison's files: tables for further use, and the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from nas.report.charts import best_so_far
from nas.search.compare.compare import Compared
from nas.search.compare.statistics import Difference, Summary, answers, curves, reported
from nas.search.folders import replaced

PICTURE = "curve.svg"


def write_comparison(
    folder: Path, compared: Compared, summaries: Sequence[Summary], differences: Sequence[Difference]
) -> None:
    """Writes `folder`, replaced as a whole.

    It holds `summary.csv`, `differences.csv`, `curve.csv` (mean answers over the budget), `runs.csv` (the
    answer of each run) and the picture `curve.svg`.
    """
    with replaced(folder) as fresh:
        summary_table(summaries, len(compared.seeds)).to_csv(fresh / "summary.csv", index=False)
        pd.DataFrame([asdict(one) for one in differences]).to_csv(fresh / "differences.csv", index=False)
        curve_table(compared).to_csv(fresh / "curve.csv", index=False)
        runs_table(compared).to_csv(fresh / "runs.csv", index=False)
        (fresh / PICTURE).write_text(picture(compared), encoding="utf-8")


def summary_table(summaries: Sequence[Summary], runs: int) -> pd.DataFrame:
    """One row for each configuration, budget and column."""
    return pd.DataFrame(
        {
            "configuration": one.configuration,
            "budget_seconds": one.budget_seconds,
            "column": column,
            "mean": one.mean[column],
            "std": one.std[column],
            "runs": runs,
            "queries": one.queries,
            "cpu_ms_per_query": one.cpu_ms_per_query,
        }
        for one in summaries
        for column in one.mean
    )


def curve_table(compared: Compared) -> pd.DataFrame:
    """One row for each configuration and point of the budget, a column for each mean."""
    seconds, means = curves(compared)
    parts = [
        pd.DataFrame({"configuration": name, "seconds": seconds, **columns})
        for name, columns in means.items()
    ]
    return pd.concat(parts, ignore_index=True)


def runs_table(compared: Compared) -> pd.DataFrame:
    """One row for each run and budget: its answer."""
    found = reported(compared, compared.budgets)
    parts = [
        pd.DataFrame(
            {
                "configuration": name,
                "seed": compared.seeds,
                "budget_seconds": budget,
                "row": [int(answers(compared, run, [budget])[0]) for run in runs],
                **{column: values[:, place] for column, values in found[name].items()},
            }
        )
        for name, runs in compared.runs.items()
        for place, budget in enumerate(compared.budgets)
    ]
    return pd.concat(parts, ignore_index=True)


def picture(compared: Compared) -> str:
    """The mean best-so-far curve of the first reported column, as SVG."""
    seconds, means = curves(compared)
    column = next(iter(compared.results.columns.report), "reward")
    return best_so_far(np.asarray(seconds), {name: own[column] for name, own in means.items()}, column)
