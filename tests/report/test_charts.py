"""Pictures are SVG, the same for the same values, and bear any names."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from nas.report.charts import LABELLED_CLASSES, best_so_far, choices, confusion_matrix, rewards
from nas.report.pictures import write_curves, write_drawings
from nas.report.results import ExperimentResults, gather
from nas.search.record import Record
from nas.workspace import Workspace
from tests.factories import tiny_experiment
from tests.report.factories import make_search


def texts(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)
    return ["".join(each.itertext()).strip() for each in root.iter("{http://www.w3.org/2000/svg}text")]


def results(folder: Path, children: int = 40, **changes: object) -> ExperimentResults:
    experiment = tiny_experiment(folder, beside="other", **changes)
    workspace = Workspace(folder)
    paths = {"tiny": make_search(experiment, workspace, children)}
    other = tiny_experiment(folder, "other", controller={"name": "random"})
    paths["other"] = make_search(other, workspace, 24)
    return gather(experiment, workspace, lambda one: Record.read(paths[one.name]))


def test_an_experiment_has_its_curves_and_its_space_as_files(tmp_path: Path) -> None:
    found = write_curves(results(tmp_path), tmp_path)
    assert [path.name for path in found] == [
        "rewards.svg",
        "policy.svg",
        "tradeoff.svg",
        "choices.svg",
        "slots.svg",
        "space.svg",
    ]
    told = {path.stem: set(texts(path.read_text(encoding="utf-8"))) for path in found}
    assert {"other: best so far", "other: middle 80 %", "best so far", "children"} <= told["rewards"]
    assert "entropy" in told["policy"]
    assert {"Pareto front", "parameters", "val accuracy (proxy)"} <= told["tradeoff"]
    assert {"all: filters", "linked", "not linked"} <= told["choices"]
    assert {"cpu 0", "cpu 3", "ok"} <= told["slots"]
    assert "layer1" in told["space"]


def test_more_options_than_colours_are_told_apart_by_pale_ones(tmp_path: Path) -> None:
    for count, pale in ((8, False), (13, True)):
        made = results(tmp_path / str(count), 20, space__filters=list(range(4, 4 + count)))
        assert ("opacity: 0.45" in choices(made)) is pale


def test_the_same_search_gives_the_same_files(tmp_path: Path) -> None:
    made = results(tmp_path)
    first = [path.read_bytes() for path in write_curves(made, tmp_path)]
    assert [path.read_bytes() for path in write_curves(made, tmp_path)] == first


def test_what_there_is_nothing_to_show_of_has_no_file(tmp_path: Path) -> None:
    entries = [{"architecture": "conv:3x3x4@0"}] * 4
    found = write_curves(results(tmp_path, 4, controller={"name": "list", "entries": entries}), tmp_path)
    assert not {"policy.svg", "choices.svg"} & {path.name for path in found}


def test_a_search_of_failures_alone_has_its_curves(tmp_path: Path) -> None:
    experiment = tiny_experiment(tmp_path)
    path = make_search(experiment, Workspace(tmp_path), 8, failing=1.0)
    failed = gather(experiment, Workspace(tmp_path), lambda _: Record.read(path))
    assert "children" in texts(rewards(failed))
    assert len(write_curves(failed, tmp_path)) == 6


def test_the_best_are_drawn_one_file_each(tmp_path: Path) -> None:
    made = results(tmp_path)
    found = write_drawings(made, tmp_path, 3)
    assert list(found) == [(7, child.number) for _, child in made.best[:3]]
    assert all(path.suffix == ".svg" and path.is_file() for path in found.values())


@pytest.mark.parametrize("name", ["$\\frac$", "<b>&", "猫"])
def test_any_name_is_shown_as_it_is(name: str) -> None:
    assert name in texts(confusion_matrix([name, "other"], [[3, 1], [0, 2]]))
    assert name in texts(best_so_far(np.arange(3.0), {name: np.arange(3.0)}, "accuracy"))


def test_the_confusion_matrix_shows_counts_unless_there_are_too_many_classes() -> None:
    assert {"17", "3", "1"} <= set(texts(confusion_matrix(["a", "b"], [[17, 3], [0, 1]])))
    many = LABELLED_CLASSES + 1
    identity = [[int(row == column) for column in range(many)] for row in range(many)]
    assert set(texts(confusion_matrix([f"class {n}" for n in range(many)], identity))) == {
        "predicted",
        "true",
    }
