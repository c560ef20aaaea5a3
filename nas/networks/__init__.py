"""From an architecture to a Keras network. Builders are imported when an architecture names them."""

from nas.networks.build import (
    Network,
    Settings,
    TrainingOnly,
    build,
    build_network,
    register,
    training_progress,
)
from nas.networks.recurrent_cell import RecurrentCellLayer, recurrent_cell_layer, register_recurrent_cell
from nas.networks.recurrent_layer import Recurrent

Cell, cell_layer, register_cell = RecurrentCellLayer, recurrent_cell_layer, register_recurrent_cell
"""Deprecated names of earlier versions: they say "cell" of recurrent ones alone."""

__all__ = [
    "Cell",
    "Network",
    "Recurrent",
    "RecurrentCellLayer",
    "Settings",
    "TrainingOnly",
    "build",
    "build_network",
    "cell_layer",
    "recurrent_cell_layer",
    "register",
    "register_cell",
    "register_recurrent_cell",
    "training_progress",
]
