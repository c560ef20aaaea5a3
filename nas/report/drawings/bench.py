"""Rows of tables: a cell of NAS-Bench-201, four nodes and the operations between them, or what is decided."""

from __future__ import annotations

from nas.report.drawings import draw
from nas.report.drawings.flow import Does, Node, Wire, flow
from nas.report.drawings.listing import draw_listing
from nas.report.drawings.parts import Drawing
from nas.spaces.nasbench201 import EDGES, NasBench201Cell
from nas.spaces.table import TableRow

_SHORT = {
    "nor_conv_1x1": ("1×1 conv", "activate"),
    "nor_conv_3x3": ("3×3 conv", "activate"),
    "avg_pool_3x3": ("3×3 avg", "pool"),
    "skip_connect": ("identity", "combine"),
}


@draw.register
def draw_bench_cell(
    cell: NasBench201Cell, shape: tuple[int, ...] | None = None, outputs: int | None = None
) -> Drawing:
    """The nodes, each the sum of what comes in, with a box for each operation; `none` is left out."""
    nodes = {f"node{number}": Node(label=str(number)) for number in range(4)}
    nodes["node0"] = Node(label="in")
    nodes["node3"] = Node(label="out")
    wires = [Wire(f"node{number}", f"node{number + 1}", shown=False) for number in range(3)]
    for (begin, end), operation in zip(EDGES, cell.operations, strict=True):
        if operation == "none":
            continue
        name = f"edge{begin}{end}"
        nodes[name] = Node((Does(*_SHORT[operation]),))
        wires += [Wire(f"node{begin}", name), Wire(name, f"node{end}")]
    return flow(nodes, wires, "Cell of NAS-Bench-201: " + ", ".join(cell.operations))


@draw.register
def draw_row(row: TableRow, shape: tuple[int, ...] | None = None, outputs: int | None = None) -> Drawing:
    """The decisions, since nothing else is known of the network."""
    return draw_listing(row, "what network this row stands for, its table's author knows")
