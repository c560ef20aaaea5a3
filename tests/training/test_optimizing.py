"""Optimizers, learning rates within an epoch and averages of weights, by their formulas."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest

from nas.training.image_recipe import ImageRecipe
from nas.training.optimizing import WeightAverage, optimizer_of


def applied(recipe: ImageRecipe, gradients: list[list[float]], steps: int = 10) -> np.ndarray:
    """Two weights, from 1 and 2 on, after the optimizer has had these gradients."""
    optimizer = optimizer_of(recipe, steps)
    one, other = keras.Variable([1.0]), keras.Variable([2.0])
    for first, second in gradients:
        optimizer.apply([np.array([first], "float32"), np.array([second], "float32")], [one, other])
    return np.array([float(one.value[0]), float(other.value[0])])


def test_rmsprop_is_that_of_tensorflow_1_whose_mean_square_begins_at_one() -> None:
    options: dict[str, Any] = {"optimizer": "rmsprop", "learning_rate": 0.5, "schedule": "constant"}
    recipe = ImageRecipe(**options, momentum=0.8, rmsprop_decay=0.9, rmsprop_epsilon=1.0)
    gradients = np.array([[3.0, -1.0], [0.5, 2.0], [-4.0, 0.0]])
    weights, square, moved = np.array([1.0, 2.0]), np.ones(2), np.zeros(2)
    for gradient in gradients:
        square = 0.9 * square + 0.1 * gradient**2
        moved = 0.8 * moved + 0.5 * gradient / np.sqrt(square + 1.0)
        weights = weights - moved
    np.testing.assert_allclose(applied(recipe, gradients.tolist()), weights, rtol=1e-5)


@pytest.mark.parametrize(("limit", "scale"), [(0.0, 1.0), (5.0, 1.0), (2.5, 0.5), (0.5, 0.1)])
def test_clipping_is_by_the_norm_over_all_weights(limit: float, scale: float) -> None:
    recipe = ImageRecipe(gradient_clipping=limit, learning_rate=0.1, momentum=0.0, nesterov=False)
    moved = np.array([1.0, 2.0]) - applied(recipe, [[3.0, 4.0]])
    np.testing.assert_allclose(moved, 0.1 * scale * np.array([3.0, 4.0]), rtol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"schedule": "cosine"},
        {"schedule": "step", "decay_at": [0.5, 0.7]},
        {"schedule": "exponential", "decay_factor": 0.97, "decay_epochs": 2.4},
    ],
)
def test_with_every_step_the_learning_rate_is_the_recipes_at_that_part_of_the_epoch(
    options: dict[str, Any],
) -> None:
    recipe = ImageRecipe(epochs=10, learning_rate=0.4, schedule_every="step", **options)
    optimizer = optimizer_of(recipe, 5)
    optimizer.build([keras.Variable([0.0])])
    found = []
    for step in range(50):
        optimizer.iterations.assign(step)
        found.append(float(optimizer.learning_rate))
    assert found == pytest.approx([recipe.learning_rate_at(step / 5) for step in range(50)], rel=1e-4)
    assert len(set(found)) >= 3


def test_the_cosine_of_every_step_ends_at_the_last_step() -> None:
    recipe = ImageRecipe(epochs=2, learning_rate=1.0, schedule="cosine", schedule_every="step")
    optimizer = optimizer_of(recipe, 4)
    rates = [float(optimizer.learning_rate) for optimizer.iterations in _counted(optimizer, 8)]
    assert rates == pytest.approx([0.5 * (1 + math.cos(math.pi * step / 8)) for step in range(8)], rel=1e-5)


def _counted(optimizer: Any, steps: int) -> Any:
    for step in range(steps):
        optimizer.iterations.assign(step)
        yield optimizer.iterations


def small_network() -> keras.Model:
    image = keras.Input((2,))
    outputs = keras.layers.BatchNormalization()(keras.layers.Dense(2, use_bias=False)(image))
    return keras.Model(image, outputs)


def filled(network: keras.Model, value: float) -> None:
    for variable in network.variables:
        variable.assign(np.full(variable.shape, value, "float32"))


def test_an_average_moves_slowly_at_last_and_fast_at_first() -> None:
    network = small_network()
    filled(network, 0.0)
    average = WeightAverage(network, 0.5)
    expected = 0.0
    for steps, value in ((1, 10.0), (2, -4.0), (30, 6.0)):
        filled(network, value)
        decay = min(0.5, (1 + steps) / (10 + steps))
        expected = decay * expected + (1 - decay) * value
        average(keras.ops.convert_to_tensor(steps))
        average(keras.ops.convert_to_tensor(steps))  # the same steps count once
    with average.in_place():
        for variable in network.variables:  # kernel, scale, shift and both statistics
            np.testing.assert_allclose(variable.numpy(), np.full(variable.shape, expected), rtol=1e-5)
    for variable in network.variables:
        np.testing.assert_array_equal(variable.numpy(), np.full(variable.shape, 6.0))
    average.put_in_place()
    np.testing.assert_allclose(network.variables[0].numpy(), expected, rtol=1e-5)


def test_an_average_leaves_alone_what_is_no_weight() -> None:
    network = small_network()
    statistic = network.layers[-1].moving_mean
    average = WeightAverage(network, 0.5, without=[statistic, None])
    filled(network, 3.0)
    with average.in_place():
        np.testing.assert_array_equal(statistic.numpy(), 3.0)
        assert not np.array_equal(network.layers[-1].moving_variance.numpy(), [3.0, 3.0])


def test_an_average_is_exact_whatever_its_surroundings_compute_in() -> None:
    class Outer(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(dtype="mixed_bfloat16")
            self.average = WeightAverage(network, 0.5)

        def call(self, steps: Any) -> Any:
            return self.average(steps)

    network = small_network()
    filled(network, 1.0009765)  # has no bfloat16
    outer = Outer()
    filled(network, 1.0019531)
    outer(keras.ops.convert_to_tensor(100))
    with outer.average.in_place():
        np.testing.assert_allclose(network.variables[0].numpy(), 1.0014648, rtol=1e-7)
