"""The pictures of an experiment as files of their own, for MLflow and for papers."""

from __future__ import annotations

from pathlib import Path

from nas.report import charts
from nas.report.drawings import draw_decisions, save
from nas.report.results import ExperimentResults

CHARTS = {
    "rewards": charts.rewards,
    "policy": charts.statistics,
    "tradeoff": charts.tradeoff,
    "choices": charts.choices,
    "slots": charts.timeline,
}
"""By the name of their file."""


def write_curves(results: ExperimentResults, folder: Path) -> list[Path]:
    """Writes the curves and the drawing of the space, those that there is something to show for."""
    written = []
    for name, chart in CHARTS.items():
        if svg := chart(results):
            written.append(folder / f"{name}.svg")
            written[-1].write_text(svg, encoding="utf-8")
    written.append(folder / "space.svg")
    save(draw_decisions(results.experiment.built_space), written[-1])
    return written


def write_drawings(results: ExperimentResults, folder: Path, count: int) -> dict[tuple[int, int], Path]:
    """Writes the drawings of the best architectures.

    Returns:
        The file of each, by the seed of its search and the child's number, best first.
    """
    written = {}
    for rank, (place, child) in enumerate(results.best[:count], 1):
        seed = results.searches[place].seed
        path = folder / f"best-{rank:02}.svg"
        save(results.drawn(child.proposal), path)
        written[seed, child.number] = path
    return written
