"""The search space of convolutional networks (Zoph & Le, 2017, §3 and §4.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from nas import plugins
from nas.errors import InputError
from nas.spaces import options as check
from nas.spaces.architecture import Architecture
from nas.spaces.conv_layer import OPERATIONS, Layer, Operation
from nas.spaces.conv_net import ConvNet
from nas.spaces.conv_shapes import Size, joined_size, output_size, windows
from nas.spaces.costs import same_size
from nas.spaces.space import DepthSchedule, Space
from nas.spaces.steps import Choice, Links, Option, Point, Step, StepList, Tokens, When

NETWORK = "network"
"""The scope of the links: its points are the layers."""

PAPER_DEPTH = DepthSchedule(start=6, grow=2, every=1600)


class ConvSpace(Space):
    """Convolutional networks, predicted layer by layer.

    For each layer, in the paper's order (figure 2): the layer's type if there are several, filter
    height, filter width, stride height and stride width if strides are predicted, number of filters
    (not for a pooling), then one link decision for each earlier layer. A predicted learning rate
    comes last.

    Repair rules (§3.3): a layer without input receives the image, and only such a layer does; what no
    layer uses goes to the classifier; smaller inputs are zero-padded (see `ConvNet` and
    `nas.spaces.conv_shapes`).

    The versions of the paper's table 1 are parameters:

    * v1: nothing (`depth` 15 is that of the network reported).
    * v2: `strides=(1, 2, 3)`.
    * v3: `filters=(6, 12, 24, 36), block=3, pool_after=(4, 8), depth=13`; with `more_filters=40`, the last
      line. Differs from the paper: it pools "at layer 13 and layer 24", which fall inside blocks of
      three; we pool after the predicted layers 4 and 8, which are 12 and 24 convolutions.

    Different tokens build the same network when a filter's stride or a pooling's window can't matter on
    an input as small as it is there (SAME padding): `decode` then writes the smallest that does the
    same, and a pooling that sees only single places as `max_pool`. So two decoded architectures of one
    depth are equal exactly when they build the same network on images of `image_size`. A pooling that
    changes nothing stays a layer of the network.

    Args:
        depth: number of predicted layers, or a schedule (`start`, `grow`, `every`, `stop`).
        image_size: height and width of the images that the networks get, one number if equal.
        filter_heights: options of the filters' height.
        filter_widths: options of the filters' width.
        filters: options of the number of filters.
        strides: options of each stride; empty: strides are 1.
        layer_types: `conv` and perhaps `max_pool`, `avg_pool`, whose windows are as large as filters
            (the extension of §3.3 that the paper names and doesn't use).
        pool_after: layers after which a 2×2 max-pooling stands; those beyond the depth are left out.
        block: convolutions in each predicted layer, densely connected.
        more_filters: filters that each convolution has beyond those that the tokens say.
        learning_rates: options of a predicted learning rate (extension of §3.3); empty: none.

    Raises:
        InputError: an option is not allowed.

    Example:
        >>> space = ConvSpace(depth=2)
        >>> str(space.decode((1, 1, 0, 2, 2, 1, 1), 2))
        'conv:3x3x24@0,5x5x36@1'
        >>> space.size(2)
        8192
    """

    canonical_options = classmethod(plugins.held_by)

    def __init__(
        self,
        depth: int | Mapping[str, Any] | DepthSchedule = PAPER_DEPTH,
        image_size: int | Sequence[int] = 32,
        filter_heights: Sequence[int] = (1, 3, 5, 7),
        filter_widths: Sequence[int] = (1, 3, 5, 7),
        filters: Sequence[int] = (24, 36, 48, 64),
        strides: Sequence[int] = (),
        layer_types: Sequence[str] = ("conv",),
        pool_after: Sequence[int] = (),
        block: int = 1,
        more_filters: int = 0,
        learning_rates: Sequence[float] = (),
    ) -> None:
        self.depth = DepthSchedule.of(depth)
        self.image_size = check.image_size(image_size)
        self.filter_heights = check.whole_numbers("filter_heights", filter_heights)
        self.filter_widths = check.whole_numbers("filter_widths", filter_widths)
        self.filters = check.whole_numbers("filters", filters)
        self.strides = check.whole_numbers("strides", strides, needed=False)
        self.layer_types = check.names("layer_types", layer_types, OPERATIONS)
        self.pool_after = tuple(sorted(check.whole_numbers("pool_after", pool_after, needed=False)))
        self.block = check.whole_number("block", block, 1)
        self.more_filters = check.whole_number("more_filters", more_filters, 0)
        self.learning_rates = check.positive_numbers("learning_rates", learning_rates)
        if "conv" not in self.layer_types:
            raise InputError(f"layer_types must have 'conv'. Received: {list(self.layer_types)!r}")
        if self.block > 1 and (self.strides or len(self.layer_types) > 1):
            raise InputError(
                f"blocks of several convolutions (block={self.block}) have neither strides nor pooling "
                "layers: leave strides and layer_types out, or set block to 1. "
                f"Received: strides={list(self.strides)!r}, layer_types={list(self.layer_types)!r}"
            )
        self._steps: dict[int, StepList] = {}

    def steps(self, depth: int) -> StepList:
        if depth not in self._steps:
            check.whole_number("depth", depth, 1)
            steps = [step for number in range(1, depth + 1) for step in self._layer_steps(number)]
            if self.learning_rates:
                steps.append(Choice("learning_rate", "learning_rate", self.learning_rates))
            self._steps[depth] = StepList(tuple(steps))
        return self._steps[depth]

    def _layer_steps(self, number: int) -> list[Step]:
        def choice(kind: str, options: tuple[Option, ...], when: When | None = None) -> Choice:
            return Choice(f"layer{number}.{kind}", kind, options, when)

        steps: list[Step] = []
        only_conv = None
        if len(self.layer_types) > 1:
            steps.append(choice("layer_type", self.layer_types))
            only_conv = When(steps[0].name, ("conv",))
        steps.append(choice("filter_height", self.filter_heights))
        steps.append(choice("filter_width", self.filter_widths))
        if self.strides:
            steps.append(choice("stride_height", self.strides))
            steps.append(choice("stride_width", self.strides))
        steps.append(choice("filters", self.filters, only_conv))
        name = f"layer{number}.links"
        steps.append(Point(name, NETWORK) if number == 1 else Links(name, "links", NETWORK))
        return steps

    def decode(self, tokens: Sequence[int], depth: int) -> ConvNet:
        chosen = self.steps(depth).chosen(tokens)
        pool_after = self._pool_after(depth)
        layers: list[Layer] = []
        sizes = [self.image_size]
        for number in range(1, depth + 1):
            get = {kind: chosen.get(f"layer{number}.{kind}") for kind in _KINDS}
            bits = cast(Tokens, get["links"] or ())
            op = cast(Operation, get["layer_type"] or "conv")
            layer = Layer(
                op,
                cast(int, get["filter_height"]),
                cast(int, get["filter_width"]),
                cast(int, get["filters"]) + self.more_filters if op == "conv" else 0,
                tuple(source for source, bit in enumerate(bits, 1) if bit) or (0,),
                cast(int, get["stride_height"] or 1),
                cast(int, get["stride_width"] or 1),
            )
            size = joined_size(layer.inputs, number, sizes, pool_after)
            layers.append(self._canonical(layer, size))
            sizes.append(output_size(layers[-1], size))
        return ConvNet(tuple(layers), self.block, pool_after)

    def overrides(self, tokens: Sequence[int], depth: int) -> dict[str, Any]:
        if not self.learning_rates:
            return {}
        return {"learning_rate": self.steps(depth).chosen(tokens)["learning_rate"]}

    def encode(self, architecture: Architecture) -> Tokens:
        if not isinstance(architecture, ConvNet):
            raise InputError(f"this space has convolutional networks only. Received: {architecture}")
        depth = len(architecture.layers)
        for name, value, expected in (
            ("block", architecture.block, self.block),
            ("pool_after", architecture.pool_after, self._pool_after(depth)),
        ):
            if value != expected:
                raise InputError(
                    f"networks of {depth} layers have {name}={expected} in this space. Received: {value}"
                )
        tokens: list[int] = []
        sizes = [self.image_size]
        for number, layer in enumerate(architecture.layers, 1):
            size = joined_size(layer.inputs, number, sizes, architecture.pool_after)
            tokens += self._layer_tokens(number, layer, size)
            sizes.append(output_size(layer, size))
        return (*tokens, 0) if self.learning_rates else tuple(tokens)

    def _layer_tokens(self, number: int, layer: Layer, size: Size) -> list[int]:
        """The tokens of layer `number` on an input of `size`."""

        def token(name: str, value: Option, options: tuple[Option, ...]) -> int:
            if value not in options:
                allowed = ", ".join(map(str, options))
                raise InputError(
                    f"layer {number} ('{layer.text()}') is not in this space: {name} must be one of "
                    f"{allowed}. Received: {value}"
                )
            return options.index(value)

        op: str = layer.op
        if op == "max_pool" and op not in self.layer_types and _sees_single_places(layer, size):
            op = "avg_pool"
        layer_type = token("layer type", op, self.layer_types)
        tokens = [layer_type] if len(self.layer_types) > 1 else []
        tokens.append(token("filter height", layer.height, self.filter_heights))
        tokens.append(token("filter width", layer.width, self.filter_widths))
        strides = [
            token("stride height", layer.stride_height, self.strides or (1,)),
            token("stride width", layer.stride_width, self.strides or (1,)),
        ]
        tokens += strides if self.strides else []
        if op == "conv":
            options = tuple(filters + self.more_filters for filters in self.filters)
            tokens.append(token("filters", layer.filters, options))
        if 0 in layer.inputs and len(layer.inputs) > 1:
            raise InputError(
                f"layer {number} ('{layer.text()}') is not in this space: a layer receives the image only "
                "if it has no other input"
            )
        canonical = self._canonical(layer, size)
        if canonical != layer:
            raise InputError(
                f"layer {number} ('{layer.text()}') is not in this space as it stands: on its input of "
                f"{size[0]}×{size[1]} it does the same as '{canonical.text()}'; write that"
            )
        return tokens + [int(source in layer.inputs) for source in range(1, number)]

    def _canonical(self, layer: Layer, size: Size) -> Layer:
        """The smallest layer of this space that does the same as `layer` on an input of `size`."""
        strides = self.strides or (1,)
        if layer.op == "conv":
            down, right = (
                min(s for s in strides if same_size(n, s) == 1) if same_size(n, stride) == 1 else stride
                for n, stride in zip(size, layer.strides, strict=True)
            )
            return replace(layer, stride_height=down, stride_width=right)
        height, down = _smallest_window(
            size[0], layer.height, layer.stride_height, self.filter_heights, strides
        )
        width, right = _smallest_window(size[1], layer.width, layer.stride_width, self.filter_widths, strides)
        same = Layer(layer.op, height, width, 0, layer.inputs, down, right)
        return replace(same, op="max_pool") if _sees_single_places(same, size) else same

    def _pool_after(self, depth: int) -> tuple[int, ...]:
        return tuple(position for position in self.pool_after if position <= depth)


_KINDS = ("layer_type", "filter_height", "filter_width", "stride_height", "stride_width", "filters", "links")


def _smallest_window(
    size: int, window: int, stride: int, sizes: Sequence[int], strides: Sequence[int]
) -> tuple[int, int]:
    """The smallest (window, stride) that pools an axis of `size` into the same places."""
    same = windows(size, window, stride)
    return min((w, s) for w in sizes for s in strides if windows(size, w, s) == same)


def _sees_single_places(layer: Layer, size: Size) -> bool:
    """Whether each output of a pooling comes from one place, so that maximum and average are the same."""
    rows = windows(size[0], layer.height, layer.stride_height)
    columns = windows(size[1], layer.width, layer.stride_width)
    return all(end - start == 1 for start, end in (*rows, *columns))
