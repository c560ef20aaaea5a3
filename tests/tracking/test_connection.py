"""The store is the one that was meant, and the library is the real one."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from nas.errors import InputError, TemporaryError
from nas.tracking.connection import connect, explained, sentence, without_password
from nas.tracking.facts import flattened
from nas.workspace import Workspace

ROOT = Path(__file__).parents[2]


def test_the_folder_mlflow_never_hides_the_library() -> None:
    assert mlflow.__file__ is not None
    assert "site-packages" in Path(mlflow.__file__).parts
    ours = [path for path in (ROOT / "mlflow").rglob("*.py") if "artifacts" not in path.parts]
    assert not ours  # the code of a registered model lies in artifacts, where nothing imports it


def test_importing_the_tracker_imports_neither_mlflow_nor_tensorflow() -> None:
    code = "import sys, nas.tracking; print(sorted({'mlflow', 'tensorflow', 'keras'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_mlflow_is_quiet_and_sends_no_telemetry_whatever_comes_first(tmp_path: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from nas.tracking.connection import connect
from nas.workspace import Workspace
connect(Workspace(Path(sys.argv[1]))).experiment("x")
import mlflow.telemetry
print(mlflow.telemetry.get_telemetry_client())
"""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "DO_NOT"))}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=clean,
    )
    assert (done.stdout, done.stderr) == ("None\n", "")


def test_the_store_is_the_argument_then_the_environment_then_the_workspace(
    workspace: Workspace, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert connect(workspace).uri == f"sqlite:///{workspace.tracking}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert connect(workspace).uri == "http://127.0.0.1:9"
    assert connect(workspace, f"sqlite:///{empty_store}").uri == f"sqlite:///{empty_store}"


def test_artifacts_of_a_local_store_lie_beside_it(workspace: Workspace) -> None:
    connection = connect(workspace)
    location = connection.client.get_experiment(connection.experiment("x")).artifact_location
    assert location.startswith((workspace.tracking / "artifacts").as_uri())


def test_an_experiment_that_another_process_made_meanwhile_is_found(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connect(workspace)
    number = connection.experiment("x")
    find, answers = connection.client.get_experiment_by_name, [None]
    monkeypatch.setattr(
        connection.client, "get_experiment_by_name", lambda name: answers.pop() if answers else find(name)
    )
    assert connection.experiment("x") == number


def test_passwords_are_neither_kept_nor_told() -> None:
    assert without_password("postgresql://ada:p@ss@db/mlflow") == "postgresql://db/mlflow"
    assert "secret" not in sentence(ValueError("no way to http://ada:secret@host/ today\nsecond line"))


def test_a_server_that_is_away_is_told_in_one_sentence(workspace: Workspace) -> None:
    with (
        pytest.raises(TemporaryError, match=r"^not now: .*127\.0\.0\.1.*refused") as told,
        explained("not now"),
    ):
        connect(workspace, "http://127.0.0.1:9").experiment("x")
    assert len(str(told.value).splitlines()) == 1


def test_errors_that_are_not_mlflows_pass_unchanged() -> None:
    with pytest.raises(InputError, match=r"^mine$"), explained("not now"):
        raise InputError("mine")


def test_long_parameters_are_clipped_to_mlflows_limit() -> None:
    text = flattened({"a": {"b": list(range(5000))}})["a.b"]
    assert len(text) == 6000
    assert text.endswith("…")
    assert json.loads(flattened({"a": [1, "x"]})["a"]) == [1, "x"]


def test_python_finds_the_library_from_the_root_of_the_project() -> None:
    spec = importlib.util.find_spec("mlflow")
    assert spec is not None
    assert spec.origin is not None, "a folder without __init__.py would have none"
