"""Recurrent cells as Keras layers; each kind of architecture registers its own."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import singledispatch
from typing import Any, Self

import keras
from keras import ops

from nas.errors import InputError
from nas.networks.build import import_builder
from nas.networks.tape import Product, Tape, Value
from nas.spaces import Architecture, architecture_from_json, parse_architecture

Tensor = Any


class Cell(keras.layers.Layer):  # type: ignore[misc]
    """One time step of a recurrent layer: what `keras.layers.RNN` and `Recurrent` run over a sequence.

    A subclass says which weights there are (`build`), what of a step doesn't depend on the state and so
    can be computed for a whole window at once (`project`), which matrices a step multiplies with
    (`products`), and the step itself in the operations of a `Tape` (`step`), which differentiates it.

    Args:
        architecture: what to compute.
        units: length of the output and of each state.
        init_scale: all weights begin uniformly in ±init_scale; None: matrices begin as in Keras' recurrent
            layers, Glorot-uniform for the inputs and orthogonal for the state.
        seed: of the initial weights: equal seeds give equal weights. None: by chance.
        use_bias: whether there are biases; None: as the architecture says by itself.
        **kwargs: `name`, `dtype` and the like, see `keras.layers.Layer`.

    Raises:
        InputError: `units` or `init_scale` is not allowed.
    """

    state_size: list[int]
    """Length of each state; the first is the output h."""

    own_bias = False
    """Whether this kind of cell has biases if `use_bias` doesn't say."""

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
        if type(units) is not int or units < 1:
            raise InputError(f"units must be a whole number of at least 1. Received: units={units!r}")
        if init_scale is not None and not 0 <= init_scale < float("inf"):
            raise InputError(
                f"init_scale must be a finite number of at least 0. Received: init_scale={init_scale!r}"
            )
        self.architecture = architecture
        self.units = self.output_size = units
        self.state_size = [units]
        self.init_scale, self.seed, self.use_bias = init_scale, seed, use_bias
        self.has_bias = self.own_bias if use_bias is None else use_bias

    @abstractmethod
    def project(self, inputs: Tensor) -> Tensor:
        """What a step needs of x_t: from any number of inputs at once, with shape `(n, features)`."""

    @abstractmethod
    def products(self) -> list[tuple[Tensor, Tensor | None]]:
        """The matrices of a step, each with its bias if it has one, in the order of multiplication."""

    @abstractmethod
    def step(self, tape: Tape, x: Value, states: Sequence[Value], mask: Tensor | None) -> list[Value]:
        """One time step, in the operations of `tape` alone, which has the matrices of `products`.

        What isn't computed by the tape gets no gradient: a step uses no other weights.

        Args:
            tape: the operations.
            x: what `project` gave for x_t.
            states: what the last step gave.
            mask: what h_{t−1} is multiplied by where it enters a matrix product, with shape
                `(batch, units)`; None: nothing.

        Returns:
            The new states; the first is the output.
        """

    def call(
        self, inputs: Tensor, states: Sequence[Tensor], training: bool | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """The output and the new states, each with shape `(batch, units)`."""
        tape = Tape([Product(weight, bias) for weight, bias in self.products()])
        new = self.step(tape, Value(self.project(inputs)), [Value(state) for state in states], None)
        tensors = [value.tensor for value in new]
        return tensors[0], tensors

    def compute_output_shape(self, input_shape: Sequence[int | None], *_: Any) -> Any:
        """Of the output and of the states."""
        batch = input_shape[0]
        return (batch, self.units), [(batch, size) for size in self.state_size]

    def get_initial_state(self, batch_size: Any = None) -> list[Tensor]:
        """Zeros."""
        return [ops.zeros((batch_size, size), self.compute_dtype) for size in self.state_size]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "architecture": self.architecture.to_json(),
            "units": self.units,
            "init_scale": self.init_scale,
            "seed": self.seed,
            "use_bias": self.use_bias,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(**{**config, "architecture": architecture_from_json(config["architecture"])})

    def add_matrices(self, features: int, columns: int, *biases: tuple[str, Any, Any]) -> None:
        """Makes `kernel`, `recurrent_kernel` and biases, each by its name, shape and initializer.

        Args:
            features: length of x_t.
            columns: of both matrices.
            *biases: made only if the cell has biases; their initializer counts without an `init_scale`.
        """
        seeds = random.Random(self.seed)

        def begin(usual: Any) -> Any:
            seed = seeds.getrandbits(31) if self.seed is not None else None
            if self.init_scale is not None:
                return keras.initializers.RandomUniform(-self.init_scale, self.init_scale, seed=seed)
            return usual(seed=seed) if isinstance(usual, type) else usual

        wanted = [
            ("kernel", (features, columns), keras.initializers.GlorotUniform),
            ("recurrent_kernel", (self.units, columns), keras.initializers.Orthogonal),
            *(biases if self.has_bias else ()),
        ]
        for name, shape, usual in wanted:
            setattr(self, name, self.add_weight(shape=shape, name=name, initializer=begin(usual)))


@singledispatch
def _cell(architecture: Any, units: int, **settings: Any) -> Cell:
    cls = type(architecture)
    raise InputError(
        f"no recurrent cell is registered for {cls.__module__}.{cls.__qualname__}: it is no recurrent "
        "architecture, or its cell is to be registered with @nas.networks.register_cell in a module that "
        "the class attribute 'builder' names"
    )


register_cell = _cell.register
"""`@register_cell(MyArchitecture)` registers the decorated `Cell` for an architecture."""


def cell_layer(
    architecture: Architecture | str,
    units: int,
    *,
    init_scale: float | None = None,
    seed: int | None = None,
    use_bias: bool | None = None,
    **kwargs: Any,
) -> Cell:
    """The Keras RNN cell of an architecture, to be run by `keras.layers.RNN(cell)`.

    It can be saved and loaded wherever `nas.networks` is imported. `Recurrent` runs the same cell faster.

    A new kind of architecture registers its subclass of `Cell` with `@register_cell(ItsClass)` and
    `@keras.saving.register_keras_serializable(package=…)`. An architecture outside this package names the
    module that does so in its class attribute `builder`.

    Args:
        architecture: a recurrent one, such as `RecurrentCell` or `StandardCell`, or its text form.
        units, init_scale, seed, use_bias, **kwargs: see `Cell`.

    Raises:
        InputError: no cell is registered for this kind of architecture, or an argument is not allowed.

    Example:
        >>> import keras
        >>> cell = cell_layer("cell:zoph-le-2017", 5, seed=1)
        >>> layer = keras.layers.RNN(cell, return_sequences=True)
        >>> layer(keras.ops.zeros((2, 7, 3))).shape
        TensorShape([2, 7, 5])
        >>> layer.count_params() == cell.architecture.cost((3,), 5).parameters
        True
    """
    if isinstance(architecture, str):
        architecture = parse_architecture(architecture)
    import_builder(architecture)
    return _cell(architecture, units, init_scale=init_scale, seed=seed, use_bias=use_bias, **kwargs)
