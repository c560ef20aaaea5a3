"""When two cells of NAS-Bench-201 are one network.

Two cells are equal if, from the input to the output, they apply the same operations to the same sums:

* `none` cuts: what comes from it adds nothing, and what is made of nothing is nothing (a bias that its batch
  normalisation could learn is left aside, as by the benchmark's own rule); what doesn't reach the output is
  no part of the network;
* `skip_connect` passes its input on, so that its node may be left out;
* nodes have no names, so that an exchange of two changes nothing;
* each convolution has weights of its own: two equal convolutions of one input are two, and one that is used
  twice is one. Average pooling has none: applied twice to one input it is the same tensor.

This makes 5,260 networks. The benchmark's own rule (`CellStructure.to_unique_str(consider_zero=True)` of its
authors' code) counts 6,466 unique cells, since it counts how many zeros enter a sum and doesn't sort sums of
sums; on the other hand it forgets whether a convolution that is used twice has its weights once or twice.

The benchmark trained each of the 15,625 cells for itself, so that equal ones have different numbers in its
table, like one network trained twice. What a table says is looked up by the tokens as they were sampled,
so no row is lost; a leaderboard lists a network once.
"""

from __future__ import annotations

from functools import cache
from itertools import permutations, product

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""In the official order."""

Operations = tuple[str, ...]
"""Of the edges 01, 02, 12, 03, 13, 23."""

_NODES = {1: ((0, 0),), 2: ((0, 1), (1, 2)), 3: ((0, 3), (1, 4), (2, 5))}
"""For each node the nodes that feed it, with the index of the edge."""

Value = tuple[str, ...]
"""A node's sum: its terms in order. The input is one term; nothing is an empty sum."""


def representative(operations: Operations) -> Operations:
    """The first of the cells that are equal to this one, in the official order of operations."""
    return _representatives()[operations]


@cache
def _representatives() -> dict[Operations, Operations]:
    first: dict[str, Operations] = {}
    return {
        operations: first.setdefault(network(operations), operations)
        for operations in product(OPERATIONS, repeat=6)
    }


def network(operations: Operations) -> str:
    """The network as an expression: equal for cells that build the same one."""
    plain, parameters = _output(operations, {})
    groups: dict[str, list[int]] = {}
    for edge, expression in parameters.items():
        groups.setdefault(expression, []).append(edge)
    twins = [edges for edges in groups.values() if len(edges) > 1]
    if not twins:
        return plain
    named = []
    for orders in product(*(permutations(range(len(edges))) for edges in twins)):
        names = {
            edge: f"#{number}"
            for edges, order in zip(twins, orders, strict=True)
            for edge, number in zip(edges, order, strict=True)
        }
        named.append(_output(operations, names)[0])
    return min(named)


def _output(operations: Operations, names: dict[int, str]) -> tuple[str, dict[int, str]]:
    """The output as an expression, and for each edge whose convolution is in it what that computes.

    Args:
        operations: of the cell.
        names: tell convolutions apart that compute the same with weights of their own.
    """
    values: dict[int, Value] = {0: ("x",)}
    used: dict[int, dict[int, str]] = {0: {}}
    for node, inputs in _NODES.items():
        terms: list[str] = []
        used[node] = {}
        for begin, edge in inputs:
            operation, value = operations[edge], values[begin]
            if operation == "none" or not value:
                continue
            used[node] |= used[begin]
            if operation == "skip_connect":
                terms += value
                continue
            expression = f"{operation}({'+'.join(value)})"
            if operation != "avg_pool_3x3":
                used[node][edge] = expression
                expression += names.get(edge, "")
            terms.append(expression)
        values[node] = tuple(sorted(terms))
    return "+".join(values[3]), used[3]
