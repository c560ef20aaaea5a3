"""A replay asks and tells exactly as a search in the same table does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from nas.controllers.listed import ListController
from nas.datasets import PreparedTable
from nas.errors import InputError, SearchError
from nas.experiment import load
from nas.search.compare.compare import one_run
from nas.search.compare.comparison import Configuration
from nas.search.compare.replay import MISSING, replay
from nas.search.opening import open_search
from nas.tables.columns import Columns, Results
from nas.tables.evaluator import row_of
from nas.workspace import Workspace
from tests.tables.factories import COLUMNS, COMPARISON, DECISIONS, small_comparison, small_table

CONTROLLERS: list[dict[str, Any]] = [
    {"name": "random"},
    {"name": "evolution", "population": 5, "sample": 2},
    {"name": "predictor", "random": 4},
    {"name": "reinforce", "units": 4, "learning_rate": 0.05, "rank_rewards": 20},
    {"name": "ppo", "units": 4, "learning_rate": 0.05, "epochs": 2},
]


@pytest.mark.parametrize("controller", CONTROLLERS, ids=lambda options: options["name"])
@pytest.mark.parametrize("children_per_round", [1, 3])
def test_a_replay_asks_for_what_a_search_asks_for(tmp_path: Path, controller, children_per_round: int):
    experiment = {
        "data": COMPARISON["data"],
        "space": {"name": "table", "decisions": DECISIONS},
        "controller": controller,
        "evaluator": {"name": "table", **{k: v for k, v in COLUMNS.items() if k != "report"}},
        "reward": {"power": 1, "window": 1},
        "search": {"children_per_round": children_per_round},
        "budget": {"cost_seconds": 700},
        "seed": 4,
    }
    table = small_table(tmp_path)
    path = tmp_path / "experiments" / "one.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(experiment))
    loaded = load(path)
    with open_search(loaded, Workspace(tmp_path)) as search:
        search.advance(loaded.budget)
        searched = [row_of(table, loaded.built_space, child.proposal) for child in search.record.children()]
        rewards = [child.reward for child in search.record.children()]

    comparison = small_comparison(tmp_path)
    results = Results(table, comparison.roles)
    setting = Configuration(**controller, children_per_round=children_per_round)
    replayed = one_run(comparison, results, setting, 4, 700).rows.tolist()
    assert searched[: len(replayed)] == replayed
    assert len(searched) - len(replayed) < children_per_round, "a search ends its last round"
    assert rewards[: len(replayed)] == results.measured[replayed].tolist()


def test_the_budget_is_a_beginning_of_a_larger_one(tmp_path: Path):
    table, comparison = small_table(tmp_path), small_comparison(tmp_path)
    results = Results(table, comparison.roles)
    setting = Configuration(**CONTROLLERS[1], children_per_round=2)
    short, long = (one_run(comparison, results, setting, 1, budget).rows.tolist() for budget in (300, 900))
    assert long[: len(short)] == short
    assert results.costs[short].sum() >= 300 > results.costs[short[:-1]].sum()


def test_what_the_table_lacks_costs_time_too(tmp_path: Path):
    table = small_table(tmp_path)
    more = {"name": "table", "decisions": {**DECISIONS, "filters": [64]}}
    comparison = small_comparison(tmp_path, space=more)
    results = Results(table, comparison.roles)
    asked = one_run(comparison, results, Configuration(name="random"), 0, 300).rows.tolist()
    assert set(asked) == {MISSING}
    assert len(asked) == pytest.approx(300 / results.costs.mean(), abs=1)


def test_a_search_that_would_not_end_is_refused(tmp_path: Path):
    table, comparison = small_table(tmp_path), small_comparison(tmp_path)
    random = Configuration(name="random")
    free = Results(table, Columns.of({"reward": "accuracy"}))
    with pytest.raises(InputError, match="cost nothing"):
        one_run(comparison, free, random, 0, 9)
    experiment = comparison.experiment(random, 0, 99)
    entries = [{"architecture": "row:filters=8,kernel=1,pool=none,skip=off"}]
    with pytest.raises(SearchError, match="proposed nothing"):
        replay(experiment, ListController(comparison.built_space, entries=entries), free_of_charge(table))


def free_of_charge(table: PreparedTable) -> Results:
    """The table's results at a second each."""
    return Results(table, Columns.of({"reward": "accuracy", "cost": [1]}))
