"""Architectures from text and from JSON, whatever their kind."""

import re
from typing import Any

import pytest

from nas.errors import InputError
from nas.spaces import architecture_from_json, parse_architecture
from nas.spaces.conv import ConvNet
from nas.spaces.resnet import ResNet


def test_the_kind_before_the_colon_says_which_class_reads_the_rest() -> None:
    assert isinstance(parse_architecture("conv:3x3x24@0"), ConvNet)
    assert isinstance(parse_architecture(" resnet:16x3x3\n"), ResNet)


def test_an_architecture_of_ones_own_is_named_by_its_import_path() -> None:
    assert parse_architecture("nas.spaces.resnet:ResNet:16x3x3") == ResNet(16, 3, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3x3x24@0", "an architecture begins with its kind, as in 'conv:3x3x24@0'. Received: '3x3x24@0'"),
        ("", "begins with its kind"),
        ("cnov:3x3x24@0", "no architecture is named 'cnov' (did you mean 'conv'?)"),
        ("nas.spaces.resnet:ResidualBlock:x", "'nas.spaces.resnet:ResidualBlock' names no architecture"),
    ],
)
def test_a_text_without_a_known_kind_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        parse_architecture(text)


@pytest.mark.parametrize("value", [{}, {"layers": []}, {"kind": "nope"}, "conv:3x3x24@0", ["kind"], None])
def test_json_without_a_known_kind_is_refused(value: Any) -> None:
    with pytest.raises(InputError):
        architecture_from_json(value)


def test_the_two_forms_write_the_same_architecture() -> None:
    net = parse_architecture("conv:3x3x24@0,5x5x36@1")
    assert architecture_from_json(net.to_json()) == net
    assert net.to_json()["kind"] == "conv"
    assert str(net) == net.text() == f"conv:{net.body()}"


def test_a_kind_without_words_of_its_own_is_one_line_with_all_of_its_cost() -> None:
    net = ResNet(16, 1, 2)
    (line,) = net.lines((8, 8, 1), 10)
    assert (line.layer, line.what, line.output_shape) == (
        "all",
        "resnet: filters 16, blocks 1, stages 2",
        (10,),
    )
    cost = net.cost((8, 8, 1), 10)
    assert (line.parameters, line.multiply_adds) == (cost.parameters, cost.multiply_adds)
