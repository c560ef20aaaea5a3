"""Any architecture has a drawing, the same each time, as SVG and as PNG, in light and in dark."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree

import pytest
from PIL import Image

from nas.errors import InputError
from nas.report.drawings import draw, draw_trained, save, svg
from nas.report.drawings.parts import Box, Drawing, Label
from nas.report.drawings.styles import PALETTE, STYLES, known_theme
from nas.spaces import Architecture, Cost, StackPart, parse_architecture
from nas.training.image_recipe import ImageRecipe
from tests.networks.stacks import Plain, Twist
from tests.report.drawings.reading import is_inside, svg_texts, texts

ALL = [
    "conv:3x3x24@0",
    "conv:pool1,3x3x24@0,5x5x36s2@1,max3x3s1x2@1,avg3x3@1+3",
    "conv:block3+pool1+pool2,3x3x6@0,5x5x12@0+1",
    "resnet:16x2x3",
    "cell:zoph-le-2017",
    "cell:lstm",
    "cell:worked-example",
    "rnn:lstm",
    "rnn:gru",
    "nasbench201:nor_conv_3x3@0+skip_connect@0,nor_conv_1x1@1+avg_pool_3x3@0,none@1,nor_conv_3x3@2",
    "nasbench201:none@0+none@0,none@1+none@0,none@1,none@2",
    "row:filters=32,pool=max",
    "nasnet:sep3x3@0+identity@1,avg3x3@2+conv1x1@0%layer=3/max3x3@0+sep7x7@1,dil3x3@2+identity@0%concat=2.3",
]


@dataclass(frozen=True)
class Unheard(Architecture):
    """Of a kind that nobody drew."""

    kind: ClassVar[str] = "tests.report.drawings.test_drawings:Unheard"
    words: str = "<script>alert(1)</script> & 猫"

    def body(self) -> str:
        return "x"

    @classmethod
    def from_body(cls, body: str) -> Unheard:
        return cls()

    def fields(self) -> dict[str, Any]:
        return {"words": self.words, "many": list(range(900))}

    @classmethod
    def from_fields(cls, fields: Any) -> Unheard:
        return cls(fields["words"])

    def cost(self, input_shape: tuple[int, ...], outputs: int) -> Cost:
        return Cost(0, 0)


@pytest.mark.parametrize("text", ALL)
def test_a_drawing_is_whole_and_tells_in_words_what_it_shows(text: str) -> None:
    architecture = parse_architecture(text)
    drawing = draw(architecture)
    assert is_inside(drawing)
    assert {part.kind for part in drawing.single()} <= set(STYLES)
    root = ElementTree.fromstring(svg(drawing))
    assert root.findtext("{http://www.w3.org/2000/svg}title") == drawing.about
    assert (root.get("width"), root.get("role")) == (str(drawing.width), "img")
    assert len(drawing.about) < 200, "it is read aloud"


def test_an_unknown_kind_is_told_honestly_and_its_words_are_no_markup() -> None:
    drawing = draw(Unheard())
    assert "no drawing is known for this kind" in texts(drawing)
    written = svg(drawing)
    assert "<script" not in written
    assert any("<script>alert(1)</script> & 猫" in text for text in svg_texts(written))
    assert any(text.startswith("… and ") for text in texts(drawing))
    assert is_inside(drawing)


def test_a_kind_of_the_users_own_can_be_drawn() -> None:
    class Own(Unheard):
        kind: ClassVar[str] = "own"

    @draw.register(Own)
    def _(own: Own, shape: tuple[int, ...] | None = None, outputs: int | None = None) -> Drawing:
        return Drawing(10, 10, (Label(1, 9, "mine", "text"),), "mine")

    assert texts(draw(Own())) == ["mine"]


def test_an_architecture_of_the_users_own_brings_its_drawing(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "own_drawing.py").write_text(
        "from nas.report.drawings import Drawing, draw\n"
        "from tests.report.drawings.test_drawings import Brought\n"
        "@draw.register\n"
        "def draw_brought(own: Brought, shape=None, outputs=None) -> Drawing:\n"
        "    return Drawing(10, 10, (), f'brought for {shape}')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert draw(Brought(), (4, 4, 1)).about == "brought for (4, 4, 1)"


class Brought(Unheard):
    kind: ClassVar[str] = "brought"
    drawing: ClassVar[str | None] = "own_drawing"


def test_a_module_that_registers_no_drawing_leaves_the_plain_card() -> None:
    class Forgotten(Unheard):
        kind: ClassVar[str] = "forgotten"
        drawing: ClassVar[str | None] = "json"

    assert "no drawing is known for this kind" in texts(draw(Forgotten()))


@dataclass(frozen=True)
class Told(Plain):
    """A stack that tells its parts."""

    name: ClassVar[str] = "tests.report.drawings.test_drawings:Told"

    def outline(self) -> tuple[StackPart, ...]:
        return StackPart("stem", filters=self.filters), StackPart("normal", self.cells, self.filters)


def test_a_cell_is_drawn_beside_the_network_that_the_recipes_stack_tells() -> None:
    pair = parse_architecture(ALL[-1])
    told = texts(draw_trained(pair, ImageRecipe(stack=Told(3, 7)), ((32, 32, 7), 7)))
    assert {"3 × normal", "7 filters"} <= set(told)
    assert not {"N × normal", "classifier"} & set(told)
    letters = draw(pair)
    assert "N × normal" in texts(letters)
    assert draw_trained(pair, ImageRecipe(stack=Plain()), ((32, 32, 8), 8)) == letters, "it tells nothing"
    assert draw_trained(pair, None) == letters


def test_only_drawings_of_cells_get_what_a_stack_tells() -> None:
    whole, recipe = parse_architecture("conv:3x3x24@0"), ImageRecipe(stack=Told())
    assert draw_trained(whole, recipe, ((8, 8, 1), 10)) == draw(whole, (8, 8, 1), 10)
    assert "no drawing is known for this kind" in texts(draw_trained(Twist(3), recipe))

    class Own(Twist):
        kind: ClassVar[str] = "own"

    @draw.register(Own)
    def _(own: Own, shape: tuple[int, ...] | None = None, outputs: int | None = None) -> Drawing:
        return Drawing(10, 10, (), "of three arguments")

    assert draw_trained(Own(3), ImageRecipe(stack=Plain())).about == "of three arguments"


SAME = """
from nas.report.drawings import draw, svg
from nas.spaces import parse_architecture
import hashlib, sys
drawn = [svg(draw(parse_architecture(text))) for text in sys.argv[1:]]
print(hashlib.sha256("".join(drawn).encode()).hexdigest())
"""


def test_the_same_architecture_gives_the_same_text_in_every_process() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", SAME, *ALL],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_an_svg_has_the_colours_that_are_preferred_or_those_of_a_theme() -> None:
    drawing = draw(parse_architecture("conv:3x3x24@0"))
    both, dark = svg(drawing), svg(drawing, "dark")
    assert "prefers-color-scheme:dark" in both
    assert PALETTE["light"]["paper"] in both
    assert PALETTE["dark"]["paper"] in both
    assert "prefers-color-scheme" not in dark
    assert PALETTE["light"]["conv"] not in dark
    with pytest.raises(InputError, match="light or dark"):
        known_theme("drak")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_png_has_twice_the_size_and_the_themes_colours(tmp_path: Path, theme: Any) -> None:
    drawing = Drawing(
        60,
        40,
        (Box(10, 10, 30, 20, "conv"), Label(12, 24, "h_{t−1}", "text"), Label(3, 8, "$x", "small")),
        "a",
    )
    save(drawing, tmp_path / "a.png", theme)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (120, 80)
        pixels = picture.convert("RGB")
        found = ["#{:02x}{:02x}{:02x}".format(*pixels.getpixel(place)) for place in ((1, 78), (74, 54))]
    assert found == [PALETTE[theme]["paper"], PALETTE[theme]["conv"]]


@pytest.mark.parametrize("text", ALL)
def test_every_kind_can_be_a_png(text: str, tmp_path: Path) -> None:
    drawing = draw(parse_architecture(text))
    save(drawing, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (2 * drawing.width, 2 * drawing.height)


def test_other_files_are_refused(tmp_path: Path) -> None:
    drawing = draw(parse_architecture("conv:3x3x24@0"))
    with pytest.raises(InputError, match=r"\.svg or \.png"):
        save(drawing, tmp_path / "a.gif")
    with pytest.raises(InputError, match="can't be written"):
        save(drawing, tmp_path / "missing" / "a.svg")


def test_a_network_of_images_needs_the_shape_of_images() -> None:
    with pytest.raises(InputError, match="height, width, channels"):
        draw(parse_architecture("conv:3x3x24@0"), (200,))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_have_contrast(theme: Any) -> None:
    """At least 4.5 to 1, as WCAG 2.2 asks for in 1.4.3, on every area that texts stand on."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(one: str, other: str) -> float:
        lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
        return (lighter + 0.05) / (darker + 0.05)

    colours = PALETTE[theme]
    areas = ("paper", "surface", "conv", "pool", "head", "image", "memory-surface")
    for area in areas:
        assert contrast(colours["ink"], colours[area]) >= 4.5, area
        assert contrast(colours["soft"], colours[area]) >= 4.5, area
    assert contrast(colours["memory"], colours["memory-surface"]) >= 4.5
    for role in (role for role in colours if role.startswith("link")):
        assert contrast(colours[role], colours["paper"]) >= 4.5, role
