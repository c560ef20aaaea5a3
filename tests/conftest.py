"""What all tests share: quiet libraries, leases of their own, no server of the user's."""

from __future__ import annotations

import os
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
