"""Recurrent cells as Keras layers: their base class, the tree of Zoph & Le (2017, §3.4), LSTM and GRU."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import singledispatch
from itertools import groupby
from typing import Any, Self

import keras
from keras import ops

from nas.errors import InputError
from nas.networks.build import import_builder
from nas.networks.tape import Product, Tape, Value
from nas.spaces import Architecture, architecture_from_json, parse_architecture
from nas.spaces.recurrent_cell import RecurrentCell, RecurrentNode, StandardCell

Tensor = Any


class RecurrentCellLayer(keras.layers.Layer):  # type: ignore[misc]
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
def _recurrent_cell(architecture: Any, units: int, **settings: Any) -> RecurrentCellLayer:
    cls = type(architecture)
    raise InputError(
        f"no recurrent cell is registered for {cls.__module__}.{cls.__qualname__}: it is not a recurrent "
        "architecture, or its cell must be registered with @nas.networks.register_recurrent_cell in a module "
        "that the class attribute 'builder' names"
    )


register_recurrent_cell = _recurrent_cell.register
"""`@register_recurrent_cell(MyArchitecture)` registers the decorated cell for an architecture."""


def recurrent_cell_layer(
    architecture: Architecture | str,
    units: int,
    *,
    init_scale: float | None = None,
    seed: int | None = None,
    use_bias: bool | None = None,
    **kwargs: Any,
) -> RecurrentCellLayer:
    """The Keras RNN cell of an architecture, to be run by `keras.layers.RNN(cell)`.

    It can be saved and loaded wherever `nas.networks` is imported. `Recurrent` runs the same cell faster.

    A new kind of architecture registers its subclass of `RecurrentCellLayer` with
    `@register_recurrent_cell(ItsClass)` and `@keras.saving.register_keras_serializable(package=…)`, in the
    module that its class attribute `builder` names.

    Args:
        architecture: a recurrent one, such as `RecurrentCell` or `StandardCell`, or its text form.
        units, init_scale, seed, use_bias, **kwargs: see `RecurrentCellLayer`.

    Raises:
        InputError: no cell is registered for this kind of architecture, or an argument is not allowed.

    Example:
        >>> import keras
        >>> cell = recurrent_cell_layer("cell:zoph-le-2017", 5, seed=1)
        >>> layer = keras.layers.RNN(cell, return_sequences=True)
        >>> layer(keras.ops.zeros((2, 7, 3))).shape
        TensorShape([2, 7, 5])
        >>> layer.count_params() == cell.architecture.cost((3,), 5).parameters
        True
    """
    if isinstance(architecture, str):
        architecture = parse_architecture(architecture)
    import_builder(architecture)
    return _recurrent_cell(architecture, units, init_scale=init_scale, seed=seed, use_bias=use_bias, **kwargs)


def leaf_order(architecture: RecurrentCell) -> tuple[int, ...]:
    """The leaves in the order of their columns in the weights.

    Leaves of one combination, and among them those of one activation, stand together, so that a step
    computes them as one slice; else they stand in the order of their indices.
    """
    nodes = architecture.nodes
    return tuple(
        sorted(range(architecture.base), key=lambda leaf: (nodes[leaf].combination, nodes[leaf].activation))
    )


@register_recurrent_cell(RecurrentCell)
@keras.saving.register_keras_serializable(package="nasflow")
class TreeCell(RecurrentCellLayer):
    """One time step of a `RecurrentCell`, which says what is computed.

    Weights:
        kernel: matrix, with shape `(features, base · units)`: W of all leaves, `units` columns for each, in
            the order of `leaf_order`.
        recurrent_kernel: matrix, with shape `(units, base · units)`: U of all leaves in the same order.
        bias: vector, with shape `(base · units,)`, only with `use_bias=True`: it is added to
            U h_{t−1}, before a leaf combines this with W x_t. Begins at 0 without an `init_scale`.

    The states are h and c.
    """

    def __init__(self, architecture: RecurrentCell, units: int, **kwargs: Any) -> None:
        super().__init__(architecture, units, **kwargs)
        self.tree = architecture
        self.state_size = [units, units]
        order = leaf_order(architecture)
        nodes = architecture.nodes
        self._groups = [
            (
                combination,
                [(name, list(same)) for name, same in groupby(leaves, lambda n: nodes[n].activation)],
            )
            for combination, leaves in (
                (name, list(same)) for name, same in groupby(order, lambda n: nodes[n].combination)
            )
        ]

    def build(self, input_shape: Sequence[Any]) -> None:
        columns = self.tree.base * self.units
        self.add_matrices(input_shape[-1], columns, ("bias", (columns,), "zeros"))

    def project(self, inputs: Tensor) -> Tensor:
        return ops.matmul(inputs, self.kernel)

    def products(self) -> list[tuple[Tensor, Tensor | None]]:
        return [(self.recurrent_kernel, self.bias if self.has_bias else None)]

    def step(self, tape: Tape, x: Value, states: Sequence[Value], mask: Tensor | None) -> list[Value]:
        cell = self.tree
        h, c = states
        before, after = self._leaves(tape, x, tape.product(tape.scale(h, mask)))
        for index, node in enumerate(cell.nodes):
            children = cell.children(index)
            if children is not None:
                before[index] = tape.combine(node.combination, after[children[0]], after[children[1]])
                after[index] = tape.activate(node.activation, before[index])
            if index == cell.c_in:
                after[index] = _apply(tape, cell.inject, after[index], c)
        return [after[len(cell.nodes) - 1], before[cell.c_out]]

    def _leaves(self, tape: Tape, x: Value, m: Value) -> tuple[dict[int, Value], dict[int, Value]]:
        """The leaves before their activation (only those that are needed so) and after it."""
        before: dict[int, Value] = {}
        after: dict[int, Value] = {}
        sizes = [self.units * sum(len(leaves) for _, leaves in parts) for _, parts in self._groups]
        sides = zip(tape.split(x, sizes), tape.split(m, sizes), strict=True)
        for (combination, parts), (of_x, of_m) in zip(self._groups, sides, strict=True):
            merged = tape.combine(combination, of_x, of_m)
            widths = [self.units * len(leaves) for _, leaves in parts]
            for (activation, leaves), part in zip(parts, tape.split(merged, widths), strict=True):
                each = [self.units] * len(leaves)
                active = tape.split(tape.activate(activation, part), each)
                after.update(zip(leaves, active, strict=True))
                if self.tree.c_out in leaves:
                    before.update(zip(leaves, tape.split(part, each), strict=True))
        return before, after


def _apply(tape: Tape, node: RecurrentNode, a: Value, b: Value) -> Value:
    return tape.activate(node.activation, tape.combine(node.combination, a, b))


@register_recurrent_cell(StandardCell)
def standard_cell(architecture: StandardCell, units: int, **settings: Any) -> RecurrentCellLayer:
    """The cell that a `StandardCell` names."""
    return {"lstm": LSTMCell, "gru": GRUCell}[architecture.name](architecture, units, **settings)


@keras.saving.register_keras_serializable(package="nasflow")
class LSTMCell(RecurrentCellLayer):
    """One time step of an LSTM, with the equations and weights of `keras.layers.LSTM`.

    Weights:
        kernel: matrix, with shape `(features, 4 · units)`: input gate, forget gate, candidate, output gate.
        recurrent_kernel: matrix, with shape `(units, 4 · units)`.
        bias: vector, with shape `(4 · units,)`, unless `use_bias=False`. Without an `init_scale` it begins
            at 1 for the forget gate, else at 0.

    The states are h and c.
    """

    own_bias = True

    def __init__(self, architecture: StandardCell, units: int, **kwargs: Any) -> None:
        super().__init__(architecture, units, **kwargs)
        self.state_size = [units, units]

    def build(self, input_shape: Sequence[Any]) -> None:
        columns = 4 * self.units
        self.add_matrices(input_shape[-1], columns, ("bias", (columns,), self._open_forget_gate))

    def _open_forget_gate(self, shape: Any, dtype: Any = None) -> Tensor:
        parts = [
            ops.ones((self.units,), dtype) if gate == 1 else ops.zeros((self.units,), dtype)
            for gate in range(4)
        ]
        return ops.concatenate(parts)

    def project(self, inputs: Tensor) -> Tensor:
        product = ops.matmul(inputs, self.kernel)
        return ops.add(product, self.bias) if self.has_bias else product

    def products(self) -> list[tuple[Tensor, Tensor | None]]:
        return [(self.recurrent_kernel, None)]

    def step(self, tape: Tape, x: Value, states: Sequence[Value], mask: Tensor | None) -> list[Value]:
        h, c = states
        gates = tape.combine("add", x, tape.product(tape.scale(h, mask)))
        first, candidate, output = tape.split(gates, [2 * self.units, self.units, self.units])
        write, keep = tape.split(tape.activate("sigmoid", first), [self.units] * 2)
        new = tape.combine(
            "add",
            tape.combine("elem_mult", keep, c),
            tape.combine("elem_mult", write, tape.activate("tanh", candidate)),
        )
        gate = tape.activate("sigmoid", output)
        return [tape.combine("elem_mult", gate, tape.activate("tanh", new)), new]


@keras.saving.register_keras_serializable(package="nasflow")
class GRUCell(RecurrentCellLayer):
    """One time step of a GRU, with the equations and weights of `keras.layers.GRU`.

    Weights:
        kernel: matrix, with shape `(features, 3 · units)`: update gate, reset gate, candidate.
        recurrent_kernel: matrix, with shape `(units, 3 · units)`.
        bias: matrix, with shape `(2, 3 · units)`, unless `use_bias=False`: one row is added to W x_t, one to
            U h_{t−1}. Begins at 0 without an `init_scale`.

    The state is h.
    """

    own_bias = True

    def build(self, input_shape: Sequence[Any]) -> None:
        columns = 3 * self.units
        self.add_matrices(input_shape[-1], columns, ("bias", (2, columns), "zeros"))

    def project(self, inputs: Tensor) -> Tensor:
        product = ops.matmul(inputs, self.kernel)
        return ops.add(product, self.bias[0]) if self.has_bias else product

    def products(self) -> list[tuple[Tensor, Tensor | None]]:
        return [(self.recurrent_kernel, self.bias[1] if self.has_bias else None)]

    def step(self, tape: Tape, x: Value, states: Sequence[Value], mask: Tensor | None) -> list[Value]:
        (h,) = states
        widths = [2 * self.units, self.units]
        x_gates, x_candidate = tape.split(x, widths)
        m_gates, m_candidate = tape.split(tape.product(tape.scale(h, mask)), widths)
        gates = tape.activate("sigmoid", tape.combine("add", x_gates, m_gates))
        update, reset = tape.split(gates, [self.units] * 2)
        candidate = tape.activate(
            "tanh", tape.combine("add", x_candidate, tape.combine("elem_mult", reset, m_candidate))
        )
        kept = tape.combine("elem_mult", update, tape.subtract(h, candidate))
        return [tape.combine("add", candidate, kept)]
