"""The cells of NAS-Bench-201 (Dong & Yang, 2020): four nodes, one of five operations on each of six edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from nas.errors import InputError, nearest
from nas.spaces.architecture import Architecture, Cost
from nas.spaces.nasbench201_equality import OPERATIONS, representative
from nas.spaces.nasbench201_size import size_of
from nas.spaces.space import DepthSchedule, Space
from nas.spaces.steps import Choice, StepList, Tokens

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""From which node to which, in the order of the official architecture string."""

NAMES = tuple(f"e{begin}{end}" for begin, end in EDGES)
"""The steps' names, one for each edge."""

_OFFICIAL = str.maketrans("@,", "~|")
_SHELL = str.maketrans("~", "@", "|")


@dataclass(frozen=True)
class NasBench201Cell(Architecture):
    """A cell of NAS-Bench-201: node 0 is the input; each other node is the sum of its incoming edges.

    The text form is the official architecture string with `@` for `~` and no `|`, which a shell would take
    for a pipe: `nasbench201:nor_conv_3x3@0+none@0,skip_connect@1+…`. The official one is read too.

    Equal are cells that build the same network (see `nas.spaces.nasbench201_equality`): a cell is kept as
    the first of all that are equal to it, in the official order.

    Attributes:
        operations: on each edge, in the order of `EDGES`.

    Raises:
        InputError: an operation is unknown, or their number is not six.

    Example:
        >>> cell = NasBench201Cell(("nor_conv_3x3", "none", "skip_connect", "none", "none", "nor_conv_1x1"))
        >>> cell.official
        '|none~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|nor_conv_1x1~2|'
    """

    kind: ClassVar[str] = "nasbench201"
    drawing: ClassVar[str | None] = "nas.report.drawings.bench"

    operations: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.operations) != len(EDGES):
            raise InputError(f"a cell has {len(EDGES)} operations. Received: {list(self.operations)}")
        for operation in self.operations:
            if operation not in OPERATIONS:
                raise InputError(f"no operation is named '{operation}': {nearest(operation, OPERATIONS)}")
        object.__setattr__(self, "operations", representative(tuple(self.operations)))

    def body(self) -> str:
        nodes = []
        for node in (1, 2, 3):
            inputs = zip(EDGES, self.operations, strict=True)
            nodes.append(",".join(f"{name}@{begin}" for (begin, end), name in inputs if end == node))
        return "+".join(nodes)

    @property
    def official(self) -> str:
        """The architecture string of the benchmark's own files."""
        return "+".join(f"|{node.translate(_OFFICIAL)}|" for node in self.body().split("+"))

    @classmethod
    def from_body(cls, body: str) -> Self:
        nodes = [
            node.strip("|").replace("|", ",").translate(_SHELL).split(",") for node in body.strip().split("+")
        ]
        pairs = [
            (operation.rpartition("@"), end)
            for end, inputs in enumerate(nodes, start=1)
            for operation in inputs
        ]
        written = tuple((begin, str(end)) for (_, _, begin), end in pairs)
        if written != tuple((str(begin), str(end)) for begin, end in EDGES):
            raise InputError(
                "a cell is written OP@0+OP@0,OP@1+OP@0,OP@1,OP@2, or as the official |OP~0|+…. "
                f"Received: {body!r}"
            )
        return cls(tuple(operation for (operation, _, _), _ in pairs))

    def fields(self) -> dict[str, Any]:
        return {"operations": list(self.operations)}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        return cls(tuple(fields["operations"]))

    def cost(self, input_shape: tuple[int, ...], outputs: int) -> Cost:
        """Of the whole network as the benchmark builds it (see `nas.spaces.nasbench201_size`)."""
        return size_of(dict(zip(EDGES, self.operations, strict=True)), input_shape, outputs)


class NasBench201Space(Space):
    """All 15,625 cells: one choice of an operation for each edge.

    Source: Dong & Yang (2020, NAS-Bench-201, §2.1), which is also the topology space of NATS-Bench.
    """

    def __init__(self) -> None:
        self.depth = DepthSchedule(1)
        self._steps = StepList(tuple(Choice(name, "operation", OPERATIONS) for name in NAMES))

    def steps(self, depth: int) -> StepList:
        return self._steps

    def decode(self, tokens: Sequence[int], depth: int) -> NasBench201Cell:
        chosen = self._steps.split(tokens)
        return NasBench201Cell(tuple(OPERATIONS[token] for (token,) in chosen))

    def encode(self, architecture: Architecture) -> Tokens:
        if not isinstance(architecture, NasBench201Cell):
            raise InputError(f"this space has cells of NAS-Bench-201 only. Received: {architecture}")
        return tuple(OPERATIONS.index(operation) for operation in architecture.operations)
