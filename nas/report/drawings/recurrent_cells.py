"""Recurrent cells from the bottom to the top, as in the paper's figures 5 and 8."""

from __future__ import annotations

from nas.report.drawings import draw
from nas.report.drawings.flow import Does, Node, Wire, flow
from nas.report.drawings.parts import Drawing
from nas.spaces.recurrent_cell import RecurrentCell, RecurrentNode, StandardCell

COMBINATIONS = {"add": "+ add", "elem_mult": "⊙ multiply", "max": "max"}
X, H, C = "x_{t}", "h_{t−1}", "c_{t−1}"
"""What comes into every cell."""


@draw.register
def draw_tree(
    cell: RecurrentCell, shape: tuple[int, ...] | None = None, outputs: int | None = None
) -> Drawing:
    """The tree of a cell, leaves at the bottom, with the way of its memory in a colour of its own.

    A box first combines what comes from below, then activates it. c_t leaves a box between the two; where
    c_{t−1} comes in, the box goes on with a combination and an activation of the injection.
    """
    nodes = {
        str(index): Node(
            _does(node) + (_does(cell.inject, "inject") if index == cell.c_in else ()),
            (X, H) if index < cell.base else (),
            beside=C if index == cell.c_in else "",
            into=2,
            label=str(index),
        )
        for index, node in enumerate(cell.nodes)
    }
    nodes |= {"c_out": Node(label="c_{t}", memory=True), "h": Node(label="h_{t}")}
    root = len(cell.nodes) - 1
    order, memory_order = _order(cell)
    wires = [
        *(
            Wire(str(child), str(index))
            for index in range(cell.base, len(cell.nodes))
            for child in cell.children(index) or ()
        ),
        Wire(str(root), "h"),
        Wire(str(cell.c_out), "c_out", after=1, memory=True, order=memory_order),
    ]
    if cell.c_out != root:
        wires.append(Wire(str(root), "c_out", shown=False))  # c_t ends beside h_t
    about = f"Recurrent cell of base {cell.base}, c_t from node {cell.c_out}, c_(t−1) into node {cell.c_in}"
    return flow(nodes, wires, about, order)


def _order(cell: RecurrentCell) -> tuple[dict[str, float], tuple[float, ...]]:
    """Where nodes stand, the leaves from left to right, and where the way of c_t passes the levels.

    It runs beside the nodes above its own, on the side where it crosses fewer of the tree's edges.
    """
    order = {index: float(index) for index in range(cell.base)}
    above = {}
    for index in range(cell.base, len(cell.nodes)):
        left, right = cell.children(index) or (index, index)
        order[index] = (order[left] + order[right]) / 2
        above[left] = above[right] = index
    passed = [cell.c_out]
    while passed[-1] in above:
        passed.append(above[passed[-1]])
    rights = sum(index % 2 for index in passed[:-1])  # the right one of two children has an odd number
    side = 0.01 if cell.c_in != cell.c_out and 2 * rights >= len(passed) - 1 else -0.01
    root = order[len(cell.nodes) - 1]
    named = {str(index): place for index, place in order.items()}
    return {**named, "h": root, "c_out": root + side}, tuple(order[index] + side for index in passed[1:])


@draw.register
def draw_standard(
    cell: StandardCell, shape: tuple[int, ...] | None = None, outputs: int | None = None
) -> Drawing:
    """The equations of a hand-made cell, with the parameters of Keras' own layers."""
    return _lstm() if cell.name == "lstm" else _gru()


def _does(node: RecurrentNode, kind: str = "") -> tuple[Does, Does]:
    return (
        Does(COMBINATIONS[node.combination], kind or "combine"),
        Does(node.activation, kind or "activate"),
    )


def _gate(name: str, activation: str = "sigmoid") -> Node:
    return Node((Does("+ add", "combine"), Does(activation, "activate")), (X, H), label=name)


def _lstm() -> Drawing:
    multiply = (Does(COMBINATIONS["elem_mult"], "combine"),)
    nodes = {
        "c_in": Node(label=C, memory=True),
        "f": _gate("f"),
        "i": _gate("i"),
        "g": _gate("g", "tanh"),
        "o": _gate("o"),
        "kept": Node(multiply),
        "new": Node(multiply),
        "sum": Node((Does("+ add", "combine"),)),
        "tanh": Node((Does("tanh", "activate"),)),
        "out": Node(multiply),
        "c": Node(label="c_{t}", memory=True),
        "h": Node(label="h_{t}"),
    }
    wires = [
        Wire("c_in", "kept", memory=True),
        Wire("f", "kept"),
        Wire("i", "new"),
        Wire("g", "new"),
        Wire("kept", "sum", memory=True),
        Wire("new", "sum"),
        Wire("sum", "tanh"),
        Wire("sum", "c", memory=True),
        Wire("tanh", "out"),
        Wire("o", "out"),
        Wire("out", "h"),
        Wire("out", "c", shown=False),
    ]
    return flow(nodes, wires, "LSTM: forget gate f, input gate i, candidate g, output gate o")


def _gru() -> Drawing:
    multiply = (Does(COMBINATIONS["elem_mult"], "combine"),)
    nodes = {
        "h_in": Node(label=H),
        "z": _gate("z"),
        "r": _gate("r"),
        "u": Node((Does("U h + b", "activate"),), (H,)),
        "w": Node((Does("W x + b", "activate"),), (X,)),
        "reset": Node(multiply),
        "g": Node((Does("+ add", "combine"), Does("tanh", "activate")), label="g"),
        "rest": Node((Does("1 − z", "combine"),)),
        "kept": Node(multiply),
        "new": Node(multiply),
        "sum": Node((Does("+ add", "combine"),)),
        "h": Node(label="h_{t}"),
    }
    wires = [
        Wire("h_in", "kept"),
        Wire("z", "kept"),
        Wire("z", "rest"),
        Wire("r", "reset"),
        Wire("u", "reset"),
        Wire("reset", "g"),
        Wire("w", "g"),
        Wire("g", "new"),
        Wire("rest", "new"),
        Wire("kept", "sum"),
        Wire("new", "sum"),
        Wire("sum", "h"),
    ]
    return flow(nodes, wires, "GRU: update gate z, reset gate r, candidate g")
