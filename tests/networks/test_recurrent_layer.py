"""The fast layer: everything that it computes is what Keras' RNN computes with the same cell."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from nas.errors import InputError
from nas.networks import Recurrent, RecurrentCellLayer, recurrent_cell_layer, register_recurrent_cell
from nas.networks.tape import Product, Tape, Value
from nas.spaces import parse_architecture
from nas.spaces.recurrent_cell_space import RecurrentCellSpace
from nas.testing.spaces import sample_tokens
from tests.networks.recurrent_oracles import DTYPE, assert_close, gradients, normal, to_numpy
from tests.networks.test_build import Linear

BATCH, TIME, FEATURES, UNITS = 3, 6, 5, 4
NAMED = ["cell:zoph-le-2017", "cell:worked-example", "cell:lstm", "rnn:lstm", "rnn:gru"]
CONTROL = RecurrentCellSpace(
    combinations=["add", "elem_mult", "max"], activations=["identity", "tanh", "sigmoid", "relu", "sin"]
)
SEEDS = range(8)


def random_cell(seed: int) -> str:
    return str(CONTROL.decode(sample_tokens(CONTROL.steps(1), random.Random(seed)), 1))


def layers_of(text: str, **settings: Any) -> tuple[Recurrent, keras.layers.RNN]:
    """The fast layer and Keras' RNN with one and the same cell."""
    fast = Recurrent(parse_architecture(text), UNITS, init_scale=0.9, seed=1, dtype=DTYPE, **settings)
    fast.build((None, None, FEATURES))
    slow = keras.layers.RNN(fast.cell, return_sequences=True, return_state=True, dtype=DTYPE)
    return fast, slow


def random_state(layer: Recurrent) -> list[np.ndarray]:
    return [normal(BATCH, size, seed=number + 5) for number, size in enumerate(layer.cell.state_size)]


def reference(
    cell: RecurrentCellLayer, sequence: Any, state: Sequence[Any], mask: Any
) -> tuple[Any, list[Any]]:
    """The recurrence as a plain loop, differentiated by the framework itself."""
    outputs = []
    state = list(state)
    for time in range(sequence.shape[1]):
        tape = Tape(products_of(cell))
        x = Value(cell.project(sequence[:, time]))
        state = [value.tensor for value in cell.step(tape, x, [Value(s) for s in state], mask)]
        outputs.append(state[0])
    return ops.stack(outputs, axis=1), state


def products_of(cell: RecurrentCellLayer) -> list[Product]:
    return [Product(weight, bias) for weight, bias in cell.products()]


def loss(outputs: Any, state: Sequence[Any]) -> Any:
    """A number to which each output and each final state contributes its own share."""
    total = ops.sum(outputs * normal(*outputs.shape, seed=20))
    for number, tensor in enumerate(state):
        total = total + ops.sum(tensor * normal(*tensor.shape, seed=30 + number))
    return total


@pytest.mark.parametrize("text", [*NAMED, *map(random_cell, SEEDS)])
@pytest.mark.parametrize("use_bias", [None, True, False])
def test_outputs_and_state_are_those_of_kerass_rnn(text: str, use_bias: bool | None) -> None:
    fast, slow = layers_of(text, use_bias=use_bias)
    x, state = normal(BATCH, TIME, FEATURES), random_state(fast)
    expected_outputs, *expected_state = slow(x, initial_state=state)
    outputs, new_state = fast(x, state)
    assert_close([outputs, new_state], [expected_outputs, expected_state])


@pytest.mark.parametrize("text", [*NAMED, *map(random_cell, SEEDS)])
@pytest.mark.parametrize("use_bias", [True, False])
def test_gradients_are_those_that_the_framework_finds_in_kerass_rnn(text: str, use_bias: bool) -> None:
    fast, slow = layers_of(text, use_bias=use_bias)
    inputs = [normal(BATCH, TIME, FEATURES), *random_state(fast)]
    weights = fast.trainable_variables

    def of_keras(x: Any, *state: Any) -> Any:
        outputs, *last = slow(x, initial_state=list(state))
        return loss(outputs, last)

    ours = gradients(lambda x, *state: loss(*fast(x, list(state))), inputs, weights)
    theirs = gradients(of_keras, inputs, weights)
    assert_close(ours, theirs)


@pytest.mark.parametrize("text", [*NAMED, *map(random_cell, SEEDS)])
def test_a_recurrent_mask_multiplies_what_goes_into_the_products_and_nothing_else(text: str) -> None:
    fast, _ = layers_of(text)
    mask = (2 * np.random.default_rng(3).integers(0, 2, (BATCH, UNITS))).astype(DTYPE)
    inputs, weights = [normal(BATCH, TIME, FEATURES), *random_state(fast)], fast.trainable_variables
    outputs, state = fast(inputs[0], inputs[1:], recurrent_mask=mask)
    expected_outputs, expected_state = reference(fast.cell, inputs[0], inputs[1:], mask)
    assert_close([outputs, state], [expected_outputs, expected_state])
    found = gradients(lambda x, *state: loss(*fast(x, list(state), mask)), inputs, weights)
    wanted = gradients(lambda x, *state: loss(*reference(fast.cell, x, state, mask)), inputs, weights)
    assert_close(found, wanted)


def test_the_mask_reaches_the_products_of_an_lstm_by_hand() -> None:
    fast, _ = layers_of("rnn:lstm")
    kernel, recurrent_kernel, bias = fast.get_weights()
    x, (h, c) = normal(BATCH, 1, FEATURES), random_state(fast)
    mask = normal(BATCH, UNITS, seed=9)
    i, f, g, o = np.split(x[:, 0] @ kernel + (h * mask) @ recurrent_kernel + bias, 4, axis=1)
    new = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
    outputs, state = fast(x, [h, c], mask)
    assert_close([state[1], outputs[:, 0]], [new, np.tanh(new) / (1 + np.exp(-o))])


@pytest.mark.parametrize("text", ["cell:zoph-le-2017", "rnn:gru"])
def test_a_window_in_two_parts_with_the_state_handed_on_is_one_window(text: str) -> None:
    fast, _ = layers_of(text)
    x = normal(BATCH, TIME, FEATURES)
    whole, end = fast(x)
    first, state = fast(x[:, :2])
    second, last = fast(x[:, 2:], state)
    assert_close([ops.concatenate([first, second], axis=1), last], [whole, end])


@pytest.mark.parametrize("text", NAMED)
def test_the_first_state_is_zeros_and_the_state_of_a_gru_is_h_alone(text: str) -> None:
    fast, _ = layers_of(text)
    zeros = [np.zeros((BATCH, UNITS), DTYPE)] * (1 if text == "rnn:gru" else 2)
    x = normal(BATCH, TIME, FEATURES)
    outputs, state = fast(x)
    expected, expected_state = fast(x, zeros)
    assert len(state) == len(zeros)
    np.testing.assert_array_equal(outputs, expected)
    np.testing.assert_array_equal(state[-1], expected_state[-1])
    np.testing.assert_array_equal(outputs[:, -1], state[0])


@pytest.mark.parametrize("text", NAMED)
def test_the_weights_are_the_cells_own_in_the_same_order(text: str) -> None:
    architecture = parse_architecture(text)
    fast = Recurrent(architecture, UNITS, seed=4)
    cell = recurrent_cell_layer(architecture, UNITS, seed=4)
    fast.build((None, None, FEATURES))
    cell.build((None, FEATURES))
    for ours, theirs in zip(fast.get_weights(), cell.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert fast.count_params() == architecture.cost((FEATURES,), UNITS).parameters


def lasting_model(text: str, **settings: Any) -> keras.Model:
    sequence = keras.Input((None, FEATURES))
    layer = Recurrent(parse_architecture(text), UNITS, init_scale=0.5, seed=3, **settings)
    state = [keras.Input((size,)) for size in layer.cell.state_size]
    outputs, new_state = layer(sequence, state)
    return keras.Model([sequence, state], [outputs, new_state])


@pytest.mark.parametrize("text", ["cell:zoph-le-2017", "rnn:lstm", "rnn:gru"])
def test_a_model_with_the_layer_is_saved_and_loaded(text: str, tmp_path: Path) -> None:
    model = lasting_model(text, use_bias=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = normal(BATCH, TIME, FEATURES, dtype="float32")
    state = [s.astype("float32") for s in random_state(model.layers[-1])]
    for ours, theirs in zip(
        keras.tree.flatten(to_numpy(model([x, state]))), keras.tree.flatten(to_numpy(loaded([x, state]))),
        strict=True,
    ):  # fmt: skip
        np.testing.assert_array_equal(ours, theirs)
    assert loaded.layers[-1].get_config() == model.layers[-1].get_config()


def test_a_compiled_step_trains_on_windows_of_any_length() -> None:
    layer = Recurrent(parse_architecture("cell:zoph-le-2017"), UNITS, seed=1)
    sequence = keras.Input((None, FEATURES))
    model = keras.Model(sequence, keras.layers.Dense(1)(layer(sequence)[0]))
    model.compile("adam", "mse", jit_compile=False)
    before = layer.get_weights()
    for time in (7, 3):
        x = normal(BATCH, time, FEATURES, dtype="float32")
        model.train_on_batch(x, x[:, :, :1])
    for old, new in zip(before, layer.get_weights(), strict=True):
        assert (old != new).any()


def test_a_step_compiled_by_xla_gives_the_same_numbers() -> None:
    layer = Recurrent(parse_architecture("cell:zoph-le-2017"), UNITS, seed=1)
    x = normal(BATCH, TIME, FEATURES, dtype="float32")
    losses = []
    for jit_compile in (False, True):
        keras.utils.set_random_seed(1)
        sequence = keras.Input((TIME, FEATURES), batch_size=BATCH)
        layer = Recurrent(parse_architecture("cell:zoph-le-2017"), UNITS, seed=1)
        model = keras.Model(sequence, layer(sequence)[0])
        model.compile(keras.optimizers.SGD(1.0), "mse", jit_compile=jit_compile)
        losses.append([model.train_on_batch(x, x[:, :, :UNITS]) for _ in range(3)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_the_layer_computes_in_the_type_of_its_policy() -> None:
    layer = Recurrent(parse_architecture("cell:zoph-le-2017"), UNITS, seed=1, dtype="mixed_bfloat16")
    outputs, state = layer(normal(BATCH, TIME, FEATURES, dtype="float32"))
    assert {keras.backend.standardize_dtype(t.dtype) for t in (outputs, *state)} == {"bfloat16"}
    assert {keras.backend.standardize_dtype(v.dtype) for v in layer.weights} == {"float32"}


def test_shapes_are_known_before_anything_is_computed() -> None:
    outputs, state = Recurrent(parse_architecture("rnn:lstm"), UNITS)(keras.Input((None, FEATURES)))
    assert outputs.shape == (None, None, UNITS)
    assert [tensor.shape for tensor in state] == [(None, UNITS)] * 2


def test_arguments_that_are_not_allowed_are_refused() -> None:
    with pytest.raises(InputError, match=re.escape("Received: units=0")):
        Recurrent(parse_architecture("cell:lstm"), 0)
    with pytest.raises(InputError, match="no recurrent cell is registered"):
        Recurrent(parse_architecture("resnet:16x3x3"), 2)


@dataclass(frozen=True)
class TwoDeep(Linear):
    """A user's own recurrent architecture: two products in a row."""

    builder = None


@register_recurrent_cell(TwoDeep)
class TwoDeepCell(RecurrentCellLayer):
    def build(self, input_shape: Sequence[Any]) -> None:
        self.add_matrices(input_shape[-1], self.units)
        self.deeper = self.add_weight(
            shape=(self.units, self.units), initializer=keras.initializers.Orthogonal(1)
        )

    def project(self, inputs: Any) -> Any:
        return ops.matmul(inputs, self.kernel)

    def products(self) -> list[tuple[Any, Any]]:
        return [(self.recurrent_kernel, None), (self.deeper, None)]

    def step(self, tape: Tape, x: Value, states: Sequence[Value], mask: Any) -> list[Value]:
        first = tape.activate("tanh", tape.combine("add", x, tape.product(tape.scale(states[0], mask))))
        return [tape.activate("sin", tape.subtract(tape.product(first), states[0]))]


@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
@pytest.mark.skipif(keras.backend.backend() == "jax", reason="these tests run on JAX already")
def test_the_layer_computes_the_same_on_jax() -> None:
    wanted = "(framework or mask_multiplies) and (zoph or gru or several) and not False"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", wanted]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_a_users_own_cell_of_several_products_in_a_row_is_differentiated_too() -> None:
    fast = Recurrent(TwoDeep(), UNITS, init_scale=0.9, seed=1, dtype=DTYPE)
    fast.build((None, None, FEATURES))
    inputs = [normal(BATCH, TIME, FEATURES), *random_state(fast)]
    weights = fast.trainable_variables
    assert len(weights) == 3
    ours = gradients(lambda x, h: loss(*fast(x, [h])), inputs, weights)
    theirs = gradients(lambda x, h: loss(*reference(fast.cell, x, [h], None)), inputs, weights)
    assert_close(ours, theirs)
