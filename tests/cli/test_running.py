"""What follows a search: its commands hand over to the rooms below and tell what came out."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nas.cli import running
from nas.experiment import Experiment
from nas.search.opening import open_search
from nas.search.record import Record
from nas.search.search import Search
from nas.workspace import Workspace
from tests.cli.conftest import NETS, Nas, Write

EVALUATION: dict[str, Any] = {
    "architecture": NETS[0],
    "rank_correlation": {"kendall_tau": None, "n": 1, "reason": "it takes two architectures"},
    "test": {
        "metric": "accuracy",
        "unit": "images",
        "examples": 300,
        "lower_is_better": False,
        "touches": 2,
        "winner": {"value": 0.97, "low": 0.95, "high": 0.98},
        "baseline": None,
    },
}


@dataclass
class FakeTracker:
    """Notes what it was asked to do."""

    calls: list[tuple[str, Any]] = field(default_factory=list)

    def sync(self, record: Record, experiment: Experiment) -> int:
        assert record.held
        self.calls.append(("sync", experiment.name))
        return record.count()

    @contextmanager
    def follow(self, search: Search) -> Iterator[None]:
        self.calls.append(("follow", search.experiment.name))
        yield

    def page(self, experiment: Experiment) -> str:
        return ""

    def register_winner(self, folder: Path, experiment: Experiment, data: Any, measured: Any) -> str:
        self.calls.append(("register", (folder.name, experiment.name, data.name, measured)))
        return "models:/nasflow-tiny/1"


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch) -> FakeTracker:
    tracker = FakeTracker()
    monkeypatch.setattr("nas.tracking.Tracker", lambda _: tracker)
    return tracker


@pytest.fixture
def finals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Finals that train as a search of this experiment's finals does, and choose the first."""

    def run(experiment: Experiment, workspace: Workspace, *, listeners: Any, follow: Any) -> Path:
        derived = experiment.model_copy(update={"name": f"{experiment.name}.final"})
        with open_search(derived, workspace, listeners=listeners) as search, follow(search):
            search.advance(derived.budget)
        folder = workspace.models(experiment.name)
        folder.mkdir(parents=True)
        final = {
            "winner": {"architecture": NETS[0], "score": 0.9},
            "judged_by": "the weights",
            "earlier_choice": {
                "number": 1,
                "architecture": "conv:old",
                "reason": "its weights were not kept",
            },
        }
        (folder / "final.json").write_text(json.dumps(final))
        return folder

    monkeypatch.setattr("nas.final.finalize.finalize", run)


@pytest.mark.usefixtures("finals")
def test_finals_are_shown_as_validation_and_followed(nas: Nas, write: Write, tracker: FakeTracker) -> None:
    write(budget={"children": 2})
    ended = nas("finalize", "tiny")
    assert ended.code == 0
    assert ended.out.count("(validation)  ") == 2
    assert "proxy" not in ended.out
    assert f"winner  {NETS[0]}\nscore   0.9000 (validation)\n" in ended.out
    assert "judged  by the weights" in ended.out
    assert "before  final 1, conv:old: its weights were not kept\n" in ended.out
    assert tracker.calls == [("follow", "tiny.final")]
    state = json.loads(nas("status", "--json").out)["searches"][0]
    assert (state["experiment"], state["best"]["proxy"]) == ("tiny.final", False)
    assert "networks retrained from scratch" in nas("top", "tiny.final").out
    assert "reward (validation)" in nas("show", "0", "tiny.final").out


def test_touches_of_one_winner_and_of_all_are_both_shown() -> None:
    lines = running.tested_lines({**EVALUATION, "test_set": {"touches": 5}, "judged_by": "the weights"})
    assert lines[1].endswith("300 images, touched 2 times for this winner")
    assert lines[2] == "test set  touched 5 times by all experiments on these data"
    assert not any("An earlier version" in line for line in lines)


@pytest.mark.usefixtures("finals")
def test_finals_need_not_be_followed(nas: Nas, write: Write, tracker: FakeTracker) -> None:
    write(budget={"children": 1})
    nas("finalize", "tiny", "--no-track")
    assert tracker.calls == []


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


@pytest.mark.usefixtures("finals")
def test_what_mlflow_missed_is_sent_searches_finals_and_winner(
    nas: Nas, write: Write, workspace: Workspace, tracker: FakeTracker
) -> None:
    write(budget={"children": 2}, repeats=[1, 2])
    nas("search", "tiny", "--no-track")
    nas("finalize", "tiny", "--no-track")
    path = workspace.reports("tiny") / "evaluation" / "evaluation.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(EVALUATION))
    ended = nas("track", "tiny")
    assert ended.code == 0
    assert [call for call in tracker.calls if call[0] == "sync"] == [
        ("sync", "tiny"),
        ("sync", "tiny"),
        ("sync", "tiny.final"),
    ]
    assert tracker.calls[-1][0] == "register"
    assert "tiny, seed 2: 2 children added, all 2 are in MLflow\n" in ended.out


def test_a_shared_search_is_sent_under_the_name_that_was_asked_for(
    nas: Nas, write: Write, tracker: FakeTracker
) -> None:
    for name in ("tiny", "mine"):
        write(name, budget={"children": 2})
        nas("search", name, "--no-track")
    ended = nas("track", "tiny")
    assert ended.out == "tiny, seed 7: 2 children added, all 2 are in MLflow\n"
    assert tracker.calls == [("sync", "tiny")]


def test_a_search_that_is_running_is_not_tracked_twice(
    nas: Nas, write: Write, workspace: Workspace, tracker: FakeTracker
) -> None:
    write(budget={"children": 1})
    nas("search", "tiny", "--no-track")
    (path,) = workspace.state.glob("*/record.sqlite")
    with Record.read(path) as record:
        definition = record.definition
    with Record.hold(path, definition):
        ended = nas("track", "tiny")
    assert ended.code == 75
    assert tracker.calls == []


def test_without_schedules_there_is_nothing_to_serve(
    workspace: Workspace, start: Callable[..., subprocess.Popen[str]]
) -> None:
    served = start("serve")
    out, err = served.communicate(timeout=120)
    assert (served.returncode, out) == (2, "")
    assert f"no schedules at {workspace.root / 'prefect.yaml'}" in err
