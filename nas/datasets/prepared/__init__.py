"""Prepared data sets: what lies in a folder under `data/prepared`, opened and checked."""

from nas.datasets.prepared.base import Prepared, load, verify
from nas.datasets.prepared.images import PreparedImages
from nas.datasets.prepared.table import PreparedTable
from nas.datasets.prepared.text import PreparedText

__all__ = ["Prepared", "PreparedImages", "PreparedTable", "PreparedText", "load", "verify"]
