"""Where zeros and poolings stand, and what size everything has."""

from fractions import Fraction

import pytest

from nas.spaces.conv import ConvNet, Join, Link
from nas.spaces.conv_shapes import windows

NO_PAD = ((0, 0), (0, 0))


def net(body: str) -> ConvNet:
    return ConvNet.from_body(body)


def test_sizes_round_up_under_strides() -> None:
    shapes = net("3x3x4s2x3@0,max3x3s2@1").shapes((5, 8, 3))
    assert shapes.outputs == ((3, 3, 4), (2, 2, 4))


def test_inputs_are_concatenated_in_depth_in_the_order_of_their_numbers() -> None:
    assert net("3x3x4@0,3x3x8@0,3x3x2@0+1+2").shapes((8, 8, 3)).inputs[2] == Join(
        (Link(0, 0, NO_PAD), Link(1, 0, NO_PAD), Link(2, 0, NO_PAD)), (8, 8, 3 + 4 + 8)
    )


def test_smaller_inputs_get_zeros_evenly_around_and_an_odd_one_at_bottom_or_right() -> None:
    """Repair rule: 8×8 and 3×4 meet: 5 rows and 4 columns of zeros are missing."""
    assert net("3x3x4@0,3x3x8s3x2@0,3x3x2@1+2").shapes((8, 8, 1)).inputs[2] == Join(
        (Link(1, 0, NO_PAD), Link(2, 0, ((2, 3), (2, 2)))), (8, 8, 12)
    )


def test_each_axis_is_padded_to_its_own_largest_input() -> None:
    join = net("3x3x4s1x2@0,3x3x4s2x1@0,3x3x2@1+2").shapes((8, 8, 1)).inputs[2]
    assert join.shape == (8, 8, 8)
    assert [link.pad for link in join.links] == [((0, 0), (2, 2)), ((2, 2), (0, 0))]


def test_unused_outputs_of_different_size_are_padded_for_the_classifier() -> None:
    assert net("3x3x4@0,3x3x8s2@0").shapes((8, 8, 1)).head == Join(
        (Link(1, 0, NO_PAD), Link(2, 0, ((2, 2), (2, 2)))), (8, 8, 12)
    )


def test_every_link_that_passes_a_pooling_position_is_pooled_by_it() -> None:
    shapes = net("pool1+pool2,3x3x4@0,3x3x4@0,3x3x4@0+1+2,3x3x4@3").shapes((7, 8, 1))
    assert [[link.poolings for link in join.links] for join in shapes.inputs] == [[0], [1], [2, 2, 1], [0]]
    assert shapes.outputs == ((7, 8, 4), (4, 4, 4), (2, 2, 4), (2, 2, 4))


def test_an_unused_output_passes_the_pooling_positions_on_its_way_to_the_classifier() -> None:
    shapes = net("pool1+pool2,3x3x4@0,3x3x4@0").shapes((8, 8, 1))
    assert shapes.head == Join((Link(1, 2, NO_PAD), Link(2, 1, NO_PAD)), (2, 2, 8))


def test_poolings_come_before_the_zero_padding() -> None:
    join = net("pool2,3x3x4s2@0,3x3x4@0,3x3x4@1+2").shapes((8, 8, 1)).inputs[2]
    assert join == Join((Link(1, 1, ((1, 1), (1, 1))), Link(2, 1, NO_PAD)), (4, 4, 8))


def test_a_block_hands_on_the_outputs_of_all_its_convolutions() -> None:
    shapes = net("block3,3x3x6@0,3x3x12@1").shapes((8, 8, 3))
    assert shapes.outputs == ((8, 8, 18), (8, 8, 36))
    assert shapes.inputs[1].shape == (8, 8, 18)


@pytest.mark.parametrize("size", range(1, 9))
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("window", [1, 2, 3, 5, 7])
def test_windows_are_those_of_same_padding(size: int, stride: int, window: int) -> None:
    """Against pooling written out: pad with nothing before and after, move the window, drop nothings."""
    values = [Fraction(10**index) for index in range(size)]
    count = -(-size // stride)
    missing = max((count - 1) * stride + window - size, 0)
    padded = [None] * (missing // 2) + values + [None] * (missing - missing // 2 + stride)
    expected = [
        [value for value in padded[index * stride : index * stride + window] if value is not None]
        for index in range(count)
    ]
    assert [values[start:end] for start, end in windows(size, window, stride)] == expected
