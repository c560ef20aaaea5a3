"""Drawings of architectures and of search spaces, as SVG and PNG."""

from __future__ import annotations

from functools import singledispatch
from pathlib import Path

from nas.errors import InputError
from nas.report.drawings.bench import draw_bench_cell
from nas.report.drawings.cells import draw_cell, draw_standard
from nas.report.drawings.conv import draw_conv, draw_resnet
from nas.report.drawings.decisions import draw_decisions
from nas.report.drawings.listing import draw_listing
from nas.report.drawings.parts import Drawing
from nas.report.drawings.styles import Theme
from nas.report.drawings.svg import svg
from nas.spaces import Architecture, UnknownArchitecture
from nas.spaces.cell import RecurrentCell
from nas.spaces.conv import ConvNet
from nas.spaces.nasbench201 import NasBench201Cell
from nas.spaces.resnet import ResNet
from nas.spaces.standard_cell import StandardCell
from nas.spaces.table import TableRow

__all__ = ["Drawing", "draw", "draw_decisions", "save", "svg"]


@singledispatch
def draw(
    architecture: Architecture, shape: tuple[int, ...] | None = None, outputs: int | None = None
) -> Drawing:
    """The drawing of an architecture; a kind registers its own with `@draw.register`.

    Args:
        architecture: what to draw.
        shape: of one example without the batch axis; None: as `Architecture.shown_for` supposes.
        outputs: what the network tells apart; None: it isn't shown.
    """
    return draw_listing(architecture, "no drawing is known for this kind")


@draw.register
def _(net: ConvNet, shape: tuple[int, ...] | None = None, outputs: int | None = None) -> Drawing:
    return draw_conv(net, _image(net, shape), outputs)


@draw.register
def _(net: ResNet, shape: tuple[int, ...] | None = None, outputs: int | None = None) -> Drawing:
    return draw_resnet(net, _image(net, shape), outputs)


@draw.register
def _(cell: RecurrentCell, shape: tuple[int, ...] | None = None, outputs: int | None = None) -> Drawing:
    return draw_cell(cell)


@draw.register
def _(cell: StandardCell, shape: tuple[int, ...] | None = None, outputs: int | None = None) -> Drawing:
    return draw_standard(cell)


@draw.register
def _(cell: NasBench201Cell, shape: tuple[int, ...] | None = None, outputs: int | None = None) -> Drawing:
    return draw_bench_cell(cell)


@draw.register
def _(
    unknown: UnknownArchitecture, shape: tuple[int, ...] | None = None, outputs: int | None = None
) -> Drawing:
    return draw_listing(unknown, "this workspace can't read it")


@draw.register
def _(row: TableRow, shape: tuple[int, ...] | None = None, outputs: int | None = None) -> Drawing:
    return draw_listing(row, "what network this row stands for, its table's author knows")


def save(drawing: Drawing, path: Path, theme: Theme | None = None) -> None:
    """Writes a drawing as the file's ending says.

    Args:
        drawing: what to write.
        path: ends in `.svg` or `.png`.
        theme: colours; None: an SVG has those that its viewer prefers, a PNG the light ones.

    Raises:
        InputError: the ending is another one, or the file can't be written.
    """
    try:
        if path.suffix == ".svg":
            path.write_text(svg(drawing, theme), encoding="utf-8")
        elif path.suffix == ".png":
            from nas.report.drawings.png import (
                write_png,
            )  # an SVG needs no matplotlib, which is slow to import

            write_png(drawing, path, theme or "light")
        else:
            raise InputError(f"a drawing is written to a file .svg or .png. Received: {path}")
    except OSError as error:
        raise InputError(f"the drawing can't be written to {path}: {error}") from error


def _image(net: Architecture, shape: tuple[int, ...] | None) -> tuple[int, int, int]:
    found = net.shown_for[0] if shape is None else shape
    if len(found) != 3:
        raise InputError(f"a network for images needs (height, width, channels). Received: {shape}")
    return found[0], found[1], found[2]
