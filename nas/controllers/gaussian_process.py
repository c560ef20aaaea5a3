"""Gaussian-process regression of rewards over sets of decisions."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import NormalDist

import numpy as np

from nas.controllers.lstm import Array

Decisions = Sequence[Hashable]
"""What an architecture decided, e.g. (step, value) pairs, each once."""

DECAYS = (0.5, 1.0, 2.0, 4.0)
"""How far the kernel falls off over architectures without a common decision, as exponents of e."""

NOISES = (0.03, 0.1, 0.3)
"""Variance of what the decisions don't explain, for a variance of 1 that they do."""

_NORMAL = NormalDist()


@dataclass(frozen=True)
class Kernel:
    """k(a, b) = exp(−decay · |a Δ b| / scale), with the decisions in which two architectures differ.

    Source: the Hamming kernel of Hutter (2009, Automated Configuration of Algorithms, §10.4) for
    categorical parameters. It is the product of a kernel for each decision, hence covers how they work
    together, and an exponential of the squared distance of one-hot codes, hence positive definite for sets
    of any size.

    Attributes:
        decay: how quickly architectures become unlike.
        noise: added to k(a, a) of what was observed.
    """

    decay: float
    noise: float


class GaussianProcess:
    """A posterior over rewards: what was observed says what else is worth a try.

    Observed values are replaced by normal scores of their ranks: Φ⁻¹((rank − ½) / n). So neither the scale
    of rewards nor a few failures far below the rest matter (van der Waerden scores; used for this by
    Salinas et al., 2020).

    Args:
        observed: the architectures' decisions, at least two.
        values: of each; the higher the better.
        kernel: None: the likeliest of `DECAYS` × `NOISES` (Rasmussen & Williams, 2006, eq. 5.8, with the
            scale of the values integrated out by its maximum).

    Attributes:
        kernel: the one that is used.
    """

    def __init__(self, observed: Sequence[Decisions], values: Array, kernel: Kernel | None = None) -> None:
        self._columns: dict[Hashable, int] = {}
        for decisions in observed:
            for decision in decisions:
                self._columns.setdefault(decision, len(self._columns))
        self._known, sizes = self._coded(observed)
        self._scale = max(1.0, 2.0 * float(sizes.mean()))
        scores = normal_scores(values)
        differences = self._differences(self._known, sizes)
        kernels = [kernel] if kernel else [Kernel(*pair) for pair in product(DECAYS, NOISES)]
        fits = [_fit(differences, scores, each) for each in kernels]
        best = max(range(len(fits)), key=lambda index: fits[index][0])
        self.kernel = kernels[best]
        _, self._factor, self._weights, self._variance = fits[best]
        self._sizes = sizes

    def predict(self, asked: Sequence[Decisions]) -> tuple[Array, Array]:
        """Mean and standard deviation of the normal scores of architectures, each with shape `(asked,)`."""
        codes, sizes = self._coded(asked)
        matches = codes @ self._known.T
        differences = (sizes[:, None] + self._sizes[None] - 2.0 * matches) / self._scale
        covariance = np.exp(-self.kernel.decay * differences)
        explained = np.linalg.solve(self._factor, covariance.T)
        left = np.maximum(0.0, 1.0 - (explained**2).sum(axis=0))
        return explained.T @ self._weights, np.sqrt(self._variance * left)

    def _coded(self, architectures: Sequence[Decisions]) -> tuple[Array, Array]:
        """One-hot codes over the decisions that were observed, and the number of all decisions."""
        codes = np.zeros((len(architectures), len(self._columns)))
        for row, decisions in enumerate(architectures):
            codes[row, [self._columns[one] for one in decisions if one in self._columns]] = 1.0
        return codes, np.array([float(len(decisions)) for decisions in architectures])

    def _differences(self, codes: Array, sizes: Array) -> Array:
        return np.asarray((sizes[:, None] + sizes[None] - 2.0 * codes @ codes.T) / self._scale)


def normal_scores(values: Array) -> Array:
    """Φ⁻¹ of the ranks' middles; equal values share one score.

    Example:
        >>> normal_scores(np.array([0.1, 0.9, 0.5])).round(2).tolist()
        [-0.97, 0.97, 0.0]
    """
    ordered = np.sort(values)
    below, up_to = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return np.array([_NORMAL.inv_cdf(middle) for middle in ((below + up_to) / (2.0 * len(values))).tolist()])


def _fit(differences: Array, scores: Array, kernel: Kernel) -> tuple[float, Array, Array, float]:
    """Log-likelihood, Cholesky factor, whitened scores, and the variance of the process."""
    count = len(scores)
    covariance = np.exp(-kernel.decay * differences) + kernel.noise * np.eye(count)
    factor = np.linalg.cholesky(covariance)
    weights = np.linalg.solve(factor, scores)
    variance = max(1e-12, float(weights @ weights) / count)
    likelihood = -0.5 * count * math.log(variance) - float(np.log(np.diag(factor)).sum())
    return likelihood, np.asarray(factor), np.asarray(weights), variance
