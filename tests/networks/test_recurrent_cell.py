"""Keras cells made from architectures: against equations written out by hand, in Keras' RNN, saved."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from nas.errors import InputError
from nas.networks import RecurrentCellLayer, recurrent_cell_layer
from nas.networks.recurrent_cell import leaf_order
from nas.spaces import parse_architecture
from nas.spaces.recurrent_cell import RecurrentCell
from tests.networks import recurrent_oracles as oracles
from tests.networks.recurrent_oracles import DTYPE, assert_close, normal, to_numpy

BATCH, TIME, FEATURES, UNITS = 3, 6, 5, 4


def tree(text: str) -> RecurrentCell:
    found = parse_architecture(text)
    assert isinstance(found, RecurrentCell)
    return found


def built(text: str, **settings: Any) -> RecurrentCellLayer:
    cell = recurrent_cell_layer(parse_architecture(text), UNITS, dtype=DTYPE, seed=1, **settings)
    cell.build((None, FEATURES))
    return cell


def matrices_of(
    cell: RecurrentCellLayer, architecture: RecurrentCell
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """W and U of each leaf, by its index."""
    places = {leaf: place for place, leaf in enumerate(leaf_order(architecture))}
    kernels = [to_numpy(weight.value) for weight in (cell.kernel, cell.recurrent_kernel)]
    w, u = (
        [kernel[:, UNITS * places[leaf] : UNITS * (places[leaf] + 1)] for leaf in range(architecture.base)]
        for kernel in kernels
    )
    return w, u


@pytest.mark.parametrize(
    ("name", "equations"),
    [
        ("zoph-le-2017", oracles.released_cell),
        ("worked-example", oracles.worked_example),
        ("lstm", oracles.lstm_without_biases),
    ],
)
def test_a_named_cell_computes_its_published_equations(name: str, equations: Callable[..., Any]) -> None:
    architecture = tree(f"cell:{name}")
    cell = built(f"cell:{name}", init_scale=1.0)
    w, u = matrices_of(cell, architecture)
    h, c = normal(BATCH, UNITS, seed=1), normal(BATCH, UNITS, seed=2)
    states = [h, c]
    for x in normal(TIME, BATCH, FEATURES):
        output, states = cell(x, states)
        h, c = equations(x, h, c, w, u)
        assert_close([output, states], [h, [h, c]])


def test_the_released_cell_computes_its_equations_in_single_precision_too() -> None:
    architecture = tree("cell:zoph-le-2017")
    cell = recurrent_cell_layer(architecture, UNITS, seed=1, init_scale=0.5)
    cell.build((None, FEATURES))
    w, u = matrices_of(cell, architecture)
    h = c = np.zeros((BATCH, UNITS), "float32")
    states = cell.get_initial_state(BATCH)
    for x in normal(TIME, BATCH, FEATURES).astype("float32"):
        output, states = cell(x, states)
        h, c = oracles.released_cell(x, h, c, w, u)
        np.testing.assert_allclose(output, h, atol=1e-6)
        np.testing.assert_allclose(states[1], c, atol=1e-6)


NUMPY = {
    "add": np.add, "elem_mult": np.multiply, "max": np.maximum,
    "identity": lambda a: a, "tanh": np.tanh, "sigmoid": oracles.sigmoid, "relu": oracles.relu, "sin": np.sin,
}  # fmt: skip


def by_definition(
    architecture: RecurrentCell, x: np.ndarray, h: np.ndarray, c: np.ndarray, w: Any, u: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Any cell of base 2, as `RecurrentCell` describes it."""
    before, after = [], []
    for index, node in enumerate(architecture.nodes):
        sides = (x @ w[index], h @ u[index]) if index < 2 else (after[0], after[1])
        before.append(NUMPY[node.combination](*sides))
        after.append(NUMPY[node.activation](before[-1]))
        if index == architecture.c_in:
            merged = NUMPY[architecture.inject.combination](after[index], c)
            after[index] = NUMPY[architecture.inject.activation](merged)
    return after[2], before[architecture.c_out]


@pytest.mark.parametrize("c_out", [0, 1, 2])
@pytest.mark.parametrize("c_in", [0, 1, 2])
@pytest.mark.parametrize(
    "nodes", ["add-tanh,max-sin/elem_mult-sigmoid", "elem_mult-relu,elem_mult-identity/max-sin"]
)
def test_every_pair_of_indices_means_what_the_definition_says(nodes: str, c_in: int, c_out: int) -> None:
    text = f"cell:{nodes}/c={c_out},inject=max-sin@{c_in}"
    cell = built(text, init_scale=1.0)
    x, h, c = normal(BATCH, FEATURES), normal(BATCH, UNITS, seed=1), normal(BATCH, UNITS, seed=2)
    expected = by_definition(tree(text), x, h, c, *matrices_of(cell, tree(text)))
    assert_close(cell(x, [h, c])[1], list(expected))


def test_a_memory_that_leaves_where_it_enters_is_taken_from_before_the_injection() -> None:
    cell = built("cell:add-tanh,add-identity/add-tanh/c=2,inject=add-relu@2", init_scale=1.0)
    x, h = normal(BATCH, FEATURES), normal(BATCH, UNITS)
    outputs = [to_numpy(cell(x, [h, c])[1]) for c in (np.zeros_like(h), np.ones_like(h))]
    np.testing.assert_array_equal(outputs[0][1], outputs[1][1])
    assert (outputs[0][0] != outputs[1][0]).any()


def test_a_bias_is_added_to_the_side_of_the_state_before_leaves_combine_it() -> None:
    text = "cell:add-identity,elem_mult-identity/add-identity/c=2,inject=add-identity@2"
    cell = built(text, init_scale=1.0, use_bias=True)
    (w0, w1), (u0, u1) = matrices_of(cell, tree(text))
    b0, b1 = np.split(to_numpy(cell.bias.value), 2)
    x, h = normal(BATCH, FEATURES), normal(BATCH, UNITS, seed=1)
    expected = x @ w0 + (h @ u0 + b0) + (x @ w1) * (h @ u1 + b1)
    assert_close(cell(x, [h, 0 * h])[0], expected)


def test_equal_leaves_stand_together_in_the_weights() -> None:
    assert leaf_order(tree("cell:zoph-le-2017")) == (1, 0, 2, 5, 7, 4, 6, 3)


@pytest.mark.parametrize(("text", "cls"), [("rnn:lstm", keras.layers.LSTM), ("rnn:gru", keras.layers.GRU)])
@pytest.mark.parametrize("use_bias", [None, False])
def test_a_standard_cell_is_that_of_keras_with_the_same_weights(
    text: str, cls: type, use_bias: bool | None
) -> None:
    cell = built(text, init_scale=1.0, use_bias=use_bias)
    ours = keras.layers.RNN(cell, return_sequences=True, dtype=DTYPE)
    theirs = cls(UNITS, return_sequences=True, use_bias=use_bias is not False, dtype=DTYPE)
    theirs.build((None, None, FEATURES))
    theirs.set_weights(cell.get_weights())
    x = normal(BATCH, TIME, FEATURES)
    assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("text", ["cell:zoph-le-2017", "cell:worked-example", "rnn:lstm", "rnn:gru"])
def test_a_cell_has_the_parameters_that_were_computed(text: str) -> None:
    architecture = parse_architecture(text)
    assert built(text).count_params() == architecture.cost((FEATURES,), UNITS).parameters


# Initial weights


@pytest.mark.parametrize("text", ["cell:zoph-le-2017", "rnn:lstm", "rnn:gru"])
@pytest.mark.parametrize("init_scale", [None, 0.04])
def test_equal_seeds_give_equal_weights(text: str, init_scale: float | None) -> None:
    def weights(seed: int) -> list[np.ndarray]:
        cell = recurrent_cell_layer(parse_architecture(text), UNITS, seed=seed, init_scale=init_scale)
        cell.build((None, UNITS))
        return cell.get_weights()

    for first, again in zip(weights(1), weights(1), strict=True):
        np.testing.assert_array_equal(first, again)
    kernel, recurrent_kernel, *_ = weights(1)
    assert not np.array_equal(kernel, weights(2)[0])
    assert not np.array_equal(kernel, recurrent_kernel), "each matrix gets its own values"


def test_without_a_seed_weights_differ() -> None:
    first, other = (recurrent_cell_layer(parse_architecture("rnn:lstm"), UNITS) for _ in range(2))
    first.build((None, FEATURES))
    other.build((None, FEATURES))
    assert not np.array_equal(first.get_weights()[0], other.get_weights()[0])


@pytest.mark.parametrize("text", ["cell:lstm", "rnn:lstm", "rnn:gru"])
def test_all_weights_begin_within_the_scale(text: str) -> None:
    for weight in built(text, init_scale=0.04, use_bias=True).get_weights():
        assert 0.02 < np.abs(weight).max() <= 0.04


def test_without_a_scale_the_forget_gate_of_an_lstm_begins_open() -> None:
    bias = built("rnn:lstm").get_weights()[2]
    np.testing.assert_array_equal(bias, [0] * UNITS + [1] * UNITS + [0] * 2 * UNITS)


# In Keras


@pytest.mark.parametrize("text", ["cell:zoph-le-2017", "cell:worked-example", "rnn:lstm", "rnn:gru"])
def test_a_model_with_the_cell_is_saved_and_loaded(text: str, tmp_path: Path) -> None:
    inputs = keras.Input((None, FEATURES))
    cell = recurrent_cell_layer(parse_architecture(text), UNITS, init_scale=0.5, seed=3, use_bias=True)
    model = keras.Model(inputs, keras.layers.RNN(cell, return_sequences=True, return_state=True)(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = normal(BATCH, TIME, FEATURES).astype("float32")
    for ours, theirs in zip(to_numpy(model(x)), to_numpy(loaded(x)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    again = loaded.layers[1].cell
    assert again.get_config() == cell.get_config()
    assert again.architecture == cell.architecture


def test_a_cell_is_named_by_its_text_too() -> None:
    assert recurrent_cell_layer("cell:worked-example", UNITS).architecture == parse_architecture(
        "cell:worked-example"
    )
    with pytest.raises(InputError, match="did you mean 'zoph-le-2017'"):
        recurrent_cell_layer("cell:zoph", UNITS)


def test_stacked_cells_run_in_keras() -> None:
    cells = [
        recurrent_cell_layer(parse_architecture(text), UNITS, seed=1) for text in ("cell:lstm", "rnn:gru")
    ]
    layer = keras.layers.RNN(keras.layers.StackedRNNCells(cells))
    assert layer(normal(BATCH, TIME, FEATURES).astype("float32")).shape == (BATCH, UNITS)


# Errors


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"units": 0}, "units must be a whole number of at least 1. Received: units=0"),
        ({"units": 2.0}, "Received: units=2.0"),
        ({"init_scale": -0.1}, "init_scale must be a finite number of at least 0"),
        ({"init_scale": float("nan")}, "init_scale"),
    ],
)
def test_an_argument_that_is_not_allowed_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        recurrent_cell_layer(parse_architecture("cell:lstm"), **{"units": UNITS, **settings})


def test_an_architecture_that_is_not_recurrent_is_refused() -> None:
    with pytest.raises(InputError, match=r"no recurrent cell is registered for nas\.spaces\.resnet\.ResNet"):
        recurrent_cell_layer(parse_architecture("resnet:16x3x3"), UNITS)


def test_earlier_names_of_the_layers_are_the_same_objects() -> None:
    from nas.networks import Cell, cell_layer, register_cell, register_recurrent_cell

    assert Cell is RecurrentCellLayer
    assert cell_layer is recurrent_cell_layer
    assert register_cell is register_recurrent_cell


@pytest.mark.parametrize("text", ["cell:worked-example", "rnn:lstm", "rnn:gru"])
def test_layers_are_saved_under_the_names_that_earlier_files_have(text: str) -> None:
    name = keras.saving.get_registered_name(type(built(text)))
    assert name in ("nasflow>TreeCell", "nasflow>LSTMCell", "nasflow>GRUCell")
