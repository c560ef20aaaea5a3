"""Shapes of the tensors in a convolutional network, from the image to the classifier.

What the paper leaves open, and what we chose:

* **Zero-padding.** Inputs of different height or width are padded with zeros to the largest. The
  zeros stand evenly around the smaller input, an odd one at the bottom or the right.
* **Pooling positions.** A 2×2 max-pooling with stride 2 (SAME padding, so that sizes round up) stands
  between two layers. Every link that passes the position is pooled by it, a link from the image and
  an output that goes to the classifier too: if only some were, the zero-padding would undo the
  pooling. Poolings come before the padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from nas.spaces.conv_layer import Layer
from nas.spaces.costs import same_size

Size = tuple[int, int]
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Link:
    """The way of one tensor into a concatenation.

    Attributes:
        source: 0 for the image, j for the output of layer j.
        poolings: how many 2×2 max-poolings (stride 2, SAME) the tensor passes first.
        pad: zeros put around it after that, ((top, bottom), (left, right)).
    """

    source: int
    poolings: int
    pad: tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Join:
    """Tensors concatenated in depth, in the order of their sources.

    Attributes:
        links: what is concatenated.
        shape: (height, width, channels) of the result.
    """

    links: tuple[Link, ...]
    shape: Shape


@dataclass(frozen=True)
class NetShapes:
    """All shapes of a network.

    Attributes:
        inputs: for each layer what it receives.
        outputs: (height, width, channels) of each layer's output.
        head: what the classifier receives.
    """

    inputs: tuple[Join, ...]
    outputs: tuple[Shape, ...]
    head: Join


def poolings_passed(source: int, target: int, pool_after: Sequence[int]) -> int:
    """How many pooling positions lie between the output of layer `source` and the input of `target`."""
    return sum(source <= position < target for position in pool_after)


def pooled(size: int, poolings: int) -> int:
    """An axis of `size` after 2×2 poolings with stride 2."""
    for _ in range(poolings):
        size = same_size(size, 2)
    return size


def joined_size(
    sources: Sequence[int], target: int, sizes: Sequence[Size], pool_after: Sequence[int]
) -> Size:
    """Height and width of what layer `target` receives from `sources`.

    Args:
        sources: 0 for the image, j for layer j.
        target: number of the layer; one more than the last for the classifier.
        sizes: height and width of the image and of the layers before `target`.
        pool_after: the pooling positions.
    """
    passed = [(sizes[source], poolings_passed(source, target, pool_after)) for source in sources]
    return (
        max(pooled(size[0], poolings) for size, poolings in passed),
        max(pooled(size[1], poolings) for size, poolings in passed),
    )


def output_size(layer: Layer, size: Size) -> Size:
    """Height and width of the output of `layer` for an input of `size`."""
    return same_size(size[0], layer.stride_height), same_size(size[1], layer.stride_width)


@lru_cache(maxsize=4096)
def windows(size: int, window: int, stride: int) -> tuple[tuple[int, int], ...]:
    """The inputs [from, to) that each output of a SAME pooling sees along an axis of `size`.

    Example:
        >>> windows(5, 3, 2)
        ((0, 2), (1, 4), (3, 5))
    """
    count = same_size(size, stride)
    before = max((count - 1) * stride + window - size, 0) // 2
    starts = [index * stride - before for index in range(count)]
    return tuple((max(start, 0), min(start + window, size)) for start in starts)


def net_shapes(
    layers: Sequence[Layer], block: int, pool_after: Sequence[int], outputs: Sequence[int], image: Shape
) -> NetShapes:
    """The shapes of a network (see `ConvNet` for the arguments) on images of shape `image`."""
    shapes = [image]

    def join(sources: Sequence[int], target: int) -> Join:
        size = joined_size(sources, target, [shape[:2] for shape in shapes], pool_after)
        links = []
        for source in sources:
            poolings = poolings_passed(source, target, pool_after)
            missing = [size[axis] - pooled(shapes[source][axis], poolings) for axis in (0, 1)]
            pad = [(zeros // 2, zeros - zeros // 2) for zeros in missing]
            links.append(Link(source, poolings, (pad[0], pad[1])))
        return Join(tuple(links), (*size, sum(shapes[source][2] for source in sources)))

    joins = []
    for number, layer in enumerate(layers, 1):
        joins.append(join(layer.inputs, number))
        *size, channels = joins[-1].shape
        height, width = output_size(layer, (size[0], size[1]))
        shapes.append((height, width, block * layer.filters if layer.op == "conv" else channels))
    return NetShapes(tuple(joins), tuple(shapes[1:]), join(outputs, len(layers) + 1))
