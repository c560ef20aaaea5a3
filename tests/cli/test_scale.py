"""`nas scale` and `nas transfer` write an experiment that retrains a cell, and run it."""

from __future__ import annotations

import csv
import json
from typing import Any

import pytest
import yaml

from nas.experiment import load
from nas.report.page import write as write_page
from nas.search.leaderboard import write_search_outputs
from nas.search.opening import read_record
from nas.workspace import Workspace
from tests.cli.conftest import Nas, Write
from tests.datasets.factories import write_folder

CELL = "nasnet:sep3x3@0+identity@1=2/max3x3@0+identity@1=2"
SIZES = ("--sizes", "1@4,2@8,1@2")


@pytest.fixture
def cells(write: Write, workspace: Workspace) -> Workspace:
    """An experiment that searches cells, and its winner."""
    write(
        "cells",
        space={"name": "nasnet", "blocks": 1},
        controller={"name": "random"},
        recipe={
            "name": "image",
            "epochs": 1,
            **dict.fromkeys(("upsample", "crop")),
            "flip": False,
            "stack": {"name": "cifar", "cells": 1, "filters": 2, "stem_multiplier": 1.0},
        },
        evaluator={"name": "train", "trainer": "tests.final.fakes:train_stack"},
        final={"recipe": {"epochs": 3}, "top": 1},
        workers={"slots": 2, "threads": 1, "time_limit_minutes": 1},
        reward={"name": "accuracy", "power": 1},
    )
    folder = workspace.models("cells")
    folder.mkdir(parents=True)
    (folder / "final.json").write_text(json.dumps({"winner": {"architecture": CELL}}))
    return workspace


def test_a_cell_is_trained_at_each_size_and_each_is_a_network_of_its_own_everywhere(
    nas: Nas, cells: Workspace
) -> None:
    ended = nas("scale", "winner:cells", *SIZES, "--no-track")
    assert ended.code == 0, ended.err
    path = cells.experiments / "cells-scaled.yaml"
    assert path.read_text().startswith(
        "# Made by `nas scale winner:cells --from cells --sizes 1@4,2@8,1@2 --name cells-scaled`;"
    )
    tree = yaml.safe_load(path.read_text())
    stack = {"name": "cifar", "stem_multiplier": 1.0}
    assert tree["controller"]["entries"] == [
        {
            "architecture": "winner:cells",
            "overrides": {"stack": {**stack, "cells": cells_, "filters": filters}},
        }
        for cells_, filters in ((1, 4), (2, 8), (1, 2))
    ]
    assert tree["recipe"]["epochs"] == 3
    assert "time_limit_minutes" not in tree["workers"]
    assert ended.out.startswith(f"wrote {path}\n")
    sizes = ended.out[ended.out.index("by size, on validation data") :]
    assert [line.split()[:2] for line in sizes.splitlines()[3:6]] == [
        ["cifar", "1@4,"],
        ["cifar", "2@8,"],
        ["cifar", "1@2,"],
    ]
    assert "published" not in ended.out  # the digits are no data set of the paper
    board = json.loads(nas("top", "cells-scaled", "--json").out)["leaderboard"]
    assert [row["stack"] for row in board] == [
        f"cifar {size}, stem multiplier 1.0" for size in ("2@8", "1@4", "1@2")
    ]
    assert board[0]["parameters"] > board[1]["parameters"] > board[2]["parameters"]
    assert "cifar 2@8" in nas("top", "cells-scaled").out
    assert "stack=cifar 1@4, stem multiplier 1.0" in nas("show", "0", "cells-scaled").out
    experiment = load(path)
    with read_record(experiment, cells) as record:
        assert "winner:" not in json.dumps(record.definition)
        write_search_outputs(experiment, cells, [record])
    rows = list(csv.DictReader((cells.search("cells-scaled") / "leaderboard.csv").read_text().splitlines()))
    assert [row["stack"] for row in rows] == [row["stack"] for row in board]
    page = write_page(experiment, cells).read_text()
    assert f"{CELL} · cifar 2@8, stem multiplier 1.0" in page
    assert "One cell at several sizes" in page
    assert "as published" not in page
    data = experiment.data.model_copy(
        update={"source": "cifar10"}
    )  # what is shown for a data set of the paper
    page = write_page(experiment.model_copy(update={"data": data}), cells).read_text()
    assert "Published on CIFAR-10, not trained here" in page
    again = nas("scale", "winner:cells", *SIZES, "--no-track")
    assert again.out.startswith(f"goes on with {path}\n")
    assert "3 children in 1 round" in again.out


def test_a_winner_is_scaled_by_the_point_of_the_grid_that_won_and_any_other_cell_without(
    nas: Nas, cells: Workspace
) -> None:
    story = {"architecture": CELL, "grid_point": {"learning_rate": 0.025}}
    (cells.models("cells") / "final.json").write_text(json.dumps({"winner": story}))
    assert nas("scale", "winner:cells", "--sizes", "1@2", "--no-track").code == 0
    assert nas("scale", CELL, "--from", "cells", "--sizes", "1@2", "--name", "text", "--no-track").code == 0
    won, other = (cells.experiments / f"{name}.yaml" for name in ("cells-scaled", "text"))
    recipe = "# The recipe is that of the finals of cells"
    assert won.read_text().splitlines()[1] == (
        f"{recipe} at the point of their grid that won: learning_rate=0.025."
    )
    assert other.read_text().splitlines()[1] == f"{recipe}."
    assert load(won).built_recipe().to_json()["learning_rate"] == 0.025
    assert "learning_rate" not in yaml.safe_load(other.read_text())["recipe"]


def test_a_file_that_says_something_else_is_replaced_only_by_force(nas: Nas, cells: Workspace) -> None:
    path = cells.experiments / "mine.yaml"
    path.write_text("about: mine\n")
    given = ("scale", CELL, "--from", "cells", "--sizes", "1@2", "--name", "mine", "--no-track")
    ended = nas(*given)
    assert ended.code == 2
    assert "mine.yaml is there and says something else (about, " in ended.err
    assert path.read_text() == "about: mine\n"
    assert nas(*given, "--force").code == 0
    assert yaml.safe_load(path.read_text())["controller"]["entries"][0]["architecture"] == CELL


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["winner:cells", "--sizes", "2x8"], "sizes are written N@F"),
        (["winner:cells", "--sizes", "0@8"], "sizes are written N@F"),
        (["winner:cells", "--sizes", ""], "sizes are written N@F"),
        (["winner:cells", "--sizes", "1٢@2"], "sizes are written N@F"),
        (
            ["winner:cells", "--sizes", "99999@1"],
            "cells must be a whole number of at least 1 and at most 100",
        ),
        (["conv:3x3x4@0", "--from", "cells", "--sizes", "1@2"], "is a whole network"),
        ([CELL, "--sizes", "1@2"], "--from names the experiment"),
        (["winner:other", "--sizes", "1@2"], "'other' has no winner yet"),
        ([CELL, "--from", "tiny", "--sizes", "1@2"], "the experiment's recipe has no stack of them"),
        ([CELL, "--from", "nothing", "--sizes", "1@2"], "no experiment at"),
        (["winner:cells", "--sizes", "1@2", "--name", "../x"], "the name of an experiment"),
        (
            ["winner:cells", "--from", "large", "--sizes", "1@9,1@4"],
            "filters must be a whole number of at least 8",
        ),
        (["winner:cells", "--sizes", "1@2", "--name", "cells"], "needs its own winner"),
    ],
)
def test_what_can_not_be_scaled_is_told_and_nothing_is_written(
    nas: Nas, cells: Workspace, write: Write, arguments: list[str], sentence: str
) -> None:
    write("tiny")
    write("large", recipe={"name": "image", "stack": {"name": "imagenet"}}, space={"name": "nasnet"})
    before = {path: path.read_text() for path in cells.experiments.iterdir()}
    ended = nas("scale", *arguments, "--no-track")
    assert (ended.code, sentence in ended.err) == (2, True), ended.err
    assert {path: path.read_text() for path in cells.experiments.iterdir()} == before


def test_a_cell_moves_to_a_folder_of_larger_images(nas: Nas, cells: Workspace) -> None:
    write_folder(cells.root / "photos", {"cat": 12, "dog": 12})
    given = ["transfer", "winner:cells", "--data", "photos", "--stack", "imagenet", "--image-size", "48"]
    ended = nas(*given, "--sizes", "1@8", "--no-track")
    assert ended.code == 0, ended.err
    made = load(cells.experiments / "cells-on-photos-55.yaml")
    assert made.data.model_dump() == {
        **{"source": "folder", "name": "photos-55", "path": "photos"},
        **{"size": 55, "fit": "crop"},  # photographs have many shapes, and keep their proportions
    }
    recipe: Any = made.built_recipe(made.controller.options["entries"][0]["overrides"])
    assert (recipe.stack.name, recipe.stack.cells, recipe.stack.filters) == ("imagenet", 1, 8)
    assert (recipe.crop, recipe.upsample, recipe.flip, recipe.random_area) == (48, None, True, (0.08, 1.0))
    assert recipe.central_region((55, 55, 3)) == (49, 49)  # brought to 48, a rounding apart
    assert "imagenet 1@8" in ended.out
    command = (
        "nas transfer winner:cells --from cells --data photos --stack imagenet --sizes 1@8 --image-size 48 "
        "--name cells-on-photos-55"
    )
    assert f"`{command}`" in (cells.experiments / "cells-on-photos-55.yaml").read_text()


def test_images_have_the_size_of_the_stack_that_is_taken_over(
    nas: Nas, cells: Workspace, write: Write
) -> None:
    write_folder(cells.root / "photos", {"cat": 12, "dog": 12})
    stack = {"name": "imagenet", "cells": 1, "filters": 8}
    trainer = {"name": "train", "trainer": "tests.final.fakes:train_stack"}
    write("large", recipe={"name": "image", "stack": stack}, space={"name": "nasnet"}, evaluator=trainer)
    given = ("transfer", CELL, "--from", "large", "--data", "photos", "--epochs", "1", "--no-track")
    ended = nas(*given)
    assert ended.code == 0, ended.err
    made = load(cells.experiments / "large-on-photos-256.yaml")
    assert (made.data.options["size"], made.built_recipe().crop) == (256, 224)
    assert made.built_recipe().central_region((256, 256, 3)) == (224, 224)


def test_a_cell_moves_to_the_data_of_another_experiment(nas: Nas, cells: Workspace, write: Write) -> None:
    write("other", data={"source": "digits", "name": "digits"})
    ended = nas("transfer", CELL, "--from", "cells", "--data", "other", "--name", "moved", "--no-track")
    assert ended.code == 0, ended.err
    made = load(cells.experiments / "moved.yaml")
    assert made.data.source == "digits"
    assert (made.built_recipe().contrast, made.built_recipe().hue) == (0.5, 0)  # no colours
    assert made.controller.options["entries"][0]["overrides"]["stack"]["cells"] == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(["--stack", "imagnet"], "did you mean 'imagenet'"), (["--from", "tiny"], "has no stack of them")],
)
def test_a_stack_that_can_not_be_is_told_before_the_images_are_prepared(
    nas: Nas, cells: Workspace, write: Write, arguments: list[str], sentence: str
) -> None:
    write("tiny")
    write_folder(cells.root / "photos", {"cat": 3, "dog": 3})
    ended = nas("transfer", CELL, "--from", "cells", "--data", "photos", *arguments, "--no-track")
    assert (ended.code, sentence in ended.err) == (2, True), ended.err
    assert not cells.prepared("photos-37").exists()


def test_data_that_are_not_there_are_told(nas: Nas, cells: Workspace) -> None:
    ended = nas("transfer", "winner:cells", "--data", "nowhere", "--no-track")
    assert ended.code == 2
    assert "--data names neither an experiment" in ended.err


def test_a_file_tells_in_one_line_what_made_it_whatever_the_folder_is_called(
    nas: Nas, cells: Workspace
) -> None:
    write_folder(cells.root / "my\nphotos", {"cat": 12, "dog": 12})
    given = ["transfer", "winner:cells", "--data", "my\nphotos", "--sizes", "1@4", "--image-size", "16"]
    ended = nas(*given, "--name", "moved", "--no-track")
    assert ended.code == 0, ended.err
    first = (cells.experiments / "moved.yaml").read_text().splitlines()[0]
    assert first.startswith("# Made by `nas transfer winner:cells --from cells --data ")
    assert first.endswith("`; it is yours to change.")
