"""Adam, the optimiser of the controllers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nas.controllers.lstm import Array
from nas.controllers.parameters import copied, fitting
from nas.errors import InputError


class Adam:
    """Minimises by Adam (Kingma & Ba, 2015, algorithm 1).

    With g the gradient at step t: m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g²,
    θ ← θ − α · m / (1 − β₁ᵗ) / (√(v / (1 − β₂ᵗ)) + ε).

    Attributes:
        step: t, the number of updates made.

    Args:
        parameters: the arrays to update, in place.
        learning_rate: α. The paper of Adam recommends 1e-3; Zoph & Le (2017, §4.1) use 6e-4.
        beta_1, beta_2, epsilon: as Adam's paper recommends.
    """

    def __init__(
        self,
        parameters: Mapping[str, Array],
        learning_rate: float,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        self.learning_rate = learning_rate
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.step = 0
        self._parameters = parameters
        self._mean = {name: np.zeros_like(array) for name, array in parameters.items()}
        self._square = {name: np.zeros_like(array) for name, array in parameters.items()}

    def apply(self, gradient: Mapping[str, Array]) -> None:
        """One step down `gradient`.

        Raises:
            InputError: it doesn't fit the parameters or isn't finite; nothing was changed.
        """
        checked = fitting(gradient, self._parameters, "the gradient's arrays")
        self.step += 1
        mean_scale = 1.0 / (1.0 - self.beta_1**self.step)
        square_scale = 1.0 / (1.0 - self.beta_2**self.step)
        for name, parameter in self._parameters.items():
            g, mean, square = checked[name], self._mean[name], self._square[name]
            mean += (1.0 - self.beta_1) * (g - mean)
            square += (1.0 - self.beta_2) * (g * g - square)
            denominator = np.sqrt(square * square_scale) + self.epsilon
            parameter -= self.learning_rate * mean_scale * mean / denominator

    def state(self) -> dict[str, Any]:
        """Step and moments; changing the parameters further doesn't change it."""
        return {"step": self.step, "mean": copied(self._mean), "square": copied(self._square)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up a `state()`.

        Raises:
            InputError: it doesn't fit the parameters; nothing was changed.
        """
        try:
            step, mean, square = int(state["step"]), state["mean"], state["square"]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"the state has no whole state of Adam: {error!r}") from error
        mean = fitting(mean, self._parameters, "the state's means of gradients")
        square = fitting(square, self._parameters, "the state's means of squared gradients")
        self.step, self._mean, self._square = step, mean, square
