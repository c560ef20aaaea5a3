"""From an architecture to a Keras network."""

from nas.networks import conv, resnet, standard_cells, tree_cell  # importing them registers their builders
from nas.networks.build import build, register
from nas.networks.cell import Cell, cell_layer, register_cell
from nas.networks.recurrent import Recurrent

__all__ = [
    "Cell",
    "Recurrent",
    "build",
    "cell_layer",
    "conv",
    "register",
    "register_cell",
    "resnet",
    "standard_cells",
    "tree_cell",
]
