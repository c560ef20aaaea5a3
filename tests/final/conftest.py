"""A finished search whose finals are to be trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.experiment import Experiment
from nas.search.opening import open_search
from nas.workers.pool import ChildPool
from nas.workspace import Workspace
from tests.factories import tiny_experiment
from tests.final.fakes import Apart

Searched = Callable[..., tuple[Experiment, Workspace]]


@pytest.fixture
def searched(tmp_path: Path) -> Searched:
    """Makes a search over the architectures of `fakes.SCORES`, with changes to its experiment."""

    def make(**changes: Any) -> tuple[Experiment, Workspace]:
        settings: dict[str, Any] = {
            "controller": {"name": "tests.final.fakes:Given"},
            "evaluator__trainer": "tests.final.fakes:train",
            "budget__children": 4,
            "reward": {"name": "accuracy", "power": 1},
            "final__top": 2,
            "final__baseline": "resnet:8x1x1",
            **changes,
        }
        experiment = tiny_experiment(tmp_path, **settings)
        workspace = Workspace(tmp_path)
        for seed in experiment.seeds:
            with open_search(experiment.with_seed(seed), workspace) as search:
                search.advance(experiment.budget)
        return experiment, workspace

    return make


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> Apart:
    """Nothing runs apart: no Keras is needed."""
    fake = Apart()
    monkeypatch.setattr(ChildPool, "isolated", fake)
    return fake
