"""What all tests share: quiet libraries, leases of their own, no server of the user's."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

QUIET = {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
os.environ.update(QUIET)
for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "PREFECT_API_URL", "NAS_HOME"):
    os.environ.pop(name, None)


@pytest.fixture(autouse=True)
def own_leases(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests neither wait for slots of a search on this machine nor keep it waiting."""
    monkeypatch.setenv("NAS_LEASES", str(tmp_path_factory.getbasetemp() / "leases"))


@pytest.fixture
def shared() -> Path:
    """The folder of real data for tests; the test is skipped where it is absent."""
    folder = Path(os.environ.get("NAS_SHARED", Path(__file__).parents[1].parent / "shared"))
    if not (folder / "datasets").is_dir():
        pytest.skip(f"no real data at {folder} (set NAS_SHARED)")
    return folder


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the tests' own Prefect API, which this process uses too; its database is its own.

    It is the server that users start (`flows.server`), so whatever is tested works behind its checks.
    """
    import flows  # noqa: F401 - before Prefect, which reads its environment once
    from flows import server
    from flows.ui import answers, free_port
    from tests.flows.processes import ROOT, until

    home, port = tmp_path_factory.mktemp("prefect"), free_port(0)
    address = f"http://127.0.0.1:{port}/api"
    with (home / "log").open("w") as log, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(home))
        process = subprocess.Popen(server.command(port), cwd=ROOT, stdout=log, stderr=log)
        from prefect.events.worker import EventsWorker
        from prefect.logging.handlers import APILogWorker
        from prefect.settings import PREFECT_API_URL, temporary_settings

        try:
            until(lambda: answers(f"{address}/health"), "the server answers")
            with temporary_settings({PREFECT_API_URL: address}):
                yield address
                APILogWorker.drain_all()
                EventsWorker.drain_all()
        finally:
            process.terminate()
            process.wait(20)
