"""Convolutional networks as values: text, JSON, which outputs the classifier gets, cost."""

import re

import pytest

from nas.errors import InputError
from nas.spaces import Cost, architecture_from_json, parse_architecture
from nas.spaces.conv import ConvNet, Layer

TEXTS = [
    "conv:3x3x24@0",
    "conv:3x3x24@0,5x5x36s2@1,1x7x48s1x2@0+1,max3x3@2",
    "conv:block3,3x3x24@0",
    "conv:pool1,3x3x24@0",
    "conv:block3+pool1+pool2,3x3x24@0,1x7x6@1",
]


@pytest.mark.parametrize("text", TEXTS)
def test_text_and_json_give_the_network_back(text: str) -> None:
    net = parse_architecture(text)
    assert str(net) == text
    assert architecture_from_json(net.to_json()) == net


def test_the_json_form_stays_as_it_is() -> None:
    """Records of earlier searches are read by it: a change needs a way to read the old form."""
    assert parse_architecture("conv:pool1,3x5x24s1x2@0").to_json() == {
        "kind": "conv",
        "layers": [
            {
                "op": "conv",
                "height": 3,
                "width": 5,
                "filters": 24,
                "inputs": [0],
                "stride_height": 1,
                "stride_width": 2,
            }
        ],
        "block": 1,
        "pool_after": [1],
    }


def test_outputs_that_no_layer_uses_go_to_the_classifier() -> None:
    net = ConvNet((Layer("conv", 3, 3, 24), Layer("conv", 3, 3, 24, (1,)), Layer("conv", 3, 3, 24, (1,))))
    assert net.outputs == (2, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("conv:", "'' is not a layer"),
        ("conv:3x3x24@0,oops@1", "'oops@1' is not a layer"),
        ("conv:3x3x24@0,,3x3x24@0", "'' is not a layer"),
        ("conv:3x3x24@1", "layer 1 ('3x3x24@1') can only have inputs from earlier layers"),
        ("conv:3x3x24@0,3x3x24@0+5", "layer 2"),
        ("conv:block3", "at least one layer"),
        ("conv:block0,3x3x24@0", "'block0' in 'block0'"),
        ("conv:pool1+block3,3x3x24@0", "'block3' in 'pool1+block3'"),
        ("conv:block3+poll1,3x3x24@0", "'poll1' in 'block3+poll1'"),
        ("conv:pool2,3x3x24@0", "pool_after must be a tuple of ascending layer numbers in 1…1"),
        ("conv:pool1+pool1,3x3x24@0", "pool_after"),
        ("conv:block3,3x3x24s2@0", "must be a convolution without stride"),
        ("conv:block3,max3x3@0", "must be a convolution without stride"),
    ],
)
def test_the_part_of_a_text_that_is_wrong_is_shown(text: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        parse_architecture(text)


@pytest.mark.parametrize(
    "values",
    [
        {"layers": ()},
        {"layers": [Layer("conv", 3, 3, 24)]},
        {"layers": ("3x3x24@0",)},
        {"block": 0},
        {"block": True},
    ],
)
def test_a_value_that_is_not_allowed_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(InputError):
        ConvNet(**{"layers": (Layer("conv", 3, 3, 24),), **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fields",
    [{}, {"layers": "3x3x24@0", "block": 1, "pool_after": []}, {"layers": [], "block": 1, "pools": []}],
)
def test_json_that_is_no_network_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(InputError):
        architecture_from_json({"kind": "conv", **fields})


def test_cost_of_one_convolution() -> None:
    weights = 3 * 3 * 3 * 24
    assert parse_architecture("conv:3x3x24@0").cost((32, 32, 3), 10) == Cost(
        parameters=weights + 4 * 24 + 24 * 10 + 10, multiply_adds=weights * 32 * 32 + 24 * 10
    )


def test_cost_counts_strides_and_the_depth_of_concatenated_inputs() -> None:
    first, second, third = 3 * 3 * 1 * 4, 3 * 3 * 4 * 8, 1 * 1 * (4 + 8) * 2
    cost = parse_architecture("conv:3x3x4@0,3x3x8s2x3@1,1x1x2@1+2").cost((8, 8, 1), 10)
    assert cost.parameters == first + second + third + 4 * (4 + 8 + 2) + 2 * 10 + 10
    assert cost.multiply_adds == first * 64 + second * 4 * 3 + third * 64 + 20


def test_poolings_cost_nothing_and_keep_the_depth() -> None:
    assert parse_architecture("conv:3x3x4@0,max3x3@1").cost((8, 8, 1), 10) == parse_architecture(
        "conv:3x3x4@0"
    ).cost((8, 8, 1), 10)


def test_cost_of_a_densely_connected_block_of_three() -> None:
    weights = 9 * 1 * 6 + 9 * (1 + 6) * 6 + 9 * (1 + 6 + 6) * 6
    assert parse_architecture("conv:block3,3x3x6@0").cost((8, 8, 1), 10) == Cost(
        parameters=weights + 3 * 4 * 6 + 18 * 10 + 10, multiply_adds=weights * 64 + 18 * 10
    )


def test_pooling_positions_make_what_follows_cheaper_but_not_smaller() -> None:
    plain = parse_architecture("conv:3x3x4@0,3x3x8@1,3x3x8@0").cost((8, 8, 1), 10)
    pooled = parse_architecture("conv:pool1,3x3x4@0,3x3x8@1,3x3x8@0").cost((8, 8, 1), 10)
    assert pooled.parameters == plain.parameters
    assert pooled.multiply_adds == 36 * 64 + (288 + 72) * 16 + 16 * 10


@pytest.mark.parametrize("shape", [(32, 32), (32, 32, 3, 1), (0, 32, 3), (32.0, 32, 3)])
def test_an_input_shape_that_is_no_images_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="height, width, channels"):
        parse_architecture("conv:3x3x24@0").cost(shape, 10)


def test_a_network_without_outputs_is_refused() -> None:
    with pytest.raises(InputError, match="outputs=0"):
        parse_architecture("conv:3x3x24@0").cost((32, 32, 3), 0)
