"""Convolutional and residual networks as layers in lanes."""

from __future__ import annotations

from collections.abc import Sequence

from nas.errors import InputError
from nas.report.drawings import draw
from nas.report.drawings.lanes import Row, in_lanes
from nas.report.drawings.parts import Drawing
from nas.spaces import Architecture
from nas.spaces.conv import ConvNet
from nas.spaces.conv_layer import Layer
from nas.spaces.costs import same_size
from nas.spaces.resnet import ResNet

Shape = tuple[int, int, int]


@draw.register
def draw_conv(net: ConvNet, shape: tuple[int, ...] | None = None, outputs: int | None = None) -> Drawing:
    """The layers with their links as arcs.

    Bars are as wide as the layers' outputs are deep, a small rectangle shows the shape of the filters.
    """
    image = _image(net, shape)
    each, head = _shapes(net, image)
    deepest = max(channels for *_, channels in (image, *each))
    rows = [Row("image", _size(image), "image", share=image[2] / deepest)]
    for number, (layer, output) in enumerate(zip(net.layers, each, strict=True), 1):
        rows.append(
            Row(
                _what(layer, net.block),
                _size(output),
                "conv" if layer.op == "conv" else "pool",
                layer.inputs,
                output[2] / deepest,
                (layer.height, layer.width),
                "2×2 max-pooling of all that passes" if number - 1 in net.pool_after else "",
            )
        )
    rows.append(
        Row(
            "average, dense, softmax",
            f"{_size(head)} → {outputs}" if outputs else _size(head),
            "head",
            net.outputs,
            band="2×2 max-pooling of all that passes" if len(net.layers) in net.pool_after else "",
        )
    )
    links = sum(len(row.inputs) for row in rows)
    layers = f"{len(net.layers)} layers" if len(net.layers) > 1 else "one layer"
    return in_lanes(rows, f"Convolutional network of {layers} with {links} links")


def _shapes(net: ConvNet, image: Shape) -> tuple[Sequence[Shape], Shape]:
    """The shapes of the layers' outputs and of what the classifier gets.

    Without strides and poolings all are as large as the image, which need not be computed for each of the
    thousands of networks of a page.
    """
    if net.pool_after or any(layer.op != "conv" or layer.strides != (1, 1) for layer in net.layers):
        shapes = net.shapes(image)
        return shapes.outputs, shapes.head.shape
    height, width, _ = image
    channels = [net.block * layer.filters for layer in net.layers]
    head = sum(channels[number - 1] for number in net.outputs)
    return [(height, width, depth) for depth in channels], (height, width, head)


@draw.register
def draw_resnet(net: ResNet, shape: tuple[int, ...] | None = None, outputs: int | None = None) -> Drawing:
    """The convolutions, with each residual block's shortcut as an arc."""
    image = _image(net, shape)
    height, width, channels = image
    deepest = net.filters * 2 ** (net.stages - 1)
    first = f"3×3 · {net.filters} filters"
    rows = [
        Row("image", _size(image), "image", share=min(1.0, channels / deepest)),
        Row(first, _size((height, width, net.filters)), "conv", (0,), net.filters / deepest, (3, 3)),
    ]
    for block in net.residual_blocks:
        begin = len(rows) - 1
        height, width = same_size(height, block.stride), same_size(width, block.stride)
        size, share = _size((height, width, block.filters)), block.filters / deepest
        stride = f" / {block.stride}" if block.stride > 1 else ""
        added = " + 1×1 shortcut" if block.projection else " + shortcut"
        rows.append(Row(f"3×3 · {block.filters}{stride}", size, "conv", (begin,), share, (3, 3)))
        rows.append(Row(f"3×3 · {block.filters}{added}", size, "conv", (begin, begin + 1), share, (3, 3)))
    size = f"{rows[-1].size} → {outputs}" if outputs else rows[-1].size
    rows.append(Row("average, dense, softmax", size, "head", (len(rows) - 1,)))
    return in_lanes(rows, f"Residual network of {len(net.residual_blocks)} blocks")


def _image(net: Architecture, shape: tuple[int, ...] | None) -> Shape:
    found = net.shown_for[0] if shape is None else shape
    if len(found) != 3:
        raise InputError(f"a network for images needs (height, width, channels). Received: {shape}")
    return found[0], found[1], found[2]


def _what(layer: Layer, block: int) -> str:
    window = f"{layer.height}×{layer.width}"
    down, right = layer.strides
    stride = "" if layer.strides == (1, 1) else f" / {down}" if down == right else f" / {down}×{right}"
    if layer.op != "conv":
        return f"{window} {'max' if layer.op == 'max_pool' else 'average'}-pooling{stride}"
    each = f"{window} · {layer.filters} filters"
    return f"{block} × ({each}, dense)" if block > 1 else each + stride


def _size(shape: Shape) -> str:
    return "×".join(map(str, shape))
