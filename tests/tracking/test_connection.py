"""The store is the one that was meant, and the library is the real one."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import mlflow
import pytest

from nas.errors import InputError, RefusedError, TemporaryError
from nas.tracking.connection import connect, explained, sentence, without_password
from nas.tracking.facts import flattened
from nas.workspace import Workspace
from tests.servers import answering

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


@pytest.mark.parametrize("kind", ["", "timeout "])
def test_the_innermost_of_nested_errors_is_told(kind: str) -> None:
    error = ValueError(
        f"API request to http://host/x failed with {kind}exception Pool(host='h', port=1): Max …"
    )
    error.__context__ = TimeoutError("timed out")
    assert sentence(error) == "API request to http://host/x failed: timed out"
    error.__context__ = TimeoutError()
    assert sentence(error) == "API request to http://host/x failed: no answer"


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


def test_parameters_keep_what_is_no_text_as_json() -> None:
    assert json.loads(flattened({"a": [1, "x"]})["a"]) == [1, "x"]


def test_whatever_names_and_values_there_are_mlflow_takes_them(workspace: Workspace) -> None:
    connection = connect(workspace)
    odd = {
        "evaluator.report.test %": "65.9",
        "Prüfung (µ) [1]": "1",
        "../../up": "2",
        "a//b/./c": "3",
        "": "empty",
        "x" * 300: "long",
        "x" * 299 + "y": "also long",
        "a%": "a sign",
        "apercent": "a word",
        "long value": "v" * 9000,
        "lone \ud800": "\ud800\x00",
    }
    run = connection.create_run(connection.experiment("x" * 600), "n" * 600, odd)
    identity = run.info.run_id
    metrics = [(name, 1.0, 0, 0) for name in odd] + [("nan", float("nan"), 0, 0), ("∞", float("inf"), 0, 0)]
    connection.log(identity, metrics, odd)
    connection.log_data(identity, "d" * 600, "e" * 600)
    connection.set_tag(identity, "50 %", "t" * 9000)
    logged = connection.client.get_run(identity).data
    assert len(logged.params) == len(odd)
    assert len(logged.metrics) == len(odd) + 2
    assert logged.params["evaluator.report.test percent"] == "65.9"
    assert logged.params["apercent"] == "a word"
    assert len(logged.params["long value"]) == 6000
    assert logged.params["long value"].endswith("…")


def test_a_value_that_changed_since_does_not_refuse_the_rest(workspace: Workspace) -> None:
    connection = connect(workspace)
    run = connection.create_run(connection.experiment("x"), "one", {})
    connection.log_new(run, {"50 %": "1"})
    again = connection.client.get_run(run.info.run_id)
    connection.log_new(again, {"50 %": "2", "other": "3"})
    logged = connection.client.get_run(run.info.run_id).data.params
    assert logged == {"50 percent": "1", "other": "3"}


def test_a_refusal_is_not_called_away(workspace: Workspace, tmp_path: Path) -> None:
    connection = connect(workspace)
    with pytest.raises(RefusedError, match=r"^not done: MLflow refuses .*Invalid value"), told():
        connection.client.log_param(
            connection.create_run(connection.experiment("x"), "a", {}).info.run_id, "%", 1
        )
    with pytest.raises(RefusedError, match="maintenance mode"), told():
        connect(workspace, str(tmp_path / "files")).experiment("x")
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"no database" * 100)
    with pytest.raises(RefusedError, match="not a database"), told():
        connect(workspace, f"sqlite:///{damaged}").experiment("x")
    with pytest.raises(RefusedError, match="nosuchdatabase"), told():
        connect(workspace, "nosuchdatabase://127.0.0.1/x").experiment("x")


def told() -> AbstractContextManager[None]:
    return explained("not done", "later")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((code, TemporaryError) for code in (500, 503, 429)),
        *((code, RefusedError) for code in (400, 401, 403, 404)),
    ],
)
def test_a_server_that_fails_is_away_and_one_that_forbids_refuses(
    workspace: Workspace, status: int, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with answering(status) as address, pytest.raises(error, match=f"{status}|error responses"), told():
        connect(workspace, address).experiment("x")


def test_python_finds_the_library_from_the_root_of_the_project() -> None:
    spec = importlib.util.find_spec("mlflow")
    assert spec is not None
    assert spec.origin is not None, "a folder without __init__.py would have none"
