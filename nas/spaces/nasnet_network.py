"""Wiring of a pair of cells into a network, written once for both building and counting.

Source: Zoph, Vasudevan, Shlens & Le (2018), §3 and appendix A, and where the paper is silent the authors'
released code, tensorflow/models `research/slim/nets/nasnet` (`nasnet.py`, `nasnet_utils.py`).

`wire` puts the network together out of `NetworkParts`: those of `nas.networks.nasnet` make Keras layers,
those of `CountedParts` only carry shapes along and count. So what a network costs can't differ from what is
built.

Beyond the authors' code, which builds NASNet-A alone and adds all states, we chose:

- The operations that it lacks: each convolution is ReLU, convolution, batch normalisation; of a pair of
  convolutions the first has the stride, along both axes; the dilation is 2. A dilated 3×3 convolution of
  stride 2 sees every second pixel alone, and is written so: every second pixel, then an undilated one.
- A block that concatenates gives twice the cell's filters. An operation on such a state brings it back to the
  cell's filters, as it does with any other state of other width.
- Cells whose states are not joined (NASNet-B, appendix A.4): a state that comes in with other channels
  than the cell's filters goes through ReLU, 1×1 convolution and batch normalisation; each state that comes
  into the first cell is the stem; the classifier and the auxiliary head see all states side by side.
- The auxiliary head averages over 5×5 windows, over smaller ones where the map is smaller.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

from nas.spaces.architecture import Cost
from nas.spaces.costs import dense_cost, same_size, total

if TYPE_CHECKING:
    from nas.spaces.nasnet import Cell, NasNetCells
    from nas.spaces.nasnet_stack import NasNetStack

Shape = tuple[int, int, int]
"""(height, width, channels)."""

Window = tuple[int, int]
"""(height, width)."""

Padding = Literal["same", "valid"]

T = TypeVar("T")


class NetworkParts(Protocol[T]):
    """What networks of cells are made of; `T` stands for a batch of maps.

    Windows have SAME padding unless something else is said. The names are those of layers.
    """

    def shape(self, tensor: T) -> Shape:
        """Of one example."""
        ...

    def rectified(self, tensor: T) -> T:
        """The ReLU of `tensor`."""
        ...

    def conv2d(
        self,
        tensor: T,
        filters: int,
        size: Window,
        *,
        stride: int = 1,
        dilation: int = 1,
        padding: Padding = "same",
        name: str,
    ) -> T:
        """A convolution without bias."""
        ...

    def separable_conv2d(self, tensor: T, filters: int, size: int, *, stride: int = 1, name: str) -> T:
        """A depthwise convolution, which has the stride, and a pointwise one, both without bias."""
        ...

    def batch_norm(self, tensor: T, *, name: str) -> T:
        """Batch normalisation with scale and offset."""
        ...

    def example_norm(self, tensor: T, *, each_channel: bool, name: str) -> T:
        """Instance normalisation, or layer normalisation over height, width and channels.

        Either has a scale and an offset for each channel.
        """
        ...

    def pooled(
        self,
        tensor: T,
        kind: str,
        size: Window,
        *,
        stride: int,
        padding: Padding = "same",
        zeros: bool = False,
    ) -> T:
        """The averages (`avg`) or the largest values (`max`) of windows.

        Args:
            tensor: what is pooled.
            kind: `avg` or `max`.
            size: of the window.
            stride: along both axes.
            padding: how windows at the border are treated.
            zeros: whether places outside count, as zeros.
        """
        ...

    def shifted(self, tensor: T) -> T:
        """The map without its first row and column; of odd heights and widths zeros follow at the end.

        Every second pixel of it, from the first on, is as many as of the map itself.
        """
        ...

    def added(self, tensors: Sequence[T], *, name: str) -> T:
        """The sum of tensors of equal shape."""
        ...

    def concatenated(self, tensors: Sequence[T], *, name: str) -> T:
        """Tensors of equal height and width, side by side in depth; one alone stays as it is."""
        ...

    def path(self, tensor: T, keep: float, *, name: str) -> T:
        """An operation's result, which training may drop; see `NasNetStack.drop_path_keep`.

        Args:
            tensor: the result.
            keep: the probability with which it is kept at the end of the training, below 1.
            name: of the layer.
        """
        ...

    def dense(self, tensor: T, outputs: int, *, name: str) -> T:
        """A dense layer with bias, on a map of one pixel."""
        ...

    def average(self, tensor: T, *, dropout: float) -> T:
        """The average over height and width, as a map of one pixel, with dropout in training."""
        ...


_CONVOLUTIONS: dict[str, tuple[Window, ...]] = {
    "identity": ((1, 1),),  # where it must change the shape
    "conv1x3_3x1": ((1, 3), (3, 1)),
    "conv1x7_7x1": ((1, 7), (7, 1)),
    "conv1x1": ((1, 1),),
    "conv3x3": ((3, 3),),
}
_SEPARABLE = {"sep3x3": 3, "sep5x5": 5, "sep7x7": 7}
_POOLINGS = {"avg3x3": ("avg", 3), "max3x3": ("max", 3), "max5x5": ("max", 5), "max7x7": ("max", 7)}

AUXILIARY_FILTERS = (128, 768)
"""Of the two convolutions of the auxiliary head (`_build_aux_head` of the authors' code)."""


def wire(
    parts: NetworkParts[T], cells: NasNetCells, stack: NasNetStack, image: T, classes: int, *, head: bool
) -> tuple[T, T | None]:
    """Puts the network of a stack of cells together.

    Args:
        parts: what it is made of.
        cells: a normal and a reduction cell.
        stack: how many of them, with how many filters.
        image: the images.
        classes: how many.
        head: whether there is an auxiliary head.

    Returns:
        The logits, and those of the auxiliary head or None.
    """
    wiring = _Wiring(parts, cells, stack)
    auxiliary = None
    wiring.add_stem(image)
    for part in (1, 2, 3):
        wiring.add_part(part)
        if head and part == 2:
            auxiliary = _auxiliary_logits(parts, wiring.features("auxiliary"), classes)
    means = parts.average(wiring.features("features"), dropout=stack.dropout)
    return parts.dense(means, classes, name="logits"), auxiliary


def first_normal_cell(cells: NasNetCells, stack: NasNetStack, image: Shape) -> Shape:
    """What the first normal cell gets from the one before, or from the stem."""
    wiring = _Wiring(CountedParts(), cells, stack)
    wiring.add_stem(Counted(image))
    return wiring.outputs[-1][0].shape


def network_cost(
    cells: NasNetCells, stack: NasNetStack, image: Shape, classes: int, *, head: bool = False
) -> Cost:
    """Size of the network; see `wire`."""
    logits, auxiliary = wire(CountedParts(), cells, stack, Counted(image), classes, head=head)
    return counted_cost(logits) if auxiliary is None else counted_cost(logits, auxiliary)


def pair_cost(cells: NasNetCells, input_shape: Shape, filters: int) -> Cost:
    """Size of a normal cell of `filters` filters and of a reduction cell of twice as many.

    As in a stack, where the filters double whenever height and width are halved. Each of the states that come
    in from outside has `input_shape`.
    """
    return total([cost for _, cost in pair_parts(cells, input_shape, filters)])


def pair_parts(cells: NasNetCells, input_shape: Shape, filters: int) -> Iterator[tuple[Shape, Cost]]:
    """Shape and size of what the pair of `pair_cost` is made of, part by part.

    For each cell what fits the states from outside (the shape is that of the first one), its blocks, and
    what joins its outputs if it does so.
    """
    for cell, wide, stride in ((cells.normal, filters, 1), (cells.reduction, 2 * filters, 2)):
        wiring = _CellWiring(CountedParts(), wide, stride, cells.joined, 1.0, False, "cell")
        states = wiring.entered([Counted(input_shape) for _ in range(cell.inputs)])
        parts = [(states[0].shape, list(states))]
        for number in range(len(cell.blocks)):
            states.append(wiring.block(cell, number, states))
            parts.append((states[-1].shape, [states[-1]]))
        ends = wiring.going_out(cell, states)
        if cells.joined:
            parts.append((ends[0].shape, ends))
        needed, before = _reached(*ends), dict[int, Counted]()
        for shape, made in parts:
            there = _reached(*made)
            yield shape, total([there[key].cost for key in (there.keys() & needed.keys()) - before.keys()])
            before |= there


class _Wiring(Generic[T]):
    """Cells one behind the other.

    Attributes:
        outputs: of the stem and of the cells so far, each as the states that go on.
    """

    def __init__(self, parts: NetworkParts[T], cells: NasNetCells, stack: NasNetStack) -> None:
        self._parts, self._cells, self._stack = parts, cells, stack
        self._total = 3 * stack.cells + 2 + len(stack.stem_scales)
        self._count = 0
        self.outputs: list[list[T]] = []

    def add_stem(self, image: T) -> None:
        """A convolution, and on large images two reduction cells (`_cifar_stem`, `_imagenet_stem`)."""
        stack, parts = self._stack, self._parts
        stem = parts.conv2d(
            image,
            stack.stem_filters,
            (3, 3),
            stride=stack.stem_stride,
            padding="same" if stack.stem_stride == 1 else "valid",
            name="stem",
        )
        self.outputs.append([parts.batch_norm(stem, name="stem_norm")])
        for number, scale in enumerate(stack.stem_scales, 1):
            self._add(self._cells.reduction, 2, scale, self._before(), f"stem_cell{number}")

    def add_part(self, part: int) -> None:
        """A reduction cell (but in the first part) and N normal cells (`_build_nasnet_base`).

        The first normal cell behind a reduction cell sees beside it the cell before it, or if reductions are
        skipped the one before that.
        """
        scale = 2.0 ** (part - 1)
        before = self._before()
        if part > 1:
            self._add(self._cells.reduction, 2, scale, before, f"reduction{part - 1}")
        if not self._stack.skip_reduction:
            before = self._before()
        for number in range(self._stack.cells):
            name = f"normal{(part - 1) * self._stack.cells + number + 1}"
            self._add(self._cells.normal, 1, scale, self._before() if number else before, name)

    def features(self, name: str) -> T:
        """The ReLU of all states that the last cell gave, side by side."""
        return self._parts.rectified(self._parts.concatenated(self.outputs[-1], name=f"{name}_concat"))

    def _before(self) -> list[T] | None:
        """What the last cell but one gave."""
        return self.outputs[-2] if len(self.outputs) > 1 else None

    def _add(self, cell: Cell, stride: int, scale: float, before: list[T] | None, name: str) -> None:
        stack = self._stack
        self._count += 1
        keep = 1 - self._count / self._total * (1 - stack.drop_path_keep)
        wiring = _CellWiring(
            self._parts,
            int(stack.filters * scale),
            stride,
            self._cells.joined,
            keep,
            stack.zero_padding,
            name,
        )
        if self._cells.joined:
            (here,) = self.outputs[-1]
            states = wiring.entered([here, *(before or [])])
        else:
            sources = self.outputs[-1] * cell.inputs if before is None else self.outputs[-1]
            states = wiring.entered(sources)
        self.outputs.append(wiring.outputs(cell, states))


class _CellWiring(Generic[T]):
    """One cell.

    Args:
        parts: what it is made of.
        filters: of its operations.
        stride: of the operations on states that come from outside.
        joined: whether its outputs are joined into one.
        keep: of the paths, see `NetworkParts.path`.
        zeros: see `NasNetStack.zero_padding`.
        name: what the names of its layers begin with.
    """

    def __init__(
        self,
        parts: NetworkParts[T],
        filters: int,
        stride: int,
        joined: bool,
        keep: float,
        zeros: bool,
        name: str,
    ) -> None:
        self._parts, self._filters, self._stride, self._joined = parts, filters, stride, joined
        self._keep, self._zeros, self._name = keep, zeros, name

    def entered(self, sources: Sequence[T]) -> list[T]:
        """The states that come from outside (`_cell_base`, `_reduce_prev_layer` of the authors' code).

        Args:
            sources: of a cell that joins, what the cell before gave, and the one before that if there is one;
                else state 1 is the former *as it is*. Of others, the states of the cell before.
        """
        parts, filters = self._parts, self._filters
        first, *others = sources
        if not self._joined:
            return [
                self._projected(source, f"state{number}") if parts.shape(source)[2] != filters else source
                for number, source in enumerate(sources)
            ]
        states = [self._projected(first, "state0")]
        before = others[0] if others else None
        if before is None:
            states.append(first)
        elif parts.shape(before)[:2] != parts.shape(first)[:2]:
            states.append(self._reduced(parts.rectified(before), 2, "state1"))
        elif parts.shape(before)[2] != filters:
            states.append(self._projected(before, "state1"))
        else:
            states.append(before)
        return states

    def outputs(self, cell: Cell, states: Sequence[T]) -> list[T]:
        """What goes on from the states that came in."""
        made = list(states)
        for number in range(len(cell.blocks)):
            made.append(self.block(cell, number, made))
        return self.going_out(cell, made)

    def going_out(self, cell: Cell, made: Sequence[T]) -> list[T]:
        """What goes on of all states: the outputs side by side, or each by itself.

        A state from outside that goes out is brought to the size and depth of those that the cell makes
        (`_combine_unused_states` of the authors' code).
        """
        parts, found = self._parts, []
        for number in cell.outputs:
            state = made[number]
            if number < cell.inputs and (self._stride > 1 or parts.shape(state)[2] != self._filters):
                state = self._reduced(state, self._stride, f"output{number}")
            found.append(state)
        return [parts.concatenated(found, name=f"{self._name}_concat")] if self._joined else found

    def block(self, cell: Cell, number: int, states: Sequence[T]) -> T:
        """The state that a block of the cell makes of those that are there."""
        block, name = cell.blocks[number], f"block{number + 1}"
        sides = [
            self._operation(
                operation, states[state], self._stride if state < cell.inputs else 1, f"{name}_{side}"
            )
            for side, (state, operation) in zip(("left", "right"), block.sides, strict=True)
        ]
        name = f"{self._name}_{name}"
        if block.combination == "concat":
            return self._parts.concatenated(sides, name=f"{name}_concat")
        added = self._parts.added(sides, name=f"{name}_add")
        if block.combination == "add":
            return added
        each = block.combination == "add_instance_norm"
        return self._parts.example_norm(added, each_channel=each, name=f"{name}_norm")

    def _operation(self, operation: str, state: T, stride: int, name: str) -> T:
        """An operation on a state, which gives the cell's filters (`_apply_conv_operation`)."""
        parts, fits = self._parts, self._parts.shape(state)[2] == self._filters
        if operation == "identity" and stride == 1 and fits:
            return state
        if operation in _SEPARABLE:
            made = state
            for number, step in ((1, stride), (2, 1)):
                layer = f"{self._name}_{name}_sep{number}"
                made = parts.separable_conv2d(
                    parts.rectified(made), self._filters, _SEPARABLE[operation], stride=step, name=layer
                )
                made = parts.batch_norm(made, name=f"{layer}_norm")
        elif operation in _POOLINGS:
            kind, size = _POOLINGS[operation]
            zeros = self._zeros and stride > 1
            made = parts.pooled(state, kind, (size, size), stride=stride, zeros=zeros)
            if not fits:
                made = self._normed(made, (1, 1), f"{name}_conv1")
        elif operation == "dil3x3":
            made, dilation = parts.rectified(state), 2
            if stride > 1:
                made, dilation = parts.pooled(made, "avg", (1, 1), stride=stride), 1
            made = self._normed(made, (3, 3), f"{name}_conv1", dilation=dilation)
        else:
            made = state
            for number, window in enumerate(_CONVOLUTIONS[operation], 1):
                step = stride if number == 1 else 1
                made = self._normed(parts.rectified(made), window, f"{name}_conv{number}", stride=step)
        if operation == "identity" or self._keep == 1:
            return made
        return parts.path(made, self._keep, name=f"{self._name}_{name}_path")

    def _projected(self, tensor: T, name: str) -> T:
        return self._normed(self._parts.rectified(tensor), (1, 1), name)

    def _normed(self, tensor: T, window: Window, name: str, *, stride: int = 1, dilation: int = 1) -> T:
        """A convolution to the cell's filters, and batch normalisation."""
        name = f"{self._name}_{name}"
        made = self._parts.conv2d(tensor, self._filters, window, stride=stride, dilation=dilation, name=name)
        return self._parts.batch_norm(made, name=f"{name}_norm")

    def _reduced(self, tensor: T, stride: int, name: str) -> T:
        """A factorized reduction: half of the filters see every second pixel, half those shifted by one.

        An odd number of filters gives the second half one more, as the authors' later code does.
        """
        if stride == 1:
            return self._normed(tensor, (1, 1), name)
        parts, name = self._parts, f"{self._name}_{name}"
        half = self._filters // 2
        halves = [
            parts.conv2d(tensor, half, (1, 1), stride=2, name=f"{name}_even"),
            parts.conv2d(parts.shifted(tensor), self._filters - half, (1, 1), stride=2, name=f"{name}_odd"),
        ]
        return parts.batch_norm(parts.concatenated(halves, name=f"{name}_concat"), name=f"{name}_norm")


def _auxiliary_logits(parts: NetworkParts[T], features: T, classes: int) -> T:
    """`_build_aux_head` of the authors' code."""
    height, width, _ = parts.shape(features)
    window = (min(height, 5), min(width, 5))
    net = parts.pooled(features, "avg", window, stride=3, padding="valid")
    for number, filters in enumerate(AUXILIARY_FILTERS, 1):
        size = (1, 1) if number == 1 else parts.shape(net)[:2]
        name = f"auxiliary_conv{number}"
        net = parts.conv2d(net, filters, size, padding="valid", name=name)
        net = parts.rectified(parts.batch_norm(net, name=f"{name}_norm"))
    return parts.dense(net, classes, name="auxiliary_logits")


NOTHING = Cost(0, 0)
"""Of parts without weights."""


@dataclass(frozen=True, eq=False)
class Counted:
    """What stands for a tensor where networks are only counted.

    Attributes:
        shape: of one example.
        sources: what it is made of.
        cost: of the part that makes it.
    """

    shape: Shape
    sources: tuple[Counted, ...] = ()
    cost: Cost = NOTHING


def counted_cost(*ends: Counted) -> Cost:
    """Of all that `ends` depend on.

    What leads nowhere, such as h_{i−1} of cells that don't use it, costs nothing: it is no part of a network.
    """
    return total([tensor.cost for tensor in _reached(*ends).values()])


def _reached(*ends: Counted) -> dict[int, Counted]:
    """All that `ends` depend on, themselves included, by identity."""
    found: dict[int, Counted] = {}
    waiting = list(ends)
    while waiting:
        tensor = waiting.pop()
        if id(tensor) not in found:
            found[id(tensor)] = tensor
            waiting += tensor.sources
    return found


class CountedParts:
    """Parts that carry shapes along and count what Keras and TensorFlow's profiler count."""

    def shape(self, tensor: Counted) -> Shape:
        return tensor.shape

    def rectified(self, tensor: Counted) -> Counted:
        return tensor

    def conv2d(
        self,
        tensor: Counted,
        filters: int,
        size: Window,
        *,
        stride: int = 1,
        dilation: int = 1,
        padding: Padding = "same",
        name: str,
    ) -> Counted:
        height, width = _windows(tensor, size, stride, padding)
        weights = size[0] * size[1] * tensor.shape[2] * filters
        return Counted((height, width, filters), (tensor,), Cost(weights, weights * height * width))

    def separable_conv2d(
        self, tensor: Counted, filters: int, size: int, *, stride: int = 1, name: str
    ) -> Counted:
        height, width = _windows(tensor, (size, size), stride, "same")
        weights = (size * size + filters) * tensor.shape[2]
        return Counted((height, width, filters), (tensor,), Cost(weights, weights * height * width))

    def batch_norm(self, tensor: Counted, *, name: str) -> Counted:
        return Counted(tensor.shape, (tensor,), Cost(4 * tensor.shape[2], 0))

    def example_norm(self, tensor: Counted, *, each_channel: bool, name: str) -> Counted:
        return Counted(tensor.shape, (tensor,), Cost(2 * tensor.shape[2], 0))

    def pooled(
        self,
        tensor: Counted,
        kind: str,
        size: Window,
        *,
        stride: int,
        padding: Padding = "same",
        zeros: bool = False,
    ) -> Counted:
        return Counted((*_windows(tensor, size, stride, padding), tensor.shape[2]), (tensor,))

    def shifted(self, tensor: Counted) -> Counted:
        height, width, channels = tensor.shape
        return Counted((height - 1 + height % 2, width - 1 + width % 2, channels), (tensor,))

    def added(self, tensors: Sequence[Counted], *, name: str) -> Counted:
        return Counted(tensors[0].shape, tuple(tensors))

    def concatenated(self, tensors: Sequence[Counted], *, name: str) -> Counted:
        height, width, _ = tensors[0].shape
        return Counted((height, width, sum(tensor.shape[2] for tensor in tensors)), tuple(tensors))

    def path(self, tensor: Counted, keep: float, *, name: str) -> Counted:
        return tensor

    def dense(self, tensor: Counted, outputs: int, *, name: str) -> Counted:
        return Counted((1, 1, outputs), (tensor,), dense_cost(tensor.shape[2], outputs))

    def average(self, tensor: Counted, *, dropout: float) -> Counted:
        return Counted((1, 1, tensor.shape[2]), (tensor,))


def _windows(tensor: Counted, size: Window, stride: int, padding: Padding) -> Window:
    """How many windows there are, downwards and across."""
    height, width, _ = tensor.shape
    if padding == "valid":
        height, width = height - size[0] + 1, width - size[1] + 1
    return same_size(height, stride), same_size(width, stride)
