"""The winner of an experiment as a registered model that serves without our code."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.datasets import Prepared, PreparedImages
from nas.errors import InputError
from nas.experiment import Experiment
from nas.final.finalists import network_in_words
from nas.search.folders import read_json
from nas.search.rewards import shown
from nas.tracking import facts
from nas.tracking.connection import Connection
from nas.tracking.flavours import Flavour, flavour, imported_quietly

ALIAS = "champion"
CLASSES = 50
"""How many class names a card holds; the model's metadata has them all."""


def register(
    to: Connection, folder: Path, experiment: Experiment, data: Prepared, measured: Mapping[str, Any]
) -> str:
    """See `nas.tracking.Tracker.register_winner`."""
    final, weights = folder / "final.json", folder / "model.keras"
    for file in (final, weights):
        if not file.is_file():
            raise InputError(f"{folder} holds no winner: {file.name} is missing; `nas finalize` makes it")
    chosen = flavour(experiment, data)  # before anything is logged
    story = read_json(final)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    name = f"nasflow-{experiment.name}"
    experiment_id = to.experiment(experiment.name, experiment.about)
    same = {"nas.role": "winner", "nas.model_digest": digest}
    tags = {**same, **_tags(story), "nas.data": f"{data.name}@{data.digest}"}
    run = next(to.runs(experiment_id, same), None) or to.create_run(
        experiment_id, f"winner · {digest[:6]}", tags
    )
    run_id = run.info.run_id
    parameters, there = facts.flattened(story.get("winner", {})), run.data.params
    to.log(run_id, _metrics(measured))
    to.log_new(run, parameters)
    for key, value in parameters.items():
        if there.get(key, value) != value:  # MLflow changes no parameter: what is true now stands beside it
            to.set_tag(run_id, f"nas.winner.{key}", value)
    to.log_data(run_id, data.name, data.digest)
    to.client.log_artifact(run_id, str(final))
    to.client.log_dict(run_id, dict(measured), "evaluation.json")
    versions = to.client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
    version = (
        versions[0].version
        if versions
        else _register_model(to, experiment_id, run_id, name, folder, data, chosen)
    )
    to.client.update_model_version(name, str(version), card(name, story, data, measured, chosen.about))
    to.client.set_registered_model_alias(name, ALIAS, str(version))
    to.client.set_terminated(run_id, "FINISHED")
    return f"models:/{name}/{version}"


def card(name: str, story: Mapping[str, Any], data: Prepared, measured: Mapping[str, Any], about: str) -> str:
    """The description of a model's version: what, which data, how good, and how to serve it.

    Args:
        name: of the registered model.
        story: `final.json`.
        data: what it was trained on.
        measured: its evaluation; without a test yet, the card says so.
        about: what goes into the model and comes out.
    """
    won, test = story.get("winner", {}), measured.get("test", {})
    lines = [
        f"Winner of a neural architecture search: `{network_in_words(won)}`. {about}",
        f"**Data:** {data.name}, digest `{data.digest}`",
    ]
    if isinstance(value := test.get("winner"), Mapping):
        lines.append(
            f"**Test:** {test['metric'].replace('_', ' ')} {shown(value['value'])} ({shown(value['low'])} – "
            f"{shown(value['high'])} at 95 %) on {test['examples']:,} {test['unit']}, "
            f"evaluated {test['touches']} time" + "s" * (test["touches"] != 1)
        )
    else:
        lines.append("**Test:** not evaluated yet (`nas evaluate`)")
    if isinstance(data, PreparedImages):
        classes = ", ".join(f"{number} {label}" for number, label in enumerate(data.classes[:CLASSES]))
        more = f" and {len(data.classes) - CLASSES} more" if len(data.classes) > CLASSES else ""
        lines.append(f"**Classes:** {classes}{more}")
    address = f"models:/{name}@{ALIAS}"
    lines += [
        f"**In code:**\n\n    model = mlflow.pyfunc.load_model('{address}')\n    model.predict(inputs)",
        f"**As a service:**\n\n    mlflow models serve -m {address} --env-manager local --port 5001",
    ]
    return "\n\n".join(lines)


def _register_model(
    to: Connection, experiment_id: str, run_id: str, name: str, winner: Path, data: Prepared, chosen: Flavour
) -> str:
    from mlflow.entities import LoggedModelOutput
    from mlflow.exceptions import MlflowException

    with imported_quietly():
        from mlflow.models import Model

    logged = to.client.create_logged_model(experiment_id, name, run_id)
    with tempfile.TemporaryDirectory() as folder:
        model = Model(
            artifact_path=logged.artifact_location,
            run_id=run_id,
            model_uuid=logged.model_id,
            model_id=logged.model_id,
        )
        chosen.save(winner, data, {"path": folder, "mlflow_model": model})
        to.client.log_model_artifacts(logged.model_id, folder)
    to.client.finalize_logged_model(logged.model_id, "READY")
    to.client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, 0)])
    try:
        to.client.create_registered_model(name, description=chosen.about)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # not `models:/ID`, which MLflow looks up in its global store instead of the client's
    made = to.client.create_model_version(name, logged.artifact_location, run_id, model_id=logged.model_id)
    return str(made.version)


def _tags(story: Mapping[str, Any]) -> dict[str, str]:
    """The single values of `final.json` (fingerprint, git commit, …) as tags."""
    single = {key: value for key, value in story.items() if isinstance(value, str | int | float)}
    return {f"nas.{key}": str(value) for key, value in single.items()}


def _metrics(measured: Mapping[str, Any]) -> list[facts.Metric]:
    now = facts.milliseconds(time.time())
    return [(name, value, now, 0) for name, value in facts.numbers(measured)]
