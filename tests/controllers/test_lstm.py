"""Adam's steps are those of its paper."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nas.controllers.lstm import Adam
from nas.errors import InputError


def test_three_steps_are_those_of_the_papers_algorithm():
    parameters = {"a": np.array([1.0, -2.0]), "b": np.array([[0.5]])}
    adam = Adam(parameters, learning_rate=0.1)
    gradients = [{"a": np.array([0.3, -4.0]), "b": np.array([[g]])} for g in (1.0, -2.0, 0.5)]
    theta, m, v = 0.5, 0.0, 0.0
    for t, gradient in enumerate(gradients, 1):
        adam.apply(gradient)
        g = gradient["b"].item()
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        theta -= 0.1 * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.999**t)) + 1e-8)
        assert parameters["b"].item() == pytest.approx(theta, rel=1e-13)
    # a constant gradient of any size moves a parameter by the learning rate
    np.testing.assert_allclose(parameters["a"], [0.7, -1.7], rtol=1e-7)


def test_a_gradient_much_smaller_than_epsilon_moves_little():
    """ε stands outside the root: 0.1 · g / (g + ε) for a first gradient g."""
    parameters = {"a": np.zeros(1)}
    Adam(parameters, learning_rate=0.1).apply({"a": np.array([1e-8])})
    assert parameters["a"].item() == pytest.approx(-0.05)


def test_parameters_are_updated_in_place():
    array = np.zeros(2)
    Adam({"a": array}, learning_rate=0.1).apply({"a": np.ones(2)})
    assert (array < 0).all()


def test_a_restored_optimiser_goes_on_to_the_bit():
    random = np.random.default_rng(0)
    gradients = [{"a": random.normal(size=3)} for _ in range(6)]
    one, other = {"a": np.zeros(3)}, {"a": np.zeros(3)}
    old, new = Adam(one, 0.01), Adam(other, 0.01)
    for gradient in gradients[:3]:
        old.apply(gradient)
    other["a"][...] = one["a"]
    new.restore(old.state())
    for gradient in gradients[3:]:
        old.apply(gradient)
        new.apply(gradient)
    assert one["a"].tobytes() == other["a"].tobytes()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "Adam"),
        ({"step": "x"}, "Adam"),
        ({"step": 1, "mean": [], "square": {}}, "means of gradients must be a mapping"),
        ({"step": 1, "mean": {"a": np.zeros(2)}, "square": {}}, "'a' must have shape"),
        ({"step": 1, "mean": {"a": "text"}, "square": {}}, "'a' is not one"),
        ({"step": 1, "mean": {"a": np.zeros(3)}, "square": {}}, "squared gradients.*'a' is missing"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(wrong, message):
    adam = Adam({"a": np.zeros(3)}, 0.01)
    with pytest.raises(InputError, match=message):
        adam.restore(wrong)
    assert adam.step == 0
