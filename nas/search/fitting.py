"""Whether the parts of an experiment fit together, asked before anything is trained."""

from __future__ import annotations

import logging
from typing import Any

from nas.controllers.controller import Controller
from nas.controllers.listed import ListController
from nas.datasets import Prepared
from nas.errors import InputError
from nas.experiment import Experiment
from nas.spaces import Architecture, first_architecture, parse_architecture

logger = logging.getLogger("nas")


def check_parts(experiment: Experiment, data: Prepared, controller: Controller) -> None:
    """Computes the size of networks that the experiment would train, which takes all of its parts.

    What fits, but not as a user may expect, is logged as a warning.

    These are the first network of the space, or the whole list of a controller that has one, by the search's
    recipe and by those of the rings, and the hand-made baseline by that of the finals.

    Raises:
        InputError: space, recipe, data or baseline don't go together, or not even a network of least size is
            within the recipe's limits.
    """
    if experiment.recipe is None:
        return
    listed = controller.entries if isinstance(controller, ListController) else ()
    parts = f"space '{experiment.space.name}', recipe '{experiment.recipe.name}'"
    own, final = experiment.built_recipe(), experiment.built_recipe(experiment.final.recipe)
    rings = experiment.final.rings
    for architecture, overrides in listed or [(first_architecture(experiment.built_space), {})]:
        _check(parts, experiment.built_recipe(overrides), architecture, data)
        for place, ring in enumerate(rings):
            fields = {**ring.recipe, **overrides}
            _check(f"{parts}, final.rings.{place}", experiment.built_recipe(fields), architecture, data)
    if experiment.final.baseline:
        architecture = parse_architecture(experiment.final.baseline)
        recipe = experiment.built_recipe({**experiment.final.recipe, **final.required_by(architecture)})
        baseline = f"final.baseline '{experiment.final.baseline}', recipe '{experiment.recipe.name}'"
        _check(baseline, recipe, architecture, data)
    recipes = (own, *(experiment.built_recipe(ring.recipe) for ring in rings), final)
    for warning in dict.fromkeys(recipe.warning(data) for recipe in recipes):
        if warning:
            logger.warning("%s", warning)


def _check(parts: str, recipe: Any, architecture: Architecture, data: Prepared) -> None:
    try:
        recipe.cost(architecture, data)
    except InputError as error:
        raise InputError(
            f"{parts} and the data '{data.name}' ({data.kind}) don't fit together: {error}"
        ) from error
