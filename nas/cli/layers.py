"""The layers of an architecture as lines of a table, one function for each kind of architecture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import Any

from nas.spaces import Architecture, Cost
from nas.spaces.conv import ConvNet, Join
from nas.spaces.costs import convolution_cost, dense_cost, total
from nas.spaces.recurrent_cell import RecurrentCell

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Line:
    """One line: a layer, what it does to which inputs, and what it costs."""

    layer: str
    what: str
    inputs: str
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "output_shape": list(self.output_shape)}


@singledispatch
def lines_of(architecture: Architecture, shape: Shape, outputs: int) -> list[Line]:
    """The lines of `architecture` for an input shape and a number of outputs (see `Architecture.cost`).

    A kind that has registered nothing is one line.
    """
    cost = architecture.cost(shape, outputs)
    what = ", ".join(f"{name} {value}" for name, value in architecture.fields().items())
    source = "image" if len(shape) == 3 else "x, h"
    return [
        Line("all", f"{architecture.kind}: {what}", source, (outputs,), cost.parameters, cost.multiply_adds)
    ]


@lines_of.register
def _(net: ConvNet, shape: Shape, outputs: int) -> list[Line]:
    shapes = net.shapes(shape)
    lines = []
    for index, (layer, join, output) in enumerate(
        zip(net.layers, shapes.inputs, shapes.outputs, strict=True), 1
    ):
        window = f"{layer.height}×{layer.width}"
        stride = "" if layer.strides == (1, 1) else " stride " + "×".join(map(str, layer.strides))
        if layer.op == "conv":
            times = f"{net.block} × " if net.block > 1 else ""
            what = f"{times}{window} convolution, {layer.filters} filters{stride}"
            channels = [join.shape[2] + step * layer.filters for step in range(net.block)]
            cost = total(
                [
                    convolution_cost((layer.height, layer.width), c, layer.filters, output[:2])
                    for c in channels
                ]
            )
        else:
            kind = "max-pooling" if layer.op == "max_pool" else "average pooling"
            what, cost = f"{window} {kind}{stride}", Cost(0, 0)
        lines.append(Line(str(index), what, _inputs(join), output, cost.parameters, cost.multiply_adds))
    dense = dense_cost(shapes.head.shape[2], outputs)
    head = f"average over {shapes.head.shape[0]}×{shapes.head.shape[1]}, dense, softmax"
    lines.append(
        Line("output", head, _inputs(shapes.head), (outputs,), dense.parameters, dense.multiply_adds)
    )
    return lines


@lines_of.register
def _(cell: RecurrentCell, shape: Shape, outputs: int) -> list[Line]:
    whole = cell.cost(shape, outputs)
    lines = []
    for index, node in enumerate(cell.nodes):
        children = cell.children(index)
        share = Cost(0, 0)
        inputs = "x, h"
        if children is None:
            share = Cost(whole.parameters // cell.base, whole.multiply_adds // cell.base)
        else:
            inputs = " + ".join(
                f"{child} (with c)" if child == cell.c_in else str(child) for child in children
            )
        what = f"{node.combination}, {node.activation}" + " → c" * (index == cell.c_out)
        lines.append(Line(str(index), what, inputs, (outputs,), share.parameters, share.multiply_adds))
    inject = f"{cell.inject.combination}, {cell.inject.activation}"
    lines.append(Line("inject", inject, f"{cell.c_in} + c", (outputs,), 0, 0))
    return lines


def shapes_in_words(shape: Shape, outputs: int) -> str:
    """An architecture's input shape and outputs for people.

    Example:
        >>> shapes_in_words((32, 32, 3), 10), shapes_in_words((200,), 200)
        ('images of 32×32×3, 10 classes', '200 inputs and 200 units, one time step')
    """
    if len(shape) == 1:
        return f"{shape[0]:,} inputs and {outputs:,} units, one time step"
    return f"images of {'×'.join(map(str, shape))}, {outputs} classes"


def _inputs(join: Join) -> str:
    """What is concatenated, as `image + 2 (pooled)`, and `padded` where zeros are put around it."""
    words = []
    for link in join.links:
        notes = ["pooled" if link.poolings == 1 else f"pooled {link.poolings} times"] * bool(link.poolings)
        notes += ["padded"] * any(zeros for axis in link.pad for zeros in axis)
        name = "image" if link.source == 0 else str(link.source)
        words.append(f"{name} ({', '.join(notes)})" if notes else name)
    return " + ".join(words)
