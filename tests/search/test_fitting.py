"""Parts that don't fit together are told before a record begins and before a child fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from nas.errors import InputError
from nas.experiment import Experiment, load
from nas.search.opening import open_search
from nas.spaces import first_architecture
from nas.spaces.conv import ConvSpace
from nas.spaces.recurrent_cell_space import RecurrentCellSpace
from nas.workspace import Workspace
from tests.factories import TINY, TINY_LANGUAGE

TEXT: dict[str, Any] = {**TINY_LANGUAGE, "data": {"source": "text", "train": "train.txt"}}
ZOPH = {"architecture": "cell:zoph-le-2017"}


def experiment(folder: Path, parts: dict[str, Any]) -> Experiment:
    (folder / "train.txt").write_text("the cat sits\nthe dog runs\n" * 10)
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(parts))
    return load(path)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({**TEXT, "data": TINY["data"]}, r"'digits' \(images\).*needs a data set of text"),
        ({**TINY, "data": TEXT["data"]}, r"'text' \(text\).*needs a data set of images"),
        ({**TEXT, "space": TINY["space"]}, r"space 'conv', recipe 'language'.*an input shape \(height"),
        ({**TINY, "space": TEXT["space"]}, r"space 'cell', recipe 'image'.*an input shape \(features"),
        (
            {**TEXT, "recipe": {"name": "language", "parameters": 20}},
            r"parameters \(=20\) must allow one unit",
        ),
        ({**TEXT, "final": {"baseline": "resnet:4x1x1"}}, r"final.baseline 'resnet:4x1x1'"),
        ({**TINY, "final": {"baseline": "rnn:lstm"}}, r"final.baseline 'rnn:lstm', recipe 'image'"),
        (
            {**TINY, "space": {"name": "nasnet", "blocks": 1}},
            r"space 'nasnet', recipe 'image'.*'nasnet' is a cell: the recipe needs a stack of it",
        ),
        (
            {**TEXT, "controller": {"name": "list", "entries": [ZOPH, {"architecture": "conv:3x3x4@0"}]}},
            r"an input shape \(height",
        ),
    ],
)
def test_parts_that_do_not_fit_are_named_before_anything_begins(
    tmp_path: Path, parts: dict[str, Any], message: str
) -> None:
    workspace = Workspace(tmp_path)
    with pytest.raises(InputError, match=message):
        open_search(experiment(tmp_path, parts), workspace)
    assert not list(workspace.state.glob("*")), "no record is left behind"


@pytest.mark.parametrize(
    ("recipe", "final", "told"),
    [
        ({"upsample": 6}, {}, ["8×8 (height × width) and are shrunk to 6×6"]),
        ({"upsample": [16, 6]}, {}, ["shrunk to 16×6"]),
        ({"upsample": 6}, {"upsample": 7}, ["shrunk to 6×6", "shrunk to 7×7"]),
        ({"upsample": None}, {"upsample": 4}, ["shrunk to 4×4"]),
        ({"upsample": 8}, {}, []),
        ({"upsample": 0}, {}, []),
    ],
)
def test_data_larger_than_they_are_trained_on_are_told(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    recipe: dict[str, Any],
    final: dict[str, Any],
    told: list[str],
) -> None:
    parts = {**TINY, "recipe": {**TINY["recipe"], "crop": None, **recipe}, "final": {"recipe": final}}
    with open_search(experiment(tmp_path, parts), Workspace(tmp_path)):
        pass
    assert len([line for line in caplog.messages if "shrunk" in line]) == len(told)
    for words in told:
        assert words in caplog.text


def test_a_list_may_name_networks_outside_the_space(tmp_path: Path) -> None:
    listed = {**TEXT, "controller": {"name": "list", "entries": [ZOPH, {"architecture": "rnn:gru"}]}}
    with open_search(experiment(tmp_path, listed), Workspace(tmp_path)) as search:
        assert search.record.count() == 0


def test_the_first_architecture_takes_the_first_of_all_options() -> None:
    assert first_architecture(RecurrentCellSpace(base=2)).text() == (
        "cell:add-identity,add-identity/add-identity/c=0,inject=add-identity@0"
    )
    first = first_architecture(ConvSpace(depth=3, strides=[1, 2]))
    assert first.text() == first_architecture(ConvSpace(depth=3, strides=[1, 2])).text()
