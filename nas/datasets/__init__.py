"""Data sets: from a name to arrays with splits and a digest."""

from nas.datasets.prepared import Prepared, PreparedImages, PreparedText, load, verify
from nas.datasets.preparing import prepare
from nas.datasets.source import Labelled, Places, Progress, RawImages, Source

__all__ = [
    "Labelled",
    "Places",
    "Prepared",
    "PreparedImages",
    "PreparedText",
    "Progress",
    "RawImages",
    "Source",
    "load",
    "prepare",
    "verify",
]
