"""`nas evaluate` tests once, says what came out and registers the winner."""

from __future__ import annotations

from typing import Any

import pytest

from nas.cli import evaluate
from nas.experiment import Experiment
from nas.workspace import Workspace
from tests.cli.conftest import EVALUATION, FakeTracker, Nas, Write


def test_touches_of_one_winner_and_of_all_are_both_shown() -> None:
    lines = evaluate.tested_lines({**EVALUATION, "test_set": {"touches": 5}, "judged_by": "the weights"})
    assert lines[1].endswith("300 images, touched 2 times for this winner")
    assert lines[2] == "test set  touched 5 times by all experiments on these data"
    assert not any("An earlier version" in line for line in lines)


def test_an_evaluation_is_told_and_its_winner_registered(
    nas: Nas, write: Write, tracker: FakeTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    write()
    monkeypatch.setattr("nas.final.evaluate.evaluate", lambda experiment, workspace, again: EVALUATION)
    silent = nas("evaluate", "tiny", "--no-track")
    assert tracker.calls == []
    assert "test      0.9700 (0.9500 – 0.9800 at 95 %) accuracy, 300 images, touched 2 times\n" in silent.out
    assert "baseline" not in silent.out
    assert "final score: it takes two architectures\n" in silent.out
    assert "An earlier version judged the finals by the best of their last epochs" in silent.out
    assert "MLflow    models:/nasflow-tiny/1\n" in nas("evaluate", "tiny").out
    assert tracker.calls == [("register", ("tiny", "tiny", "digits", EVALUATION))]


def test_another_touch_of_the_test_data_must_be_asked_for(
    nas: Nas, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write()
    asked: list[bool] = []

    def run(experiment: Experiment, workspace: Workspace, *, again: bool) -> dict[str, Any]:
        asked.append(again)
        return EVALUATION

    monkeypatch.setattr("nas.final.evaluate.evaluate", run)
    nas("evaluate", "tiny", "--no-track")
    nas("evaluate", "tiny", "--no-track", "--again")
    assert asked == [False, True]


def test_rank_correlations_from_stage_to_stage_are_told_where_there_were_rings() -> None:
    stages = {
        "ring 1": {"before": "search", "kendall_tau": 0.25, "n": 8, "reason": ""},
        "finals": {"before": "ring 1", "kendall_tau": None, "n": 1, "reason": "it takes two architectures"},
    }
    assert evaluate.tested_lines({**EVALUATION, "rank_correlations": stages})[-4:-1] == [
        "Kendall's tau from stage to stage:",
        "  search → ring 1: 0.25 (over 8 architectures)",
        "  ring 1 → finals: it takes two architectures",
    ]
