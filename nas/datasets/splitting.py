"""Stratified splits by seed, the same on every machine and with every version of NumPy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nas.errors import DataError


def stratified(
    labels: np.ndarray, amount: int | float, classes: Sequence[str], seed: int, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Splits indices so that the part split off has each class in proportion, at least once.

    Args:
        labels: integer array with shape `(n,)`, indices into `classes`.
        amount: how many to split off: a count, or a fraction below 1 of `labels`.
        classes: the class names.
        seed: chooses which images of a class are split off.
        name: of the part split off, for errors.

    Returns:
        Two sorted integer arrays that together are `0..n-1`: what stays, and what is split off.

    Raises:
        DataError: a class has too few images, or the amount is less than one image a class.
    """
    counts = np.bincount(labels, minlength=len(classes))
    total = max(int(amount * len(labels) + 0.5), len(classes)) if amount < 1 else int(amount)
    if total < len(classes):
        raise DataError(f"{name}={amount} is less than one image for each of the {len(classes)} classes")
    shares = _shares(counts, total)
    for label, (count, share) in enumerate(zip(counts, shares, strict=True)):
        if count < share + 1:
            raise DataError(
                f"class '{classes[label]}' has too few images for the {name} split: {count} are there, "
                f"{share + 1} are needed ({share} to split off and one to train on); add images, leave the "
                f"class out, or set {name} to fewer than {total} images"
            )
    # Random keys straight from the bit generator, whose stream NumPy promises to keep (NEP 19); it
    # promises nothing for Generator.permutation and choice.
    keys = np.random.PCG64([seed, *name.encode()]).random_raw(len(labels))
    off = np.zeros(len(labels), dtype=bool)
    for label, share in enumerate(shares):
        members = np.flatnonzero(labels == label)
        off[members[np.argsort(keys[members], kind="stable")[:share]]] = True
    return np.flatnonzero(~off), np.flatnonzero(off)


def _shares(counts: np.ndarray, total: int) -> list[int]:
    """`total` shared out in proportion to `counts` by largest remainder, at least one to each."""
    every = int(counts.sum())
    exact = [int(count) * total / every for count in counts]
    shares = [max(1, int(quota)) for quota in exact]
    while (rest := total - sum(shares)) != 0:
        lacking = [(quota - share) for quota, share in zip(exact, shares, strict=True)]
        if rest > 0:
            shares[int(np.argmax(lacking))] += 1
        else:  # the ones given to small classes are taken from those that have most above their quota
            most = max((i for i, share in enumerate(shares) if share > 1), key=lambda i: -lacking[i])
            shares[most] -= 1
    return shares
