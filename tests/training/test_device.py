"""The share of the machine: settings reach the backend, and errors of memory are recognised."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.errors import InputError
from nas.training import device
from tests.training.conftest import begin_python, end_python

CODE = """
import json, os
from nas.errors import InputError
from nas.training import device

device.prepare({"kind": "cpu", "threads": 3})
import keras, tensorflow as tf
keras.ops.add(1.0, 2.0)
device.prepare({"kind": "cpu", "threads": 3})
try:
    device.prepare({"kind": "cpu", "threads": 2})
    refused = ""
except InputError as error:
    refused = str(error)
print(json.dumps({
    "intra": tf.config.threading.get_intra_op_parallelism_threads(),
    "inter": tf.config.threading.get_inter_op_parallelism_threads(),
    "visible": os.environ["CUDA_VISIBLE_DEVICES"],
    "gpus": len(tf.config.get_visible_devices("GPU")),
    "refused": refused,
}))
"""


def test_a_process_is_confined_to_its_threads_and_sees_no_gpu_of_others() -> None:
    found = end_python(begin_python(CODE))
    assert (found["intra"], found["inter"]) == (3, 3)
    assert (found["visible"], found["gpus"]) == ("-1", 0)
    assert "2 threads on the cpu: train in a fresh process" in found["refused"]


def test_an_unknown_kind_of_device_is_refused() -> None:
    with pytest.raises(InputError, match="a device's kind is 'cpu' or 'gpu'"):
        device.prepare({"kind": "tpu"})


@pytest.fixture
def own_environment() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.usefixtures("own_environment")
def test_jax_gets_a_hard_share_of_the_gpus_memory(tmp_path: Path) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 81920\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    os.environ["PATH"] = f"{tmp_path}:{os.environ['PATH']}"
    device._prepare_jax("gpu", 4, 1, 20 * 2**30)
    assert os.environ["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.250"
    assert os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert os.environ["NPROC"] == "4"


@pytest.mark.usefixtures("own_environment")
def test_a_gpu_that_cannot_be_asked_for_its_memory_cannot_be_shared(tmp_path: Path) -> None:
    os.environ["PATH"] = str(tmp_path)
    with pytest.raises(InputError, match="does not tell the memory of GPU 1"):
        device._prepare_jax("gpu", 4, 1, 20 * 2**30)


class ResourceExhaustedError(Exception):
    """Named as TensorFlow's."""


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (ResourceExhaustedError("OOM when allocating tensor"), True),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate"), True),
        (RuntimeError("something else"), False),
        (ValueError("no room"), False),
    ],
)
def test_running_out_of_memory_is_recognised(error: Exception, expected: bool) -> None:
    assert device.is_out_of_memory(error) is expected


def test_half_of_a_small_memory_limit_may_hold_data() -> None:
    assert device.resident_bytes({"kind": "gpu", "memory_limit_bytes": 2**30}) == 2**29
    assert device.resident_bytes({"kind": "gpu", "memory_limit_bytes": 2**40}) == device.RESIDENT_BYTES
    assert device.resident_bytes({"kind": "cpu", "threads": 1}) == device.RESIDENT_BYTES
