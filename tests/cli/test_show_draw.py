"""`nas show --draw` writes drawings, and `--space` shows what a search decides."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nas.report.drawings.styles import PALETTE
from tests.cli.conftest import Nas, Write
from tests.report.drawings.reading import svg_texts


def test_an_architecture_is_drawn_for_the_data_of_its_experiment(
    nas: Nas, write: Write, tmp_path: Path
) -> None:
    write()
    path = tmp_path / "net.svg"
    assert nas("show", "conv:3x3x24@0", "tiny", "--draw", str(path)).code == 0
    assert {"8×8×1", "8×8×24", "8×8×24 → 10"} <= set(svg_texts(path.read_text(encoding="utf-8")))
    assert nas("show", "conv:3x3x24@0", "--draw", str(path), "--theme", "dark").code == 0
    dark = path.read_text(encoding="utf-8")
    assert "32×32×3" in svg_texts(dark)
    assert PALETTE["dark"]["conv"] in dark
    assert PALETTE["light"]["conv"] not in dark


def test_a_child_is_drawn(nas: Nas, write: Write, tmp_path: Path) -> None:
    write(budget={"children": 2})
    nas("search", "tiny", "--no-track")
    path = tmp_path / "child.svg"
    assert "child 1 of tiny" in nas("show", "1", "tiny", "--draw", str(path)).out
    assert "1×3 · 4 filters" in svg_texts(path.read_text(encoding="utf-8"))


def test_a_pair_of_cells_is_drawn_beside_the_network_of_its_experiment(
    nas: Nas, write: Write, tmp_path: Path
) -> None:
    path = tmp_path / "pair.svg"
    assert nas("show", "nasnet:nasnet-a", "--draw", str(path)).code == 0
    assert {"N × normal", "4F filters"} <= set(svg_texts(path.read_text(encoding="utf-8")))
    stack = {"name": "cifar", "cells": 3, "filters": 5}
    write(space={"name": "nasnet"}, controller={"name": "random"}, recipe__stack=stack)
    assert nas("show", "nasnet:nasnet-a", "tiny", "--draw", str(path)).code == 0
    assert {"3 × normal", "20 filters"} <= set(svg_texts(path.read_text(encoding="utf-8")))
    assert nas("show", "tiny", "--space", "--draw", str(path)).code == 0
    assert {"reduction block4", "one of 6"} <= set(svg_texts(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--draw", "net.gif"), "a drawing is written to a file .svg or .png"),
        (("--draw", "net.svg", "--theme", "drak"), "did you mean 'dark'?"),
    ],
)
def test_what_can_not_be_drawn_is_told(nas: Nas, write: Write, options: tuple[str, ...], told: str) -> None:
    ended = nas("show", "conv:3x3x24@0", *options)
    assert ended.code == 2
    assert told in ended.err


def test_a_space_is_listed_and_drawn(nas: Nas, write: Write, tmp_path: Path) -> None:
    write()
    path = tmp_path / "space.svg"
    text = nas("show", "tiny", "--space", "--draw", str(path)).out
    assert "conv, the space of tiny: 12 decisions, 4,096 token strings at depth 3" in text
    assert "layer3.links" in text
    assert {"layer1", "any of 2", "4 · 8"} <= set(svg_texts(path.read_text(encoding="utf-8")))
    told = json.loads(nas("show", "tiny", "--space", "--json").out)
    assert (told["experiment"], told["depth"], told["size"]) == ("tiny", 3, 4096)
    assert told["decisions"][0] == {"decision": "layer1.filter_height", "options": [1, 3], "tokens": 1}
    assert told["decisions"][-1] == {"decision": "layer3.links", "options": 2, "tokens": 2}
