"""Curves are what the record says: means, bests, bands, fronts and shares that can be counted by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from nas.evaluation import ChildResult, Proposal, Status
from nas.report import curves
from nas.report.results import ExperimentResults, Searched, gather
from nas.search.record import Record
from nas.search.rows import Batch, Child
from nas.spaces import parse_architecture
from nas.workspace import Workspace
from tests.factories import tiny_experiment
from tests.report.factories import make_search

NET = parse_architecture("conv:3x3x4@0")
SHARED = ("state", "operation", "combination")


def child(number: int, reward: float, parameters: int = 100, tokens: Sequence[int] = ()) -> Child:
    """A child whose score is its reward's cube root; a reward of 0 is a failure."""
    status = Status.OK if reward else Status.CRASHED
    history = ({"val_accuracy": reward ** (1 / 3)},) if reward else ()
    result = ChildResult(status, history, reward=reward, parameters=parameters)
    return Child(Proposal(number, 3, tuple(tokens), NET), number // 4, number, result=result)


def searched(rewards: Sequence[float], seed: int = 7) -> Searched:
    children = tuple(child(number, reward) for number, reward in enumerate(rewards))
    return Searched(seed, {"seed": seed}, "", children, ())


def results(folder: Path, *searches: Searched, **changes: object) -> ExperimentResults:
    return ExperimentResults(tiny_experiment(folder, **changes), searches, (), None, "", None, None, None)


def test_mean_and_best_run_over_finished_children_and_failures_count_for_the_mean() -> None:
    found = curves.rewards_of(searched([0.4, 0.0, 0.6, 0.2]))
    assert found.mean.children == (1, 2, 3, 4)
    assert found.mean.values == pytest.approx((0.4, 0.2, 1 / 3, 0.3), abs=1e-4)
    assert found.best.values == (0.4, 0.4, 0.6, 0.6)
    waiting = searched([0.5, 0.7])
    last = replace(waiting.children[1], result=None)
    assert curves.rewards_of(replace(waiting, children=(waiting.children[0], last))).best.children == (1,)


def test_the_mean_forgets_what_is_older_than_its_window() -> None:
    found = curves.rewards_of(searched([1.0] * 8 + [0.5] * 8))
    assert found.window == 8
    assert found.mean.values[7:] == pytest.approx([1 - 0.0625 * n for n in range(9)])


def test_long_curves_are_thinned_and_keep_their_end() -> None:
    found = curves.rewards_of(searched([0.25] * 5000 + [0.75]))
    assert len(found.best.values) <= curves.POINTS
    assert (found.best.children[0], found.best.children[-1]) == (1, 5001)
    assert found.best.values[-1] == 0.75


def test_the_band_of_another_search_ends_at_equal_budget(tmp_path: Path) -> None:
    beside = results(tmp_path, searched([0.1] * 50), searched([0.9] * 50, seed=8))
    found = curves.band_of(beside, 30)
    assert found is not None
    assert found.children == 30
    assert found.low.values[-1] == pytest.approx(0.1)
    assert found.high.values[-1] == pytest.approx(0.9)
    assert found.best.values == pytest.approx([0.5] * 30)
    assert curves.band_of(results(tmp_path, searched([])), 30) is None


def test_nobody_on_the_front_is_beaten_in_both_and_all_others_are(tmp_path: Path) -> None:
    children = (
        child(0, 0.5, 100),
        child(1, 0.4, 200),  # worse and dearer
        child(2, 0.6, 200),
        child(3, 0.6, 300),  # as good, dearer
        child(4, 0.0, 10),  # failed
        child(5, 0.9, 900),
        child(6, 0.7, 0),  # its size was not measured
    )
    found = results(tmp_path, Searched(7, {"seed": 7}, "", children, ()))
    assert [one.number for _, one in curves.front_of(found)] == [0, 2, 5]


def test_statistics_stand_at_the_number_of_children_so_far() -> None:
    rounds = (
        Batch(0, 0, 0, 0.0, 1.0, {"entropy": 2.0, "reward/mean": 0.5}),
        Batch(1, 0, 1, 1.0, 2.0, {"entropy": 1.5, "bad": float("nan")}),
        Batch(2, 0, 2, 2.0, None, None),
    )
    found = curves.statistics_of(replace(searched([0.5] * 9), batches=rounds))
    assert set(found) == {"entropy", "reward/mean"}
    assert found["entropy"] == curves.Curve((4, 8), (2.0, 1.5))


def test_shares_count_each_option_in_windows_of_the_search(tmp_path: Path) -> None:
    """Depth 3, two options each: height, width, filters; then links to 1 and to 1 and 2."""
    always, never = (1, 1, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0), (0,) * 12
    children = tuple(child(n, 0.5, tokens=always if n >= 24 else never) for n in range(48))
    found = curves.shares_of(results(tmp_path, Searched(7, {"seed": 7}, "", children, ())))
    named = {one.decision: one for one in found}
    assert [one.decision for one in found][:4] == [
        "all: filter height",
        "all: filter width",
        "all: filters",
        "all: links",
    ]
    first = named["layer1.filter height"]
    assert first.options == ("1", "3")
    assert first.first == tuple(range(0, 48, 2))
    assert first.windows == ((1.0, 0.0),) * 12 + ((0.0, 1.0),) * 12
    assert named["all: filter height"].windows[-1] == pytest.approx((2 / 3, 1 / 3), abs=1e-4)
    links = named["layer3.links"]
    assert links.options == ("not linked", "linked")
    assert links.windows[-1] == (0.5, 0.5)


def test_shares_of_cells_are_told_for_both_together_each_cell_and_each_decision(tmp_path: Path) -> None:
    """One block in each cell: two states, two operations, what joins them."""
    experiment = tiny_experiment(
        tmp_path, space={"name": "nasnet", "blocks": 1}, recipe__stack={"name": "cifar", "cells": 1}
    )
    one = child(0, 0.5, tokens=(0, 1, 10, 10, 0, 0, 1, 3, 3, 1))
    children = (replace(one, proposal=replace(one.proposal, depth=1)),)
    found = replace(results(tmp_path, Searched(7, {"seed": 7}, "", children, ())), experiment=experiment)
    named = {one.decision: one for one in curves.shares_of(found)}
    assert list(named)[:9] == [
        f"{which}: {kind}" for which in ("all", "normal", "reduction") for kind in SHARED
    ]
    assert sum(name.count(".") == 2 for name in named) == 10
    operations = [
        {one: part for one, part in zip(share.options, share.windows[0], strict=True) if part}
        for share in (named[f"{which}: operation"] for which in ("all", "normal", "reduction"))
    ]
    assert operations == [{"sep3x3": 0.5, "dil3x3": 0.5}, {"sep3x3": 1.0}, {"dil3x3": 1.0}]


def test_tokens_of_another_space_are_left_out(tmp_path: Path) -> None:
    children = (child(0, 0.5, tokens=(1, 2)), child(1, 0.5))
    assert curves.shares_of(results(tmp_path, Searched(7, {"seed": 7}, "", children, ()))) == ()


def test_repeats_are_read_together(tmp_path: Path) -> None:
    experiment = tiny_experiment(tmp_path, repeats=[1, 2])
    paths = {s: make_search(experiment.with_seed(s), Workspace(tmp_path), 8) for s in (1, 2)}
    found = gather(experiment, Workspace(tmp_path), lambda one: Record.read(paths[one.seed]))
    assert [one.seed for one in found.searches] == [1, 2]
    assert [(place, one.number) for place, one in found.children()] == [
        (place, number) for place in (0, 1) for number in range(8)
    ]
    rewards = [one.reward for _, one in found.best]
    assert rewards == sorted(rewards, reverse=True)
    assert len({one.proposal.architecture for _, one in found.best}) == len(rewards)
