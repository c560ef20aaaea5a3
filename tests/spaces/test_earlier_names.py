"""Names of earlier versions, which a user's experiment or module may hold."""

from __future__ import annotations

from nas import plugins
from nas.spaces import recurrent_cell
from nas.spaces.recurrent_cell_space import RecurrentCellSpace


def test_a_recurrent_space_that_an_experiment_names_by_its_earlier_import_path_is_found() -> None:
    assert plugins.find("space", "nas.spaces.cell:CellSpace") is RecurrentCellSpace
    assert plugins.find("space", "cell") is RecurrentCellSpace


def test_earlier_names_of_recurrent_cells_are_the_same_objects() -> None:
    from nas.spaces.cell import NAMED_CELLS, CellNode, RecurrentCell

    assert CellNode is recurrent_cell.RecurrentNode
    assert RecurrentCell is recurrent_cell.RecurrentCell
    assert NAMED_CELLS is recurrent_cell.NAMED_RECURRENT_CELLS
