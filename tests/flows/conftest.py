"""Small searches, and flows in processes of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client

import flows  # noqa: F401 - before Prefect, which reads its environment once
from tests.factories import write_experiment
from tests.flows.processes import Flow


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
