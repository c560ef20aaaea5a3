"""Which networks are retrained, how often, and by which recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nas.errors import SearchError
from nas.experiment import Experiment
from nas.final.finalists import (
    Entry,
    Finalist,
    entries,
    final_experiment,
    finalists,
    grid,
    with_baseline,
)
from nas.search.opening import open_search, read_record
from nas.spaces import parse_architecture
from nas.workspace import Workspace
from tests.factories import tiny_experiment
from tests.final.conftest import Searched
from tests.networks.stacks import Plain

A = Finalist(parse_architecture("conv:3x3x4@0"), {"learning_rate": 0.3}, reward=0.5)
BASELINE = Finalist(parse_architecture("resnet:8x1x1"), baseline=True)


def experiment(folder: Path, **changes: Any) -> Experiment:
    return tiny_experiment(folder, controller={"name": "random"}, **changes)


def test_the_best_over_all_repeats_are_finalists_once_each_and_the_baseline_comes_last(
    searched: Searched,
) -> None:
    made, workspace = searched(repeats=[1, 2], final__top=3, workers__slots=1)
    records = [read_record(made.with_seed(seed), workspace) for seed in made.seeds]
    found = with_baseline(made, finalists(made, records))
    for record in records:
        record.close()
    assert [one.architecture.text() for one in found] == [
        "conv:3x3x4@0",
        "conv:3x3x8@0",
        "conv:1x3x8@0",
        "resnet:8x1x1",
    ]
    assert [(one.place, one.seed, one.child, one.reward) for one in found] == [
        (1, 1, 0, 0.9),
        (2, 1, 1, 0.8),
        (3, 1, 2, 0.7),
        (None, None, None, None),
    ]
    assert [one.baseline for one in found] == [False, False, False, True]


def test_a_search_in_which_all_children_failed_has_no_finalists(searched: Searched) -> None:
    made, workspace = searched(evaluator__trainer="tests.fakes:raise_error")
    with (
        read_record(made, workspace) as record,
        pytest.raises(SearchError, match="no successful child among 4"),
    ):
        finalists(made, [record])


def test_the_grid_is_every_combination_and_the_baseline_goes_through_it_too(tmp_path: Path) -> None:
    made = experiment(tmp_path, final__grid={"learning_rate": [0.1, 0.2], "weight_decay": [0.0, 1e-4]})
    assert grid(made) == [
        {"learning_rate": 0.1, "weight_decay": 0.0},
        {"learning_rate": 0.1, "weight_decay": 1e-4},
        {"learning_rate": 0.2, "weight_decay": 0.0},
        {"learning_rate": 0.2, "weight_decay": 1e-4},
    ]
    trainings = entries(made, [A, BASELINE])
    assert [one.finalist.baseline for one in trainings] == [False] * 4 + [True] * 4


def test_without_a_grid_each_finalist_is_trained_once(tmp_path: Path) -> None:
    assert len(entries(experiment(tmp_path), [A, BASELINE])) == 2


def test_the_grid_stands_above_what_the_controller_decided_and_that_above_the_recipe(tmp_path: Path) -> None:
    made = experiment(tmp_path, final__recipe={"epochs": 7, "weight_decay": 0.5})
    derived = final_experiment(made, [Entry(A, {}), Entry(A, {"learning_rate": 0.1})])
    assert derived.recipe.model_dump()["epochs"] == 7
    assert derived.recipe.model_dump()["weight_decay"] == 0.5
    assert derived.controller.options["entries"] == [
        {"architecture": "conv:3x3x4@0", "overrides": {"learning_rate": 0.3}},
        {"architecture": "conv:3x3x4@0", "overrides": {"learning_rate": 0.1}},
    ]


def test_the_finals_are_one_round_with_a_seed_of_their_own(tmp_path: Path) -> None:
    made = experiment(tmp_path, final__seed=11, repeats=[1, 2], search__duplicates="reuse")
    derived = final_experiment(made, [Entry(A, {}), Entry(BASELINE, {})])
    assert (derived.name, derived.seeds) == ("tiny.final", (11,))
    assert derived.search.children_per_round == derived.budget.children == 2
    assert derived.search.duplicates == "train"
    assert derived.definition("digest", 1) != made.definition("digest", 1)


def test_the_time_limit_grows_with_the_epochs(tmp_path: Path) -> None:
    made = experiment(tmp_path, recipe__epochs=2, final__recipe={"epochs": 6}, workers__time_limit_minutes=5)
    assert final_experiment(made, [Entry(A, {})]).workers.time_limit_minutes == 15
    longest = final_experiment(made, [Entry(A, {}), Entry(A, {"epochs": 20})])
    assert longest.workers.time_limit_minutes == 50
    shorter = made.model_copy(update={"final": made.final.model_copy(update={"recipe": {"epochs": 1}})})
    assert final_experiment(shorter, [Entry(A, {})]).workers.time_limit_minutes == 5


def test_finals_make_another_stack_of_a_cell_and_none_of_a_baseline_that_is_a_whole_network(
    tmp_path: Path,
) -> None:
    stack = {"name": "tests.networks.stacks:Plain", "cells": 2, "filters": 8}
    larger = {**stack, "cells": 4, "filters": 16}
    made = experiment(
        tmp_path,
        space={"name": "tests.networks.stacks:TwistSpace"},
        evaluator__trainer="tests.final.fakes:train_stack",
        recipe__stack=stack,
        final={"top": 1, "recipe": {"stack": larger}, "baseline": "resnet:4x1x1"},
        workers__slots=1,
        budget__children=2,
        search__children_per_round=2,
    )
    workspace = Workspace(tmp_path)
    with open_search(made, workspace) as search:
        search.advance(made.budget)
    with read_record(made, workspace) as record:
        found = with_baseline(made, finalists(made, [record]))
    assert [dict(one.required) for one in found] == [{}, {"stack": None}]
    retrained = final_experiment(made, entries(made, found))
    with open_search(retrained, workspace) as search:
        search.advance(retrained.budget)
    with read_record(retrained, workspace) as record:
        cell, baseline = [record.child(number) for number in (0, 1)]
    window = found[0].architecture
    counts = [Plain(*size).cost(window, (8, 8, 1), 10).parameters for size in ((2, 8), (4, 16))]
    assert found[0].score == counts[0] / 1e6
    assert cell.result is not None
    assert cell.result.parameters == counts[1]
    assert baseline.result is not None
    assert baseline.result.parameters == parse_architecture("resnet:4x1x1").cost((8, 8, 1), 10).parameters


def test_either_name_of_an_option_in_the_grid_defines_the_same_finals(tmp_path: Path) -> None:
    defined = []
    for name in ("stop_hopeless", "median_stopping"):
        experiment = tiny_experiment(tmp_path, final__grid={name: [True]})
        trainings = [Entry(Finalist(parse_architecture("conv:3x3x4@0")), {name: True})]
        defined.append(final_experiment(experiment, trainings).definition("digest", 1))
    assert defined[0] == defined[1]
