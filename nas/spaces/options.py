"""Checks of option values as they arrive from YAML: lists and numbers of unknown type."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nas.errors import InputError, nearest


def whole_number(name: str, value: Any, least: int, most: int | None = None) -> int:
    """`value` as it is.

    Raises:
        InputError: it is not a whole number of at least `least` and at most `most`.
    """
    if type(value) is not int or value < least or (most is not None and value > most):
        limit = "" if most is None else f" and at most {most:,}"
        raise InputError(f"{name} must be a whole number of at least {least}{limit}. Received: {value!r}")
    return value


def whole_numbers(name: str, values: Any, *, needed: bool = True) -> tuple[int, ...]:
    """`values` as a tuple of different whole numbers of at least 1; empty only if none is `needed`."""
    numbers = _tuple(name, values, "[1, 3, 5]", needed)
    if any(type(number) is not int or number < 1 for number in numbers):
        raise InputError(f"{name} must be whole numbers of at least 1. Received: {values!r}")
    return numbers


def positive_numbers(name: str, values: Any) -> tuple[float, ...]:
    """`values` as a tuple of different finite numbers above 0, perhaps empty."""
    numbers = _tuple(name, values, "[0.1, 0.01]", False)
    if any(type(number) not in (int, float) or not 0 < number < float("inf") for number in numbers):
        raise InputError(
            f"{name} must be finite numbers above 0 (YAML takes 1e-3 for a text: write 0.001 or 1.0e-3). "
            f"Received: {values!r}"
        )
    return tuple(float(number) for number in numbers)


def names(name: str, values: Any, valid: Iterable[str]) -> tuple[str, ...]:
    """`values` as a tuple of different names out of `valid`."""
    allowed = tuple(valid)
    found = _tuple(name, values, f"[{allowed[0]}]", True)
    for value in found:
        if value not in allowed:
            raise InputError(f"{name} can't have '{value}': {nearest(str(value), allowed)}")
    return found


def image_size(value: Any) -> tuple[int, int]:
    """Height and width from a number or from [height, width]."""
    size = (value, value) if type(value) is int else tuple(value) if isinstance(value, list | tuple) else ()
    if len(size) != 2 or any(type(number) is not int or number < 1 for number in size):
        raise InputError(
            "image_size must be a whole number of at least 1, or two of them, [height, width]. "
            f"Received: {value!r}"
        )
    return size[0], size[1]


def _tuple(name: str, values: Any, example: str, needed: bool) -> tuple[Any, ...]:
    if not isinstance(values, list | tuple):
        raise InputError(f"{name} must be a list, such as {example}. Received: {values!r}")
    if needed and not values:
        raise InputError(f"{name} needs at least one value, such as {example}. Received: an empty list")
    if any(values[i] in values[:i] for i in range(len(values))):
        raise InputError(f"{name} must not have a value twice. Received: {list(values)!r}")
    return tuple(values)
