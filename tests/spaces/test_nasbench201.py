"""NAS-Bench-201's cells: official strings, which of them are one network, and the table's own sizes."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from nas.errors import InputError
from nas.spaces import parse_architecture
from nas.spaces.nasbench201 import EDGES, NAMES, NasBench201Cell, NasBench201Space
from nas.spaces.nasbench201_equality import OPERATIONS, network
from nas.spaces.nasbench201_size import size_of
from nas.testing.spaces import SpaceContract

NONE, SKIP, CONV_1, CONV_3, POOL = OPERATIONS
OPTIMUM = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"


class TestNasBench201Space(SpaceContract):
    def make_space(self) -> NasBench201Space:
        return NasBench201Space()


def test_the_space_has_the_papers_size():
    assert NasBench201Space().size(1) == 15_625


def test_the_official_string_is_read_and_written():
    cell = NasBench201Cell.from_body(OPTIMUM)
    assert cell.official == OPTIMUM
    assert cell == parse_architecture(f"nasbench201:{OPTIMUM}") == parse_architecture(cell.text())
    assert cell.operations == (CONV_3, CONV_3, CONV_3, SKIP, CONV_3, CONV_1)
    assert "|" not in cell.text()


def equal(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return NasBench201Cell(one) == NasBench201Cell(other)


def test_none_cuts_what_lies_behind_it():
    assert equal((NONE, CONV_3, CONV_1, NONE, POOL, SKIP), (NONE, CONV_3, NONE, NONE, NONE, SKIP))
    assert equal((CONV_3, NONE, CONV_1, NONE, POOL, NONE), (CONV_3, NONE, NONE, NONE, POOL, NONE))
    assert equal((NONE,) * 6, (CONV_3, CONV_3, CONV_3, NONE, NONE, NONE))


def test_skip_connections_pass_on_what_they_get():
    by_node_1 = (SKIP, NONE, NONE, NONE, CONV_3, NONE)
    direct = (NONE, NONE, NONE, CONV_3, NONE, NONE)
    assert equal(by_node_1, direct)
    assert not equal(by_node_1, (NONE, NONE, NONE, CONV_1, NONE, NONE))


def test_nodes_may_be_exchanged():
    assert equal((CONV_3, POOL, NONE, NONE, CONV_1, SKIP), (POOL, CONV_3, NONE, NONE, SKIP, CONV_1))
    assert not equal((CONV_3, POOL, CONV_1, NONE, CONV_1, SKIP), (POOL, CONV_3, CONV_1, NONE, SKIP, CONV_1))


def test_two_convolutions_are_not_one_that_is_used_twice():
    once_used_twice = (CONV_3, NONE, SKIP, NONE, SKIP, SKIP)
    two = (CONV_3, CONV_3, NONE, NONE, SKIP, SKIP)
    assert not equal(once_used_twice, two)
    assert equal((POOL, NONE, SKIP, NONE, SKIP, SKIP), (POOL, POOL, NONE, NONE, SKIP, SKIP)), (
        "pooling has no weights"
    )


def test_equality_counts_as_documented_and_the_benchmarks_rule_as_published():
    cells = list(product(OPERATIONS, repeat=6))
    assert len({official_unique(cell) for cell in cells}) == 6_466, "Dong & Yang (2020)"
    assert len({network(cell) for cell in cells}) == 5_260
    assert len({NasBench201Cell(cell) for cell in cells}) == 5_260


def official_unique(operations: tuple[str, ...]) -> str:
    """`CellStructure.to_unique_str(consider_zero=True)` of the benchmark's authors."""
    nodes = ["0"]
    for node in (1, 2, 3):
        terms = []
        for (begin, end), operation in zip(EDGES, operations, strict=True):
            if end == node:
                if operation == NONE or nodes[begin] == "#":
                    terms.append("#")
                elif operation == SKIP:
                    terms.append(nodes[begin])
                else:
                    terms.append(f"({nodes[begin]})@{operation}")
        nodes.append("+".join(sorted(terms)))
    return nodes[-1]


@pytest.mark.parametrize(
    "body",
    [
        "nor_conv_3x3@0",
        OPTIMUM.replace("~1|nor_conv_1x1~2", "~1"),
        OPTIMUM.replace("nor_conv_1x1", "conv_1x1"),
        OPTIMUM.replace("~2", "~1"),
    ],
)
def test_what_is_no_cell_is_refused(body):
    with pytest.raises(InputError):
        NasBench201Cell.from_body(body)


def test_every_row_of_the_published_table_has_the_size_that_it_says(shared: Path):
    table = pd.read_csv(shared / "tables" / "nasbench201.csv.gz")
    assert len(table) == 15_625
    for numbers, arch, parameters, mflops in zip(
        table[list(NAMES)].to_numpy().tolist(), table["arch"], table["params"], table["mflops"], strict=True
    ):
        operations = [OPERATIONS[number] for number in numbers]
        cost = size_of(dict(zip(EDGES, operations, strict=True)), (32, 32, 3), 10)
        assert (cost.parameters, cost.multiply_adds) == (parameters, round(mflops * 1e6))
        nodes = [f"{name}~{begin}" for (begin, _), name in zip(EDGES, operations, strict=True)]
        assert arch == f"|{nodes[0]}|+|{'|'.join(nodes[1:3])}|+|{'|'.join(nodes[3:])}|"
