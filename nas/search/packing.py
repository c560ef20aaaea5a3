"""A controller's state as JSON: NumPy arrays stand as their bytes, exactly; nothing is pickled."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np


def pack(value: Any) -> Any:
    """JSON of a nested state in which NumPy arrays stand as their bytes."""
    if isinstance(value, np.ndarray):
        data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
        return {"__array__": data, "dtype": value.dtype.str, "shape": list(value.shape)}
    if isinstance(value, Mapping):
        return {key: pack(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [pack(inner) for inner in value]
    return value.item() if isinstance(value, np.generic) else value


def unpack(value: Any) -> Any:
    """The inverse of `pack`."""
    if isinstance(value, dict) and "__array__" in value:
        flat = np.frombuffer(base64.b64decode(value["__array__"]), dtype=np.dtype(value["dtype"]))
        return flat.reshape(value["shape"]).copy()
    if isinstance(value, dict):
        return {key: unpack(inner) for key, inner in value.items()}
    return [unpack(inner) for inner in value] if isinstance(value, list) else value
