"""A workspace with a tiny experiment over a list of networks, and the command in this process or another."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nas import datasets
from nas.cli import main
from nas.experiment import Data, Experiment
from nas.search.opening import open_search
from nas.search.record import Record
from nas.search.search import Search
from nas.workspace import Workspace
from tests.factories import write_experiment

ROOT = Path(__file__).parents[2]
NETS = ("conv:3x3x4@0", "conv:1x3x4@0,3x3x8@0+1", "conv:3x1x8@0", "conv:1x1x8@0", "conv:3x3x8@0")
ENTRIES = [{"architecture": NETS[number % len(NETS)]} for number in range(64)]


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str


Nas = Callable[..., Outcome]
Write = Callable[..., Path]


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = Workspace(tmp_path_factory.mktemp("digits"))
    return datasets.prepare(Data(source="digits"), workspace).folder


@pytest.fixture
def workspace(tmp_path: Path, digits: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """With the data prepared, and the variable that leads commands here."""
    workspace = Workspace(tmp_path)
    shutil.copytree(digits, workspace.prepared("digits"))
    monkeypatch.setenv("NAS_HOME", str(tmp_path))
    return workspace


@pytest.fixture
def write(workspace: Workspace) -> Write:
    """Writes the experiment `tiny` or another one: `write("name", budget__children=4)`."""

    def write(name: str = "tiny", **changes: Any) -> Path:
        listed = {"name": "list", "entries": ENTRIES}
        return write_experiment(workspace.root, name, **{"controller": listed, **changes})

    return write


@pytest.fixture
def nas(capsys: pytest.CaptureFixture[str]) -> Nas:
    """Runs the command in this process."""

    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(arguments)
        written = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return Outcome(end.value.code, written.out, written.err)

    return run


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the command in a process of its own, which is gone when the test ends."""
    begun: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", "from nas.cli import main; main()", *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        begun.append(process)
        return process

    yield start
    for process in begun:
        with process:
            process.kill()


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

    def register_winner(self, folder: Path, experiment: Experiment, data: Any, measured: Any) -> str:
        self.calls.append(("register", (folder.name, experiment.name, data.name, measured)))
        return "models:/nasflow-tiny/1"

    def page(self, experiment: Experiment) -> str:
        return ""


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch) -> FakeTracker:
    tracker = FakeTracker()
    monkeypatch.setattr("nas.tracking.Tracker", lambda _: tracker)
    return tracker


@pytest.fixture
def finals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Finals that train as a search of this experiment's finals does, and choose the first."""

    def run(experiment: Experiment, workspace: Workspace, *, listeners: Any, advance: Any) -> Path:
        derived = experiment.model_copy(update={"name": f"{experiment.name}.final"})
        with open_search(derived, workspace, listeners=listeners) as search:
            advance(search)
        folder = workspace.models(experiment.name)
        folder.mkdir(parents=True)
        final = {
            "winner": {"architecture": NETS[0], "score": 0.9, "recipe": derived.built_recipe().to_json()},
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


@pytest.fixture
def searched(nas: Nas, write: Write, workspace: Workspace) -> Path:
    """A finished search of 5 children, one of them failed; returns its record."""
    write(
        budget={"children": 5}, search__children_per_round=3, evaluator__trainer="tests.fakes:train_by_seed"
    )
    assert nas("search", "tiny", "--no-track").code == 0
    (path,) = workspace.state.glob("*/record.sqlite")
    return path


def changed(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(sql)
