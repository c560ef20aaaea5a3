"""Columns play roles: units, sums, and what a row's result says."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from nas.datasets import load, prepare
from nas.errors import InputError
from nas.evaluation import Status
from nas.experiment import Data
from nas.tables.columns import Columns, Results
from nas.workspace import Workspace
from tests.tables.factories import COLUMNS, COMPARISON, small_table, write_table


def test_a_rows_result_has_all_in_its_unit(tmp_path: Path):
    result = Results(small_table(tmp_path), Columns.of(COLUMNS)).of(0, seed=5)
    assert result.ok
    assert result.curve("val_accuracy") == [pytest.approx(0.01 * (60 + 9 + 2 - 0.25))]
    assert result.train_seconds == 10 + 8 + 2
    assert (result.parameters, result.multiply_adds) == (8, 2_000_000)
    assert result.latency_seconds == pytest.approx(0.0005)
    assert (result.seed, result.device) == (5, "table")


def test_what_is_reported_in_the_end_stands_in_no_result(tmp_path: Path):
    result = Results(small_table(tmp_path), Columns.of(COLUMNS)).of(0)
    assert "test" not in str(result.to_json())


def test_sizes_and_latency_are_optional_and_a_cost_may_be_a_number(tmp_path: Path):
    columns = Columns.of({"reward": "accuracy", "metric": "val_score", "cost": [3, "judging"]})
    result = Results(small_table(tmp_path), columns).of(0)
    assert result.curve("val_score") == [70.75]
    assert result.train_seconds == 5.0
    assert (result.parameters, result.latency_seconds) == (0, None)


def test_a_network_that_the_table_lacks_has_crashed_at_the_mean_cost(tmp_path: Path):
    results = Results(small_table(tmp_path), Columns.of(COLUMNS))
    result = results.of(None)
    assert result.status is Status.CRASHED
    assert "no such row" in result.message
    assert result.train_seconds == pytest.approx(results.costs.mean())


def test_a_reward_that_is_no_number_is_a_diverged_child(tmp_path: Path):
    frame = pd.read_csv(write_table(tmp_path / "small.csv"))
    frame.loc[4, "accuracy"] = None
    frame.to_csv(tmp_path / "small.csv", index=False)
    prepare(Data.model_validate(COMPARISON["data"]), Workspace(tmp_path))
    results = Results(load(Workspace(tmp_path).prepared("small")), Columns.of(COLUMNS))
    assert results.of(4).status is Status.DIVERGED
    assert results.of(5).ok


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "must name the reward's column"),
        ({"reward": 3}, "reward must be a column's name"),
        ({"reward": {"column": "a", "factor": 2}}, "reward must be a column's name"),
        ({"reward": {"column": "a", "scale": "x"}}, "the scale of reward must be a number"),
        ({"reward": "a", "rewards": "b"}, "unknown role 'rewards' of a column: did you mean 'reward'"),
        ({"reward": "a", "report": "b"}, "report must give columns by name"),
    ],
)
def test_wrong_roles_are_explained(options, message):
    with pytest.raises(InputError, match=message):
        Columns.of(options)


def test_columns_that_the_table_lacks_and_negative_costs_are_refused(tmp_path: Path):
    table = small_table(tmp_path)
    with pytest.raises(InputError, match="did you mean 'accuracy'"):
        Results(table, Columns.of({"reward": "acuracy"}))
    with pytest.raises(InputError, match="at least 0"):
        Results(table, Columns.of({"reward": "accuracy", "cost": {"column": "seconds", "scale": -1}}))
