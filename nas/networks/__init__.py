"""From an architecture to a Keras network."""

from nas.networks import standard_cells, tree_cell
from nas.networks.build import (
    Network,
    Settings,
    TrainingOnly,
    build,
    build_network,
    register,
    training_progress,
)
from nas.networks.cell import Cell, cell_layer, register_cell
from nas.networks.recurrent import Recurrent

__all__ = [
    "Cell",
    "Network",
    "Recurrent",
    "Settings",
    "TrainingOnly",
    "build",
    "build_network",
    "cell_layer",
    "register",
    "register_cell",
    "standard_cells",
    "training_progress",
    "tree_cell",
]
