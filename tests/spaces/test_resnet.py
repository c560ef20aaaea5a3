"""The hand-made baseline network."""

import re

import pytest

from nas.errors import InputError
from nas.spaces import Cost, architecture_from_json, parse_architecture
from nas.spaces.resnet import ResidualBlock, ResNet


@pytest.mark.parametrize("text", ["resnet:16x3x3", "resnet:8x1x2", "resnet:64x18x4"])
def test_text_and_json_give_the_network_back(text: str) -> None:
    net = parse_architecture(text)
    assert str(net) == text
    assert architecture_from_json(net.to_json()) == net


def test_there_are_three_stages_as_in_the_paper_unless_the_text_says_otherwise() -> None:
    assert parse_architecture("resnet:16x3") == ResNet(filters=16, blocks=3, stages=3)


def test_each_stage_after_the_first_halves_the_size_and_doubles_the_filters() -> None:
    assert ResNet(16, 2, 2).residual_blocks == (
        ResidualBlock(16, 1, False),
        ResidualBlock(16, 1, False),
        ResidualBlock(32, 2, True),
        ResidualBlock(32, 1, False),
    )


def test_resnet_20_has_the_known_number_of_parameters() -> None:
    """272,474 trainable with 1×1 shortcuts, and two moving averages for each of 784 channels."""
    cost = parse_architecture("resnet:16x3x3").cost((32, 32, 3), 10)
    assert cost.parameters == 272_474 + 2 * 784
    assert 40_500_000 < cost.multiply_adds < 41_500_000


def test_cost_of_two_stages_by_hand() -> None:
    weights = {8: 9 * 1 * 2 + 2 * 9 * 2 * 2, 4: 9 * 2 * 4 + 9 * 4 * 4 + 2 * 4}
    assert ResNet(2, 1, 2).cost((8, 8, 1), 10) == Cost(
        parameters=sum(weights.values()) + 4 * (3 * 2 + 3 * 4) + 4 * 10 + 10,
        multiply_adds=weights[8] * 64 + weights[4] * 16 + 40,
    )


@pytest.mark.parametrize("body", ["", "16", "16x", "0x1x1", "16x1x2x3", "16x1x2 ", "ax1"])
def test_text_that_is_no_residual_network_is_shown_in_the_error(body: str) -> None:
    with pytest.raises(
        InputError, match=re.escape(f"FILTERSxBLOCKSxSTAGES, as in resnet:16x3x3. Received: '{body}'")
    ):
        ResNet.from_body(body)


@pytest.mark.parametrize("values", [(0, 1, 1), (16, 1.0, 1), (16, 1, True)])
def test_values_that_are_not_allowed_are_refused(values: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match="whole numbers"):
        ResNet(*values)


def test_json_with_other_keys_is_refused() -> None:
    with pytest.raises(InputError, match="filters, blocks and stages"):
        architecture_from_json({"kind": "resnet", "filters": 16})
