"""A search in a table: the same loop and record, with the summed cost as its clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from nas.errors import InputError
from nas.evaluation import Evaluator, Job, Proposal, Status
from nas.experiment import Experiment, load
from nas.search.loops import room
from nas.search.opening import open_search, read_record
from nas.tables.columns import Columns, Results
from nas.tables.evaluator import TableEvaluator, reported
from nas.testing.evaluators import EvaluatorContract
from nas.workspace import Workspace
from tests.tables.factories import COLUMNS, COMPARISON, DECISIONS, small_table, write_table

EVALUATOR = {"name": "table", **{key: value for key, value in COLUMNS.items() if key != "report"}}
EXPERIMENT: dict[str, Any] = {
    "data": COMPARISON["data"],
    "space": {"name": "table", "decisions": DECISIONS},
    "controller": {"name": "evolution", "population": 4, "sample": 2},
    "evaluator": EVALUATOR,
    "reward": {"power": 1, "window": 1},
    "search": {"children_per_round": 2},
    "budget": {"cost_seconds": 300},
    "seed": 3,
}


def experiment(root: Path, **changes: Any) -> Experiment:
    write_table(root / "small.csv")
    path = root / "experiments" / "table.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump({**EXPERIMENT, **changes}))
    return load(path)


def searched(root: Path, **changes: Any) -> Experiment:
    loaded = experiment(root, **changes)
    with open_search(loaded, Workspace(root)) as search:
        search.advance(loaded.budget)
    return loaded


def test_the_clock_is_the_summed_cost(tmp_path: Path):
    with read_record(searched(tmp_path), Workspace(tmp_path)) as record:
        children = record.children()
        costs = [child.result.train_seconds for child in children if child.result]
        assert record.cost_seconds() == pytest.approx(sum(costs))
        assert sum(costs) >= 300 > sum(costs[:-2]), "the last round is the one that passes the budget"
        assert all(child.slot == "table" and child.result.ok for child in children)
        assert children[0].result.reward == children[0].result.curve("val_accuracy")[0]


def test_a_repeated_architecture_costs_its_time_again(tmp_path: Path):
    one_option = {"filters": [8], "kernel": [1], "pool": {0: "none"}, "skip": {0: "off"}}
    with read_record(
        searched(tmp_path, space={"name": "table", "decisions": one_option}), Workspace(tmp_path)
    ) as record:
        assert record.count() == 16, "15 queries of 20 s, in rounds of 2"
        assert record.cost_seconds() == pytest.approx(320)


def test_a_result_that_is_reused_costs_nothing(tmp_path: Path):
    one_option = {"filters": [8], "kernel": [1], "pool": {0: "none"}, "skip": {0: "off"}}
    changes = {
        "space": {"name": "table", "decisions": one_option},
        "search": {"duplicates": "reuse", "children_per_round": 2},
        "budget": {"children": 6},
    }
    with read_record(searched(tmp_path, **changes), Workspace(tmp_path)) as record:
        assert record.count("finished") == 6
        assert record.cost_seconds() == pytest.approx(20)


def test_a_larger_budget_goes_on_and_another_column_is_another_search(tmp_path: Path):
    searched(tmp_path)
    loaded = experiment(tmp_path, budget={"cost_seconds": 600})
    with open_search(loaded, Workspace(tmp_path)) as search:
        before = search.record.count()
        assert before > 0
        assert room(search.record, loaded.budget) > 0
        search.advance(loaded.budget)
        assert search.record.count() > before
    other = experiment(tmp_path, evaluator={**EVALUATOR, "reward": "test"})
    with open_search(other, Workspace(tmp_path)) as search:
        assert search.record.count() == 0


def test_what_the_table_lacks_is_a_failed_child(tmp_path: Path):
    decisions = {**DECISIONS, "filters": [64]}
    with read_record(
        searched(tmp_path, space={"name": "table", "decisions": decisions}), Workspace(tmp_path)
    ) as record:
        assert {child.status for child in record.children()} == {str(Status.CRASHED)}
        assert record.best(1) == []


def test_a_space_that_decides_something_else_is_refused(tmp_path: Path):
    loaded = experiment(tmp_path, space={"name": "nasbench201"})
    with open_search(loaded, Workspace(tmp_path)) as search, pytest.raises(InputError, match="'filters'"):
        search.advance(loaded.budget)


def test_no_recipe_is_needed_but_where_children_are_trained(tmp_path: Path):
    loaded = experiment(tmp_path)
    assert loaded.recipe is None
    assert "recipe" not in loaded.definition("digest", 1)
    with pytest.raises(InputError, match="'table' has no recipe: its children are looked up"):
        loaded.built_recipe()
    with pytest.raises(InputError, match="the key 'recipe' is missing: the evaluator 'train' trains"):
        experiment(tmp_path, evaluator={"name": "train"})


def test_what_the_table_reports_of_an_answer_is_told_at_the_end_and_stands_in_no_record(tmp_path: Path):
    loaded = searched(tmp_path, evaluator={**EVALUATOR, "report": COLUMNS["report"]})
    with read_record(loaded, Workspace(tmp_path)) as record:
        best = record.best(1)[0]
        assert "test" not in str([child.result.to_json() for child in record.children()])
    chosen = dict(best.proposal.architecture.decisions)
    values = {"none": 0, "max": 1, "average": 2, "off": 0, "on": 1}
    wanted = {column: int(values.get(option, option)) for column, option in chosen.items()}
    table = pd.read_csv(tmp_path / "small.csv")
    row = table[(table[list(wanted)] == pd.Series(wanted)).all(axis=1)]
    folder = Workspace(tmp_path).prepared("small")
    assert reported(loaded, folder, best.proposal) == {"test %": row["test"].item()}
    untold = experiment(tmp_path)
    assert reported(untold, folder, best.proposal) == {}


def test_an_option_of_the_evaluator_is_checked(tmp_path: Path):
    loaded = experiment(tmp_path, evaluator={**EVALUATOR, "rewrad": "x"})
    with pytest.raises(InputError, match="unknown option 'rewrad' of evaluator 'table'"):
        open_search(loaded, Workspace(tmp_path))


class TestContract(EvaluatorContract):
    @pytest.fixture(autouse=True)
    def table(self, tmp_path: Path) -> None:
        self.prepared, self.experiment = small_table(tmp_path), experiment(tmp_path)

    def make_evaluator(self) -> Evaluator:
        results = Results(self.prepared, Columns.of(COLUMNS))
        return TableEvaluator.of(results, self.experiment.built_space)

    def job(self, number: int) -> Job:
        space = self.experiment.built_space
        tokens = (number % 3, 0, 0, 0)
        return Job(
            Proposal(number, space.depth.at(0), tokens, space.decode(tokens, space.depth.at(0))), number
        )
