"""The convolutional search space of Zoph & Le (2017, §3) and its networks."""

from nas.spaces.conv_layer import Layer
from nas.spaces.conv_net import ConvNet
from nas.spaces.conv_shapes import Join, Link, NetShapes
from nas.spaces.conv_space import ConvSpace

__all__ = ["ConvNet", "ConvSpace", "Join", "Layer", "Link", "NetShapes"]
