"""Cells that are known by a name, which may stand instead of a cell's text: `cell:zoph-le-2017`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

NAMED_CELLS: Mapping[str, str] = MappingProxyType(
    {
        # The cell that the authors released after Zoph & Le (2017): NASCell of TensorFlow's contrib.rnn.
        "zoph-le-2017": (
            "add-sigmoid,add-relu,add-sigmoid,elem_mult-relu,add-tanh,add-sigmoid,add-tanh,add-sigmoid"
            "/elem_mult-tanh,add-tanh,elem_mult-tanh,add-sigmoid"
            "/elem_mult-identity,add-tanh"
            "/elem_mult-tanh"
            "/c=12,inject=add-tanh@8"
        ),
        # The example that the paper computes step by step: figure 5.
        "worked-example": "add-tanh,elem_mult-relu/elem_mult-sigmoid/c=1,inject=add-relu@0",
        # An LSTM (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000) as a cell of the
        # tree. Leaves 0 and 1 are its input gate i and candidate g; leaves 2 and 3, summed at node 9, its
        # forget gate f; leaves 4–7, summed at node 13, its output gate o; node 8 is i⊙g, the injection makes
        # node 9 f⊙c, node 12 has c = i⊙g + f⊙c before its tanh, and node 14 is o⊙tanh(c).
        # Limits: a cell of the tree has no biases (the forget gate's included), and f and o are sums of two
        # and four redundant pairs of matrices, so that it has 8 pairs where an LSTM needs 4.
        "lstm": (
            "add-sigmoid,add-tanh,add-identity,add-identity"
            ",add-identity,add-identity,add-identity,add-identity"
            "/elem_mult-identity,add-sigmoid,add-identity,add-identity"
            "/add-tanh,add-sigmoid"
            "/elem_mult-identity"
            "/c=12,inject=elem_mult-identity@9"
        ),
    }
)
"""The text form of each named cell, without its kind."""
