"""Widening rings: each chooses for the next, on a record of its own, and none is taken for the finals."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from typing import Any

import pytest

from nas.errors import InputError, RecordLockedError, SearchError
from nas.experiment import Experiment, load
from nas.final.evaluate import evaluate
from nas.final.finalists import Entry, finalists, ring_experiment
from nas.final.finalize import finalize
from nas.final.rings import advance, kendall
from nas.report.page import write
from nas.search.opening import open_search, read_record, record_path
from nas.search.search import Search
from nas.workspace import Workspace
from tests.factories import write_experiment
from tests.final.conftest import Searched
from tests.final.fakes import Apart, trainings

A, B, C, D, BASELINE = "conv:3x3x4@0", "conv:3x3x8@0", "conv:1x3x8@0", "conv:3x1x4@0", "resnet:8x1x1"
RINGS: dict[str, Any] = {
    "evaluator__trainer": "tests.final.fakes:train_in_rings",
    "final__rings": [
        {"top": 9, "recipe": {"epochs": 2}},
        {"top": 2, "recipe": {"epochs": 2, "momentum": 0.8}},
    ],
    "final__top": 2,
}


def ring(experiment: Experiment, workspace: Workspace, number: int = 1) -> Experiment:
    """The experiment that is a ring whose networks come straight from the search."""
    with read_record(experiment, workspace) as record:
        found = finalists(experiment, [record])
    return ring_experiment(experiment, number, [Entry(one, {}) for one in found])


def test_each_ring_retrains_the_best_of_the_one_before_and_the_baseline_is_in_the_finals_alone(
    searched: Searched, apart: Apart
) -> None:
    experiment, workspace = searched(**RINGS)
    folder = finalize(experiment, workspace)
    final = json.loads((folder / "final.json").read_text())
    rings = sorted([f"ring {A}", f"ring {B}", f"ring {C}", f"ring {D}", f"ring {D}", f"ring {A}"])
    assert trainings(workspace.root) == sorted([A, D, BASELINE, *rings])
    assert [one["architecture"] for one in final["finalists"]] == [D, A, BASELINE]
    assert final["finalists"][0]["search"]["place"] == 4
    assert final["finalists"][0]["rings"] == [
        {"ring": 1, "child": 3, "place": 1, "reward": 0.7, "score": 0.7},
        {"ring": 2, "child": 0, "place": 1, "reward": 0.7, "score": 0.7},
    ]
    assert "rings" not in final["baseline"]
    correlations = final["rank_correlations"]
    assert correlations == {
        "ring 1": {"before": "search", "kendall_tau": pytest.approx(-1 / 3), "n": 3, "reason": ""},
        "ring 2": {"before": "ring 1", "kendall_tau": pytest.approx(1), "n": 2, "reason": ""},
        "finals": {"before": "ring 2", "kendall_tau": pytest.approx(1), "n": 2, "reason": ""},
    }
    ring_1 = record_path(ring(experiment, workspace), workspace).parent
    assert not (ring_1 / "children").exists()  # no weights
    result = evaluate(experiment, workspace)
    assert result["rank_correlations"] == correlations
    page = write(experiment, workspace).read_text()
    assert '<th scope="col">ring 2 (place)</th>' in page
    assert "search → ring 1: -0.33 (over 3 architectures); ring 1 → ring 2: 1.00 (over 2" in page
    flat = json.loads((workspace.reports("tiny") / "evaluation" / "metrics.json").read_text())
    assert flat["kendall_tau_search_ring1"] == pytest.approx(-1 / 3)
    assert flat["kendall_tau_ring2_finals"] == pytest.approx(1)


def test_without_rings_final_json_says_nothing_of_them(searched: Searched, apart: Apart) -> None:
    experiment, workspace = searched()
    final = json.loads((finalize(experiment, workspace) / "final.json").read_text())
    assert "rank_correlations" not in final
    assert all("rings" not in one for one in final["finalists"])
    assert "rank_correlations" not in evaluate(experiment, workspace)


def test_an_interrupted_ring_goes_on_and_a_done_one_is_neither_trained_nor_followed_again_nor_in_a_clone(
    searched: Searched, apart: Apart
) -> None:
    experiment, workspace = searched(**RINGS)
    with open_search(ring(experiment, workspace), workspace) as search:
        search.sample()
        search.train(1)
    assert len(trainings(workspace.root)) == 1
    followed = []

    def follow(search: Search) -> None:
        followed.append(search.experiment.name)
        advance(search)

    finalize(experiment, workspace, advance=follow)
    assert followed == ["tiny.ring1", "tiny.ring2", "tiny.final"]
    before = trainings(workspace.root)
    assert len(before) == 6 + 3
    first = ring(experiment, workspace)
    shutil.rmtree(record_path(first, workspace).parent)  # another clone has the snapshot beside the winner
    with read_record(first, workspace) as record:
        assert record.path == workspace.models("tiny") / "ring-1.sqlite"
    finalize(experiment, workspace, advance=follow)
    assert followed[3:] == ["tiny.final"]
    assert trainings(workspace.root) == before


def test_a_ring_that_another_process_works_on_is_refused(searched: Searched, apart: Apart) -> None:
    experiment, workspace = searched(**RINGS)
    with open_search(ring(experiment, workspace), workspace), pytest.raises(RecordLockedError):
        finalize(experiment, workspace)


def test_a_ring_in_which_all_failed_is_told_and_leaves_the_earlier_winner(
    searched: Searched, apart: Apart
) -> None:
    experiment, workspace = searched(**RINGS)
    (workspace.root / "broken").touch()
    with pytest.raises(
        SearchError, match="none of the 4 networks of ring 1 of 'tiny' ended well: diverged: the"
    ):
        finalize(experiment, workspace)
    assert not workspace.models("tiny").exists()


def test_a_ring_is_a_search_over_the_best_of_all_seeds_with_its_own_recipe(searched: Searched) -> None:
    experiment, workspace = searched(
        **RINGS, repeats=[3, 4], budget__children=6, workers__time_limit_minutes=1
    )
    with ExitStack() as opened:
        seeds = map(experiment.with_seed, experiment.seeds)
        records = [opened.enter_context(read_record(one, workspace)) for one in seeds]
        found = finalists(experiment, records)
    derived = ring_experiment(experiment, 2, [Entry(one, {}) for one in found])
    assert [entry["architecture"] for entry in derived.controller.options["entries"]] == [A, B, C, D]
    assert derived.name == "tiny.ring2"
    assert derived.built_recipe().momentum == 0.8
    assert derived.workers.time_limit_minutes == 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"final.rings": [{"top": 2}], "final.top": 3},
            "final: each ring, and final.top after the last.* 2, 3",
        ),
        (
            {"final.rings": [{"top": 4}, {"top": 5}]},
            "at most as many as the stage before it; here .* 4, 5, 3",
        ),
        ({"final.rings": [{"top": 0}]}, "final.rings.0.top: "),
        ({"final.rings": [{"top": 4, "tops": 4}]}, r"unknown key 'final.rings.0.tops': did you mean 'top'"),
        ({"final.rings": [{"recipe": {}}]}, "the key 'final.rings.0.top' is missing"),
        ({"final.rings": 5}, "final.rings: "),
        ({"final.rings": [{"top": 4, "recipe": {"epoch": 4}}]}, "epochs"),
    ],
)
def test_rings_that_can_not_be_are_refused(tmp_path: Any, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        load(write_experiment(tmp_path), changes)


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        ([(1.0, 2.0)], "it takes two architectures, and 1 ended well"),
        ([(1.0, 2.0), (1.0, 3.0)], "all rewards of ring 1 are equal"),
        ([(1.0, 2.0), (2.0, 2.0)], "all rewards of ring 2 are equal"),
    ],
)
def test_a_correlation_that_is_undefined_says_why(pairs: list[tuple[float, float]], reason: str) -> None:
    assert kendall(pairs, "ring 1", "ring 2") == {"kendall_tau": None, "n": len(pairs), "reason": reason}
