"""Distributions, logits and terms are what their equations say, and so are their derivatives."""

from __future__ import annotations

import numpy as np
import pytest

from nas.controllers.decisions import Bernoullis, BoundedLogits, Categorical, Entropy
from nas.spaces import Point

LOGITS = np.array([[0.3, -1.2, 2.0], [0.0, 0.0, -3.0]])


def differences(function) -> np.ndarray:
    """Derivative of each row's value for its logits, by central differences."""
    out = np.empty_like(LOGITS)
    for column in range(LOGITS.shape[1]):
        step = np.zeros_like(LOGITS)
        step[:, column] = 1e-6
        out[:, column] = (function(LOGITS + step) - function(LOGITS - step)) / 2e-6
    return out


@pytest.mark.parametrize(
    ("kind", "value"), [(Categorical, np.array([[2], [0]])), (Bernoullis, np.array([[1, 0, 1], [0, 0, 1]]))]
)
def test_derivatives_equal_finite_differences(kind, value):
    made = kind(LOGITS)
    expected = differences(lambda logits: kind(logits).log_probability(value))
    np.testing.assert_allclose(made.d_log_probability(value), expected, atol=1e-8)
    step, entropy = Point("any", "net"), Entropy()
    expected = differences(lambda logits: entropy.value(step, kind(logits), value))
    np.testing.assert_allclose(entropy.derivative(step, made, value), expected, atol=1e-8)


def test_logits_are_those_of_the_equation():
    scores = np.array([-30.0, 0.0, 1.0, 5.0])
    np.testing.assert_array_equal(BoundedLogits().of(scores), scores)
    np.testing.assert_allclose(BoundedLogits(5.0).of(scores), scores / 5)
    np.testing.assert_allclose(BoundedLogits(5.0, 2.5).of(scores), 2.5 * np.tanh(scores / 5))
