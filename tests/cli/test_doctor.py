"""`nas doctor` finds what is broken and says what to do."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import shutil
import socket
from itertools import pairwise
from pathlib import Path

import pytest

from nas.cli import doctor
from nas.workers.slots import Gpu, Lease, Slot
from nas.workspace import Workspace
from tests.cli.conftest import Nas, Write


def findings(nas: Nas, *arguments: str) -> dict[tuple[str, str], dict[str, str]]:
    told = json.loads(nas("doctor", *arguments, "--json").out)
    return {(one["room"], one["what"]): one for one in told["findings"]}


def with_versions(monkeypatch: pytest.MonkeyPatch, **versions: str) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if versions.get(name) == "":
            raise importlib.metadata.PackageNotFoundError(name)
        return versions.get(name) or real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)


def test_the_json_has_its_documented_shape(nas: Nas, workspace: Workspace) -> None:
    ended = nas("doctor", "--json")
    told = json.loads(ended.out)
    assert set(told) == {"broken", "findings"}
    assert all(set(one) == {"room", "what", "state", "found", "advice"} for one in told["findings"])
    rooms = list(dict.fromkeys(one["room"] for one in told["findings"]))
    assert rooms == ["versions", "backend", "devices", "slots", "machine", "ports", "telemetry", "workspace"]
    assert ended.code == bool(told["broken"])


@pytest.mark.parametrize(
    ("package", "version", "sentence"),
    [
        ("fastapi", "0.165.0", "fastapi<0.151 is needed: prefect 3.8 fails at import with newer ones"),
        ("sqlalchemy", "2.1.9", "sqlalchemy<2.1 is needed: with newer ones, schedules of prefect 3.8 never"),
        ("mlflow", "", "run `make setup`"),
    ],
)
def test_a_version_that_breaks_is_exit_code_1_and_says_why(
    nas: Nas,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    version: str,
    sentence: str,
) -> None:
    with_versions(monkeypatch, **{package: version})
    ended = nas("doctor")
    assert ended.code == 1
    assert sentence in ended.out
    assert findings(nas)["versions", package]["state"] == "broken"


def test_another_version_than_the_tested_one_is_a_note(
    nas: Nas, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace.root / "constraints.txt").write_text("# tested\nkeras==3.99.0  # why\nNumPy==1.0\n")
    found = findings(nas)
    assert found["versions", "keras"]["state"] == "note"
    assert "3.99.0 was tested" in found["versions", "keras"]["advice"]
    assert found["versions", "numpy"]["state"] == "note"


def test_the_backend_is_the_one_that_keras_will_take(
    nas: Nas, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    assert doctor.backend().found == "tensorflow (the default)"
    (tmp_path / "keras.json").write_text('{"backend": "torch"}')
    assert doctor.backend().state == "broken"
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert doctor.backend().state == "broken"
    assert "'jax' (KERAS_BACKEND) is not installed" in doctor.backend().advice
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert doctor.backend().state == "ok"
    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    assert doctor.backend().state == "note"
    assert "JAX_ENABLE_X64=1" in doctor.backend().advice


def test_slots_name_their_holders_and_why_a_child_would_wait(nas: Nas, write: Write) -> None:
    write(workers__slots=2)
    free = findings(nas, "tiny")
    assert free["slots", "a new child"]["found"] == "starts at once: 2 of 2 free"
    leases = [Lease.take(Slot(f"cpu-{index}", 1)) for index in range(2)]
    held = findings(nas, "tiny")
    assert held["slots", "cpu-0"]["found"].startswith("1 thread; held by process ")
    assert held["slots", "a new child"]["found"] == "must wait: all 2 slots are held"
    for lease in leases:
        assert lease is not None
        lease.release()


def test_gpus_are_listed_and_missing_cuda_is_noted(
    nas: Nas, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "find_gpus", lambda: [Gpu(0, "NVIDIA A", 10 * 2**30)])
    monkeypatch.setattr(doctor, "_installed", lambda: iter(["tensorflow"]))
    found = findings(nas)
    assert found["devices", "gpu 0"]["found"] == "NVIDIA A, 10 GiB"
    assert found["devices", "cuda"]["state"] == "note"
    assert ("slots", "gpu-0-0") in found


def test_a_full_disk_is_broken(nas: Nas, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    full = type(shutil.disk_usage("/"))(10**12, 10**12, 10**8)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    assert findings(nas)["machine", "disk"]["state"] == "broken"


def test_a_busy_port_names_who_listens() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        number = server.getsockname()[1]
        assert doctor.port(number, "MLflow").state == "ok"
        server.listen()
        busy = doctor.port(number, "MLflow")
    assert busy.state == "note"
    assert "listens (MLflow)" in busy.found


def test_passwords_in_addresses_are_not_shown(
    nas: Nas, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://ada:secret@mlflow.example/x")
    ended = nas("doctor")
    assert "https://mlflow.example/x" in ended.out
    assert "secret" not in ended.out


def test_telemetry_that_is_on_is_noted(
    nas: Nas, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DO_NOT_TRACK", "1")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "true")
    monkeypatch.delenv("DVC_NO_ANALYTICS", raising=False)
    found = findings(nas)
    assert found["telemetry", "DO_NOT_TRACK"]["state"] == "ok"
    assert found["telemetry", "MLFLOW_DISABLE_TELEMETRY"]["state"] == "ok"
    assert found["telemetry", "PREFECT_SERVER_ANALYTICS_ENABLED"]["state"] == "note"
    assert found["telemetry", "DVC"]["state"] == "note"
    config = workspace.root / ".dvc" / "config"
    config.parent.mkdir()
    config.write_text("[core]\n    analytics = false\n")
    assert findings(nas)["telemetry", "DVC"]["state"] == "ok"


def test_what_dvc_reads_otherwise_is_a_note_and_what_nobody_can_read_is_broken(
    nas: Nas, write: Write, workspace: Workspace
) -> None:
    write()
    (workspace.root / "params.yaml").write_text("prepare: {again: yes}\n")
    (workspace.experiments / "bomb.yaml").write_text(
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in pairwise("abcdefghi"))
    )
    (workspace.experiments / "flow.yaml").write_text("final: {top: 5, baseline: resnet:4x1x1}\n")
    (workspace.experiments / "red.yaml").write_bytes(b"about: \xff\n")
    found = findings(nas)
    assert ("workspace", "experiments/tiny.yaml") not in found
    assert found["workspace", "params.yaml"]["state"] == "note"
    assert "DVC reads prepare.again as 'yes', not as True" in found["workspace", "params.yaml"]["advice"]
    assert "DVC can't read this" in found["workspace", "experiments/flow.yaml"]["advice"]
    for name, why in (("bomb", "stands for more than"), ("red", "is not YAML")):
        one = found["workspace", f"experiments/{name}.yaml"]
        assert one["state"] == "broken"
        assert why in one["advice"]


def test_data_sets_of_the_pipeline_without_their_raw_data_are_named(nas: Nas, workspace: Workspace) -> None:
    params = workspace.root / "params.yaml"
    params.write_text("datasets: {mine: {experiment: mine}, whole: {experiment: b, raw: data/raw/b}}\n")
    told = [f for f in doctor.folders(workspace) if f.what == "params.yaml"]
    assert [f.state for f in told] == ["broken"]
    assert "datasets.mine has no `raw`" in told[0].found
    params.write_text("datasets: [\n")
    assert [f.state for f in doctor.folders(workspace) if f.what == "params.yaml"] == ["broken"]


def test_a_winner_for_which_the_pipeline_does_not_wait_is_named(workspace: Workspace, write: Write) -> None:
    path = write("scaled")
    path.write_text(path.read_text() + "final: {baseline: 'winner:small'}\n")
    params = workspace.root / "params.yaml"

    def told() -> list[tuple[str, str, str]]:
        found = (one for one in doctor.pipeline(workspace) if "winner" in one.found)
        return [(one.state, one.found, one.advice) for one in found]

    params.write_text("searches: {scaled: {data: digits}}\nfinals: {scaled: {data: digits}}\n")
    ((state, found, advice),) = told()
    assert (state, found) == ("broken", "scaled needs the winner of small, for which DVC doesn't wait")
    assert "under `searches_after` instead of `searches`, as in scaled: {data: …, after: small}" in advice
    params.write_text("searches_after: {scaled: {data: digits, after: other}}\n")
    assert [state for state, _, _ in told()] == ["broken"]
    params.write_text("searches_after: {scaled: {data: digits, after: small}}\n")
    assert told() == []
    entries = "[{architecture: 'winner:small'}, {architecture: 'winner:large'}]"
    path.write_text(f"controller: {{name: list, entries: {entries}}}\n")
    ((state, found, advice),) = told()
    assert (state, found) == ("note", "scaled needs the winner of large, for which DVC doesn't wait")
    assert "`dvc repro finalize@large` before it" in advice
    params.write_text("searches: [scaled]\nsearches_after: {missing: 3}\nfinals: {missing: null}\n")
    assert told() == []
