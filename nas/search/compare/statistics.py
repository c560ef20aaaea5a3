"""What many runs say: answers, means, intervals of differences, and the curve over the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from nas.errors import InputError
from nas.search.compare.compare import Compared
from nas.search.compare.replay import MISSING
from nas.search.compare.runs import Run

Array = npt.NDArray[np.float64]

RESAMPLES = 10_000
"""Of a bootstrap."""

POINTS = 100
"""Of a curve, evenly over the budget."""


@dataclass(frozen=True)
class Summary:
    """What a configuration's runs found within one budget.

    Attributes:
        mean, std: of each reported column over the runs; the standard deviation is that of a sample.
        queries: mean number of queries.
        cpu_ms_per_query: time of the processor for one query, the controller's learning included.
    """

    configuration: str
    budget_seconds: float
    mean: Mapping[str, float]
    std: Mapping[str, float]
    queries: float
    cpu_ms_per_query: float


@dataclass(frozen=True)
class Difference:
    """How much better `one` is than `other` in a reported column, on average.

    Attributes:
        low, high: the 95 % interval, by the percentile bootstrap (Efron & Tibshirani, 1993, §13.3) over
            runs, each side resampled for itself.
    """

    one: str
    other: str
    budget_seconds: float
    column: str
    mean: float
    low: float
    high: float

    @property
    def significant(self) -> bool:
        """Whether the interval is all on one side of zero."""
        return self.low > 0 or self.high < 0


def answers(compared: Compared, run: Run, budgets: Sequence[float]) -> npt.NDArray[np.int64]:
    """The row of highest reward among the queries that ended within each budget; of equal ones the first.

    A query that the budget cuts off doesn't count. Before the first has ended there is no answer (-1).
    """
    rewards = np.where(run.rows == MISSING, -np.inf, compared.rewards[run.rows])
    best = np.maximum.accumulate(rewards)
    leaders = np.maximum.accumulate(np.where(rewards > np.r_[-np.inf, best[:-1]], np.arange(len(best)), 0))
    last = _ended(compared, run, budgets) - 1
    rows = run.rows[leaders[np.maximum(last, 0)]].astype(np.int64)
    return np.where((last < 0) | ~np.isfinite(best[np.maximum(last, 0)]), MISSING, rows)


def _ended(compared: Compared, run: Run, budgets: Sequence[float]) -> npt.NDArray[np.intp]:
    """How many of a run's queries ended within each budget."""
    costs = compared.results.costs
    own = np.where(run.rows == MISSING, costs.mean(), costs[run.rows])
    return np.asarray(np.searchsorted(np.cumsum(own), np.asarray(budgets), side="right"))


def reported(compared: Compared, budgets: Sequence[float]) -> dict[str, dict[str, Array]]:
    """For each configuration and reported column the answers' numbers, with shape `(runs, budgets)`.

    The reward's own column stands among them, as `reward`. Where a run has no answer, it isn't a number.
    """
    results = compared.results
    columns = {"reward": compared.rewards} | {
        name: column.read(results.table) for name, column in results.columns.report.items()
    }
    out: dict[str, dict[str, Array]] = {}
    for name, runs in compared.runs.items():
        rows = np.stack([answers(compared, run, budgets) for run in runs])
        out[name] = {
            column: np.where(rows == MISSING, np.nan, values[rows]) for column, values in columns.items()
        }
    return out


def summaries(compared: Compared) -> list[Summary]:
    """A summary for each budget and configuration.

    Raises:
        InputError: a budget is smaller than the first query of a run, so that it has no answer.
    """
    found = reported(compared, compared.budgets)
    out = []
    for position, budget in enumerate(compared.budgets):
        for name, columns in found.items():
            runs = compared.runs[name]
            values = {column: each[:, position] for column, each in columns.items()}
            if np.isnan(values["reward"]).any():
                raise InputError(f"within {budget:g} s a run of '{name}' had no answer: use a larger budget")
            ended = [int(_ended(compared, run, [budget])[0]) for run in runs]
            out.append(
                Summary(
                    configuration=name,
                    budget_seconds=budget,
                    mean={column: float(each.mean()) for column, each in values.items()},
                    std={column: _std(each) for column, each in values.items()},
                    queries=float(np.mean(ended)),
                    cpu_ms_per_query=1000
                    * sum(run.cpu_seconds for run in runs)
                    / sum(len(run.rows) for run in runs),
                )
            )
    return out


def differences(compared: Compared, seed: int = 0) -> list[Difference]:
    """For each budget, pair of configurations and reported column (else the reward) the difference."""
    found = reported(compared, compared.budgets)
    columns = list(compared.results.columns.report) or ["reward"]
    random = np.random.default_rng(seed)
    out = []
    for position, budget in enumerate(compared.budgets):
        for column in columns:
            values = {name: each[column][:, position] for name, each in found.items()}
            means = {name: _resampled_means(each, random) for name, each in values.items()}
            for one, other in combinations(values, 2):
                low, high = np.percentile(means[one] - means[other], [2.5, 97.5])
                mean = float(values[one].mean() - values[other].mean())
                out.append(Difference(one, other, budget, column, mean, float(low), float(high)))
    return out


def curves(compared: Compared) -> tuple[Array, dict[str, dict[str, Array]]]:
    """The mean answer over the budget.

    Returns:
        The seconds, with shape `(POINTS,)`, and for each configuration and reported column the mean over
        runs, shaped alike; not a number where a run has no answer yet.
    """
    grid = np.linspace(0, compared.budgets[-1], POINTS + 1)[1:]
    found = reported(compared, grid.tolist())
    return grid, {
        name: {column: values.mean(axis=0) for column, values in columns.items()}
        for name, columns in found.items()
    }


def _resampled_means(values: Array, random: np.random.Generator) -> Array:
    indices = random.integers(len(values), size=(RESAMPLES, len(values)))
    return np.asarray(values[indices].mean(axis=1))


def _std(values: Array) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0
