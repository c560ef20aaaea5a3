"""Names of earlier versions for recurrent cells, as a user's experiment or module may hold them."""

from nas.spaces.recurrent_cell import (
    ACTIVATIONS,
    COMBINATIONS,
    NAMED_RECURRENT_CELLS,
    RecurrentCell,
    RecurrentNode,
)
from nas.spaces.recurrent_cell_space import RecurrentCellSpace

CellNode, CellSpace, NAMED_CELLS = RecurrentNode, RecurrentCellSpace, NAMED_RECURRENT_CELLS

__all__ = ["ACTIVATIONS", "COMBINATIONS", "NAMED_CELLS", "CellNode", "CellSpace", "RecurrentCell"]
