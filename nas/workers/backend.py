"""What of the user's environment decides how children compute: Keras' backend, and variables it obeys.

Three kinds of settings reach a child's process:

- The *backend* is honoured, found as Keras finds it, and part of every fingerprint.
- Variables that change the arithmetic of that backend (`VARIABLES`) are honoured, and part of the fingerprint
  as soon as they say something else than what the library does by itself.
- All else that Keras lets a user set (data format, floatx, epsilon, dtype policy, limits of epochs and steps)
  is set back in each process that trains, tests or exports: `nas.training.device.SETTINGS`.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.errors import InputError

BACKENDS = ("tensorflow", "jax")

_OFF = frozenset({"0", "false"})
_ON = frozenset({"1", "true"})
_NONE: frozenset[str] = frozenset()

_CUDA = {
    "NVIDIA_TF32_OVERRIDE": _NONE,  # 0: no TF32 in cuBLAS and cuDNN
    "XLA_FLAGS": _NONE,
}
VARIABLES: Mapping[str, Mapping[str, frozenset[str]]] = {
    "tensorflow": {
        **_CUDA,
        "TF_XLA_FLAGS": _NONE,
        "TF_ENABLE_ONEDNN_OPTS": _ON,  # other kernels on the CPU, which round otherwise
        "TF_DETERMINISTIC_OPS": _OFF,
        "TF_CUDNN_DETERMINISTIC": _OFF,
        "TF_ENABLE_CUBLAS_TENSOR_OP_MATH_FP32": _OFF,
        "TF_ENABLE_CUDNN_TENSOR_OP_MATH_FP32": _OFF,
        "TF_ENABLE_CUDNN_RNN_TENSOR_OP_MATH_FP32": _OFF,
        "TF_FP16_CONV_USE_FP32_COMPUTE": _ON,
        "TF_FP16_MATMUL_USE_FP32_COMPUTE": _ON,
        "ONEDNN_DEFAULT_FPMATH_MODE": frozenset({"strict"}),  # BF16: matrices on the CPU in half precision
        "DNNL_DEFAULT_FPMATH_MODE": frozenset({"strict"}),
        "ONEDNN_MAX_CPU_ISA": frozenset({"all", "default"}),
        "DNNL_MAX_CPU_ISA": frozenset({"all", "default"}),
    },
    "jax": {
        **_CUDA,
        "JAX_ENABLE_X64": _OFF,
        "JAX_DEFAULT_MATMUL_PRECISION": frozenset({"default"}),
        "JAX_DEFAULT_DTYPE_BITS": frozenset({"64"}),
        "JAX_NUMPY_DTYPE_PROMOTION": frozenset({"standard"}),
        "JAX_DEFAULT_PRNG_IMPL": frozenset({"threefry2x32"}),
        "JAX_THREEFRY_PARTITIONABLE": _ON,
        "JAX_DISABLE_JIT": _OFF,  # operations one by one round otherwise than when they are compiled together
        "KERAS_NNX_ENABLED": _OFF,  # other variables and random states
    },
}
"""Variables that change what a backend computes, with the values (lower-case) that change nothing; an empty
one never does. Those of the other backend are not looked at."""

_HARMLESS_FLAGS = (
    "--xla_cpu_multi_thread_eigen",  # set by `nas.training.device`, from the threads
    "--xla_dump",
    "--xla_gpu_cuda_data_dir",
    "--xla_hlo_profile",
)
"""Flags of XLA that change no result."""


def keras_home() -> Path:
    """The folder of Keras' settings, found as Keras finds it."""
    if home := os.environ.get("KERAS_HOME"):
        return Path(home).expanduser()
    user = Path.home()
    return (user if os.access(user, os.W_OK) else Path("/tmp")) / ".keras"


def keras_backend() -> tuple[str, str]:
    """The backend that Keras will use and what says so, found as Keras finds it but without importing it."""
    if backend := os.environ.get("KERAS_BACKEND"):
        return backend, "KERAS_BACKEND"
    if "backend" in (configured := _configured()):
        return str(configured["backend"]), str(keras_home() / "keras.json")
    return "tensorflow", "the default"


def honoured() -> dict[str, str]:
    """The variables that change how children compute, as far as they are set to something of effect."""
    backend = keras_backend()[0]
    values = {name: os.environ.get(name, "").strip() for name in VARIABLES.get(backend, {})}
    if backend == "jax" and "KERAS_NNX_ENABLED" not in os.environ:
        values["KERAS_NNX_ENABLED"] = str(_configured().get("nnx_enabled", ""))
    if "XLA_FLAGS" in values:
        flags = values["XLA_FLAGS"].split()
        values["XLA_FLAGS"] = " ".join(sorted(flag for flag in flags if not flag.startswith(_HARMLESS_FLAGS)))
    return {
        name: value
        for name, value in values.items()
        if value and value.lower() not in VARIABLES[backend][name]
    }


def unusable_backend() -> str:
    """Why no child can be trained with the backend that Keras will take, in a sentence; empty if they can."""
    backend, where = keras_backend()
    advice = "set KERAS_BACKEND=tensorflow, or jax where it is installed"
    if backend not in BACKENDS:
        return f"children can't be trained with Keras' backend '{backend}' ({where}): {advice}"
    if importlib.util.find_spec(backend) is None:
        return f"Keras' backend '{backend}' ({where}) is not installed: install it, or {advice}"
    file, found = keras_home() / "keras.json", _configured()
    for key, allowed in (
        ("floatx", ("float16", "float32", "float64")),
        ("image_data_format", ("channels_last", "channels_first")),
    ):
        if found.get(key, allowed[0]) not in allowed:
            return f"{file} has {key}={found[key]!r}, which Keras refuses: {', '.join(allowed)} are allowed"
    if not isinstance(found.get("epsilon", 1e-7), float):
        return f"{file} has epsilon={found['epsilon']!r}, which Keras refuses: it must be written as 1e-07"
    return ""


def check_backend() -> None:
    """Raises InputError if children can't be trained with the backend that Keras will take."""
    if problem := unusable_backend():
        raise InputError(problem)


def _configured() -> dict[str, Any]:
    """What Keras' file of settings says; nothing if it is missing or can't be read, as for Keras."""
    try:
        found = json.loads((keras_home() / "keras.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
