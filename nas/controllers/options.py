"""Checks of controllers' options, as they come from an experiment's YAML."""

from __future__ import annotations

import math

from nas.errors import InputError


def whole(name: str, value: object) -> int:
    """A whole number of at least 1."""
    if type(value) is not int or value < 1:
        raise InputError(f"{name} must be a whole number of at least 1. Received: {value!r}")
    return value


def natural(name: str, value: object) -> int:
    """A whole number of at least 0."""
    if type(value) is not int or value < 0:
        raise InputError(f"{name} must be a whole number of at least 0. Received: {value!r}")
    return value


def flag(name: str, value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise InputError(f"{name} must be true or false. Received: {value!r}")
    return value


def positive(name: str, value: object, *, zero: bool = False) -> float:
    """A finite number above 0, or 0 too if `zero`."""
    number = _number(name, value)
    if number < 0 or (number == 0 and not zero):
        raise InputError(f"{name} must be {'at least' if zero else 'above'} 0. Received: {value!r}")
    return number


def fraction(name: str, value: object) -> float:
    """A number from 0 to below 1."""
    number = _number(name, value)
    if not 0 <= number < 1:
        raise InputError(f"{name} must lie between 0 and 1 (1 excluded). Received: {value!r}")
    return number


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        hint = ""
        if isinstance(value, str) and "e" in value.lower():
            hint = " (YAML reads 6e-4 as text; write 6.0e-4)"
        raise InputError(f"{name} must be a number{hint}. Received: {value!r}")
    return float(value)
