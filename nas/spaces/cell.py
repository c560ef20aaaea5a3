"""The recurrent-cell search space of Zoph & Le (2017, §3.4) and its cells."""

from nas.spaces.cell_names import NAMED_CELLS
from nas.spaces.cell_node import ACTIVATIONS, COMBINATIONS, CellNode
from nas.spaces.cell_space import CellSpace
from nas.spaces.cell_tree import RecurrentCell

__all__ = ["ACTIVATIONS", "COMBINATIONS", "NAMED_CELLS", "CellNode", "CellSpace", "RecurrentCell"]
