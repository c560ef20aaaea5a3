"""Optimizer, learning rate and weight average of an `ImageRecipe`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
from keras import ops

from nas.training.image_recipe import ImageRecipe
from nas.training.schedule import learning_rate


def optimizer_of(recipe: ImageRecipe, steps: int) -> keras.optimizers.Optimizer:
    """The optimizer that the recipe describes; with `schedule_every: epoch` the trainer sets its rate.

    Args:
        recipe: says which.
        steps: of an epoch.
    """
    rate = _EveryStep(recipe, steps) if recipe.schedule_every == "step" else recipe.learning_rate
    clipping = {"global_clipnorm": recipe.gradient_clipping} if recipe.gradient_clipping else {}
    if recipe.optimizer == "rmsprop":
        return RmsProp(
            rate,
            rho=recipe.rmsprop_decay,
            momentum=recipe.momentum,
            epsilon=recipe.rmsprop_epsilon,
            **clipping,
        )
    return keras.optimizers.SGD(rate, momentum=recipe.momentum, nesterov=recipe.nesterov, **clipping)


class RmsProp(keras.optimizers.RMSprop):  # type: ignore[misc]
    """RMSProp with momentum as TensorFlow 1 has it, which NASNet's authors used.

    v ← decay·v + (1 − decay)·g²; m ← momentum·m + rate·g / √(v + ε); w ← w − m, from v = 1 and m = 0.

    Differs from Keras: there v begins at 0, so that the first steps with ε = 1 would be longer by √2.
    """

    def build(self, var_list: list[keras.Variable]) -> None:
        begun = self.built
        super().build(var_list)
        if not begun:
            for mean_square in self._velocities:
                mean_square.assign(ops.ones_like(mean_square))


class _EveryStep(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """The recipe's learning rate as a function of the number of steps."""

    def __init__(self, recipe: ImageRecipe, steps: int) -> None:
        self._recipe, self._steps = recipe, steps

    def __call__(self, step: Any) -> Any:
        return learning_rate(self._recipe, ops.cast(step, "float32") / self._steps, _Tensors())


class _Tensors:
    """The arithmetic of tensors, for `learning_rate`."""

    cos = staticmethod(ops.cos)
    floor = staticmethod(ops.floor)

    @staticmethod
    def reached(value: Any, point: float) -> Any:
        return ops.cast(value >= point, "float32")


class WeightAverage(keras.layers.Layer):  # type: ignore[misc]
    """An exponential moving average of a network's weights and of its batch normalisation's statistics.

    Called with the number of steps that are over, it takes the weights in that these led to; called again
    with the same number, it changes nothing. average ← average + (1 − d)·(weights − average), where
    d = min(decay, (1 + t) / (10 + t)) after t steps.

    Source: `tf.train.ExponentialMovingAverage` with `num_updates`, which slim's training script gives all
    variables of the model.

    Keras' own (`use_ema` of an optimizer) is not used: `fit` ends by putting the average in place of the
    weights, so that each epoch would train on from it; it leaves the statistics out, and its decay is the
    same from the second step on.

    Args:
        network: whose weights.
        decay: of the average, d above.
        without: variables that are no weights.
    """

    def __init__(
        self, network: keras.Model, decay: float, without: Sequence[keras.Variable | None] = ()
    ) -> None:
        super().__init__(name="weight_average", dtype="float32")
        left_out = {id(variable) for variable in without}
        weights: list[Any] = [
            variable
            for variable in network.variables
            if keras.backend.is_float_dtype(variable.dtype) and id(variable) not in left_out
        ]
        # Behind a function, or Keras would take them for variables of this layer too.
        self._weights_now: Callable[[], list[Any]] = lambda: weights
        self._decay = decay
        self._averages = [
            keras.Variable(
                ops.copy(one.value), dtype=one.dtype, trainable=False, autocast=False, name="average"
            )
            for one in weights
        ]
        self._taken_in = keras.Variable(0, dtype="int32", trainable=False, name="taken_in")

    def build(self, input_shape: Any) -> None:
        self.built = True

    def call(self, steps: Any) -> Any:
        done = ops.cast(steps, "float32")
        decay = ops.minimum(self._decay, (1 + done) / (10 + done))
        new = ops.where(steps > self._taken_in, 1 - decay, 0.0)
        for average, weight in zip(self._averages, self._weights_now(), strict=True):
            average.assign(average + new * ops.stop_gradient(weight - average))
        self._taken_in.assign(steps)
        return steps

    def put_in_place(self) -> None:
        """Gives the network the averages for weights."""
        for average, weight in zip(self._averages, self._weights_now(), strict=True):
            weight.assign(average.value)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within, the network has the averages for weights."""
        trained = [ops.copy(weight.value) for weight in self._weights_now()]
        self.put_in_place()
        try:
            yield
        finally:
            for weight, value in zip(self._weights_now(), trained, strict=True):
                weight.assign(value)
