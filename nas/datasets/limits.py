"""How much a compressed file may expand to when it is read: small files can hold gigabytes of nothing."""

from __future__ import annotations

import os
from pathlib import Path

from nas.errors import DataError, InputError

VARIABLE = "NAS_READ_LIMIT_GB"
"""Environment variable with another limit, for files that truly hold so much."""

_LEAST_BYTES = 2**30
_RATIO = 100
"""Photographs, text and tables shrink to a tenth at most, masks and drawings to a hundredth; a bomb
(deflate at its best, a page of one repeated value) to less than a thousandth."""


def chosen_limit() -> int | None:
    """The bytes that the user's own limit allows; None: there is none.

    Raises:
        InputError: the variable isn't a number above 0.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        return None
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = 0.0
    if not 0 < gigabytes < float("inf"):
        raise InputError(f"{VARIABLE} must be a number of gigabytes above 0. Received: {text!r}")
    return int(gigabytes * 1e9)


def limit_of(file: Path) -> int:
    """The bytes that may be read out of `file`: the user's limit, else 1 GiB or 100 times its size."""
    chosen = chosen_limit()
    return max(_LEAST_BYTES, _RATIO * file.stat().st_size) if chosen is None else chosen


def check_expansion(file: Path, expands_to: int) -> None:
    """Raises DataError if `file` expands to more bytes than its limit."""
    limit = limit_of(file)
    if expands_to > limit:
        size = file.stat().st_size
        raise DataError(
            f"{file} ({_gb(size)}) would expand to {_gb(expands_to)} or more, but the limit for "
            f"a file of its size is {_gb(limit)}: if it truly holds so much, raise the limit by the variable "
            f"{VARIABLE}={max(1, -(-expands_to // 10**9))}"
        )


def _gb(count: int) -> str:
    return f"{count / 1e9:,.3f} GB"
