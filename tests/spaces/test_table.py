"""A table's decisions as a space of named choices."""

from __future__ import annotations

import shlex

import pytest

from nas.errors import InputError
from nas.plugins import make
from nas.spaces import parse_architecture
from nas.spaces.table import TableRow, TableSpace
from nas.testing.spaces import SpaceContract

DECISIONS = {"filters": [16, 32], "kernel": [1, 3, 5], "edge": {0: "none", 1: "conv 3×3", 2: "a=b,c"}}


class TestTableSpace(SpaceContract):
    def make_space(self) -> TableSpace:
        return TableSpace(DECISIONS)

    def test_the_cost_is_that_of_a_network(self) -> None:
        """A row's size stands in its table alone."""
        for _, _, row in self.sampled():
            assert row.cost((), 1).parameters == row.cost((), 1).multiply_adds == 0


def test_tokens_choose_options_by_column():
    row = TableSpace(DECISIONS).decode((1, 2, 0), 1)
    assert row == TableRow((("filters", "32"), ("kernel", "5"), ("edge", "none")))
    assert row.text() == "row:filters=32,kernel=5,edge=none"


def test_any_text_is_safe_in_a_shell_and_comes_back():
    row = TableRow((("a =,~%:", "x=y, z/ü~"), ("b", "")))
    assert shlex.quote(row.text()) == row.text()
    assert parse_architecture(row.text()) == row


@pytest.mark.parametrize(
    "decisions", [{}, {"a": []}, {"a": [1, 1]}, {"a": 3}, ["a"], {"a": {0: "x", 1: "x"}}]
)
def test_decisions_without_different_options_are_refused(decisions):
    with pytest.raises(InputError):
        make("space", {"name": "table", "decisions": decisions})


def test_rows_of_other_columns_or_options_are_not_in_the_space():
    space = TableSpace(DECISIONS)
    for body in ("filters=16", "filters=16,kernel=7,edge=none", "filters=16,kernel=1,edges=none"):
        with pytest.raises(InputError):
            space.encode(TableRow.from_body(body))
    for body in ("filters", "=3", "a=1,a=2"):
        with pytest.raises(InputError):
            TableRow.from_body(body)
