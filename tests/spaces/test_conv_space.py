"""The space of convolutional networks: its steps, repair rules, canonical tokens and errors."""

import itertools
import re
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas import plugins
from nas.errors import InputError
from nas.spaces import Choice, Links, Point, Space, Tokens, When, architecture_from_json, parse_architecture
from nas.spaces.conv import ConvNet, ConvSpace, Layer
from nas.spaces.resnet import ResNet
from nas.testing.spaces import SpaceContract, all_tokens

V1: dict[str, Any] = {}
V2: dict[str, Any] = {"strides": [1, 2, 3]}
V3: dict[str, Any] = {"filters": [6, 12, 24, 36], "block": 3, "pool_after": [4, 8]}
ALL_TYPES: dict[str, Any] = {
    "strides": [1, 2, 3],
    "layer_types": ["conv", "max_pool", "avg_pool"],
    "learning_rates": [0.1, 0.01],
    "image_size": [8, 5],
    "pool_after": [2, 3],
}


class TestV1(SpaceContract):
    def make_space(self) -> Space:
        return ConvSpace(depth={"start": 6, "grow": 2}, **V1)


class TestV2(SpaceContract):
    samples = 400
    depths = (1, 2, 12)

    def make_space(self) -> Space:
        return ConvSpace(depth=12, **V2)


class TestV3(SpaceContract):
    def make_space(self) -> Space:
        return ConvSpace(depth=13, **V3)


class TestV3WithMoreFilters(SpaceContract):
    def make_space(self) -> Space:
        return ConvSpace(depth=13, more_filters=40, **V3)


class TestAllTypesOnSmallImages(SpaceContract):
    samples = 400
    depths = (1, 3, 6)
    input_shape = (8, 5, 1)

    def make_space(self) -> Space:
        return ConvSpace(depth=6, **ALL_TYPES)


class TestOneDecision(SpaceContract):
    depths = (1, 2)

    def make_space(self) -> Space:
        return ConvSpace(depth=1, filter_heights=[3], filter_widths=[3], filters=[8])


def tokens_for(space: ConvSpace, depth: int, **decisions: Any) -> Tokens:
    """Tokens by `layer2_filters=36` or `layer3_links=(1, 0)`; what isn't named takes its first option."""
    steps = space.steps(depth)
    values: list[Tokens] = []
    for index, step in enumerate(steps):
        wanted = decisions.pop(step.name.replace(".", "_"), None)
        if not steps.is_on(index, values):
            values.append(())
        elif wanted is None:
            values.append((0,) * steps.widths[index])
        else:
            values.append((step.options.index(wanted),) if isinstance(step, Choice) else wanted)
    assert not decisions, f"no such step: {decisions}"
    return tuple(itertools.chain(*values))


# Steps


def test_decisions_stand_in_the_order_of_the_paper() -> None:
    assert [step.name for step in ConvSpace(depth=2, **V2).steps(2)] == [
        "layer1.filter_height",
        "layer1.filter_width",
        "layer1.stride_height",
        "layer1.stride_width",
        "layer1.filters",
        "layer1.links",
        "layer2.filter_height",
        "layer2.filter_width",
        "layer2.stride_height",
        "layer2.stride_width",
        "layer2.filters",
        "layer2.links",
    ]


def test_each_layer_may_link_to_every_earlier_layer_but_not_to_the_image() -> None:
    steps = ConvSpace(depth=4).steps(4)
    anchors = [(step, steps.widths[i]) for i, step in enumerate(steps) if not isinstance(step, Choice)]
    assert anchors == [
        (Point("layer1.links", "network"), 0),
        (Links("layer2.links", "links", "network"), 1),
        (Links("layer3.links", "links", "network"), 2),
        (Links("layer4.links", "links", "network"), 3),
    ]


def test_the_number_of_filters_is_decided_for_convolutions_only() -> None:
    space = ConvSpace(depth=1, layer_types=["conv", "max_pool"])
    assert space.steps(1)[0] == Choice("layer1.layer_type", "layer_type", ("conv", "max_pool"))
    assert space.steps(1)[3].when == When("layer1.layer_type", ("conv",))
    assert str(space.decode((0, 1, 2, 3), 1)) == "conv:3x5x64@0"
    assert str(space.decode((1, 1, 2), 1)) == "conv:max3x5@0"


def test_a_predicted_learning_rate_is_decided_last_and_is_no_part_of_the_network() -> None:
    space = ConvSpace(depth=2, learning_rates=[0.1, 0.01])
    assert space.steps(2)[-1] == Choice("learning_rate", "learning_rate", (0.1, 0.01))
    slow, fast = (tokens_for(space, 2, learning_rate=rate) for rate in (0.01, 0.1))
    assert space.decode(slow, 2) == space.decode(fast, 2)
    assert space.overrides(slow, 2) == {"learning_rate": 0.01}
    assert space.encode(space.decode(slow, 2)) == fast


def test_without_a_predicted_learning_rate_nothing_of_the_recipe_is_overridden() -> None:
    assert ConvSpace(depth=1).overrides((0, 0, 0), 1) == {}


@pytest.mark.parametrize(
    ("options", "depth", "size"),
    [
        (V1, 15, (4 * 4 * 4) ** 15 * 2 ** (15 * 14 // 2)),
        (V2, 20, (4 * 4 * 3 * 3 * 4) ** 20 * 2 ** (20 * 19 // 2)),
        (V3, 13, (4 * 4 * 4) ** 13 * 2 ** (13 * 12 // 2)),
        ({"layer_types": ["conv", "max_pool"]}, 3, (4 * 4 * (4 + 1)) ** 3 * 2**3),
        ({"learning_rates": [0.1, 0.05, 0.01]}, 2, 64**2 * 2 * 3),
    ],
)
def test_the_number_of_token_strings_is_exact(options: dict[str, Any], depth: int, size: int) -> None:
    assert ConvSpace(depth=depth, **options).size(depth) == size


def test_the_depth_grows_as_in_the_paper_by_default() -> None:
    depth = ConvSpace().depth
    assert [depth.at(number) for number in range(0, 12_800, 1_600)] == [6, 8, 10, 12, 14, 16, 18, 20]
    assert (depth.at(1_599), depth.at(12_799)) == (6, 20)


def test_version_3_has_39_convolutions_and_pools_after_12_and_24_of_them() -> None:
    space = ConvSpace(depth=13, **V3)
    net = space.decode(tokens_for(space, 13), 13)
    assert len(net.layers) * net.block == 39
    assert [position * net.block for position in net.pool_after] == [12, 24]
    assert [shape[0] for shape in net.shapes((32, 32, 3)).outputs] == [32] * 4 + [16] * 4 + [8] * 5


def test_more_filters_are_added_to_every_convolution() -> None:
    space = ConvSpace(depth=2, more_filters=40, **V3)
    net = space.decode(tokens_for(space, 2, layer1_filters=6, layer2_filters=36), 2)
    assert [layer.filters for layer in net.layers] == [46, 76]


def test_pooling_positions_beyond_the_depth_are_left_out() -> None:
    space = ConvSpace(depth={"start": 4, "grow": 2, "every": 1}, pool_after=[8, 4])
    assert [space.decode(tokens_for(space, n), n).pool_after for n in (2, 4, 6, 8)] == [
        (),
        (4,),
        (4,),
        (4, 8),
    ]


# Repair rules


def test_a_layer_without_input_receives_the_image() -> None:
    space = ConvSpace(depth=3)
    net = space.decode(tokens_for(space, 3, layer2_links=(0,), layer3_links=(0, 1)), 3)
    assert [layer.inputs for layer in net.layers] == [(0,), (0,), (2,)]


def test_what_no_layer_uses_is_concatenated_for_the_classifier() -> None:
    space = ConvSpace(depth=4)
    net = space.decode(tokens_for(space, 4, layer3_links=(1, 0), layer4_links=(1, 0, 0)), 4)
    assert net.outputs == (2, 3, 4)
    assert net.shapes((32, 32, 3)).head.shape == (32, 32, 3 * 24)


def test_inputs_of_different_size_are_padded_to_the_largest() -> None:
    space = ConvSpace(depth=3, **V2)
    tokens = tokens_for(space, 3, layer2_stride_height=2, layer2_stride_width=3, layer3_links=(1, 1))
    join = space.decode(tokens, 3).shapes((32, 32, 3)).inputs[2]
    assert join.shape == (32, 32, 48)
    assert [link.pad for link in join.links] == [((0, 0), (0, 0)), ((8, 8), (10, 11))]


# Canonical tokens


def test_strides_that_leave_one_place_build_the_same_network() -> None:
    space = ConvSpace(depth=1, image_size=[2, 4], **V2)
    nets = [space.decode(tokens_for(space, 1, layer1_stride_height=stride), 1) for stride in (1, 2, 3)]
    assert nets[1] == nets[2] != nets[0]
    assert space.encode(nets[2]) == tokens_for(space, 1, layer1_stride_height=2)


def test_strides_matter_where_more_than_one_place_is_left() -> None:
    space = ConvSpace(depth=1, image_size=4, **V2)
    nets = {space.decode(tokens_for(space, 1, layer1_stride_width=stride), 1) for stride in (1, 2, 3)}
    assert len(nets) == 3


def test_the_size_that_a_layer_really_receives_decides_whether_its_stride_matters() -> None:
    """Layer 2 sees 2×2 after a stride of 3 and a pooling, where 2 and 3 do the same."""
    space = ConvSpace(depth=2, image_size=12, pool_after=[1], **V2)
    first = {"layer1_stride_height": 3, "layer1_stride_width": 3}
    nets = [
        space.decode(tokens_for(space, 2, layer2_links=bits, layer2_stride_height=stride, **first), 2)
        for bits in ((1,), (0,))
        for stride in (2, 3)
    ]
    assert nets[0] == nets[1]
    assert nets[2] != nets[3], "the pooled image has 6×6"


def test_links_alone_tell_networks_of_the_same_layers_apart() -> None:
    space = ConvSpace(depth=3, filter_heights=[3], filter_widths=[3], filters=[8])
    assert len({space.decode(tokens, 3) for tokens in all_tokens(space.steps(3))}) == 2**3


def pooled_values(layer: Layer, size: tuple[int, int]) -> tuple[Fraction, ...]:
    """A pooling of distinct values by the definition of SAME padding, place by place."""

    def places(length: int, window: int, stride: int) -> list[list[int]]:
        count = -(-length // stride)
        before = max((count - 1) * stride + window - length, 0) // 2
        starts = [index * stride - before for index in range(count)]
        return [[at for at in range(start, start + window) if 0 <= at < length] for start in starts]

    rows, columns = (
        places(size[0], layer.height, layer.stride_height),
        places(size[1], layer.width, layer.stride_width),
    )
    out = []
    for row, column in itertools.product(rows, columns):
        values = [Fraction(7 ** (size[1] * i + j)) for i in row for j in column]
        out.append(max(values) if layer.op == "max_pool" else sum(values, Fraction(0)) / len(values))
    return (*out, Fraction(len(rows)))


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 3), (3, 5), (6, 6)])
@pytest.mark.parametrize("heights", [[1, 3, 5], [3, 5]])
@pytest.mark.parametrize("widths", [[1, 3, 7], [7, 3]])
def test_poolings_are_equal_exactly_when_they_compute_the_same(
    size: tuple[int, int], heights: list[int], widths: list[int]
) -> None:
    space = ConvSpace(
        depth=1,
        image_size=size,
        strides=[1, 2, 3],
        layer_types=["conv", "avg_pool", "max_pool"],
        filter_heights=heights,
        filter_widths=widths,
        filters=[8],
    )
    types = space.layer_types
    drawn: dict[tuple[Fraction, ...], set[ConvNet]] = {}
    for tokens in all_tokens(space.steps(1)):
        if types[tokens[0]] != "conv":
            raw = Layer(
                types[tokens[0]],  # type: ignore[arg-type]
                space.filter_heights[tokens[1]],
                space.filter_widths[tokens[2]],
                0,
                (0,),
                space.strides[tokens[3]],
                space.strides[tokens[4]],
            )
            drawn.setdefault(pooled_values(raw, size), set()).add(space.decode(tokens, 1))
    assert all(len(nets) == 1 for nets in drawn.values())
    assert len(set.union(*drawn.values())) == len(drawn)


def test_an_average_of_single_places_is_written_as_maximum_and_found_again_without_it() -> None:
    space = ConvSpace(depth=1, image_size=1, filter_heights=[3, 5], layer_types=["conv", "avg_pool"])
    net = space.decode(tokens_for(space, 1, layer1_layer_type="avg_pool", layer1_filter_height=5), 1)
    assert str(net) == "conv:max3x1@0"
    assert space.decode(space.encode(net), 1) == net


@st.composite
def drawn_tokens(draw: st.DrawFn, space: ConvSpace, depth: int) -> Tokens:
    steps = space.steps(depth)
    values: list[Tokens] = []
    for index in range(len(steps)):
        width = steps.widths[index] if steps.is_on(index, values) else 0
        token = st.integers(0, steps.limit(index) - 1) if width else st.nothing()
        values.append(tuple(draw(st.lists(token, min_size=width, max_size=width))))
    return tuple(itertools.chain(*values))


@st.composite
def drawn_spaces(draw: st.DrawFn) -> ConvSpace:
    sizes = st.lists(st.sampled_from([1, 2, 3, 5, 7]), min_size=1, max_size=3, unique=True)
    blocks = draw(st.booleans())
    return ConvSpace(
        depth=1,
        image_size=draw(st.tuples(st.integers(1, 9), st.integers(1, 9))),
        filter_heights=draw(sizes),
        filter_widths=draw(sizes),
        filters=draw(sizes),
        strides=[] if blocks else draw(st.lists(st.integers(1, 4), max_size=3, unique=True)),
        layer_types=["conv", *([] if blocks else draw(st.sets(st.sampled_from(["max_pool", "avg_pool"]))))],
        pool_after=draw(st.lists(st.integers(1, 6), max_size=2, unique=True)),
        block=3 if blocks else 1,
        more_filters=draw(st.sampled_from([0, 40])),
    )


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.data(), drawn_spaces(), st.integers(1, 6))
def test_whatever_is_drawn_from_whatever_space_is_a_valid_network(
    data: st.DataObject, space: ConvSpace, depth: int
) -> None:
    tokens = data.draw(drawn_tokens(space, depth))
    net = space.decode(tokens, depth)
    canonical = space.encode(net)
    assert space.decode(canonical, depth) == net
    assert space.encode(space.decode(canonical, depth)) == canonical
    assert parse_architecture(str(net)) == net
    assert architecture_from_json(net.to_json()) == net
    used = {source for layer in net.layers for source in layer.inputs} | set(net.outputs)
    assert used - {0} == set(range(1, depth + 1)), "each layer is used by a layer or by the classifier"
    assert all(layer.inputs == (0,) or 0 not in layer.inputs for layer in net.layers)


# Errors


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "conv:3x3x24@0,3x4x24@1",
            "layer 2 ('3x4x24@1') is not in this space: filter width must be one of 1, 3, 5, 7",
        ),
        ("conv:2x3x24@0", "filter height must be one of 1, 3, 5, 7. Received: 2"),
        ("conv:3x3x30@0", "filters must be one of 24, 36, 48, 64. Received: 30"),
        ("conv:3x3x24s2@0", "stride height must be one of 1. Received: 2"),
        ("conv:max3x3@0", "layer type must be one of conv. Received: max_pool"),
        ("conv:3x3x24@0,3x3x24@0+1", "a layer receives the image only if it has no other input"),
        ("conv:pool1,3x3x24@0", "networks of 1 layers have pool_after=() in this space. Received: (1,)"),
        ("conv:block3,3x3x24@0", "block=1 in this space. Received: 3"),
    ],
)
def test_encoding_a_network_of_another_space_names_what_is_foreign(text: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        ConvSpace(depth=2).encode(parse_architecture(text))


def test_encoding_with_more_filters_names_the_filters_that_networks_have() -> None:
    with pytest.raises(InputError, match=re.escape("one of 46, 52, 64, 76. Received: 6")):
        ConvSpace(depth=1, more_filters=40, filters=[6, 12, 24, 36]).encode(
            parse_architecture("conv:3x3x6@0")
        )


def test_encoding_a_stride_that_does_not_matter_says_how_this_space_writes_it() -> None:
    with pytest.raises(InputError, match=re.escape("on its input of 2×2 it does the same as '3x3x24s2@0'")):
        ConvSpace(depth=1, image_size=2, **V2).encode(parse_architecture("conv:3x3x24s3@0"))


def test_encoding_an_architecture_of_another_kind_is_refused() -> None:
    with pytest.raises(InputError, match="convolutional networks only"):
        ConvSpace(depth=1).encode(ResNet())


@pytest.mark.parametrize("depth", [0, -1, 2.0, True])
def test_a_depth_that_is_no_number_of_layers_is_refused(depth: Any) -> None:
    with pytest.raises(InputError, match="depth must be a whole number of at least 1"):
        ConvSpace(depth=2).steps(depth)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filters": []}, "filters needs at least one value"),
        ({"filters": 24}, "filters must be a list, such as [1, 3, 5]. Received: 24"),
        ({"filters": "24"}, "filters must be a list"),
        ({"filters": [24, 24]}, "filters must not have a value twice"),
        ({"filters": [24, "36"]}, "filters must be whole numbers of at least 1. Received: [24, '36']"),
        ({"filter_heights": [0, 1]}, "filter_heights must be whole numbers of at least 1"),
        ({"filter_widths": [1.0]}, "filter_widths must be whole numbers"),
        ({"strides": [0]}, "strides must be whole numbers of at least 1"),
        ({"image_size": 0}, "image_size must be a whole number of at least 1, or two of them"),
        ({"image_size": [8]}, "image_size"),
        ({"image_size": [8, 8, 3]}, "image_size"),
        ({"image_size": "8"}, "image_size"),
        ({"layer_types": ["conv", "maxpool"]}, "layer_types can't have 'maxpool': did you mean 'max_pool'?"),
        ({"layer_types": ["max_pool"]}, "layer_types must have 'conv'"),
        ({"block": 0}, "block must be a whole number of at least 1. Received: 0"),
        ({"block": 3, "strides": [1, 2]}, "neither strides nor pooling layers"),
        ({"block": 3, "layer_types": ["conv", "max_pool"]}, "neither strides nor pooling layers"),
        ({"more_filters": -1}, "more_filters must be a whole number of at least 0"),
        ({"more_filters": True}, "more_filters"),
        ({"pool_after": [0]}, "pool_after must be whole numbers of at least 1"),
        ({"learning_rates": ["1e-3"]}, "YAML takes 1e-3 for a text"),
        ({"learning_rates": [0.1, -0.1]}, "learning_rates must be finite numbers above 0"),
        ({"learning_rates": [float("nan")]}, "learning_rates"),
        ({"depth": 0}, "start ≥ 1"),
        (
            {"depth": "deep"},
            "whole numbers, start ≥ 1, grow ≥ 0, every ≥ 1 and stop ≥ start. Received: start='deep'",
        ),
        ({"depth": {"begin": 6}}, "has the key start and perhaps grow, every, stop"),
        ({"filter": [24]}, "unknown option 'filter' of space 'conv': did you mean 'filters'?"),
    ],
)
def test_an_option_that_is_not_allowed_is_named_with_what_is(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        plugins.make("space", {"name": "conv", **options})


def test_lists_from_yaml_become_values_of_the_space() -> None:
    space = plugins.make("space", {"name": "conv", "depth": 4, "image_size": [8, 6], "filters": [8, 16]})
    assert (space.depth.at(0), space.image_size, space.filters) == (4, (8, 6), (8, 16))
