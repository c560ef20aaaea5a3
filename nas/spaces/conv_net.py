"""Convolutional networks as values (Zoph & Le, 2017, §3.3 and figure 4)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from nas.errors import InputError
from nas.spaces.architecture import Architecture, Cost, Line
from nas.spaces.conv_layer import Layer
from nas.spaces.conv_shapes import Join, NetShapes, net_shapes
from nas.spaces.costs import check_image_task, convolution_cost, dense_cost, total

_FRAME_WORD = re.compile(r"(block|pool)([1-9][0-9]{0,5})")


@dataclass(frozen=True)
class ConvNet(Architecture):
    """A network of convolutions and poolings with links between any layers.

    * A layer receives the concatenation in depth of its inputs, in the order of their numbers;
      smaller ones are zero-padded to the largest (see `nas.spaces.conv_shapes` for where).
    * A convolution has no bias and SAME padding, and is followed by batch normalisation (scale and
      offset) and ReLU. Differs from the paper: it doesn't state this order.
    * A layer may be a densely connected block of `block` convolutions of its size: each sees the
      layer's input and the outputs of the block's earlier convolutions, concatenated in this order; the
      output of the layer is the concatenation of its convolutions' outputs.
    * A pooling has SAME padding; places outside the input count neither for maximum nor average.
    * The outputs that no layer uses are concatenated like the inputs of a layer, then averaged over
      height and width, then go to a dense layer with bias and softmax.

    Two values are equal exactly when they build the same network. The numbers of the layers belong to
    the network: no search is made for a renumbering that would make two networks the same.

    Text form: layers in order, separated by commas, each `HEIGHTxWIDTHxFILTERS` for a convolution,
    `maxHEIGHTxWIDTH` or `avgHEIGHTxWIDTH` for a pooling, then `sSTRIDE` or `sDOWNxRIGHT` if it has a
    stride, then `@` and its inputs separated by `+`, 0 for the image. If the layers are blocks or there
    are pooling positions, a first element says so: `blockN` and `poolLAYER` separated by `+`.

    Example:
        >>> from nas.spaces import parse_architecture
        >>> net = parse_architecture("conv:pool1,3x3x24@0,5x5x36s2@1,max3x3s1x2@1")
        >>> net.outputs
        (2, 3)
        >>> str(net)
        'conv:pool1,3x3x24@0,5x5x36s2@1,max3x3s1x2@1'

    Attributes:
        layers: the layers, numbered from 1.
        block: convolutions in each layer; above 1, layers are convolutions without stride.
        pool_after: numbers of the layers after which a 2×2 max-pooling with stride 2 stands, ascending.

    Raises:
        InputError: a value is not allowed, or a layer's input is not an earlier layer.
    """

    kind: ClassVar[str] = "conv"
    drawing: ClassVar[str | None] = "nas.report.drawings.conv"
    builder: ClassVar[str | None] = "nas.networks.conv"

    layers: tuple[Layer, ...]
    block: int = 1
    pool_after: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.layers, tuple) or not self.layers:
            raise InputError(f"a network needs a tuple of at least one layer. Received: {self.layers!r}")
        if type(self.block) is not int or self.block < 1:
            raise InputError(f"block must be a whole number of at least 1. Received: {self.block!r}")
        for number, layer in enumerate(self.layers, 1):
            if not isinstance(layer, Layer):
                raise InputError(f"layer {number} must be a Layer. Received: {layer!r}")
            if layer.inputs[-1] >= number:
                raise InputError(
                    f"layer {number} ('{layer.text()}') can only have inputs from earlier layers: "
                    f"0 (the image) … {number - 1}. Received: {layer.inputs[-1]}"
                )
            if self.block > 1 and (layer.op != "conv" or layer.strides != (1, 1)):
                raise InputError(
                    f"layer {number} ('{layer.text()}') must be a convolution without stride in a network "
                    f"of blocks (block={self.block})"
                )
        allowed = range(1, len(self.layers) + 1)
        if (
            not isinstance(self.pool_after, tuple)
            or any(type(position) is not int or position not in allowed for position in self.pool_after)
            or any(a >= b for a, b in zip(self.pool_after, self.pool_after[1:], strict=False))
        ):
            raise InputError(
                f"pool_after must be a tuple of ascending layer numbers in 1…{len(self.layers)}. "
                f"Received: {self.pool_after!r}"
            )

    @property
    def outputs(self) -> tuple[int, ...]:
        """Numbers of the layers whose output no layer uses: the classifier receives them."""
        used = {source for layer in self.layers for source in layer.inputs}
        return tuple(number for number in range(1, len(self.layers) + 1) if number not in used)

    def shapes(self, input_shape: Sequence[int]) -> NetShapes:
        """The shapes of all tensors for images of `input_shape`, (height, width, channels)."""
        image = check_image_task(input_shape, 1)
        return net_shapes(self.layers, self.block, self.pool_after, self.outputs, image)

    def cost(self, input_shape: Sequence[int], outputs: int) -> Cost:
        shapes = net_shapes(
            self.layers, self.block, self.pool_after, self.outputs, check_image_task(input_shape, outputs)
        )
        costs = [dense_cost(shapes.head.shape[2], outputs)]
        for layer, join, (height, width, _) in zip(self.layers, shapes.inputs, shapes.outputs, strict=True):
            if layer.op == "conv":
                channels = [join.shape[2] + index * layer.filters for index in range(self.block)]
                window = (layer.height, layer.width)
                costs += [convolution_cost(window, c, layer.filters, (height, width)) for c in channels]
        return total(costs)

    def lines(self, input_shape: tuple[int, ...], outputs: int) -> list[Line]:
        shapes = self.shapes(input_shape)
        lines = []
        for index, (layer, join, output) in enumerate(
            zip(self.layers, shapes.inputs, shapes.outputs, strict=True), 1
        ):
            window = f"{layer.height}×{layer.width}"
            stride = "" if layer.strides == (1, 1) else " stride " + "×".join(map(str, layer.strides))
            if layer.op == "conv":
                times = f"{self.block} × " if self.block > 1 else ""
                what = f"{times}{window} convolution, {layer.filters} filters{stride}"
                channels = [join.shape[2] + step * layer.filters for step in range(self.block)]
                size = (layer.height, layer.width)
                cost = total([convolution_cost(size, c, layer.filters, output[:2]) for c in channels])
            else:
                kind = "max-pooling" if layer.op == "max_pool" else "average pooling"
                what, cost = f"{window} {kind}{stride}", Cost(0, 0)
            lines.append(Line(str(index), what, _inputs(join), output, cost.parameters, cost.multiply_adds))
        dense = dense_cost(shapes.head.shape[2], outputs)
        head = f"average over {shapes.head.shape[0]}×{shapes.head.shape[1]}, dense, softmax"
        costs = dense.parameters, dense.multiply_adds
        return [*lines, Line("output", head, _inputs(shapes.head), (outputs,), *costs)]

    def body(self) -> str:
        frame = [f"block{self.block}"] if self.block > 1 else []
        frame += [f"pool{position}" for position in self.pool_after]
        return ",".join(["+".join(frame)] * bool(frame) + [layer.text() for layer in self.layers])

    @classmethod
    def from_body(cls, body: str) -> Self:
        first, *rest = body.split(",")
        if not first.startswith(("block", "pool")):
            return cls(tuple(Layer.parse(part) for part in (first, *rest)))
        block, pool_after = 1, []
        for position, word in enumerate(first.split("+")):
            match = _FRAME_WORD.fullmatch(word)
            if match is None or (match[1] == "block" and position > 0):
                raise InputError(
                    f"'{word}' in '{first}' is neither blockN (which comes first) nor poolLAYER, "
                    "as in block3+pool4+pool8"
                )
            if match[1] == "block":
                block = int(match[2])
            else:
                pool_after.append(int(match[2]))
        return cls(tuple(Layer.parse(part) for part in rest), block, tuple(pool_after))

    def fields(self) -> dict[str, Any]:
        return {
            "layers": [layer.fields() for layer in self.layers],
            "block": self.block,
            "pool_after": list(self.pool_after),
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        if set(fields) != {"layers", "block", "pool_after"} or any(
            not isinstance(fields[name], list) for name in ("layers", "pool_after")
        ):
            raise InputError(
                "a convolutional network in JSON has the keys layers (a list), block, pool_after (a list). "
                f"Received: {dict(fields)!r}"
            )
        layers = tuple(Layer.from_fields(layer) for layer in fields["layers"])
        return cls(layers, fields["block"], tuple(fields["pool_after"]))


def _inputs(join: Join) -> str:
    """What is concatenated, as `image + 2 (pooled)`, and `padded` where zeros are put around it."""
    words = []
    for link in join.links:
        notes = ["pooled" if link.poolings == 1 else f"pooled {link.poolings} times"] * bool(link.poolings)
        notes += ["padded"] * any(zeros for axis in link.pad for zeros in axis)
        name = "image" if link.source == 0 else str(link.source)
        words.append(f"{name} ({', '.join(notes)})" if notes else name)
    return " + ".join(words)
