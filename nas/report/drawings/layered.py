"""Layered layout of a graph (Sugiyama, Tagawa & Toda, 1981), by the library grandalf."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from grandalf.graphs import Edge, Graph, Vertex
from grandalf.layouts import SugiyamaLayout

Place = tuple[float, float]

KEPT = 1024
"""Layouts that are kept: the cells of a search differ in what their nodes do, few in how they are wired."""


@dataclass(frozen=True)
class Layout:
    """Where everything stands, in pixels, from the upper left corner.

    Attributes:
        width, height: of all together.
        middles: of each node.
        ways: for each edge the places that it goes through between its two nodes.
    """

    width: float
    height: float
    middles: Mapping[str, Place]
    ways: Mapping[tuple[str, str], tuple[Place, ...]]


class _View:
    def __init__(self, width: float, height: float) -> None:
        self.w, self.h = width, height
        self.xy = (0.0, 0.0)


class _Way:
    places: Sequence[Place] = ()

    def setpath(self, places: Sequence[Place]) -> None:
        self.places = places


def layered(
    sizes: Mapping[str, tuple[float, float]],
    edges: Sequence[tuple[str, str]],
    *,
    across: float = 26,
    between: float = 40,
    way: float = 30,
    order: Mapping[str, float] | None = None,
    way_order: Mapping[tuple[str, str], Sequence[float]] | None = None,
) -> Layout:
    """Places for the nodes of a connected graph without cycles, the edges leading upwards.

    Args:
        sizes: width and height of each node.
        edges: (from, to).
        across: pixels between two nodes of a layer.
        between: pixels between two layers.
        way: width that a long edge takes between the nodes that it passes.
        order: for each node a number, by which those of a layer stand from left to right; None: in an
            order of few crossings.
        way_order: the same for long edges, a number for each layer that they pass.
    """
    return _layered(
        tuple(sizes.items()),
        tuple(edges),
        (across, between, way),
        None if order is None else tuple(order.items()),
        tuple((pair, tuple(numbers)) for pair, numbers in (way_order or {}).items()),
    )


@lru_cache(KEPT)
def _layered(
    named: tuple[tuple[str, tuple[float, float]], ...],
    edges: tuple[tuple[str, str], ...],
    room: tuple[float, float, float],
    order: tuple[tuple[str, float], ...] | None,
    way_order: tuple[tuple[tuple[str, str], tuple[float, ...]], ...],
) -> Layout:
    sizes, (across, between, way) = dict(named), room
    vertices = {name: Vertex(name) for name in sizes}
    for name, vertex in vertices.items():
        vertex.view = _View(*sizes[name])
    made = {(a, b): Edge(vertices[a], vertices[b]) for a, b in edges}
    for edge in made.values():
        edge.view = _Way()
    graph: Any = Graph(list(vertices.values()), list(made.values()))
    if len(graph.C) != 1:
        raise ValueError(f"the graph must be connected. Received: {len(graph.C)} parts")
    layout = SugiyamaLayout(graph.C[0])
    layout.xspace, layout.yspace = across, between
    layout.dw, layout.dh = way, 0
    layout.init_all(roots=[v for v in graph.C[0].sV if not v.e_in()], inverted_edges=[])
    if order is None:
        layout.draw()
    else:
        _arrange(layout, dict(order), {made[pair]: numbers for pair, numbers in way_order})
    ways = {pair: tuple(edge.view.places[1:-1]) for pair, edge in made.items()}
    middles = {name: v.view.xy for name, v in vertices.items()}
    lowest = [x for x, y in middles.values() if y == min(y for _, y in middles.values())]
    mirror = -1 if lowest[0] > lowest[-1] else 1  # grandalf begins at either side
    return _moved(
        {name: (mirror * x, y) for name, (x, y) in middles.items()},
        {pair: tuple((mirror * x, y) for x, y in found) for pair, found in ways.items()},
        sizes,
        way,
    )


def _arrange(
    layout: SugiyamaLayout, order: Mapping[str, float], way_order: Mapping[Edge, Sequence[float]]
) -> None:
    """Coordinates for an order that is given."""
    numbers = {vertex: order[vertex.data] for vertex in layout.g.sV}
    for edge, passed in way_order.items():
        between = sorted(layout.ctrls.get(edge, {}).items())[1:-1]
        numbers |= {vertex: number for (_, vertex), number in zip(between, passed, strict=True)}
    for layer in layout.layers:
        layer.sort(key=numbers.__getitem__)
        for position, vertex in enumerate(layer):
            layout.grx[vertex].pos = position
    layout.setxy()
    layout.draw_edges()


def _moved(
    middles: Mapping[str, Place],
    ways: Mapping[tuple[str, str], tuple[Place, ...]],
    sizes: Mapping[str, tuple[float, float]],
    way: float,
) -> Layout:
    """The layout with its corner at (0, 0) and the first layer at the bottom."""
    places = [place for found in ways.values() for place in found]
    left = min([*(x - sizes[n][0] / 2 for n, (x, _) in middles.items()), *(x - way / 2 for x, _ in places)])
    right = max([*(x + sizes[n][0] / 2 for n, (x, _) in middles.items()), *(x + way / 2 for x, _ in places)])
    top = min(y - sizes[name][1] / 2 for name, (_, y) in middles.items())
    bottom = max(y + sizes[name][1] / 2 for name, (_, y) in middles.items())

    def move(place: Place) -> Place:
        return round(place[0] - left, 1), round(bottom - place[1], 1)

    return Layout(
        right - left,
        bottom - top,
        {name: move(place) for name, place in middles.items()},
        {pair: tuple(move(place) for place in found) for pair, found in ways.items()},
    )
