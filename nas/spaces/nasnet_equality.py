"""Canonical order of the blocks of a cell: cells that are wired equally are written equally.

Blocks have no names: a cell is a graph, and every order in which each block comes after those that it uses
writes the same one. The order that counts is found by *refinement with individualisation*, the way in which
programs for graph isomorphism find canonical forms (McKay 1981, Practical Graph Isomorphism): blocks get
ranks by what they are, then by the ranks of what they use and of what uses them, until nothing more can be
told apart; where blocks still share a rank, each of them is tried as the first, and the smallest writing
counts. It is exact: writings are equal if and only if the graphs are. Only what symmetry doesn't settle is
tried, so that cells full of equal blocks are as fast as others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

Uses = Sequence[tuple[Any, int]]
"""What one node uses: pairs of how (a label that can be sorted) and the number of the node."""

Writing = tuple[Any, ...]
"""The graph, written down in an order of its nodes."""


def canonical_order(kinds: Sequence[Any], uses: Sequence[Uses]) -> list[int]:
    """The order of nodes in which a graph is written; equal graphs are equal when they are written in theirs.

    Args:
        kinds: what each node is, apart from what it uses; they can be sorted, and rise in the order.
        uses: what each node uses.

    Returns:
        The numbers of the nodes, in order.

    Example:
        >>> canonical_order(["b", "a", "b"], [[("x", 1)], [], [("x", 0)]])
        [1, 0, 2]
    """
    return _Graph(kinds, uses).order()


class _Graph:
    def __init__(self, kinds: Sequence[Any], uses: Sequence[Uses]) -> None:
        self.uses = [sorted(one) for one in uses]
        self.users: list[list[tuple[Any, int]]] = [[] for _ in uses]
        for node, used in enumerate(self.uses):
            for how, other in used:
                self.users[other].append((how, node))
        self.kinds = kinds
        self.nodes = range(len(kinds))

    def order(self) -> list[int]:
        return self._best(
            self._refined(_ranks(list(zip(self.kinds, self._places_among_twins(), strict=True))))
        )[1]

    def _places_among_twins(self) -> list[int]:
        """For each node how many nodes before it are of its kind, use the same and are used by the same.

        An exchange of such twins changes nothing, so that any order of theirs will do.
        """
        count: dict[Any, int] = defaultdict(int)
        places = []
        for node in self.nodes:
            twins = (self.kinds[node], tuple(self.uses[node]), tuple(sorted(self.users[node])))
            places.append(count[twins])
            count[twins] += 1
        return places

    def _refined(self, ranks: list[int]) -> list[int]:
        """`ranks` divided by the ranks of what each node uses and of what uses it, until nothing changes."""
        distinct = len(set(ranks))
        while distinct < len(ranks):
            ranks = _ranks(
                [
                    (
                        ranks[node],
                        sorted((ranks[other], how) for how, other in self.uses[node]),
                        sorted((ranks[other], how) for how, other in self.users[node]),
                    )
                    for node in self.nodes
                ]
            )
            before, distinct = distinct, len(set(ranks))
            if before == distinct:
                break
        return ranks

    def _best(self, ranks: list[int]) -> tuple[Writing, list[int], set[Writing]]:
        """The smallest writing of those that `ranks` leave open, its order, and all that were tried.

        A node whose first writing was found below a node that was tried before it is that node's image under
        a symmetry of the graph, so that nothing else is to be found below it.
        """
        shared = self._first_shared(ranks)
        if shared is None:
            order = sorted(self.nodes, key=ranks.__getitem__)
            writing = self._written(order, ranks)
            return writing, order, {writing}
        first, *others = shared
        writing, order, seen = self._best(self._refined(_first(ranks, first)))
        for node in others:
            below = self._refined(_first(ranks, node))
            if self._first_writing(below) in seen:
                continue
            other, its_order, found = self._best(below)
            seen |= found
            if other < writing:
                writing, order = other, its_order
        return writing, order, seen

    def _first_writing(self, ranks: list[int]) -> Writing:
        while shared := self._first_shared(ranks):
            ranks = self._refined(_first(ranks, shared[0]))
        return self._written(sorted(self.nodes, key=ranks.__getitem__), ranks)

    def _first_shared(self, ranks: list[int]) -> list[int] | None:
        """The nodes of the lowest rank that several have."""
        groups: dict[int, list[int]] = defaultdict(list)
        for node in self.nodes:
            groups[ranks[node]].append(node)
        return groups[min(several)] if (several := [r for r in groups if len(groups[r]) > 1]) else None

    def _written(self, order: Sequence[int], places: Sequence[int]) -> Writing:
        return tuple(
            (self.kinds[node], tuple(sorted((places[other], how) for how, other in self.uses[node])))
            for node in order
        )


def _ranks(keys: Sequence[Any]) -> list[int]:
    """For each key how many different ones are smaller."""
    rising: list[Any] = []
    for key in sorted(keys):
        if not rising or rising[-1] != key:
            rising.append(key)
    return [rising.index(key) for key in keys]


def _first(ranks: Sequence[int], node: int) -> list[int]:
    """`ranks` with `node` before the others of its rank."""
    return _ranks([(rank, other != node) for other, rank in enumerate(ranks)])
