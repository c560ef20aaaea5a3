"""A replay asks and tells exactly as a search in the same table does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from nas.controllers.listed import ListController
from nas.errors import InputError, SearchError
from nas.experiment import load
from nas.plugins import make
from nas.search.opening import open_search
from nas.tables.columns import Columns, Results
from nas.tables.evaluator import row_of
from nas.tables.replay import MISSING, replay
from nas.workspace import Workspace
from tests.tables.making import COLUMNS, COMPARISON, DECISIONS, small_comparison, small_table

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
    replayed = replay(
        make("controller", controller, space=comparison.built_space, seed=4),
        comparison.built_space,
        results,
        comparison.reward.make("reward"),
        children_per_round,
        700,
    )
    assert searched[: len(replayed)] == replayed
    assert len(searched) - len(replayed) < children_per_round, "a search ends its last round"
    assert rewards[: len(replayed)] == results.measured[replayed].tolist()


def test_the_budget_is_a_beginning_of_a_larger_one(tmp_path: Path):
    table, comparison = small_table(tmp_path), small_comparison(tmp_path)
    results = Results(table, comparison.roles)
    short, long = (
        replay(
            make("controller", CONTROLLERS[1], space=comparison.built_space, seed=1),
            comparison.built_space,
            results,
            comparison.reward.make("reward"),
            2,
            budget,
        )
        for budget in (300, 900)
    )
    assert long[: len(short)] == short
    assert results.costs[short].sum() >= 300 > results.costs[short[:-1]].sum()


def test_what_the_table_lacks_costs_time_too(tmp_path: Path):
    table = small_table(tmp_path)
    space = make("space", {"name": "table", "decisions": {**DECISIONS, "filters": [64]}})
    results = Results(table, Columns.of(COLUMNS))
    controller = make("controller", {"name": "random"}, space=space, seed=0)
    asked = replay(controller, space, results, small_comparison(tmp_path).reward.make("reward"), 1, 300)
    assert set(asked) == {MISSING}
    assert len(asked) == pytest.approx(300 / results.costs.mean(), abs=1)


def test_a_search_that_would_not_end_is_refused(tmp_path: Path):
    table, comparison = small_table(tmp_path), small_comparison(tmp_path)
    space, rule = comparison.built_space, comparison.reward.make("reward")
    free = Results(table, Columns.of({"reward": "accuracy"}))
    with pytest.raises(InputError, match="cost nothing"):
        replay(make("controller", {"name": "random"}, space=space, seed=0), space, free, rule, 1, 9)
    ends = ListController(space, entries=[{"architecture": "row:filters=8,kernel=1,pool=none,skip=off"}])
    with pytest.raises(SearchError, match="proposed nothing"):
        replay(ends, space, Results(table, comparison.roles), rule, 1, 99)
