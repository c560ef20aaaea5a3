"""Data sets: from a name to arrays with splits and a digest."""

from nas.datasets.images import ImageSource, Labelled, RawImages
from nas.datasets.prepared import Prepared, PreparedImages, PreparedTable, PreparedText, load, verify
from nas.datasets.preparing import prepare
from nas.datasets.source import Places, Progress, Raw, Source
from nas.datasets.text import RawText, TextSource

__all__ = [
    "ImageSource",
    "Labelled",
    "Places",
    "Prepared",
    "PreparedImages",
    "PreparedTable",
    "PreparedText",
    "Progress",
    "Raw",
    "RawImages",
    "RawText",
    "Source",
    "TextSource",
    "load",
    "prepare",
    "verify",
]
