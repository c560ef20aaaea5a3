"""Many runs at a time: equal to single ones, each kept once, and what they say together."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from nas.errors import InputError
from nas.search.compare.compare import Compared, compare, one_run
from nas.search.compare.runs import Run
from nas.search.compare.statistics import answers, curves, differences, reported, summaries
from nas.tables.columns import Results
from nas.workspace import Workspace
from tests.tables.factories import COMPARISON, small_comparison, small_table

NAMES = ["random", "evolution", "reinforce"]


def compared(
    root: Path, names: list[str] = NAMES, runs: int = 7, budgets: tuple[float, ...] = (400, 200), **more
):
    return compare(small_comparison(root), Workspace(root), names, budgets, range(runs), 2, **more)


def test_runs_in_processes_are_those_of_this_one(tmp_path: Path):
    found = compared(tmp_path)
    comparison = small_comparison(tmp_path)
    assert found.computed == 21
    assert list(found.runs) == NAMES
    assert list(found.budgets) == [200, 400]
    for name in NAMES:
        for seed in (0, 6):
            own = one_run(comparison, found.results, found.configurations[name], seed, 400)
            np.testing.assert_array_equal(found.runs[name][seed].rows, own.rows)
    assert len({tuple(run.rows) for run in found.runs["random"]}) == 7, "each seed is another search"


def test_finished_runs_are_not_repeated(tmp_path: Path):
    told: list[tuple[str, int, int]] = []
    first = compared(tmp_path, ["random"], progress=lambda *news: told.append(news))
    assert told[0] == ("random", 0, 7)
    assert told[-1] == ("random", 7, 7)
    assert compared(tmp_path, ["random"]).computed == 0
    assert compared(tmp_path, ["random"], budgets=(100,)).computed == 0, "a smaller budget is a beginning"
    assert compared(tmp_path, ["random"], runs=9).computed == 2
    assert compared(tmp_path, ["random"], budgets=(500,)).computed == 7
    assert compared(tmp_path, ["random:children_per_round=2"]).computed == 7
    again = compared(tmp_path, ["random"])
    for one, other in zip(first.runs["random"], again.runs["random"], strict=True):
        np.testing.assert_array_equal(answers(first, one, [200, 400]), answers(again, other, [200, 400]))


def test_runs_of_an_earlier_version_are_found_and_gone_on_with(tmp_path: Path):
    first, comparison = compared(tmp_path, ["random"], runs=2), small_comparison(tmp_path)
    digest = first.results.table.digest
    now, before = comparison.keys(comparison.configuration("random")[1], digest)
    assert first.keys == {"random": now}
    store = tmp_path / ".state" / "tables.sqlite"
    with closing(sqlite3.connect(store)) as db, db:
        db.execute("UPDATE runs SET key = ? WHERE key = ?", (before, now))
    again = compared(tmp_path, ["random"], runs=3)
    assert again.computed == 1
    assert again.keys == {"random": before}, "so that MLflow finds them too"


def test_names_must_be_there_once(tmp_path: Path):
    for names in ([], ["random", "random"]):
        with pytest.raises(InputError, match="each once"):
            compared(tmp_path, names)


@pytest.fixture
def by_hand(tmp_path: Path) -> Compared:
    """Two configurations with runs written by hand. Rewards rise with the rows here; a query costs 10 s."""
    comparison = small_comparison(
        tmp_path, columns={**COMPARISON["columns"], "cost": 10, "report": {"test": "test"}}
    )
    results = Results(small_table(tmp_path), comparison.roles)
    rewards = np.arange(54) / 100
    rewards[50] = -np.inf
    runs = {
        "one": [run(3, 9, 5, 50), run(-1, 2, 2, 7), run(9, 9, 9, 9)],
        "other": [run(1, 1, 1, 1), run(2, 2, 2, 2), run(3, 3, 3, 3)],
    }
    configuration = comparison.configuration("random")[1]
    return Compared(
        results=results,
        rewards=rewards,
        configurations=dict.fromkeys(runs, configuration),
        runs=runs,
        keys=dict.fromkeys(runs, "key"),
        seeds=(0, 1, 2),
        budgets=(20.0, 40.0),
        computed=0,
    )


def run(*rows: int) -> Run:
    return Run(np.array(rows, dtype="<i4"), 40.0, 0.04)


def test_the_answer_is_the_best_reward_that_ended_within_the_budget(by_hand: Compared):
    first, second, _ = by_hand.runs["one"]
    budgets = [5, 10, 19.9, 20, 30, 40]
    assert answers(by_hand, first, budgets).tolist() == [-1, 3, 3, 9, 9, 9], "row 50's training failed"
    assert answers(by_hand, second, budgets).tolist() == [-1, -1, -1, 2, 2, 7], "the table lacks the first"


def test_means_and_deviations_are_those_of_the_answers(by_hand: Compared):
    test = by_hand.results.table.column("test")
    one, other, one_later, _ = summaries(by_hand)
    assert (one.configuration, one.budget_seconds) == ("one", 20.0)
    assert one.mean["test"] == pytest.approx(test[[9, 2, 9]].mean())
    assert one.std["test"] == pytest.approx(test[[9, 2, 9]].std(ddof=1))
    assert one.mean["reward"] == pytest.approx((0.09 + 0.02 + 0.09) / 3)
    assert one.queries == 2
    assert one.cpu_ms_per_query == pytest.approx(10.0)
    assert other.std["reward"] == pytest.approx(0.01)
    assert one_later.mean["reward"] == pytest.approx((0.09 + 0.07 + 0.09) / 3)


def test_intervals_are_those_of_the_bootstrap(by_hand: Compared):
    """For normal values the interval is mean ± 1.96 standard errors of both sides together."""
    random = np.random.default_rng(0)
    rows = {"one": random.integers(20, 40, 400), "other": random.integers(10, 40, 400)}
    many = Compared(
        **{
            **vars(by_hand),
            "runs": {name: [run(row) for row in own] for name, own in rows.items()},
            "budgets": (40.0,),
            "seeds": range(400),
        }
    )
    (difference,) = differences(many)
    test = many.results.table.column("test")
    values = [test[own] for own in rows.values()]
    error = np.sqrt(sum(each.var() / 400 for each in values))
    assert difference.mean == pytest.approx(values[0].mean() - values[1].mean())
    assert difference.low == pytest.approx(difference.mean - 1.96 * error, abs=0.15 * error)
    assert difference.high == pytest.approx(difference.mean + 1.96 * error, abs=0.15 * error)
    assert difference.significant
    assert differences(many) == differences(many), "the same runs give the same interval"


def test_a_difference_that_may_be_none_is_not_significant(by_hand: Compared):
    same = Compared(**{**vars(by_hand), "runs": dict.fromkeys(("one", "other"), by_hand.runs["other"])})
    assert not any(difference.significant for difference in differences(same))


def test_the_curve_is_the_mean_answer_over_the_budget(by_hand: Compared):
    seconds, means = curves(by_hand)
    own = dict(zip(seconds.round(6).tolist(), means["one"]["reward"], strict=True))
    assert np.isnan(own[10.0]), "a run has no answer yet"
    assert own[20.0] == pytest.approx((0.09 + 0.02 + 0.09) / 3)
    assert own[40.0] == pytest.approx((0.09 + 0.07 + 0.09) / 3)
    assert reported(by_hand, [40.0])["other"]["reward"][:, 0].tolist() == [0.01, 0.02, 0.03]


def test_a_budget_without_an_answer_is_refused(by_hand: Compared):
    early = Compared(**{**vars(by_hand), "budgets": (5.0,)})
    with pytest.raises(InputError, match="had no answer: use a larger budget"):
        summaries(early)
