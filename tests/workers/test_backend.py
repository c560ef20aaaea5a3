"""The user's environment: what of it children obey stands in the fingerprint, an unusable backend is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nas.errors import InputError
from nas.experiment import Workers
from nas.final.finalize import finalize
from nas.search.opening import isolated_by, open_search
from nas.workers import backend
from nas.workers import pool as room
from nas.workers.pool import ChildPool
from nas.workers.slots import platform
from nas.workspace import Workspace
from tests.factories import tiny_experiment
from tests.workers.test_pool import pool


@pytest.fixture(autouse=True)
def no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Keras without a file of settings, and none of the variables; returns Keras' folder."""
    for name in {"KERAS_BACKEND", *backend.VARIABLES["tensorflow"], *backend.VARIABLES["jax"]}:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("keras", "name", "value", "found"),
    [
        ("tensorflow", "TF_ENABLE_ONEDNN_OPTS", "0", "0"),
        ("tensorflow", "TF_ENABLE_ONEDNN_OPTS", "1", None),
        ("tensorflow", "NVIDIA_TF32_OVERRIDE", "0", "0"),
        ("tensorflow", "NVIDIA_TF32_OVERRIDE", "", None),
        ("tensorflow", "TF_DETERMINISTIC_OPS", "1", "1"),
        ("tensorflow", "TF_CUDNN_DETERMINISTIC", "False", None),
        ("tensorflow", "JAX_ENABLE_X64", "1", None),
        ("jax", "JAX_ENABLE_X64", "True", "True"),
        ("jax", "JAX_DEFAULT_MATMUL_PRECISION", "tensorfloat32", "tensorfloat32"),
        ("jax", "JAX_DISABLE_JIT", "1", "1"),
        ("jax", "TF_ENABLE_ONEDNN_OPTS", "0", None),
        ("jax", "XLA_FLAGS", " --xla_b=1  --xla_a=2 ", "--xla_a=2 --xla_b=1"),
        ("jax", "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false --xla_dump_to=/tmp/x", None),
    ],
)
def test_a_variable_that_changes_results_is_part_of_what_defines_a_search(
    monkeypatch: pytest.MonkeyPatch, keras: str, name: str, value: str, found: str | None
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", keras)
    monkeypatch.setenv(name, value)
    expected = {"threads": 3, "device": "cpu", "backend": keras}
    if found is not None:
        expected["environment"] = {name: found}
    assert platform(Workers(slots=1, threads=3)) == expected


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"backend": "torch"}, "backend 'torch' .*keras.json.*KERAS_BACKEND=tensorflow"),
        ({"backend": None}, "backend 'None'"),
        ({"floatx": "float8"}, "floatx='float8'.*float16, float32, float64"),
        ({"image_data_format": "nchw"}, "image_data_format='nchw'"),
        ({"epsilon": 1}, "epsilon=1"),
    ],
)
def test_settings_that_keras_cannot_begin_with_are_told_in_a_sentence(
    no_settings: Path, settings: dict[str, object], told: str
) -> None:
    (no_settings / "keras.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match=told):
        backend.check_backend()
    with pytest.raises(InputError, match=told):
        ChildPool.isolates()
    with pytest.raises(InputError, match=told):
        isolated_by(None, Workers())


@pytest.mark.parametrize("contents", ["", "[1]", "nonsense", '{"floatx": "float16"}'])
def test_settings_that_keras_can_begin_with_pass(no_settings: Path, contents: str) -> None:
    (no_settings / "keras.json").write_text(contents)
    assert backend.unusable_backend() == ""
    assert backend.keras_backend()[0] == "tensorflow"


def test_a_home_where_nobody_may_write_is_replaced_as_keras_replaces_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert backend.keras_home() == tmp_path / ".keras"
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert backend.keras_home() == Path("/tmp/.keras")


def test_children_of_keras_are_not_begun_with_a_backend_that_is_missing_and_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pool(tmp_path, "train_by_tokens"):
        pass
    monkeypatch.setattr(room, "TRAINER", "tests.fakes:train_by_tokens")
    with pytest.raises(InputError, match="backend 'torch'"), pool(tmp_path, "train_by_tokens"):
        pass


def test_no_record_is_begun_and_none_is_missed_where_the_backend_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment, workspace = tiny_experiment(tmp_path, evaluator={"name": "train"}), Workspace(tmp_path)
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    for begin in (open_search, finalize):
        with pytest.raises(InputError, match="backend 'torch'"):
            begin(experiment, workspace)
    assert not workspace.state.exists()
