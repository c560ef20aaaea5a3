"""`nas show` tells of a network what it is and costs, and of a child all that is known."""

from __future__ import annotations

import json
import math

import pytest

from nas.cli.show import curves, spark
from nas.spaces import parse_architecture
from tests.cli.conftest import Nas, Write


@pytest.mark.parametrize(
    "text",
    [
        "conv:3x3x24@0",
        "conv:3x3x24s2@0,5x5x36@0+1,1x7x48s1x2@0+2",
        "conv:pool1,3x3x24@0,5x5x36s2@1,max3x3s1x2@1,avg3x3@2",
        "conv:block3+pool1+pool2,3x3x6@0,5x5x12@0+1,3x3x24@2",
        "resnet:16x1x2",
    ],
)
def test_the_lines_of_a_network_add_up_to_its_cost(text: str) -> None:
    net = parse_architecture(text)
    lines = net.lines((32, 32, 3), 10)
    cost = net.cost((32, 32, 3), 10)
    assert sum(line.parameters for line in lines) == cost.parameters
    assert sum(line.multiply_adds for line in lines) == cost.multiply_adds


def test_layers_tell_what_they_do_to_which_inputs_at_which_size() -> None:
    net = parse_architecture("conv:block2+pool1,3x3x6@0,5x7x12@0+1")
    first, second, output = net.lines((9, 9, 3), 4)
    assert (first.what, first.inputs) == ("2 × 3×3 convolution, 6 filters", "image")
    assert first.output_shape == (9, 9, 12)
    assert second.inputs == "image (pooled) + 1 (pooled)"
    assert second.output_shape == (5, 5, 24)
    assert (output.inputs, output.output_shape) == ("2", (4,))
    strided = parse_architecture("conv:3x3x6s2@0,3x3x6@0,3x3x6@1+2,avg3x3s2x1@3")
    lines = strided.lines((9, 9, 3), 4)
    assert lines[0].what == "3×3 convolution, 6 filters stride 2×2"
    assert lines[2].inputs == "1 (padded) + 2"
    assert lines[3].what == "3×3 average pooling stride 2×1"


def test_a_network_without_experiment_is_shown_for_supposed_images(nas: Nas, write: Write) -> None:
    text = nas("show", "conv:3x3x24@0").out
    assert "for images of 32×32×3, 10 classes (supposed; name an experiment for its own data)" in text
    write()
    own = nas("show", "conv:3x3x24@0", "tiny").out
    assert "for images of 8×8×1, 10 classes\n" in own
    assert "8×8×24" in own


def test_a_pair_of_cells_is_shown_block_by_block(nas: Nas) -> None:
    text = nas("show", "nasnet:nasnet-a").out
    assert "99,264 parameters, 50,036,736 multiply-adds for states of 32×32×96, 32 filters (supposed" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["normal", "4", "sep5x5", "+", "sep3x3", "0,", "1", "32×32×32", "6,784", "6.42", "M"] in rows
    assert ["reduction", "6", "max3x3", "+", "sep3x3", "0,", "4", "16×16×64", "9,856", "2.39", "M"] in rows


def test_a_network_in_json_can_be_read_back(nas: Nas, write: Write) -> None:
    write()
    told = json.loads(nas("show", "conv:3x3x4@0,3x3x8@0+1", "tiny", "--json").out)
    net = parse_architecture(told["text"])
    assert told["architecture"] == net.to_json()
    assert (told["input_shape"], told["outputs"], told["child"]) == ([8, 8, 1], 10, None)
    cost = net.cost((8, 8, 1), 10)
    assert (told["parameters"], told["multiply_adds"]) == (cost.parameters, cost.multiply_adds)
    assert [layer["layer"] for layer in told["layers"]] == ["1", "2", "output"]


def test_a_child_shows_result_curve_and_network(nas: Nas, write: Write) -> None:
    write(budget={"children": 2})
    nas("search", "tiny", "--no-track")
    told = json.loads(nas("show", "1", "--json").out)["child"]
    assert (told["number"], told["experiment"], told["seed"], told["status"]) == (1, "tiny", 7, "ok")
    assert told["proxy"] is True
    assert told["reward"] == pytest.approx(told["score"] ** 3)
    assert len(told["result"]["history"]) == 2
    text = nas("show", "1", "tiny").out
    assert "child 1 of tiny, seed 7, round 0: ok" in text
    assert "reward (proxy)" in text
    assert "val_accuracy" in text
    assert "▁█" in text
    assert "conv:1x3x4@0,3x3x8@0+1" in text


def test_a_failed_child_shows_why(nas: Nas, write: Write) -> None:
    write(budget={"children": 1}, evaluator__trainer="tests.fakes:raise_error")
    nas("search", "tiny", "--no-track")
    text = nas("show", "0", "tiny").out
    assert "crashed\n  ValueError: the fake training went wrong; its output: .state/" in text


def test_a_child_that_is_not_there_is_named(nas: Nas, write: Write) -> None:
    write(budget={"children": 1})
    nas("search", "tiny", "--no-track")
    ended = nas("show", "9", "tiny")
    assert (ended.code, ended.err) == (2, "nas: this search has no child 9; it has 1 so far, from 0\n")


def test_a_spark_survives_what_is_no_number() -> None:
    assert spark([1.0, math.nan, 2.0, math.inf]) == "▁×█×"
    assert spark([0.5, 0.5]) == "▁▁"
    assert curves([{"loss": 1.0, "seconds": 2.0}, {"loss": 0.5, "seconds": 2.0}]) == {"loss": [1.0, 0.5]}
    assert curves([]) == {}


def test_a_cell_is_shown_node_by_node_with_the_way_of_its_memory(nas: Nas) -> None:
    told = json.loads(nas("show", "cell:worked-example", "--json").out)
    assert [line["layer"] for line in told["layers"]] == ["0", "1", "2", "inject"]
    assert [line["inputs"] for line in told["layers"]] == ["x, h", "x, h", "0 (with c) + 1", "0 + c"]
    assert told["layers"][1]["what"] == "elem_mult, relu → c"
    assert sum(line["parameters"] for line in told["layers"]) == told["parameters"] == 2 * 2 * 200 * 200
    assert told["model"] is None
    assert "200 inputs and 200 units, one time step (supposed" in nas("show", "cell:worked-example").out
