"""From the labels that stand in users' files to class names and indices."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nas.errors import DataError, InputError

Values = np.ndarray | list[str]
"""Labels as they stand in a file: an integer array with shape `(n,)`, or texts."""


def checked_classes(classes: object) -> tuple[str, ...] | None:
    """The option `classes`: None, or the class names in the order of their numbers."""
    if classes is None:
        return None
    names = tuple(classes) if isinstance(classes, Sequence) and not isinstance(classes, str) else ()
    if len(names) < 2 or len(set(names)) < len(names) or not all(isinstance(n, str) for n in names):
        raise InputError(
            "classes must be a list of at least two different names, each a text (in quotes if it looks "
            f"like a number). Received: {classes!r}"
        )
    return names


def class_names(values: Values, where: Callable[[int], str]) -> tuple[str, ...]:
    """The classes that the training labels name: sorted texts, or the numbers from 0 or 1 on.

    Args:
        values: the labels of the training part.
        where: words that name a row, for errors.
    """
    if isinstance(values, list):
        return tuple(sorted(set(values)))
    present, first_rows = np.unique(values, return_index=True)
    first = 1 if present[0] == 1 else 0
    for number, (label, row) in enumerate(zip(present, first_rows, strict=True), first):
        if label < 0:
            raise DataError(f"{where(row)}: label {label} is out of range, expected 0 or more")
        if label != number:
            raise DataError(
                f"{where(row)}: label {label} is out of range: no row has the label {number}, and numbers "
                "must run from 0 (or 1) without gaps; write them as texts if they are names"
            )
    return tuple(str(label) for label in present)


def first_number(values: Values, classes: Sequence[str]) -> int:
    """The number of the first class, 0 or 1.

    It is 1 only where 0 can't be meant: the training labels have no 0, but one for the last of `classes`.
    """
    if isinstance(values, list) or not len(values):
        return 0
    return 1 if values.min() >= 1 and values.max() == len(classes) else 0


def indices(values: Values, classes: Sequence[str], where: Callable[[int], str], first: int) -> np.ndarray:
    """The labels as indices into `classes`: int32 with shape `(n,)`.

    Args:
        values: the labels of a part.
        classes: the class names.
        where: words that name a row, for errors.
        first: the number of the first class, of labels that are numbers.

    Raises:
        DataError: a label is out of range or names no class; the message names its row.
    """
    if isinstance(values, list):
        numbers = {name: number for number, name in enumerate(classes)}
        found = np.fromiter((numbers.get(value, -1) for value in values), dtype=np.int32, count=len(values))
        wrong = np.flatnonzero(found < 0)
    else:
        found = values - first
        wrong = np.flatnonzero((found < 0) | (found >= len(classes)))
    if len(wrong):
        row = int(wrong[0])
        shown = ", ".join(list(classes)[:10]) + (", …" if len(classes) > 10 else "")
        allowed = shown if isinstance(values, list) else f"{first} to {len(classes) - 1 + first}"
        raise DataError(f"{where(row)}: label {values[row]!s} is out of range, expected {allowed}")
    return found.astype(np.int32)
