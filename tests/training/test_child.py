"""A child: JSON in, JSON out; it learns, it repeats itself, and whatever fails becomes its result."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from nas.evaluation import ChildResult, Status
from nas.spaces import parse_architecture
from nas.training import device, image
from nas.training.checkpoint import FILE
from nas.training.run import Run
from tests.training.conftest import begin_python, end_python

TRAIN = """
import json, sys
from nas.training.child import train
print(json.dumps(train(json.loads(sys.argv[1]))))
"""

MakeJob = Callable[..., dict[str, Any]]
Train = Callable[[Mapping[str, Any]], ChildResult]


OTHER_KERAS = {"floatx": "float16", "epsilon": 0.01, "image_data_format": "channels_first"}


def test_equal_jobs_in_fresh_processes_give_equal_networks_whatever_the_users_keras_is_set_to(
    job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"epochs": 5, "train_examples": None, "upsample": 9, "crop": 8, "learning_rate": 0.05}
    jobs = [job("conv:3x3x24@0,3x3x24@1,3x3x24@2", folder=str(tmp_path / name), **options) for name in "ab"]
    processes = [begin_python(TRAIN, json.dumps(jobs[0]))]
    (tmp_path / "keras.json").write_text(json.dumps(OTHER_KERAS))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_MAX_EPOCHS", "1")
    monkeypatch.setenv("KERAS_MAX_STEPS_PER_EPOCH", "2")
    processes.append(begin_python(TRAIN, json.dumps(jobs[1])))
    results = [ChildResult.from_json(end_python(process)) for process in processes]
    histories = [[{**epoch, "seconds": 0} for epoch in result.history] for result in results]
    assert histories[0] == histories[1]
    weights = [keras.models.load_model(result.files["model"]).get_weights() for result in results]
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)

    result = results[0]
    assert result.status is Status.OK, result.message
    assert result.history[-1]["val_accuracy"] > 0.8  # chance is 0.1
    assert (result.seed, result.device, len(result.history)) == (5, "cpu (1 thread)", 5)
    cost = parse_architecture("conv:3x3x24@0,3x3x24@1,3x3x24@2").cost((8, 8, 1), 10)
    assert (result.parameters, result.multiply_adds) == (cost.parameters, cost.multiply_adds)
    assert result.peak_memory_bytes > 100 * 2**20
    assert result.train_seconds > 0
    assert result.overhead_seconds > 0
    assert result.files == {"model": str(tmp_path / "a" / "model.keras")}


def test_a_child_killed_for_real_goes_on_after_its_last_whole_epoch(
    job: MakeJob, train_here: Train, tmp_path: Path
) -> None:
    task = job(folder=str(tmp_path), epochs=40, train_examples=64)
    process = begin_python(TRAIN, json.dumps(task))
    while not (tmp_path / FILE).exists():
        assert process.poll() is None, process.communicate()[1][-3000:]
        time.sleep(0.01)
    process.kill()
    process.communicate()
    with np.load(tmp_path / FILE) as saved:
        before = json.loads(saved["about"].tobytes())["state"]["history"]
    assert 1 <= len(before) < 40
    result = train_here(task)
    assert result.status is Status.OK, result.message
    assert len(result.history) == 40
    assert list(result.history[: len(before)]) == before


def test_another_seed_trains_otherwise(job: MakeJob, train_here: Train) -> None:
    first, second = (train_here(job(epochs=1) | {"seed": seed}) for seed in (1, 2))
    assert first.history[0]["loss"] != second.history[0]["loss"]


def test_a_diverged_child_says_in_which_epoch_and_keeps_its_size(job: MakeJob, train_here: Train) -> None:
    result = train_here(job(learning_rate=1e30))
    assert result.status is Status.DIVERGED
    assert "epoch 1" in result.message
    assert result.parameters > 0
    assert result.history == ()


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (MemoryError(), Status.OUT_OF_MEMORY, "MemoryError: no message"),
        (RuntimeError("RESOURCE_EXHAUSTED: 3 GB\nmore"), Status.OUT_OF_MEMORY, "RuntimeError: RESOURCE_EX"),
        (OSError("the disk is\nfull"), Status.CRASHED, "OSError: the disk is"),
    ],
)
def test_an_error_after_an_epoch_is_a_result_with_that_epoch(
    job: MakeJob,
    train_here: Train,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: Status,
    message: str,
) -> None:
    def fails(run: Run) -> None:
        run.parameters, run.multiply_adds, run.train_seconds = 3, 4, 0.0
        run.history.append({"val_accuracy": 0.5})
        raise error

    monkeypatch.setattr(image, "train", fails)
    result = train_here(job())
    assert result.status is status
    assert result.message.startswith(message)
    assert "\n" not in result.message
    assert result.history == ({"val_accuracy": 0.5},)
    assert (result.parameters, result.multiply_adds) == (3, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": {"name": "image", "epochs": 0}}, "epochs must be a whole number"),
        ({"recipe": {"name": "image", "upsample": None}}, "crop 32×32 is larger than the images, 8×8"),
        ({"data": "/nowhere"}, "/nowhere"),
        ({"architecture": {"kind": "conv"}}, "keys layers"),
        ({"device": {"kind": "tpu", "threads": 1}}, "'cpu' or 'gpu'"),
    ],
)
def test_a_wrong_job_is_a_crashed_child_that_says_why(
    job: MakeJob, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], message: str
) -> None:
    from nas.training import child

    prepare = device.prepare
    monkeypatch.setattr(
        device, "prepare", lambda wanted: prepare(wanted) if wanted["kind"] == "tpu" else None
    )
    result = ChildResult.from_json(child.train(job() | change))
    assert result.status is Status.CRASHED
    assert message in result.message
    assert result.seed == 5
