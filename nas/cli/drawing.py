"""What `nas show` draws: an architecture to a file, and a search space."""

from __future__ import annotations

from pathlib import Path

from rich.markup import escape
from rich.table import Table

from nas.cli.common import print_json, screen
from nas.experiment import Experiment
from nas.spaces import Architecture, Choice, Pick, Point, StepList


def write_drawing(
    architecture: Architecture, shape: tuple[int, ...], outputs: int, path: Path, theme: str
) -> None:
    """Draws an architecture for examples of `shape`; the file's ending says how.

    Raises:
        InputError: the ending or the theme is unknown, or the file can't be written.
    """
    from nas.report.drawings import draw, save
    from nas.report.drawings.styles import known_theme

    save(draw(architecture, shape, outputs), path, known_theme(theme) if theme else None)


def show_space(experiment: Experiment, path: Path | None, theme: str, as_json: bool) -> None:
    """Lists the decisions of an experiment's space in order, and draws them if there is a path.

    JSON: {"experiment", "depth", "size", "decisions": [{"decision", "options": a list, or how many earlier
    points may be chosen from, "tokens"}]}
    """
    from nas.report.drawings import draw_decisions, save
    from nas.report.drawings.styles import known_theme

    space = experiment.built_space
    depth = space.depth.start
    steps = space.steps(depth)
    if path is not None:
        save(draw_decisions(space), path, known_theme(theme) if theme else None)
    rows = [
        (step.name, list(step.options) if isinstance(step, Choice) else steps.points[index], index)
        for index, step in enumerate(steps)
        if not isinstance(step, Point)
    ]
    if as_json:
        decisions = [
            {"decision": name, "options": options, "tokens": steps.widths[index]}
            for name, options, index in rows
        ]
        size = space.size(depth)
        print_json({"experiment": experiment.name, "depth": depth, "size": size, "decisions": decisions})
        return
    console = screen()
    table = Table(box=None, padding=(0, 1))
    for column in ("decision", "options"):
        table.add_column(column, overflow="fold")
    for name, _, index in rows:
        table.add_row(escape(name), escape(_options(steps, index)))
    console.print(
        f"[bold]{escape(experiment.space.name)}[/], the space of {escape(experiment.name)}: "
        f"{sum(steps.widths)} decisions, {space.size(depth):,} token strings at depth {depth}"
    )
    console.print(table)


def _options(steps: StepList, index: int) -> str:
    step = steps[index]
    if isinstance(step, Choice):
        return ", ".join(map(str, step.options))
    one = isinstance(step, Pick)
    return f"{'one' if one else 'any'} of {steps.points[index]} earlier points"
