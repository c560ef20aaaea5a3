"""Networks of NASNet's cells: equal to Keras applications', as large as computed, and what training adds."""

from __future__ import annotations

import copy
import importlib.util
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras.src.applications.nasnet import NASNet

from nas import datasets
from nas.errors import InputError
from nas.networks import Network, Settings, build_network
from nas.networks.nasnet import Dropout, DropPath
from nas.spaces.nasnet import COMBINATIONS, OPERATIONS, Block, Cell, NasNetCells
from nas.spaces.nasnet_network import network_cost
from nas.spaces.nasnet_stack import CifarStack, ImageNetStack, NasNetStack
from nas.training import image, image_export
from nas.training.run import Run
from nas.training.saving import served
from tests.networks.test_build import counted_multiply_adds
from tests.training.conftest import begin_python, digits, end_python, run  # noqa: F401 - fixtures

NASNET_A = NasNetCells.from_body("nasnet-a")
MOBILE = ImageNetStack(cells=4, filters=44, stem_multiplier=1)
LARGE = ImageNetStack(cells=6, filters=168, stem_multiplier=3, skip_reduction=True)
TINY = ImageNetStack(cells=1, filters=8, stem_multiplier=0.25)


def built(
    cells: NasNetCells, stack: NasNetStack, shape: tuple[int, int, int], classes: int, **settings: Any
) -> Network:
    return build_network(cells, Settings(shape, classes, **{"seed": 0, "stack": stack, **settings}))


# Equality with Keras applications


def of_a_cell(ours: str, theirs: str, prefix: str, separables: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Names of our weighted layers in a cell of NASNet-A, and of Keras applications' for the same."""
    yield f"{ours}_state0", f"{prefix}_conv_1_{theirs}"
    yield f"{ours}_state0_norm", f"{prefix}_bn_1_{theirs}"
    yield f"{ours}_state1", f"adjust_conv_projection_{theirs}"
    yield f"{ours}_state1_even", f"adjust_conv_1_{theirs}"
    yield f"{ours}_state1_odd", f"adjust_conv_2_{theirs}"
    yield f"{ours}_state1_norm", f"adjust_bn_{theirs}"
    for side, place in separables.items():
        for number in (1, 2):
            layer = f"{ours}_{side}_sep{number}"
            yield layer, f"separable_conv_{number}_{prefix}_{place}_{theirs}"
            yield f"{layer}_norm", f"separable_conv_{number}_bn_{prefix}_{place}_{theirs}"


def mapping(blocks: int) -> Iterator[tuple[str, str]]:
    """The same for the whole network with `blocks` normal cells in each part."""
    of_normal = {  # the blocks stand in the canonical order of `NasNetCells`
        "block1_right": "left5",
        "block3_left": "left1",
        "block3_right": "right1",
        "block5_left": "right2",
        "block5_right": "left2",
    }
    of_reduction = {
        "block1_right": "right3",
        "block2_right": "right2",
        "block3_left": "left1",
        "block3_right": "right1",
        "block5_right": "left4",  # so named by Keras, where the block is the fifth
    }
    yield from (("stem", "stem_conv1"), ("stem_norm", "stem_bn1"), ("logits", "predictions"))
    reductions = {
        "stem_cell1": "stem_1",
        "stem_cell2": "stem_2",
        "reduction1": f"reduce_{blocks}",
        "reduction2": f"reduce_{2 * blocks}",
    }
    for ours, theirs in reductions.items():
        yield from of_a_cell(ours, theirs, "reduction", of_reduction)
    for number in range(1, 3 * blocks + 1):
        theirs = str(number if number > blocks else number - 1)  # Keras begins at 0, skips reductions
        yield from of_a_cell(f"normal{number}", theirs, "normal", of_normal)


def randomise(model: keras.Model) -> None:
    """Random statistics and scales of all batch normalisations, and a random bias of the classifier."""
    generator = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            channels = layer.gamma.shape
            layer.gamma.assign(generator.uniform(0.5, 1.5, channels))
            layer.beta.assign(generator.normal(0, 0.3, channels))
            layer.moving_mean.assign(generator.normal(0, 0.3, channels))
            layer.moving_variance.assign(generator.uniform(0.5, 1.5, channels))
    bias = model.get_layer("predictions").bias
    bias.assign(generator.normal(size=bias.shape))


ORDERS = {"normal": (0, 5, 3, 1, 4, 2), "reduction": (1, 0, 2, 3), "stem_cell": (1, 0, 2, 3)}
"""For each state that our cells give, its place among those of Keras applications' cells."""


def channels(layer: Any) -> np.ndarray | None:
    """Of each channel of the cell's output that `layer` sees: its place in Keras applications' output.

    None: it sees something else than a cell's output.
    """
    while not isinstance(layer, keras.layers.Concatenate):
        stops = keras.layers.BatchNormalization | keras.layers.InputLayer | keras.layers.Add
        if isinstance(layer, stops):
            return None
        layer = layer.input._keras_history.operation
    (order,) = [each for kind, each in ORDERS.items() if layer.name.startswith(kind)]
    return np.arange(layer.output.shape[-1]).reshape(len(order), -1)[list(order)].ravel()


def copy_weights(source: keras.Model, target: keras.Model, blocks: int) -> None:
    """Copies all weights of Keras applications' `source` into our `target`, layer by layer."""
    ours = {layer.name: layer for layer in target.layers if layer.weights}
    theirs = {layer.name: layer for layer in source.layers if layer.weights}
    for name, other in mapping(blocks):
        if name in ours or other in theirs:  # the three ways to fit state 1 exclude each other
            weights = theirs.pop(other).get_weights()
            layer = ours.pop(name)
            assert [each.shape for each in weights] == [tuple(each.shape) for each in layer.weights], name
            seen = channels(layer)
            if seen is not None:  # kernels, the depthwise ones among them; the bias has one axis
                weights = [np.take(one, seen, axis=-2) if one.ndim > 1 else one for one in weights]
            layer.set_weights(weights)
    assert not ours
    assert not theirs


def features_and_logits(model: keras.Model, logits: str, images: np.ndarray) -> list[np.ndarray]:
    (pooling,) = [one for one in model.layers if isinstance(one, keras.layers.GlobalAveragePooling2D)]
    inner = keras.Model(model.input, [pooling.input, model.get_layer(logits).output])
    return [keras.ops.convert_to_numpy(one) for one in inner(images, training=False)]


def largest_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Relative to the largest value."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def images_for(shape: tuple[int, int, int]) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(2, *shape)).astype("float32")


def assert_equal_networks(theirs: keras.Model, stack: ImageNetStack, classes: int) -> None:
    shape = theirs.input_shape[1:]
    ours = built(NASNET_A, stack, shape, classes, batch_norm_epsilon=1e-3).served()
    randomise(theirs)
    copy_weights(theirs, ours, stack.cells)
    images = images_for(shape)
    expected = features_and_logits(theirs, "predictions", images)
    found = features_and_logits(ours, "logits", images)
    expected[0] = expected[0][..., channels(ours.get_layer("mean"))]
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        assert np.abs(other).max() < 1e4
        assert other.std() > 1e-2
        assert largest_error(one, other) < 1e-4
    assert ours.count_params() == theirs.count_params()
    assert stack.cost(NASNET_A, shape, classes).parameters == theirs.count_params()


def test_a_network_of_nasnet_a_gives_what_keras_applications_mobile_one_gives() -> None:
    theirs = keras.applications.NASNetMobile(weights=None, classifier_activation=None)
    assert theirs.count_params() == 5_326_716
    assert_equal_networks(theirs, MOBILE, 1000)


@pytest.mark.long
def test_a_network_of_nasnet_a_gives_what_keras_applications_large_one_gives() -> None:
    theirs = keras.applications.NASNetLarge(weights=None, classifier_activation=None)
    assert theirs.count_params() == 88_949_818
    assert_equal_networks(theirs, LARGE, 1000)


@pytest.fixture(scope="module")
def small() -> keras.Model:
    """Keras' network of NASNet-A with one normal cell in each part, for images of 33×33."""
    theirs = NASNet(
        (33, 33, 3),
        penultimate_filters=24 * TINY.filters,
        num_blocks=1,
        stem_block_filters=TINY.stem_filters,
        weights=None,
        classes=5,
        classifier_activation=None,
    )
    randomise(theirs)
    return theirs


def test_networks_of_other_numbers_and_images_of_odd_sizes_are_equal_too(small: keras.Model) -> None:
    assert_equal_networks(small, replace(TINY, skip_reduction=True), 5)  # as Keras' NASNet by default


def changed(cell: Cell, number: int, **changes: Any) -> Cell:
    blocks = [
        replace(block, **changes) if place == number else block for place, block in enumerate(cell.blocks)
    ]
    return replace(cell, blocks=tuple(blocks))


def as_written(kind: str, cell: Cell) -> NasNetCells:
    """NASNet-A with another cell, whose blocks stay where they are: no canonical order is made."""
    cells = copy.copy(NASNET_A)
    object.__setattr__(cells, kind, cell)
    return cells


def changes() -> Iterator[tuple[str, NasNetCells]]:
    """NASNet-A with another operation, or another input, in each place."""
    others = {"identity": "avg3x3", "avg3x3": "max3x3", "max3x3": "avg3x3"}
    for kind in ("normal", "reduction"):
        cell: Cell = getattr(NASNET_A, kind)
        for number, block in enumerate(cell.blocks):
            for side in ("left", "right"):
                operation, state = getattr(block, f"{side}_operation"), getattr(block, side)
                other = others.get(operation, "sep3x3" if operation != "sep3x3" else "sep5x5")
                one = changed(cell, number, **{f"{side}_operation": other})
                yield f"{kind} {number} {side} {other}", as_written(kind, one)
                one = changed(cell, number, **{side: (state + 1) % (2 + number)})
                yield f"{kind} {number} {side} input", as_written(kind, one)


CHANGES = dict(changes())
OFTEN = ("normal 3 left max3x3", "reduction 3 left input")
"""Changes that no count of parameters notices, tried by `make test` too."""


@pytest.fixture(scope="module")
def small_again(small: keras.Model) -> keras.Model:
    """Our network that equals `small`."""
    stack = replace(TINY, skip_reduction=True)
    ours = built(NASNET_A, stack, small.input_shape[1:], 5, batch_norm_epsilon=1e-3).served()
    copy_weights(small, ours, 1)
    return ours


@pytest.mark.parametrize(
    "change", [pytest.param(name, marks=() if name in OFTEN else pytest.mark.long) for name in CHANGES]
)
def test_any_other_operation_or_input_breaks_the_equality(
    small: keras.Model, small_again: keras.Model, change: str
) -> None:
    shape, stack = small.input_shape[1:], replace(TINY, skip_reduction=True)
    other = built(CHANGES[change], stack, shape, 5, batch_norm_epsilon=1e-3).served()
    weights = {layer.name: layer.get_weights() for layer in small_again.layers}
    for layer in other.layers:
        fitting = weights.get(layer.name, [])
        if [one.shape for one in fitting] == [tuple(one.shape) for one in layer.weights]:
            layer.set_weights(fitting)
    images = images_for(shape)
    expected = features_and_logits(small, "predictions", images)[1]
    assert largest_error(features_and_logits(other, "logits", images)[1], expected) > 1e-2


def test_nothing_outside_counts_in_poolings_unless_zeros_are_asked_for() -> None:
    for zeros in (False, True):
        network = built(NASNET_A, replace(TINY, zero_padding=zeros), (33, 33, 3), 5).served()
        poolings = [one for one in network.layers if "Pooling2D" in type(one).__name__ and "s2" in one.name]
        windows = [one for one in poolings if one.pool_size != (1, 1)]
        assert windows
        assert {one.padding for one in windows} == {"valid" if zeros else "same"}
        padded = {type(one.input._keras_history.operation) is keras.layers.ZeroPadding2D for one in windows}
        assert padded == {zeros}


# Size


def random_cell(generator: random.Random, blocks: int, inputs: int, joined: bool) -> Cell:
    def block(number: int) -> Block:
        states = range(inputs + number)
        left, right = generator.choice(states), generator.choice(states)
        operations = generator.choice(OPERATIONS), generator.choice(OPERATIONS)
        return Block(left, right, *operations, generator.choice(COMBINATIONS))

    made = tuple(block(number) for number in range(blocks))
    states = range(inputs + blocks)
    used = {state for block in made for state in (block.left, block.right)}
    outputs = {state for state in states[inputs:] if state not in used or generator.random() < 0.3}
    if joined:
        outputs |= {state for state in range(inputs) if generator.random() < 0.4}
    return Cell(made, tuple(sorted(outputs)) if joined else tuple(states[inputs:]), inputs)


def random_cells(generator: random.Random) -> NasNetCells:
    joined, blocks = generator.random() < 0.7, generator.randint(1, 4)
    inputs = 2 if joined else blocks
    return NasNetCells(
        random_cell(generator, blocks, inputs, joined), random_cell(generator, blocks, inputs, joined), joined
    )


@pytest.mark.parametrize(
    "number", [pytest.param(number, marks=() if number < 6 else pytest.mark.long) for number in range(50)]
)
def test_random_cells_have_the_parameters_and_multiply_adds_that_were_computed(number: int) -> None:
    generator = random.Random(number)
    cells, filters = random_cells(generator), generator.choice((8, 10))
    skip, zeros = generator.random() < 0.5, generator.random() < 0.5
    stack: NasNetStack
    if number % 2:  # an image of which every map has an even size: others TensorFlow's dilation fills up
        stack, shape = ImageNetStack(1, filters, 0.25, skip, zero_padding=zeros), (65, 65, 3)
    else:
        stack, shape = CifarStack(1, filters, 1.5, skip, zero_padding=zeros), (16, 8, 3)
    network = built(cells, stack, shape, 7).served()
    cost = stack.cost(cells, shape, 7)
    assert network.count_params() == cost.parameters, str(cells)
    assert counted_multiply_adds(network) == cost.multiply_adds, str(cells)


@pytest.mark.parametrize(
    ("cells", "filters", "trainable", "total", "head"),
    [
        (6, 32, 3_346_538, 3_383_786, 1_631_498),
        (7, 96, 32_590_954, 32_718_826, 1_729_802),
        (6, 96, 28_213_546, 28_325_290, 1_729_802),
        (2, 32, 1_294_698, 1_310_442, 1_631_498),
    ],
)
def test_networks_for_cifar_10_have_the_sizes_of_the_authors_code(
    cells: int, filters: int, trainable: int, total: int, head: int
) -> None:
    stack, shape = CifarStack(cells, filters), (32, 32, 3)
    assert stack.cost(NASNET_A, shape, 10).parameters == total
    whole = network_cost(NASNET_A, stack, shape, 10, head=True).parameters
    averages = 2 * (128 + 768)  # of the head's batch normalisations
    assert whole - total - averages == head
    if cells == 2:
        served = built(NASNET_A, stack, shape, 10).served()
        assert sum(int(np.prod(one.shape)) for one in served.trainable_variables) == trainable
        assert served.count_params() == total


def test_the_mobile_network_has_the_papers_multiply_adds_and_the_large_one_too() -> None:
    # Of convolutions, depthwise ones among them, and of the dense layer; table 2 of the paper: 564 M, 23.8 B.
    assert round(MOBILE.cost(NASNET_A, (224, 224, 3), 1000).multiply_adds / 1e6) == 564
    assert round(LARGE.cost(NASNET_A, (331, 331, 3), 1000).multiply_adds / 1e8) == 238


def output_shapes(network: keras.Model) -> dict[str, tuple[int, ...]]:
    """Of the stem and of all cells."""
    found = {layer.name: tuple(layer.output.shape[1:]) for layer in network.layers}
    cells = ("stem_cell", "normal", "reduction")
    return {
        name.removesuffix("_concat").removesuffix("_norm"): shape
        for name, shape in found.items()
        if name == "stem_norm"
        or (name.startswith(cells) and name.endswith("_concat") and name.count("_") < 2 + name.count("stem_"))
    }


def test_cells_have_the_output_shapes_of_the_authors_code_on_cifar_10() -> None:
    shapes = output_shapes(built(NASNET_A, CifarStack(1, 32), (32, 32, 3), 10).model)
    assert shapes == {
        "stem": (32, 32, 96),
        "normal1": (32, 32, 192),
        "reduction1": (16, 16, 256),
        "normal2": (16, 16, 384),
        "reduction2": (8, 8, 512),
        "normal3": (8, 8, 768),
    }


def test_a_cell_is_shown_as_the_first_normal_one() -> None:
    assert MOBILE.shapes(NASNET_A, (224, 224, 3)) == ((28, 28, 88), 44)
    assert LARGE.shapes(NASNET_A, (331, 331, 3)) == ((42, 42, 336), 168)
    assert CifarStack(6, 32).shapes(NASNET_A, (32, 32, 3)) == ((32, 32, 96), 32)


# Wiring that Keras applications don't have


def test_states_that_are_not_joined_go_on_one_by_one_and_to_the_classifier_side_by_side() -> None:
    cell = "sep3x3@0+identity@1%layer,avg3x3@1+conv1x1@2%instance=each"
    cells = NasNetCells.from_body(f"{cell}/{cell}")
    network = built(cells, CifarStack(1, 4, 1), (8, 8, 1), 3).served()
    assert network.get_layer("mean").input.shape[1:] == (2, 2, 2 * 16)
    assert network.count_params() == CifarStack(1, 4, 1).cost(cells, (8, 8, 1), 3).parameters
    names = {layer.name for layer in network.layers}
    assert "normal1_state0" not in names, "the stem has the cell's filters already"
    assert {"normal2_block1_norm", "normal2_block2_norm"} <= names
    norms = [network.get_layer(f"normal2_block{number}_norm").groups for number in (1, 2)]
    assert norms[0] == 1
    assert norms[1] in (-1, 8)


def test_a_dilated_convolution_of_stride_2_gives_every_second_pixel_of_one_of_stride_1() -> None:
    cell = "dil3x3@0+dil3x3@0=2"
    network = built(NasNetCells.from_body(f"{cell}/{cell}"), CifarStack(1, 4), (9, 8, 1), 3).served()
    state = network.get_layer("reduction1_state0_norm").output
    kernel = network.get_layer("reduction1_block1_left_conv1").kernel
    made = network.get_layer("reduction1_block1_left_conv1").output
    values, found = keras.Model(network.input, [state, made])(images_for((9, 8, 1)), training=False)
    whole = keras.ops.conv(keras.ops.relu(values), kernel, padding="same", dilation_rate=2)
    np.testing.assert_allclose(found, whole[:, ::2, ::2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["amoebanet-a", "pnasnet-5"])
def test_other_published_cells_build(name: str) -> None:
    cells, stack = NasNetCells.from_body(name), CifarStack(1, 8)
    network = built(cells, stack, (8, 8, 3), 10).served()
    assert network.count_params() == stack.cost(cells, (8, 8, 3), 10).parameters
    assert network(images_for((8, 8, 3)), training=False).shape == (2, 10)


# What training adds

ALL = {"auxiliary": 0.4, "drop_path_keep": 0.6, "dropout": 0.5}
CELL = "sep3x3@0+avg3x3@1,identity@0+conv1x1@1=2.3"
CELLS = NasNetCells.from_body(f"{CELL}/{CELL}")
SMALLEST = NasNetCells.from_body("conv1x1@0+identity@1=2/avg3x3@0+identity@1=2")


def paths(network: Network) -> dict[str, DropPath]:
    return {layer.name: layer for layer in network.model.layers if isinstance(layer, DropPath)}


def test_a_path_is_dropped_for_whole_examples_and_keeps_its_expectation() -> None:
    layer = DropPath(0.7, seed=3)
    ones = np.ones((4000, 2, 3, 2), "float32")
    dropped = keras.ops.convert_to_numpy(layer(ones, training=True))
    assert set(np.unique(dropped)) == {0.0, np.float32(1 / 0.7)}
    assert (dropped == dropped[:, :1, :1, :1]).all(), "a mask per example"
    assert dropped[:, 0, 0, 0].mean() == pytest.approx(1, abs=0.05)
    np.testing.assert_array_equal(layer(ones, training=False), ones)


def test_the_probability_of_dropping_a_path_rises_in_proportion_to_the_progress() -> None:
    progress = keras.Variable(0.0, trainable=False)
    layer = DropPath(0.6, seed=3, progress=progress)
    ones = np.ones((4000, 1, 1, 1), "float32")
    for done, kept in ((0.0, 1.0), (0.5, 0.8), (1.0, 0.6)):
        progress.assign(done)
        dropped = keras.ops.convert_to_numpy(layer(ones, training=True))
        assert (dropped > 0).mean() == pytest.approx(kept, abs=0.03)
        assert dropped.max() == pytest.approx(1 / kept)


@pytest.mark.parametrize(("stack", "cells"), [(CifarStack, 5), (ImageNetStack, 7)])
def test_later_cells_drop_more_and_identities_are_never_dropped(stack: type[NasNetStack], cells: int) -> None:
    network = built(CELLS, stack(cells=1, filters=8, drop_path_keep=0.6), (33, 33, 3), 3)
    stem = ["stem_cell1", "stem_cell2"][: cells - 5]
    order = [*stem, "normal1", "reduction1", "normal2", "reduction2", "normal3"]
    for number, cell in enumerate(order, 1):
        found = {name: one for name, one in paths(network).items() if name.startswith(cell)}
        assert len(found) == 3
        for one in found.values():
            assert one.keep == pytest.approx(1 - number / cells * 0.4)
        assert all(one.progress is network.progress for one in found.values())


def test_a_constant_probability_needs_no_progress_and_none_means_no_layer() -> None:
    network = built(CELLS, CifarStack(1, 4, drop_path_keep=0.6, drop_path="constant"), (8, 8, 1), 3)
    assert network.progress is None
    assert all(layer.progress is None for layer in paths(network).values())
    assert paths(network)
    plain = built(CELLS, CifarStack(1, 4), (8, 8, 1), 3)
    assert not paths(plain)
    assert plain.progress is None
    assert plain.served() is plain.model


def test_the_auxiliary_head_stands_behind_the_last_normal_cell_of_the_second_part() -> None:
    network = built(CELLS, CifarStack(2, 4, auxiliary=0.4), (32, 32, 3), 10)
    assert network.auxiliary == (0.4,)
    inner = network.model.get_layer("auxiliary_conv1")
    assert inner.input.shape[1:] == (4, 4, 2 * 8)  # of 16×16, by windows of 5×5 and steps of 3
    pooled = inner.input._keras_history.operation
    assert pooled.name == "normal4_concat_relu_avg5x5s3"
    assert network.model.get_layer("auxiliary_conv2").kernel.shape == (4, 4, 128, 768)
    assert network.model.outputs[1].shape == (None, 10)


def test_on_small_images_the_auxiliary_head_sees_smaller_windows() -> None:
    network = built(CELLS, CifarStack(1, 4, auxiliary=0.4), (8, 8, 1), 3)
    assert network.model.get_layer("auxiliary_conv1").input.shape[1:3] == (1, 1)


def test_what_is_served_loads_without_our_code_and_gives_what_training_judged(tmp_path: Path) -> None:
    network = built(CELLS, CifarStack(1, 4, **ALL), (8, 8, 1), 3)
    assert any(isinstance(layer, Dropout) for layer in network.model.layers)
    images = images_for((8, 8, 1))
    trained = network.model(images, training=True)[0]  # moves the averages too
    expected = network.model(images, training=False)[0]
    assert not np.array_equal(trained, expected)
    served = network.served()
    assert all(type(layer).__module__.startswith("keras.") for layer in served.layers)
    assert served.count_params() == CifarStack(1, 4).cost(CELLS, (8, 8, 1), 3).parameters
    served.save(tmp_path / "network.keras")
    np.save(tmp_path / "images.npy", images)
    code = (
        "import json, sys, numpy, keras\n"
        "sys.path[:] = [path for path in sys.path if path != sys.argv[2]]\n"
        "model = keras.models.load_model(sys.argv[1] + '/network.keras')\n"
        "found = model(numpy.load(sys.argv[1] + '/images.npy'), training=False)\n"
        "assert not any(name.split('.')[0] == 'nas' for name in sys.modules)\n"
        "print(json.dumps(numpy.asarray(found).tolist()))\n"
    )
    found = end_python(begin_python(code, str(tmp_path), str(Path(__file__).parents[2])))
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-5)


def test_a_training_with_all_of_this_that_is_interrupted_ends_equal(
    run: Callable[..., Run],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = {
        "train_examples": 64,
        "steps_per_execution": 1,
        "stack": {"name": "cifar", "cells": 1, "filters": 2, **ALL},
    }
    real, begun = image._Training._epoch, []

    def noted(self: Any, epoch: int) -> dict[str, float]:
        begun.append(epoch)
        if begun == [0, 1]:  # what a training that is killed here leaves
            shutil.copytree(tmp_path / "whole", tmp_path / "again")
        return real(self, epoch)

    monkeypatch.setattr(image._Training, "_epoch", noted)
    whole = run(SMALLEST.text(), tmp_path / "whole", **options)
    image.train(whole)
    image.train(run(SMALLEST.text(), tmp_path / "again", **options))
    assert begun == [0, 1, 1]
    one, other = (
        keras.models.load_model(tmp_path / name / "model.keras").get_weights() for name in ("whole", "again")
    )
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
    assert whole.parameters == CifarStack(1, 2).cost(SMALLEST, (8, 8, 1), 10).parameters


def test_equal_seeds_give_equal_weights_and_kernels_begin_by_their_fan_out() -> None:
    first, again, other = (
        built(CELLS, CifarStack(1, 16), (8, 8, 1), 3, seed=seed).model for seed in (1, 1, 2)
    )
    for a, b in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    layer = "normal3_state0"
    assert not np.array_equal(first.get_layer(layer).kernel, other.get_layer(layer).kernel)
    assert np.std(first.get_layer(layer).kernel) == pytest.approx(np.sqrt(2 / 64), rel=0.1)


@pytest.mark.parametrize("options", [{"cells": 101}, {"filters": 10_001}, {"cells": 0}, {"filters": 2.0}])
def test_a_stack_out_of_all_proportion_is_refused_before_anything_is_counted(options: dict[str, Any]) -> None:
    with pytest.raises(
        InputError, match=f"{next(iter(options))} must be a whole number of at least 1 and at"
    ):
        CifarStack(**options)


@pytest.mark.long
def test_exports_of_a_network_with_every_special_part_predict_as_the_keras_model_does(
    digits: datasets.Prepared,  # noqa: F811
    run: Callable[..., Run],  # noqa: F811
    tmp_path: Path,
) -> None:
    normal = "dil3x3@0+conv1x7_7x1@1%layer,sep3x3@0+max3x3@1%concat,avg3x3@2+identity@3%instance=4"
    reduction = "dil3x3@0+max5x5@1%instance,conv1x7_7x1@0+identity@1%concat=2.3"
    stack = {"name": "cifar", "cells": 1, "filters": 4, **ALL}
    trained = run(f"nasnet:{normal}/{reduction}", tmp_path, epochs=1, train_examples=64, stack=stack)
    image.train(trained)
    made = image_export.export(str(tmp_path / "model.keras"), str(digits.folder), str(tmp_path))
    assert (made["keras"], made["saved_model"]) == ("model.keras", "saved_model")
    images = np.array(datasets.load(digits.folder, datasets.PreparedImages).split("validation")[0], "float32")
    network = keras.models.load_model(tmp_path / "model.keras", compile=False)
    expected = network.predict(images, verbose=0)
    np.testing.assert_allclose(served(tmp_path / "saved_model", images), expected, atol=1e-4)
    if all(importlib.util.find_spec(name) for name in ("tf2onnx", "onnxruntime")):
        assert made["onnx"] == "model.onnx", made["onnx_missing"]  # it was compared before it was kept
    else:
        assert made["onnx"] is None
