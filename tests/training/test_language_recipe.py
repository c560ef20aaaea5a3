"""The recipe of a language model: sizes within the budget, rates over time, clear errors."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from nas.datasets import PreparedImages, PreparedText
from nas.errors import InputError
from nas.spaces import parse_architecture
from nas.training.language_recipe import LanguageRecipe

CELLS = ("cell:zoph-le-2017", "cell:worked-example", "rnn:lstm", "rnn:gru")


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("tied", [False, True])
def test_the_units_are_the_most_that_fit_into_the_budget(cell: str, tied: bool) -> None:
    recipe, architecture = LanguageRecipe(parameters=5_000_000, tied=tied), parse_architecture(cell)
    units = recipe.units_of(architecture, 10_000)
    assert recipe.model_cost(architecture, 10_000, units).parameters <= 5_000_000
    assert recipe.model_cost(architecture, 10_000, units + 1).parameters > 5_000_000


def test_the_medium_lstm_of_zaremba_has_650_units_and_20_million_parameters() -> None:
    """Zaremba et al. (2014), §4.1: 650 units; Zoph & Le's table 2 lists it with 20M."""
    recipe = LanguageRecipe(units=650)
    assert round(recipe.model_cost(parse_architecture("rnn:lstm"), 10_000, 650).parameters / 1e6) == 20


def test_a_budget_that_not_even_one_unit_fits_into_is_refused() -> None:
    with pytest.raises(InputError, match=r"parameters \(=20,000\) must allow one unit, which takes 30,032"):
        LanguageRecipe(parameters=20_000).units_of(parse_architecture("cell:zoph-le-2017"), 10_000)


def test_the_learning_rate_falls_after_the_first_six_epochs() -> None:
    """Zaremba et al. (2014), §4.1: divided by 1.2 after each epoch from the seventh on."""
    rates = [LanguageRecipe().learning_rate_at(epoch) for epoch in range(8)]
    assert rates == pytest.approx([1, 1, 1, 1, 1, 1, 1 / 1.2, 1 / 1.44])


def test_a_child_is_stopped_while_its_lowest_perplexity_is_above_the_median_curve() -> None:
    recipe = LanguageRecipe(median_stopping=True, grace_epochs=2)
    assert not recipe.stops_at_median([900.0], [100.0, 90.0])
    assert recipe.stops_at_median([900.0, 91.0], [100.0, 90.0])
    assert not recipe.stops_at_median([900.0, 89.0], [100.0, 90.0])
    assert not recipe.stops_at_median([900.0, 91.0, 91.0], [100.0, 90.0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number ≥ 1"),
        ({"dropout_input": 1.0}, "dropout_input must be a number ≥ 0.0 and < 1.0"),
        ({"learning_rate": "1e-3"}, r"YAML reads 1e-4 as text"),
        ({"optimizer": "adan"}, "optimizer can't be 'adan'"),
        ({"units": 0}, "units must be a whole number ≥ 1"),
        ({"tied": "yes"}, "tied must be true or false"),
        ({"decay": 1.5}, "decay must be a number > 0.0 and ≤ 1.0"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LanguageRecipe(**options)


def test_a_data_set_of_images_is_refused(digits: PreparedImages) -> None:
    with pytest.raises(InputError, match="needs a data set of text; digits holds images"):
        LanguageRecipe().shapes(parse_architecture("rnn:lstm"), digits)


def test_shapes_are_those_of_the_cell_and_cost_is_that_of_the_whole_model(text: PreparedText) -> None:
    recipe, cell = LanguageRecipe(units=7), parse_architecture("rnn:lstm")
    assert recipe.shapes(cell, text) == ((7,), 7)
    vocabulary = len(text.vocabulary)
    lstm = 4 * (7 * 7 + 7 * 7 + 7)
    assert recipe.cost(cell, text).parameters == vocabulary * 7 + 2 * lstm + 7 * vocabulary + vocabulary


def test_recipes_need_no_keras() -> None:
    code = (
        "import sys, nas.training.language_recipe; sys.exit('keras' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
