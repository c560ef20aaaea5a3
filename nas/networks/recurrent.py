"""The layer that runs a recurrent cell over sequences, fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import keras
from keras import ops

from nas.networks.cell import cell_layer
from nas.networks.recurrence import recur
from nas.spaces import Architecture, architecture_from_json

Tensor = Any


@keras.saving.register_keras_serializable(package="nasflow")
class Recurrent(keras.layers.Layer):  # type: ignore[misc]
    """Runs the cell of an architecture over sequences and hands its state on.

    It computes what `keras.layers.RNN(cell_layer(architecture, units), return_sequences=True,
    return_state=True)` does, and its weights are that cell's (`layer.cell`), in the same order. It is
    faster: all products of a window's inputs are one matrix product before the loop over time, and the
    gradient of each weight matrix is one after the loop back (see `nas.networks.recurrence`).

    Args:
        architecture: a recurrent one, such as `RecurrentCell` or `StandardCell`.
        units: length of an output and of each state.
        init_scale, seed, use_bias: see `nas.networks.Cell`.
        **kwargs: `name`, `dtype` and the like, see `keras.layers.Layer`.

    Raises:
        InputError: the architecture is no recurrent one, or an argument is not allowed.

    Example:
        >>> from nas.spaces import parse_architecture
        >>> layer = Recurrent(parse_architecture("cell:zoph-le-2017"), 5, seed=1)
        >>> outputs, state = layer(keras.ops.ones((2, 7, 3)))
        >>> outputs.shape, [tensor.shape for tensor in state]
        (TensorShape([2, 7, 5]), [TensorShape([2, 5]), TensorShape([2, 5])])
        >>> outputs, state = layer(keras.ops.ones((2, 7, 3)), state)
    """

    def __init__(
        self,
        architecture: Architecture,
        units: int,
        *,
        init_scale: float | None = None,
        seed: int | None = None,
        use_bias: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cell = cell_layer(
            architecture,
            units,
            init_scale=init_scale,
            seed=seed,
            use_bias=use_bias,
            dtype=self.dtype_policy,
            name="cell",
        )

    def build(
        self, sequence_shape: Sequence[int | None], state_shape: Any = None, recurrent_mask_shape: Any = None
    ) -> None:
        self.cell.build((sequence_shape[0], sequence_shape[2]))

    def call(
        self, sequence: Tensor, state: Sequence[Tensor] | None = None, recurrent_mask: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Runs over a window.

        Args:
            sequence: 3D tensor, with shape `(batch, time, features)`.
            state: from the window before, 2D tensors with shape `(batch, units)`: h and c, or h alone
                where the cell has no other (`cell.state_size`). None: zeros.
            recurrent_mask: 2D tensor, with shape `(batch, units)`: h_{t−1} is multiplied by it wherever it
                enters a matrix product, at every step by the same (variational dropout, Gal & Ghahramani
                2016). It is taken for a constant, without a gradient. None: nothing is multiplied.

        Returns:
            The outputs, with shape `(batch, time, units)`, and the state after the last step.
        """
        batch, time, features = ops.shape(sequence)
        if state is None:
            state = self.cell.get_initial_state(batch)
        rows = ops.reshape(ops.transpose(sequence, (1, 0, 2)), (-1, features))
        projected = self.cell.project(rows)
        projected = ops.reshape(projected, (time, batch, projected.shape[-1]))
        outputs, state = recur(self.cell, projected, state, recurrent_mask)
        return ops.transpose(outputs, (1, 0, 2)), state

    def compute_output_shape(self, sequence_shape: Sequence[int | None], *_: Any, **__: Any) -> Any:
        """Of the outputs and of the state."""
        batch, time, _features = sequence_shape
        return (batch, time, self.cell.units), [(batch, size) for size in self.cell.state_size]

    def get_config(self) -> dict[str, Any]:
        own = self.cell.get_config()
        kept = ("architecture", "units", "init_scale", "seed", "use_bias")
        return {**super().get_config(), **{name: own[name] for name in kept}}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(**{**config, "architecture": architecture_from_json(config["architecture"])})
