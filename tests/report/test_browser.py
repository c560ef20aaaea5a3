"""The page in a real browser: opened from disk without a network, it sorts, filters and opens children."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from nas.report.page import write_page
from nas.report.results import ExperimentResults, gather
from nas.search.record import Record
from nas.workspace import Workspace
from tests.factories import tiny_experiment
from tests.report.browsing import browser, opened
from tests.report.factories import make_search

CHILDREN = 120
EVIL = "<img src=x onerror=alert(1)> & <script>alert(2)</script>"


@pytest.fixture(scope="module")
def running() -> Iterator[Browser]:
    with browser() as found:
        yield found


def results(folder: Path, name: str, children: int = CHILDREN, **changes: object) -> ExperimentResults:
    experiment = tiny_experiment(folder, name, about=EVIL, **changes)
    workspace = Workspace(folder)
    path = make_search(experiment, workspace, children, failing=0.1)
    return gather(experiment, workspace, lambda _: Record.read(path))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    write_page([results(folder, "tiny")], folder / "a page.html")
    return folder / "a page.html"


@pytest.fixture
def page(running: Browser, file: Path) -> Iterator[Page]:
    with opened(running, file) as found:
        yield found


def column(page: Page, place: int) -> list[str]:
    return page.locator(f".listed tbody tr td:nth-child({place})").all_text_contents()


def test_the_best_child_stands_first_and_headers_sort(page: Page) -> None:
    rewards = [float(text) for text in column(page, 4)]
    assert rewards == sorted(rewards, reverse=True)
    assert len(rewards) == 50
    header = page.locator(".listed th[data-column=child]")
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "ascending")
    assert column(page, 1) == [str(number) for number in range(50)]
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "descending")
    assert column(page, 1)[0] == str(CHILDREN - 1)
    page.get_by_role("button", name="Next page").click()
    assert column(page, 1)[0] == str(CHILDREN - 51)


def test_words_statuses_and_comparisons_filter(page: Page) -> None:
    field = page.get_by_role("searchbox")
    field.fill("reward>0.3 3x3x8")
    assert column(page, 1)
    assert all(float(reward) > 0.3 for reward in column(page, 4))
    assert all("3x3x8" in text for text in column(page, 8))
    field.fill("")
    page.get_by_label("Status").select_option("diverged")
    found = column(page, 3)
    assert found
    assert set(found) == {"diverged"}
    expect(page.locator(".pages span")).to_contain_text(f"of {CHILDREN} in all")
    field.fill("nothing is like this")
    assert column(page, 1) == []


def test_a_child_opens_with_drawing_curve_and_facts(page: Page) -> None:
    page.get_by_role("button", name="Open child", exact=False).first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    number = dialog.get_by_role("heading").text_content()
    assert number is not None
    drawing = dialog.locator("svg.drawing")
    assert "image" in drawing.locator("text").all_text_contents()
    assert dialog.locator("canvas").count() == 1
    assert "reward (proxy)" in (dialog.text_content() or "")
    assert page.evaluate("location.hash").startswith("#child-0-0-")
    dialog.get_by_role("button", name="Next").click()
    expect(dialog.get_by_role("heading")).not_to_have_text(number)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert page.evaluate("location.hash") == ""


def test_every_child_opens(page: Page) -> None:
    for number in range(0, CHILDREN, 7):
        page.evaluate(f"location.hash = 'child-0-0-{number}'")
        title = page.get_by_role("dialog").get_by_role("heading")
        expect(title).to_have_text(f"Child {number} of tiny")
        assert page.locator("dialog svg.drawing > *").count() > 5


def test_the_address_of_a_child_opens_it(running: Browser, file: Path) -> None:
    with opened(running, file) as page:
        page.goto(f"{file.as_uri()}#child-0-0-3")
        expect(page.get_by_role("dialog")).to_contain_text("Child 3 of tiny")


def test_a_failed_child_tells_why_as_text(page: Page) -> None:
    page.get_by_label("Status").select_option("crashed")
    page.get_by_role("button", name="Open child", exact=False).first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("ValueError: <img src=x onerror=alert(1)>")
    assert dialog.locator("img").count() == 0


def test_names_are_text_for_the_browser_too(page: Page) -> None:
    assert page.locator(".about").text_content() == EVIL
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 2


def test_charts_tell_zoom_and_open_by_pointer(page: Page) -> None:
    figure = page.locator("figure[data-chart=rewards]")
    canvas = figure.locator("canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 3
    hint = figure.locator(".hint")
    for across in range(0, 200, 4):
        page.mouse.move(x + across, y)
        if hint.is_visible():
            break
    expect(hint).to_contain_text("child ")
    page.mouse.down()
    page.mouse.move(x + 150, y + 60)
    page.mouse.up()
    back = figure.get_by_role("button", name="Show all")
    expect(back).to_be_visible()
    back.click()
    expect(back).to_be_hidden()


def test_charts_can_be_used_by_keyboard_alone(page: Page) -> None:
    canvas = page.locator("figure[data-chart=rewards] canvas")
    canvas.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#told")).to_contain_text("child 1")
    page.keyboard.press("+")
    expect(page.locator("figure[data-chart=rewards] .tools button")).to_be_visible()
    page.keyboard.press("0")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("Child 0 of tiny")


def test_another_decision_can_be_chosen(page: Page) -> None:
    figure = page.locator("figure[data-chart=shares]")
    figure.get_by_role("combobox").select_option("layer2.links")
    assert {"linked", "not linked"} <= set(figure.locator(".key").all_text_contents())


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_any_screen_and_has_the_preferred_colours(
    running: Browser, file: Path, width: int, scheme: str
) -> None:
    with opened(running, file, width, scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(11, 14, 19)") is (scheme == "dark")
        page.get_by_role("button", name="Dark / light").click()
        other = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert other != ground


def test_what_has_no_name_for_ears_is_not_there(page: Page) -> None:
    """Every control, picture and scrolled place has a name, and headings don't skip a level."""
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, a, input, select, canvas, svg, [role=region]')].filter((e) =>"
        " !(e.getAttribute('aria-label') || e.textContent.trim() || (e.labels && e.labels.length)))"
        ".map((e) => e.outerHTML.slice(0, 80))"
    )
    assert nameless == []
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map((e) => +e.tagName[1])")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_experiments_stand_side_by_side(running: Browser, tmp_path: Path) -> None:
    both = [results(tmp_path, "one", 24), results(tmp_path, "other", 16, controller={"name": "random"})]
    write_page(both, tmp_path / "both.html")
    with opened(running, tmp_path / "both.html") as page:
        head = page.locator("section").first.locator("thead th").all_text_contents()
        assert head == ["", "one", "other"]
        assert page.locator("figure[data-chart=compared] canvas").count() == 1
        assert page.locator(".listed").count() == 2
        page.evaluate("location.hash = 'child-1-0-5'")
        expect(page.get_by_role("dialog")).to_contain_text("Child 5 of other")


def test_cells_open_too(running: Browser, tmp_path: Path) -> None:
    cells = results(tmp_path, "cells", 12, space={"name": "cell", "base": 8}, controller={"name": "random"})
    write_page([cells], tmp_path / "cells.html")
    with opened(running, tmp_path / "cells.html") as page:
        page.evaluate("location.hash = 'child-0-0-5'")
        drawn = page.locator("dialog svg.drawing text").all_text_contents()
        assert drawn.count("xt") == 8
        assert {"ct", "ct−1", "ht"} <= set(drawn)


@pytest.mark.parametrize("width", [400, 1280])
def test_pairs_of_cells_are_legible_beside_their_network(
    running: Browser, tmp_path: Path, width: int
) -> None:
    stack = {"name": "cifar", "cells": 2, "filters": 7}
    pairs = results(tmp_path, "pairs", 12, space={"name": "nasnet"}, recipe__stack=stack)
    write_page([pairs], tmp_path / "pairs.html")
    with opened(running, tmp_path / "pairs.html", width) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        expect(page.get_by_text("stack cifar 2@7")).to_be_visible()
        page.evaluate("location.hash = 'child-0-0-5'")
        drawn = page.locator("dialog svg.drawing text").all_text_contents()
        assert {"hi", "hi−1", "hi+1", "2 × normal", "7 filters", "28 filters"} <= set(drawn)
        scales = page.evaluate(
            "[...document.querySelectorAll('svg.drawing')].filter((e) => e.checkVisibility())"
            ".map((e) => e.getBoundingClientRect().width / e.viewBox.baseVal.width)"
        )
        assert len(scales) == 4
        assert min(scales) > 0.7, "letters of 13 pixels are at least 9 pixels high"
        rows = page.locator("td.long").evaluate_all("found => found.map((e) => e.offsetHeight)")
        assert max(rows) < 160


@pytest.mark.parametrize(
    ("children", "how"),
    [(1, {"open_round": True}), (8, {"failing": 1.0}), (4, {"controller": "list"}), (1, {})],
)
def test_a_page_with_little_on_it_opens_too(
    running: Browser, tmp_path: Path, children: int, how: dict[str, object]
) -> None:
    entries = [{"architecture": "conv:3x3x4@0"}] * 4
    listed = {"controller": {"name": "list", "entries": entries}} if how.pop("controller", "") else {}
    experiment = tiny_experiment(tmp_path, **listed)
    path = make_search(experiment, Workspace(tmp_path), children, **how)
    found = gather(experiment, Workspace(tmp_path), lambda _: Record.read(path))
    write_page([found], tmp_path / "little.html")
    with opened(running, tmp_path / "little.html") as page:
        assert page.locator(".listed tbody tr").count() == children
        page.evaluate("location.hash = 'child-0-0-0'")
        expect(page.get_by_role("dialog")).to_contain_text("Child 0 of tiny")


def test_a_watched_page_looks_for_a_newer_one(running: Browser, tmp_path: Path) -> None:
    file = tmp_path / "watched.html"
    write_page([results(tmp_path, "watched", 8)], file, refresh=1)
    with opened(running, file) as page:
        page.evaluate("window.old = true")
        page.wait_for_event("load", timeout=20_000)
        page.wait_for_selector("body[data-ready]")
        assert not page.evaluate("window.old")
