"""Which flavour the model of a winner has: what its recipe names, else what its data are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest

from nas.datasets import Prepared
from nas.errors import InputError
from nas.tracking.flavours import Flavour, flavour
from nas.training.image_recipe import ImageRecipe
from tests.factories import tiny_experiment

OWN = Flavour("Sounds in, words out.", lambda *_: None)


@dataclass(frozen=True)
class Sounds(ImageRecipe):
    flavour: ClassVar[str] = f"{__name__}:OWN"


@dataclass(frozen=True)
class Lost(ImageRecipe):
    flavour: ClassVar[str] = f"{__name__}:GONE"


def chosen(folder: Path, kind: str, recipe: str) -> Flavour:
    data = cast(Prepared, SimpleNamespace(kind=kind, name="mine"))
    name: Any = recipe if recipe == "image" else f"{__name__}:{recipe}"
    return flavour(tiny_experiment(folder, recipe__name=name), data)


def test_a_recipe_names_the_flavour_of_its_models(tmp_path: Path) -> None:
    assert chosen(tmp_path, "sounds", "Sounds") is OWN
    assert "class" in chosen(tmp_path, "images", "image").about
    assert "Texts" in chosen(tmp_path, "text", "image").about
    with pytest.raises(InputError, match="mine holds sounds"):
        chosen(tmp_path, "sounds", "image")
    with pytest.raises(InputError, match="GONE' can't be imported"):
        chosen(tmp_path, "images", "Lost")
