"""The layers of an architecture as lines of a table, one function for each kind of architecture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import Any

from nas.spaces import Architecture, Cost
from nas.spaces.conv import ConvNet, Join
from nas.spaces.costs import convolution_cost, dense_cost, total

Shape = tuple[int, int, int]


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
def lines_of(architecture: Architecture, shape: Shape, classes: int) -> list[Line]:
    """The lines of `architecture` for images of `shape` and a number of classes.

    A kind that has registered nothing is one line.
    """
    cost = architecture.cost(shape, classes)
    what = ", ".join(f"{name} {value}" for name, value in architecture.fields().items())
    return [
        Line("all", f"{architecture.kind}: {what}", "image", (classes,), cost.parameters, cost.multiply_adds)
    ]


@lines_of.register
def _(net: ConvNet, shape: Shape, classes: int) -> list[Line]:
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
    dense = dense_cost(shapes.head.shape[2], classes)
    head = f"average over {shapes.head.shape[0]}×{shapes.head.shape[1]}, dense, softmax"
    lines.append(
        Line("output", head, _inputs(shapes.head), (classes,), dense.parameters, dense.multiply_adds)
    )
    return lines


def _inputs(join: Join) -> str:
    """What is concatenated, as `image + 2 (pooled)`, and `padded` where zeros are put around it."""
    words = []
    for link in join.links:
        notes = ["pooled" if link.poolings == 1 else f"pooled {link.poolings} times"] * bool(link.poolings)
        notes += ["padded"] * any(zeros for axis in link.pad for zeros in axis)
        name = "image" if link.source == 0 else str(link.source)
        words.append(f"{name} ({', '.join(notes)})" if notes else name)
    return " + ".join(words)
