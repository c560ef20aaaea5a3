"""One Prefect server for all tests of flows, with a database of its own, and small searches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.server.api.server import SubprocessASGIServer
from prefect.testing.utilities import prefect_test_harness

import flows  # noqa: F401 - before Prefect, which reads its environment once
from tests.flows.processes import Flow
from tests.making import write_experiment

START_SECONDS = 120


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the tests' own Prefect API, which this process uses too."""
    before = os.environ.get("PREFECT_HOME")
    os.environ["PREFECT_HOME"] = str(tmp_path_factory.mktemp("prefect"))
    with prefect_test_harness(server_startup_timeout=START_SECONDS):
        yield str(SubprocessASGIServer().api_url)
    os.environ.pop("PREFECT_HOME")
    if before is not None:
        os.environ["PREFECT_HOME"] = before


@pytest.fixture
def client(api: str) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as connected:
        yield connected


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with the experiment `tiny`, whose children end at once and whose MLflow is away."""
    monkeypatch.setenv("NAS_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    write_experiment(tmp_path)
    return tmp_path


@pytest.fixture
def start(home: Path, tmp_path: Path) -> Iterator[type[Flow]]:
    """Starts flows as processes of their own; what the test leaves running is killed at its end."""
    Flow.begin(home)
    yield Flow
    Flow.kill_all()
