"""Arrays by name, as controllers keep their weights: checking and copying them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nas.controllers.lstm import Array
from nas.errors import InputError


def fitting(arrays: Any, like: Mapping[str, Array], what: str) -> dict[str, Array]:
    """Copies of `arrays`, checked: as many as in `like`, shaped like those, and all numbers finite.

    Args:
        arrays: what came from outside, a mapping if it is right.
        like: arrays of the right names and shapes.
        what: what the arrays are, for the message, e.g. `the state's parameters`.

    Raises:
        InputError: they don't fit; the message names the first that doesn't.
    """
    if not isinstance(arrays, Mapping):
        raise InputError(f"{what} must be a mapping from names to arrays. Received: {type(arrays).__name__}")
    for name in sorted(set(arrays) ^ set(like)):
        problem = "is missing" if name in like else "is unknown"
        raise InputError(f"{what} don't fit this controller (same space and options?): '{name}' {problem}")
    copies = {}
    for name, expected in like.items():
        try:
            array = np.array(arrays[name], dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"{what} must be arrays of numbers; '{name}' is none: {error}") from error
        if array.shape != expected.shape:
            raise InputError(
                f"{what} don't fit this controller (same space and options?): '{name}' must have shape "
                f"{expected.shape}. Received: {array.shape}"
            )
        if not np.isfinite(array).all():
            raise InputError(f"{what} must be finite numbers; '{name}' has others")
        copies[name] = array
    return copies


def copied(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Copies that later changes of `arrays` don't reach."""
    return {name: array.copy() for name, array in arrays.items()}
