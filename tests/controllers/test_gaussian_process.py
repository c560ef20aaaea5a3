"""The predictor's regression is that of the textbook, for sets of decisions of any size."""

from __future__ import annotations

import numpy as np
import pytest

from nas.controllers.gaussian_process import DECAYS, NOISES, GaussianProcess, Kernel, normal_scores


def pairs(*values: int) -> list[tuple[int, int]]:
    return list(enumerate(values))


OBSERVED = [pairs(0, 0), pairs(0, 1), pairs(1, 1), pairs(2)]
VALUES = np.array([0.1, 0.3, 0.9, 0.5])


def test_the_prediction_is_the_posterior_of_the_kernel():
    """Rasmussen & Williams (2006), eq. 2.23 and 2.24, written out with inverses."""
    kernel = Kernel(1.0, 0.1)
    process = GaussianProcess(OBSERVED, VALUES, kernel)
    asked = [pairs(1, 0), pairs(2)]
    scale = 2 * np.mean([len(one) for one in OBSERVED])

    def k(one: list, other: list) -> float:
        return float(np.exp(-len(set(one) ^ set(other)) / scale))

    covariance = np.array([[k(a, b) for b in OBSERVED] for a in OBSERVED]) + 0.1 * np.eye(4)
    cross = np.array([[k(a, b) for b in OBSERVED] for a in asked])
    scores = normal_scores(VALUES)
    inverse = np.linalg.inv(covariance)
    variance = scores @ inverse @ scores / 4
    mean, deviation = process.predict(asked)
    np.testing.assert_allclose(mean, cross @ inverse @ scores)
    np.testing.assert_allclose(deviation**2, variance * (1 - np.einsum("ai,ij,aj->a", cross, inverse, cross)))


def test_what_was_observed_is_predicted_with_less_doubt_than_what_was_not():
    process = GaussianProcess(OBSERVED, VALUES, Kernel(2.0, 0.03))
    mean, deviation = process.predict([pairs(1, 1), pairs(7, 7)])
    assert deviation[0] < 0.5 * deviation[1]
    assert mean[0] > mean[1] == pytest.approx(0.0, abs=0.2)


def test_the_kernel_is_the_likeliest():
    """Values that depend on the sum of many decisions ask for a slow kernel; noise alone for much noise."""
    random = np.random.default_rng(0)
    architectures = [pairs(*row) for row in random.integers(3, size=(60, 6)).tolist()]
    sums = np.array([float(sum(value for _, value in one)) for one in architectures])
    smooth = GaussianProcess(architectures, sums).kernel
    noise = GaussianProcess(architectures, random.normal(size=60)).kernel
    assert smooth.noise == min(NOISES)
    assert smooth.decay in DECAYS[:2]
    assert noise.decay > smooth.decay or noise.noise > smooth.noise


def test_scores_are_those_of_ranks_whatever_the_scale():
    values = np.array([0.2, 0.9, 0.9, -5.0])
    scores = normal_scores(values)
    assert scores[1] == scores[2] > scores[0] > scores[3]
    np.testing.assert_array_equal(normal_scores(100 * values + 3), scores)


def test_equal_rewards_can_be_fitted():
    mean, deviation = GaussianProcess(OBSERVED, np.zeros(4)).predict(OBSERVED)
    assert np.isfinite(mean).all()
    assert np.isfinite(deviation).all()
