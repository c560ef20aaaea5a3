"""From an architecture to a Keras network."""

from nas.networks import conv, resnet  # importing them registers their builders
from nas.networks.build import build, register

__all__ = ["build", "conv", "register", "resnet"]
