"""Adam, for a controller's few thousand parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nas.errors import InputError

Parameters = dict[str, np.ndarray]


class Adam:
    """Adam (Kingma & Ba 2015, algorithm 1) on a dictionary of arrays, which it changes in place.

    Args:
        parameters: what is trained.
        learning_rate: step size.
        beta_1, beta_2: decay of the first and second moment.
        epsilon: added to the root of the second moment.
    """

    def __init__(
        self,
        parameters: Parameters,
        learning_rate: float,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        if not 0.0 < learning_rate < np.inf:
            raise InputError(f"learning_rate must be a positive number. Received: {learning_rate}")
        self.parameters = parameters
        self.learning_rate = learning_rate
        self.betas = (beta_1, beta_2)
        self.epsilon = epsilon
        self.steps = 0
        self.first = {name: np.zeros_like(value) for name, value in parameters.items()}
        self.second = {name: np.zeros_like(value) for name, value in parameters.items()}

    def apply(self, gradient: Mapping[str, np.ndarray]) -> None:
        """One step down the gradient."""
        self.steps += 1
        beta_1, beta_2 = self.betas
        rate = self.learning_rate * np.sqrt(1.0 - beta_2**self.steps) / (1.0 - beta_1**self.steps)
        epsilon = self.epsilon * np.sqrt(1.0 - beta_2**self.steps)  # as written in algorithm 1
        for name, parameter in self.parameters.items():
            first, second, slope = self.first[name], self.second[name], gradient[name]
            first *= beta_1
            first += (1.0 - beta_1) * slope
            second *= beta_2
            second += (1.0 - beta_2) * slope**2
            parameter -= rate * first / (np.sqrt(second) + epsilon)

    def state(self) -> dict[str, Any]:
        """Parameters, moments and step, as copies."""
        arrays = {"parameters": self.parameters, "first": self.first, "second": self.second}
        copied = {key: {name: a.copy() for name, a in group.items()} for key, group in arrays.items()}
        return {**copied, "steps": self.steps}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up a state.

        Raises:
            InputError: an array is missing or of another shape; nothing is changed then.
        """
        groups = {"parameters": self.parameters, "first": self.first, "second": self.second}
        for key, group in groups.items():
            if set(state[key]) != set(group):
                raise InputError(f"the controller's state holds other {key} than this controller has")
            for name, own in group.items():
                if np.shape(state[key][name]) != own.shape:
                    raise InputError(
                        f"the controller's state doesn't fit: {name} has shape {np.shape(state[key][name])}, "
                        f"expected {own.shape}"
                    )
        for key, group in groups.items():
            for name, own in group.items():
                own[...] = state[key][name]
        self.steps = int(state["steps"])
