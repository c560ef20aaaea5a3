"""Columns hold every child once, drawings are put together from pieces, and packing loses nothing."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import pytest

from nas.report.columns import CURVES, columns_of, packed
from nas.report.drawings import draw
from nas.report.drawings.svg import fragments
from nas.report.results import ExperimentResults, gather
from nas.search.record import Record
from nas.workspace import Workspace
from tests.factories import tiny_experiment
from tests.report.factories import BEGUN, make_search


def results(folder: Path, children: int = 30, **how: object) -> ExperimentResults:
    experiment = tiny_experiment(folder)
    path = make_search(experiment, Workspace(folder), children, **how)
    return gather(experiment, Workspace(folder), lambda _: Record.read(path))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ExperimentResults:
    return results(tmp_path_factory.mktemp("columns"), failing=0.3)


def test_every_child_is_a_row(made: ExperimentResults) -> None:
    found = columns_of(made)
    columns = found["columns"]
    assert {len(column) for column in columns.values()} == {30}
    for row, (_, child) in enumerate(made.children()):
        assert columns["number"][row] == child.number
        assert found["statuses"][columns["status"][row]] == child.status
        assert columns["reward"][row] == pytest.approx(child.reward, rel=1e-4)
        text = child.proposal.architecture.text()
        assert found["architectures"][columns["architecture"][row]] == text
        assert child.result is not None
        why = columns["message"][row]
        assert ("" if why is None else found["messages"][why]) == child.result.message
        assert child.started_at is not None
        assert columns["started"][row] == round(10 * (child.started_at - BEGUN))


def test_a_drawing_is_its_pieces_in_order(made: ExperimentResults) -> None:
    found = columns_of(made)
    for _, child in made.children():
        place = found["architectures"].index(child.proposal.architecture.text())
        width, height, *parts = found["drawings"][place]
        drawing = draw(child.proposal.architecture)
        assert (width, height) == (drawing.width, drawing.height)
        assert [found["pieces"][part] for part in parts] == list(fragments(drawing))
    assert len(set(found["pieces"])) == len(found["pieces"])


def test_a_child_without_a_result_has_no_numbers(tmp_path: Path) -> None:
    columns = columns_of(results(tmp_path, 6, open_round=True))["columns"]
    for name in ("reward", "score", "parameters", "seconds", "finished"):
        assert columns[name][-1] is None, name
    assert (columns["epochs"][-1], columns["curve"][-1]) == (0, [])


def test_long_curves_have_few_points_from_the_first_epoch_to_the_last(tmp_path: Path) -> None:
    made = results(tmp_path, 3, epochs=500, failing=0.0)
    columns = columns_of(made)["columns"]
    for (_, child), epochs, curve in zip(made.children(), columns["epochs"], columns["curve"], strict=True):
        assert child.result is not None
        whole = child.result.curve("val_accuracy")
        assert (epochs, len(curve)) == (500, CURVES[0])
        assert curve[0] == pytest.approx(whole[0], rel=1e-3)
        assert curve[-1] == pytest.approx(whole[-1], rel=1e-3)


def test_packed_data_can_be_read_back_and_are_always_the_same(made: ExperimentResults) -> None:
    value = {"text": "猫 </script>", "numbers": [1.5, None, 3]}
    letters = packed(value)
    assert "<" not in letters
    assert json.loads(gzip.decompress(base64.b64decode(letters))) == value
    assert packed(columns_of(made)) == packed(columns_of(made))
