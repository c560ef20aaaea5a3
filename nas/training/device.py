"""The share of the machine that this process computes on, and the settings of Keras that it computes by.

Beside it only `nas.networks.recurrent_layer` names a backend.

A process calls `prepare` once, before its first operation: threads, visible devices and memory
limits can't be changed later. TensorFlow may already be imported, JAX may not have begun.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from nas.errors import InputError

RESIDENT_BYTES = 2 * 2**30
"""Data sets up to this size are held on the device; larger ones are streamed."""

SETTINGS: Mapping[str, Any] = {
    "image_data_format": "channels_last",
    "floatx": "float32",
    "epsilon": 1e-7,
    "dtype_policy": "float32",
    "max_epochs": None,
    "max_steps_per_epoch": None,
}
"""Keras' own defaults, `keras.config.set_…`. What a user's `keras.json`, environment or start-up code says
instead is not part of an experiment, so it must not change what is trained, tested or exported. What is
honoured (the backend, and variables that change its arithmetic) is listed in `nas.workers.backend`."""


def prepare(device: Mapping[str, Any]) -> None:
    """Confines this process to `device` and sets Keras to `SETTINGS`. Repeating it changes nothing.

    Args:
        device: `{"kind": "cpu", "threads": n}` or `{"kind": "gpu", "index": i, "threads": n,
            "memory_limit_bytes": limit or None}`; None: memory is taken as it is needed.

    Raises:
        InputError: the kind is unknown, the backend has already begun with other settings, or it
            does not find the GPU.
    """
    kind, threads = device.get("kind"), int(device.get("threads") or 1)
    if kind not in ("cpu", "gpu"):
        raise InputError(f"a device's kind is 'cpu' or 'gpu'. Received: {kind!r}")
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # the numbers of nvidia-smi
    os.environ["CUDA_VISIBLE_DEVICES"] = str(device["index"]) if kind == "gpu" else "-1"
    limit = device.get("memory_limit_bytes") if kind == "gpu" else None
    import keras

    for setting, value in SETTINGS.items():
        _set(setting, value)
    if keras.backend.backend() == "jax":
        _prepare_jax(kind, threads, device.get("index"), limit)
    elif keras.backend.backend() == "tensorflow":
        _prepare_tensorflow(kind, threads, limit)


@contextmanager
def settings() -> Iterator[None]:
    """Within, Keras is set as in children; for what uses a trained network in a process of the user's own."""
    import keras

    before = {setting: getattr(keras.config, setting)() for setting in SETTINGS if _has(setting)}
    for setting, value in SETTINGS.items():
        _set(setting, value)
    try:
        yield
    finally:
        for setting, value in before.items():
            _set(setting, value)


def _has(setting: str) -> bool:
    import keras

    return hasattr(keras.config, f"set_{setting}")  # older versions have no limits of epochs and steps


def _set(setting: str, value: Any) -> None:
    import keras

    if _has(setting):
        getattr(keras.config, f"set_{setting}")(value)


def check(device: Mapping[str, Any]) -> str:
    """Why children can't compute on `device`, in a sentence; empty if they can. For a fresh process."""
    try:
        prepare(device)
    except InputError as error:
        return f"{error}. To train on the CPU, set workers.device to cpu"
    import keras

    if device["kind"] == "gpu" and keras.backend.backend() == "jax":
        import jax

        if jax.default_backend() == "cpu":
            return "JAX finds no GPU: install jax with CUDA. To train on the CPU, set workers.device to cpu"
    return ""


def _prepare_jax(kind: str, threads: int, index: int | None, limit: int | None) -> None:
    """Mostly by the environment, which JAX reads before its first operation."""
    os.environ["NPROC"] = str(threads)  # size of XLA's thread pool on the CPU
    flags = os.environ.get("XLA_FLAGS", "")
    wanted = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"
    if wanted not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {wanted}".strip()
    if kind == "cpu":
        import jax

        jax.config.update("jax_platforms", "cpu")  # the variable would be too late after the import
        return
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    if limit is not None:
        os.environ["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{limit / _gpu_memory(index):.3f}"


def _prepare_tensorflow(kind: str, threads: int, limit: int | None) -> None:
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        if kind == "cpu":
            tf.config.set_visible_devices([], "GPU")
            return
        gpus = tf.config.list_physical_devices("GPU")
        if not gpus:
            raise InputError(
                f"TensorFlow finds no GPU {os.environ['CUDA_VISIBLE_DEVICES']}: install the extra 'gpu' "
                "(make setup EXTRAS=gpu) and look at the driver with nvidia-smi"
            )
        if limit is None:
            tf.config.experimental.set_memory_growth(gpus[0], True)
        else:
            share = tf.config.LogicalDeviceConfiguration(memory_limit=max(1, limit // 2**20))
            tf.config.set_logical_device_configuration(gpus[0], [share])
    except RuntimeError as error:
        raise InputError(
            f"TensorFlow has already begun in this process with other settings than {threads} threads "
            f"on the {kind}: train in a fresh process ({error})"
        ) from error


def _gpu_memory(index: int | None) -> int:
    """Total memory of a GPU in bytes, without touching it."""
    program = shutil.which("nvidia-smi")
    if program is not None:
        query = [program, f"--id={index}", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
        with suppress(OSError, subprocess.SubprocessError, ValueError):
            output = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
            return int(float(output.strip())) * 2**20
    raise InputError(f"nvidia-smi does not tell the memory of GPU {index}, so it can't be shared")


def name(device: Mapping[str, Any]) -> str:
    """How people call the device.

    Example:
        >>> name({"kind": "cpu", "threads": 2}), name({"kind": "gpu", "index": 0})
        ('cpu (2 threads)', 'gpu 0')
    """
    if device["kind"] == "gpu":
        return f"gpu {device['index']}"
    threads = int(device.get("threads") or 1)
    return f"cpu ({threads} thread{'s' if threads > 1 else ''})"


def compiles(device: Mapping[str, Any]) -> bool:
    """Whether training steps are compiled by XLA: on GPUs, and always with JAX.

    With TensorFlow on a CPU, XLA was measured at 0.6 to 0.8 of the speed of graph mode.
    """
    import keras

    return bool(device["kind"] == "gpu" or keras.backend.backend() == "jax")


def resident_bytes(device: Mapping[str, Any]) -> int:
    """The largest data set that is held on the device: 2 GiB, or half of a smaller memory limit."""
    limit = device.get("memory_limit_bytes")
    return RESIDENT_BYTES if limit is None else min(RESIDENT_BYTES, int(limit) // 2)


@contextmanager
def precision(wanted: str, device: Mapping[str, Any]) -> Iterator[None]:
    """Layers made within compute in `wanted`: `float32`, `bfloat16` or `auto` (bfloat16 on a GPU)."""
    import keras

    half = wanted == "bfloat16" or (wanted == "auto" and device["kind"] == "gpu")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if half else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of Python, TensorFlow or JAX says that memory ran out."""
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return True
    return "RESOURCE_EXHAUSTED" in str(error) or "OOM when allocating" in str(error)
