"""Networks: their size against Keras and TensorFlow, their joints with constant weights, their freedom."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
import pytest

from nas.errors import InputError
from nas.networks import Network, Settings, build, build_network, register
from nas.spaces import Architecture, Cost, parse_architecture
from nas.spaces.conv import ConvSpace
from nas.testing.spaces import sample_tokens
from tests.networks.stacks import Plain, Twist

SPACES: dict[str, dict[str, Any]] = {
    "v1": {"depth": 6},
    "v2": {"depth": 7, "strides": [1, 2, 3]},
    "v3": {"depth": 4, "filters": [6, 12, 24, 36], "block": 3, "pool_after": [1, 3]},
    "more filters": {"depth": 3, "filters": [6, 12], "block": 3, "pool_after": [2], "more_filters": 40},
    "types": {"depth": 6, "strides": [1, 2], "layer_types": ["conv", "max_pool", "avg_pool"]},
}


@pytest.fixture
def other_keras() -> Iterator[None]:
    """A user's Keras that is set otherwise than by default."""
    before = keras.config.image_data_format(), keras.config.epsilon()
    keras.config.set_image_data_format("channels_first")
    keras.config.set_epsilon(0.01)
    yield
    keras.config.set_image_data_format(before[0])
    keras.config.set_epsilon(before[1])


@pytest.mark.usefixtures("other_keras")
@pytest.mark.parametrize("text", ["conv:3x3x8@0,max2x2@0+1,3x3x8s2@1+2", "resnet:4x1x1"])
def test_the_data_format_that_a_user_sets_changes_no_network_and_stays_as_it_was(text: str) -> None:
    architecture = parse_architecture(text)
    network = build(architecture, (9, 6, 3), 10, seed=0)
    assert network.count_params() == architecture.cost((9, 6, 3), 10).parameters
    assert network.get_layer("logits").input.shape[1] == network.layers[-4].output.shape[-1]
    assert keras.config.image_data_format() == "channels_first"


def counted_multiply_adds(network: keras.Model) -> int:
    """Those of convolutions and dense layers for one example, as TensorFlow's profiler counts them."""
    import tensorflow as tf

    example = tf.TensorSpec((1, *network.input_shape[1:]))
    graph = tf.function(lambda images: network(images, training=False)).get_concrete_function(example).graph
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation())
    found = profiler.profile(graph, cmd="op", options=options.with_empty_output().build())
    operations = 0
    while found.children:  # each kind of operation hangs below the one before
        (found,) = found.children
        counts = found.name in ("Conv2D", "DepthwiseConv2dNative", "MatMul")
        operations += found.float_ops if counts else 0
    return operations // 2


@pytest.mark.parametrize("size", [8, 32])
@pytest.mark.parametrize("name", SPACES)
def test_random_networks_have_the_parameters_and_multiply_adds_that_were_computed(
    name: str, size: int
) -> None:
    space = ConvSpace(**SPACES[name], image_size=size)
    generator = random.Random(f"{name} {size}")
    shape = (size, size, 3 if size == 32 else 1)
    for _ in range(10):
        depth = space.depth.start
        architecture = space.decode(sample_tokens(space.steps(depth), generator), depth)
        network = build(architecture, shape, 10, seed=0)
        cost = architecture.cost(shape, 10)
        assert network.count_params() == cost.parameters, str(architecture)
        assert counted_multiply_adds(network) == cost.multiply_adds, str(architecture)


@pytest.mark.parametrize("shape", [(32, 32, 3), (9, 7, 1)])
@pytest.mark.parametrize("text", ["resnet:16x3x3", "resnet:8x1x2", "resnet:4x2x1"])
def test_the_baseline_has_the_parameters_and_multiply_adds_that_were_computed(
    text: str, shape: tuple[int, int, int]
) -> None:
    architecture = parse_architecture(text)
    network = build(architecture, shape, 7, seed=0)
    assert network.count_params() == architecture.cost(shape, 7).parameters
    assert counted_multiply_adds(network) == architecture.cost(shape, 7).multiply_adds


def constant_network(text: str, shape: tuple[int, int, int], kernels: Mapping[str, Any]) -> keras.Model:
    """A network whose normalisations do nothing in evaluation and whose kernels are as given."""
    network = build(parse_architecture(text), shape, 2, seed=0, batch_norm_epsilon=1e-12)
    for name, kernel in kernels.items():
        variable = network.get_layer(name).kernel
        variable.assign(np.broadcast_to(kernel, variable.shape))
    return network


def output_of(network: keras.Model, layer: str, images: np.ndarray) -> np.ndarray:
    inner = keras.Model(network.input, network.get_layer(layer).output)
    return keras.ops.convert_to_numpy(inner(images, training=False))


IMAGE = np.arange(1, 10, dtype="float32").reshape(1, 3, 3, 1)


def test_smaller_inputs_are_padded_with_the_odd_zeros_at_the_bottom_and_the_right() -> None:
    # Layer 1 keeps the places 1, 3, 7, 9 of the image; layer 2 adds 10 · image and layer 1.
    kernels = {"layer1": 1.0, "layer2": np.array([10.0, 1.0]).reshape(1, 1, 2, 1)}
    network = constant_network("conv:1x1x1s2@0,1x1x1@0+1", (3, 3, 1), kernels)
    expected = 10 * IMAGE[0, :, :, 0] + np.array([[1, 3, 0], [7, 9, 0], [0, 0, 0]])
    np.testing.assert_allclose(output_of(network, "layer2_relu", IMAGE)[0, :, :, 0], expected, rtol=1e-6)


def test_zeros_stand_evenly_around_a_much_smaller_input() -> None:
    kernels = {"layer1": 1.0, "layer2": np.array([0.0, 1.0]).reshape(1, 1, 2, 1)}
    network = constant_network("conv:1x1x1s3@0,1x1x1@0+1", (3, 3, 1), kernels)
    expected = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]])  # layer 1 keeps the first place
    np.testing.assert_allclose(output_of(network, "layer2_relu", IMAGE)[0, :, :, 0], expected, rtol=1e-6)


def test_inputs_are_concatenated_in_the_order_of_their_numbers() -> None:
    kernels = {
        "layer1": 2.0,
        "layer2": 3.0,
        "layer3": np.array([1.0, 100.0, 10000.0]).reshape(1, 1, 3, 1),
    }
    network = constant_network("conv:1x1x1@0,1x1x1@0,1x1x1@0+1+2", (1, 1, 1), kernels)
    one = np.ones((1, 1, 1, 1), "float32")
    assert output_of(network, "layer3_relu", one).item() == pytest.approx(1 + 200 + 30000, rel=1e-5)


def test_unused_outputs_go_to_the_classifier_in_order() -> None:
    network = constant_network("conv:1x1x1@0,1x1x1@0", (1, 1, 1), {"layer1": 2.0, "layer2": 3.0})
    logits = network.get_layer("logits")
    logits.kernel.assign([[1.0, 0.0], [0.0, 1.0]])
    logits.bias.assign([0.5, 0.0])
    one = np.ones((1, 1, 1, 1), "float32")
    np.testing.assert_allclose(output_of(network, "logits", one), [[2.5, 3.0]], rtol=1e-5)
    expected = np.exp([2.5, 3.0]) / np.exp([2.5, 3.0]).sum()
    np.testing.assert_allclose(network(one, training=False), [expected], rtol=1e-5)


def test_a_block_is_densely_connected_and_gives_all_its_convolutions() -> None:
    kernels = {
        "layer1_1": 2.0,  # of the input
        "layer1_2": np.array([1.0, 10.0]).reshape(1, 1, 2, 1),  # of the input, the first
        "layer1_3": np.array([1.0, 10.0, 100.0]).reshape(1, 1, 3, 1),  # of the input, first, second
    }
    network = constant_network("conv:block3,1x1x1@0", (1, 1, 1), kernels)
    one = np.ones((1, 1, 1, 1), "float32")
    np.testing.assert_allclose(output_of(network, "layer1_out", one).ravel(), [2, 21, 2121], rtol=1e-5)


def test_links_that_pass_a_pooling_position_are_pooled_and_share_what_is_pooled() -> None:
    kernels = {"layer1": 1.0, "layer2": np.array([1.0, 10.0]).reshape(1, 1, 2, 1), "layer3": 1.0}
    network = constant_network("conv:pool1,1x1x1@0,1x1x1@0+1,1x1x1@1", (3, 3, 1), kernels)
    pooled = np.array([[5, 6], [8, 9]])
    np.testing.assert_allclose(output_of(network, "layer2_relu", IMAGE)[0, :, :, 0], 11 * pooled, rtol=1e-6)
    poolings = [layer for layer in network.layers if isinstance(layer, keras.layers.MaxPooling2D)]
    assert len(poolings) == 2  # the image's and layer 1's; layers 2 and 3 share the latter


def test_places_outside_the_image_do_not_count_in_an_average() -> None:
    network = constant_network("conv:avg3x3@0", (3, 3, 1), {})
    averages = output_of(network, "layer1", IMAGE)[0, :, :, 0]
    assert averages[0, 0] == pytest.approx(np.mean([1, 2, 4, 5]))
    assert averages[1, 1] == pytest.approx(5)


def test_the_shortcut_of_a_residual_block_is_added() -> None:
    kernels = {"stem": 1.0, "block1_first": 0.0, "block1_second": 0.0}
    network = constant_network("resnet:1x1x1", (1, 1, 1), kernels)
    one = np.ones((1, 1, 1, 1), "float32")
    assert output_of(network, "block1_relu", one).item() == pytest.approx(1.0)


def test_equal_seeds_give_equal_weights_and_every_layer_gets_its_own() -> None:
    architecture = parse_architecture("conv:3x3x4@0,3x3x4@0")
    first, again, other = (build(architecture, (8, 8, 1), 10, seed=seed) for seed in (1, 1, 2))
    for a, b in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    kernels = [network.get_layer("layer1").kernel.numpy() for network in (first, other)]
    assert not np.array_equal(*kernels)
    assert not np.array_equal(kernels[0], first.get_layer("layer2").kernel.numpy())


def test_the_penalty_is_half_the_weight_decay_times_the_squared_kernels_and_nothing_else() -> None:
    network = build(parse_architecture("conv:3x3x4@0"), (8, 8, 1), 10, seed=1, weight_decay=0.02)
    kernels = [network.get_layer(name).kernel.numpy() for name in ("layer1", "logits")]
    assert len(network.losses) == 2
    assert float(sum(network.losses)) == pytest.approx(0.01 * sum((k**2).sum() for k in kernels), rel=1e-5)


def test_settings_reach_the_normalisations() -> None:
    network = build(
        parse_architecture("conv:3x3x4@0"),
        (8, 8, 1),
        10,
        seed=1,
        weight_decay=0.0,
        batch_norm_momentum=0.8,
        batch_norm_epsilon=0.01,
    )
    assert network.losses == []
    layer = network.get_layer("layer1_norm")
    assert (layer.momentum, layer.epsilon) == (0.8, 0.01)


def test_the_moving_averages_are_faster_than_those_of_keras_by_default() -> None:
    network = build(parse_architecture("conv:3x3x4@0"), (8, 8, 1), 10, seed=1)
    assert network.get_layer("layer1_norm").momentum == 0.9


def test_a_saved_network_is_made_of_stock_layers_and_predicts_the_same(tmp_path: Path) -> None:
    architecture = parse_architecture("conv:block2+pool1,3x3x4@0,1x3x4@0+1,5x5x4@1")
    network = build(architecture, (9, 8, 3), 10, seed=1)
    assert all(type(layer).__module__.startswith("keras.") for layer in network.layers)
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    images = np.random.default_rng(0).normal(size=(4, 9, 8, 3)).astype("float32")
    np.testing.assert_array_equal(network(images, training=False), loaded(images, training=False))


def test_the_softmax_is_computed_in_float32_whatever_the_rest() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = build(parse_architecture("conv:3x3x4@0"), (8, 8, 1), 10, seed=1)
    finally:
        keras.config.set_dtype_policy("float32")
    assert network.get_layer("layer1").compute_dtype == "bfloat16"
    assert network.get_layer("logits").compute_dtype == "float32"
    assert network.output.dtype == "float32"


@dataclass(frozen=True)
class Linear(Architecture):
    """A user's own architecture."""

    kind = "tests.networks.test_build:Linear"
    builder = "tests.networks.linear"

    def body(self) -> str:
        return "x"

    @classmethod
    def from_body(cls, body: str) -> Self:
        return cls()

    def fields(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        return cls()

    def cost(self, input_shape: tuple[int, ...], outputs: int) -> Cost:
        return Cost(0, 0)


def test_a_users_own_architecture_names_the_module_that_registers_its_builder() -> None:
    assert build(Linear(), (2, 2, 1), 3, seed=1).count_params() == 15


def test_an_architecture_without_a_builder_is_refused_with_what_to_do() -> None:
    class Unknown:
        pass

    with pytest.raises(InputError, match=r"Unknown: register one with @nas\.networks\.register"):
        build(Unknown(), (8, 8, 1), 10, seed=0)


def test_a_later_registration_replaces_a_builder_for_a_subclass() -> None:
    class Special(Linear):
        builder = None

    @register(Special)
    def build_special(architecture: Special, settings: Settings) -> keras.Model:
        image = keras.Input(settings.input_shape)
        return keras.Model(image, image, name="special")

    assert build(Special(), (8, 8, 1), 10, seed=0).name == "special"


def test_a_builder_of_an_earlier_version_is_called_with_loose_numbers() -> None:
    class Earlier(Linear):
        builder = None

    called: dict[str, Any] = {}

    @register(Earlier)
    def build_earlier(architecture: Any, input_shape: Any, classes: int, **settings: Any) -> keras.Model:
        called.update(settings, input_shape=input_shape, classes=classes)
        image = keras.Input(input_shape)
        return keras.Model(image, image)

    build(Earlier(), (8, 8, 1), 10, seed=3, weight_decay=0.5)
    assert called == {
        "input_shape": (8, 8, 1),
        "classes": 10,
        "seed": 3,
        "batch_norm_momentum": 0.9,
        "batch_norm_epsilon": 1e-5,
        "weight_decay": 0.5,
    }


def test_a_network_that_does_not_weigh_each_auxiliary_head_is_refused() -> None:
    image = keras.Input((4,))
    with pytest.raises(InputError, match=r"weight of the loss of each output after the first.*2 outputs"):
        Network(keras.Model(image, [image, image]))


def test_a_stack_of_cells_has_the_parameters_that_were_computed_and_another_stack_too() -> None:
    cell, shape = Twist(3), (9, 8, 1)
    counts = []
    for stack in (Plain(cells=2, filters=8), Plain(cells=4, filters=16)):
        network = build_network(cell, Settings(shape, 10, seed=0, stack=stack))
        counts.append(network.served().count_params())
        assert counts[-1] == stack.cost(cell, shape, 10).parameters
        assert counted_multiply_adds(network.served()) == stack.cost(cell, shape, 10).multiply_adds
    assert counts[1] > 4 * counts[0]


def test_what_only_training_uses_is_left_out_of_what_is_served_and_weights_are_shared(tmp_path: Path) -> None:
    stack = Plain(cells=2, filters=4, drop=0.5, auxiliary=0.4)
    network = build_network(Twist(3), Settings((8, 8, 1), 10, seed=1, stack=stack))
    assert len(network.model.outputs) == 2
    served = network.served()
    assert all(type(layer).__module__.startswith("keras.") for layer in served.layers)
    assert served.count_params() == stack.cost(Twist(3), (8, 8, 1), 10).parameters
    served.get_layer("logits").bias.assign(np.arange(10))
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype("float32")
    expected = network.model(images, training=False)[0]
    np.testing.assert_array_equal(served(images, training=False), expected)
    served.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(loaded(images, training=False), expected)
