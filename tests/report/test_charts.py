"""Pictures are SVG, the same for the same values, and bear any names."""

from __future__ import annotations

from xml.etree import ElementTree

import pandas as pd
import pytest

from nas.report.charts import LABELLED_CLASSES, confusion_matrix, reward_curves


def curve(*means: float) -> pd.DataFrame:
    best = pd.Series(means).cummax()
    return pd.DataFrame(
        {
            "round": range(len(means)),
            "children": [4 * (place + 1) for place in range(len(means))],
            "reward/mean": means,
            "reward/best_so_far": best,
        }
    )


def texts(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)
    return ["".join(each.itertext()).strip() for each in root.iter("{http://www.w3.org/2000/svg}text")]


def test_searches_are_named_and_repeats_make_a_band() -> None:
    one = reward_curves({"reinforce": [curve(0.1, 0.2, 0.4)], "random": [curve(0.1, 0.1)]})
    assert {"reinforce", "random", "children", "best reward so far"} <= set(texts(one))
    repeated = reward_curves({"reinforce": [curve(0.1, 0.2), curve(0.3, 0.4)]})
    assert repeated.count("FillBetweenPolyCollection") == 2
    assert "FillBetweenPolyCollection" not in one


def test_a_search_without_rounds_has_an_empty_picture() -> None:
    assert "children" in texts(reward_curves({"nothing yet": [pd.DataFrame()]}))


@pytest.mark.parametrize("name", ["$\\frac$", "<b>&", "猫"])
def test_any_name_is_shown_as_it_is(name: str) -> None:
    assert name in texts(confusion_matrix([name, "other"], [[3, 1], [0, 2]]))


def test_the_confusion_matrix_shows_counts_unless_there_are_too_many_classes() -> None:
    assert {"17", "3", "1"} <= set(texts(confusion_matrix(["a", "b"], [[17, 3], [0, 1]])))
    many = LABELLED_CLASSES + 1
    identity = [[int(row == column) for column in range(many)] for row in range(many)]
    assert set(texts(confusion_matrix([f"class {n}" for n in range(many)], identity))) == {
        "predicted",
        "true",
    }


def test_the_same_values_give_the_same_picture() -> None:
    assert reward_curves({"a": [curve(0.1, 0.2)]}) == reward_curves({"a": [curve(0.1, 0.2)]})
