"""The recipe of images: defaults of the paper, schedules, sizes, the median rule, clear errors."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from nas import plugins
from nas.errors import InputError
from nas.training.image_recipe import ImageRecipe


def test_the_defaults_are_the_papers_recipe() -> None:
    recipe = ImageRecipe()
    assert (recipe.epochs, recipe.batch_size, recipe.learning_rate) == (50, 64, 0.1)
    assert (recipe.momentum, recipe.nesterov, recipe.weight_decay) == (0.9, True, 1e-4)
    assert (recipe.upsample, recipe.crop, recipe.flip) == (40, 32, True)
    assert recipe.input_shape((32, 32, 3)) == (32, 32, 3)


def test_the_step_schedule_divides_by_ten_at_each_fraction() -> None:
    recipe = ImageRecipe(epochs=50)
    rates = [recipe.learning_rate_at(epoch) for epoch in (0, 24, 25, 36, 37, 38, 49)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.01, 0.001, 0.001])


def test_a_fraction_that_is_a_whole_epoch_decays_at_that_epoch() -> None:
    recipe = ImageRecipe(epochs=10, decay_at=[0.7])  # 0.7 · 10 is a little more than 7 in floating point
    assert recipe.learning_rate_at(6) == pytest.approx(0.1)
    assert recipe.learning_rate_at(7) == pytest.approx(0.01)


def test_the_cosine_falls_from_the_learning_rate_towards_zero() -> None:
    recipe = ImageRecipe(epochs=4, schedule="cosine", learning_rate=1.0)
    rates = [recipe.learning_rate_at(epoch) for epoch in range(4)]
    assert rates == pytest.approx([1.0, 0.853553, 0.5, 0.146447], abs=1e-6)


def test_the_exponential_schedule_falls_in_stairs() -> None:
    recipe = ImageRecipe(epochs=10, schedule="exponential", learning_rate=1.0, decay_factor=0.5)
    rates = [recipe.learning_rate_at(epoch) for epoch in range(8)]
    assert rates == pytest.approx([1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25])  # at 2.4, 4.8 and 7.2
    assert recipe.learning_rate_at(2.3) == 1
    assert recipe.learning_rate_at(2.4) == 0.5
    assert ImageRecipe(schedule="exponential", decay_epochs=1e-300).learning_rate_at(1) == 0


def test_a_constant_schedule_stays() -> None:
    recipe = ImageRecipe(schedule="constant")
    assert {recipe.learning_rate_at(epoch) for epoch in range(50)} == {0.1}


@pytest.mark.parametrize(
    ("options", "image", "expected"),
    [
        ({"upsample": None, "crop": None}, (8, 8, 1), (8, 8, 1)),
        ({"upsample": 0, "crop": None}, (8, 8, 1), (8, 8, 1)),
        ({"upsample": 12, "crop": None}, (8, 8, 1), (12, 12, 1)),
        ({"upsample": None, "crop": 6}, (8, 8, 1), (6, 6, 1)),
        ({"upsample": [20, 30], "crop": [16, 24]}, (10, 15, 3), (16, 24, 3)),
        ({"upsample": None, "random_area": [0.1, 1], "crop": 20}, (10, 15, 3), (20, 20, 3)),
        ({"upsample": None, "random_area": [0.1, 1], "crop": None}, (10, 15, 3), (10, 15, 3)),
    ],
)
def test_the_networks_input_follows_from_the_sizes(
    options: dict[str, Any], image: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    assert ImageRecipe(**options).input_shape(image) == expected


def test_a_window_larger_than_the_image_is_refused_with_both_sizes() -> None:
    with pytest.raises(InputError, match=r"crop 32×32 is larger than the images, 8×8"):
        ImageRecipe(upsample=None).input_shape((8, 8, 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number ≥ 1. Received: 0"),
        ({"epochs": 2.5}, "epochs must be a whole number"),
        ({"batch_size": True}, "batch_size must be a whole number"),
        ({"train_examples": 0}, "train_examples must be a whole number ≥ 1"),
        ({"steps_per_execution": "all"}, "steps_per_execution must be a whole number ≥ 1 or 'auto'"),
        ({"learning_rate": 0}, "learning_rate must be a number > 0"),
        ({"learning_rate": "1e-4"}, "YAML reads 1e-4 as text: write 1.0e-4"),
        ({"learning_rate": float("nan")}, "learning_rate must be a number"),
        ({"weight_decay": -1.0}, "weight_decay must be a number ≥ 0"),
        ({"momentum": 1.0}, "momentum must be a number ≥ 0.0 and < 1.0"),
        ({"batch_norm_momentum": 1.5}, "batch_norm_momentum must be a number"),
        ({"batch_norm_epsilon": 0.0}, "batch_norm_epsilon must be a number > 0"),
        ({"flip": "yes"}, "flip must be true or false"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"precision": "float16"}, "precision can't be 'float16'"),
        ({"decay_at": [0.75, 0.5]}, "decay_at must list rising fractions"),
        ({"decay_at": [50]}, "decay_at must list rising fractions"),
        ({"decay_at": 0.5}, "decay_at must list rising fractions"),
        ({"crop": 0}, "crop must be a whole number ≥ 1"),
        ({"upsample": [1, 2, 3]}, "upsample must be a whole number ≥ 1"),
        ({"upsample": "40"}, "upsample must be a whole number ≥ 1"),
        ({"grace_epochs": -1}, "grace_epochs must be a whole number ≥ 0"),
        ({"optimizer": "adam"}, r"optimizer can't be 'adam' \(allowed: rmsprop, sgd\)"),
        ({"rmsprop_decay": 0.95}, "rmsprop_decay belongs to optimizer: rmsprop, and would do nothing"),
        ({"rmsprop_epsilon": 0.1}, "rmsprop_epsilon belongs to optimizer: rmsprop"),
        ({"optimizer": "rmsprop", "rmsprop_epsilon": 0}, "rmsprop_epsilon must be a number > 0"),
        ({"optimizer": "rmsprop", "rmsprop_decay": 1.0}, "rmsprop_decay must be a number ≥ 0.0 and < 1.0"),
        ({"gradient_clipping": -5}, "gradient_clipping must be a number ≥ 0"),
        ({"gradient_clipping": None}, "gradient_clipping must be a number ≥ 0.*Received: None"),
        ({"label_smoothing": 1}, "label_smoothing must be a number ≥ 0.0 and < 1.0"),
        ({"label_smoothing": "1e-1"}, "YAML reads 1e-4 as text: write 1.0e-4"),
        ({"weight_average": 1.0}, "weight_average must be a number ≥ 0.0 and < 1.0"),
        ({"weight_average": True}, "weight_average must be a number"),
        ({"schedule_every": "batch"}, "schedule_every can't be 'batch'"),
        ({"schedule": "constant", "schedule_every": "step"}, "schedule_every: step would do nothing"),
        ({"decay_factor": 0.9}, "decay_factor belongs to schedule: exponential"),
        ({"schedule": "exponential", "decay_factor": 1.5}, "decay_factor must be a number > 0.0 and ≤ 1.0"),
        ({"schedule": "exponential", "decay_epochs": 0}, "decay_epochs must be a number > 0"),
        ({"random_area": [0.08, 1]}, "random_area and upsample are two ways.* set upsample: null"),
        ({"random_area": [0.5, 0.1]}, r"random_area must be the smallest .*≤ 1, as in \[0.08, 1\]"),
        ({"random_area": [0.5, 1.5]}, "random_area must be the smallest"),
        ({"random_area": 0.5}, "random_area must be the smallest"),
        ({"random_area": ["a", 1]}, "random_area must be the smallest"),
        ({"random_area": ["8e-2", 1]}, "YAML reads 1e-4 as text: write 1.0e-4"),
        ({"random_area": [float("nan"), 1]}, "random_area must be the smallest"),
        ({"random_aspect": [0.5, 2]}, "random_aspect belongs to random_area"),
        ({"random_aspect": [0, 2]}, "random_aspect must be the smallest"),
        ({"random_aspect": [1, float("inf")]}, "random_aspect must be the smallest"),
        ({"central_fraction": 0.875}, "central_fraction belongs to random_area"),
        ({"central_fraction": 87.5}, "central_fraction must be a number > 0.0 and ≤ 1.0"),
        ({"brightness": 32}, "brightness must be a number ≥ 0.0 and ≤ 1.0"),
        ({"hue": 0.6}, "hue must be a number ≥ 0.0 and ≤ 0.5"),
        ({"cutout": -1}, "cutout must be a whole number ≥ 0"),
        ({"cutout": 16.0}, "cutout must be a whole number ≥ 0"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ImageRecipe(**options)


def test_an_unknown_field_names_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'batch_size'"):
        plugins.make("recipe", {"name": "image", "batchsize": 64})


def test_a_child_under_the_median_curve_is_stopped_after_the_grace() -> None:
    recipe = ImageRecipe(median_stopping=True, grace_epochs=2)
    median_curve = [0.5, 0.6, 0.7]
    assert not recipe.stops_at_median([0.1], median_curve)
    assert recipe.stops_at_median([0.1, 0.2], median_curve)
    assert not recipe.stops_at_median([0.65, 0.2], median_curve)  # its best so far counts
    assert recipe.stops_at_median([0.65, 0.2, 0.3], median_curve)
    assert not recipe.stops_at_median([0.1, 0.2, 0.3, 0.3], median_curve)  # none came so far
    assert not recipe.stops_at_median([], median_curve)


def test_no_child_is_stopped_unless_the_recipe_says_so() -> None:
    assert not ImageRecipe(grace_epochs=0).stops_at_median([0.1, 0.2], [0.5, 0.6])


def test_a_square_larger_than_what_the_network_sees_is_refused() -> None:
    with pytest.raises(InputError, match="cutout 16 is larger than what the network sees, 8×8"):
        ImageRecipe(upsample=None, crop=None, cutout=16).input_shape((8, 8, 3))


@pytest.mark.parametrize("option", ["saturation", "hue"])
def test_colours_of_grey_images_are_not_changed(option: str) -> None:
    with pytest.raises(InputError, match="the data's images have 1 channel: set them to 0"):
        ImageRecipe(**{option: 0.2}).input_shape((32, 32, 1))


@pytest.mark.parametrize(
    ("size", "fraction", "expected"),
    [
        ((331, 299), 0.875, (291, 263)),
        ((256, 10), 0.5, (128, 6)),
        ((8, 8), 1.0, (8, 8)),
        ((3, 3), 0.01, (1, 1)),
    ],
)
def test_the_central_region_has_equal_margins(
    size: tuple[int, int], fraction: float, expected: tuple[int, int]
) -> None:
    recipe = ImageRecipe(upsample=None, random_area=[0.1, 1], central_fraction=fraction)
    assert recipe.central_region((*size, 3)) == expected


def test_a_recipe_survives_json() -> None:
    recipe = ImageRecipe(decay_at=[0.3], upsample=[40, 44], epochs=7)
    assert plugins.make("recipe", {"name": "image", **recipe.to_json()}) == recipe
    recipe = ImageRecipe(upsample=None, random_area=[0.1, 1], optimizer="rmsprop", weight_average=0.99)
    assert plugins.make("recipe", {"name": "image", **recipe.to_json()}) == recipe


def test_what_came_later_is_stored_only_where_it_is_on() -> None:
    assert set(ImageRecipe(hue=0.1).to_json()) - set(ImageRecipe().to_json()) == {"hue"}
    assert not {"optimizer", "stack", "cutout", "random_area", "schedule_every"} & set(
        ImageRecipe().to_json()
    )


def test_recipes_need_no_keras() -> None:
    code = "import sys, nas.training.image_recipe; sys.exit('keras' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
