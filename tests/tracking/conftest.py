"""A workspace with an empty local MLflow store, and records without trainings."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.experiment import Experiment
from nas.search.record import Record
from nas.tracking.connection import connect
from nas.workspace import Workspace
from tests.tracking.factories import held


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow takes over a second to make its tables: once is enough."""
    workspace = Workspace(tmp_path_factory.mktemp("empty"))
    connect(workspace)
    return workspace.tracking / "mlflow.db"


@pytest.fixture
def workspace(tmp_path: Path, empty_store: Path) -> Workspace:
    workspace = Workspace(tmp_path)
    workspace.tracking.mkdir()
    shutil.copyfile(empty_store, workspace.tracking / "mlflow.db")
    return workspace


@pytest.fixture
def experiment() -> Experiment:
    return Experiment.model_validate(
        {
            "name": "tiny",
            "about": "A test",
            "data": {"source": "digits"},
            "space": {"name": "conv", "image_size": 8, "depth": 2},
            "controller": {"name": "random"},
            "recipe": {"name": "image", "epochs": 2},
            "budget": {"children": 8},
            "seed": 7,
        }
    )


@pytest.fixture
def record(workspace: Workspace, experiment: Experiment) -> Iterator[Record]:
    with held(workspace, experiment) as record:
        yield record
