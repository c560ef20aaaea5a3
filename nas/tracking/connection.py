"""The way to an MLflow store: which one, quietly, and without MLflow's global state."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import InputError, TemporaryError
from nas.tracking.facts import LONGEST_DIGEST, Metric
from nas.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

QUIET = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
}
"""MLflow's own settings where the user has none: no telemetry, no chatter, and a server that is away
is noticed in seconds (MLflow would try 7 times for 120 s each); what it missed is sent later."""

_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class Connection:
    """An open way to one MLflow store.

    Attributes:
        client: every call names its run; the fluent API with its active run is never used.
        uri: of the store, without a password; names the store in a record's notes.
        artifacts: where the artifacts of new experiments go; None: the server decides.
    """

    client: MlflowClient
    uri: str
    artifacts: str | None

    def experiment(self, name: str, about: str = "") -> str:
        """The id of the MLflow experiment `name`, which is created if there is none.

        Raises:
            InputError: it was deleted in MLflow.
        """
        from mlflow.exceptions import MlflowException

        found = self.client.get_experiment_by_name(name)
        if found is None:
            tags = {"mlflow.experimentKind": "custom_model_development"}  # the page then opens on its runs
            if about:
                tags["mlflow.note.content"] = about
            try:
                return str(self.client.create_experiment(name, self.artifacts, tags))
            except MlflowException:  # another search of this experiment was faster
                found = self.client.get_experiment_by_name(name)
                if found is None:
                    raise
        if found.lifecycle_stage != "active":
            raise InputError(
                f"the MLflow experiment '{name}' was deleted at {self.uri}; restore it with "
                f"`mlflow experiments restore --experiment-id {found.experiment_id}`, "
                "or give this experiment another name"
            )
        return str(found.experiment_id)

    def run(self, run_id: str) -> Run | None:
        """The run with this id; None if there is none, or no more."""
        from mlflow.exceptions import MlflowException

        try:
            run = self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return run if run.info.lifecycle_stage == "active" else None

    def runs(self, experiment_id: str, tags: dict[str, str]) -> Iterator[Run]:
        """The runs that carry all of `tags`, oldest first."""
        where = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        token: str | None = None
        while True:
            page = self.client.search_runs(
                [experiment_id], where, max_results=1000, order_by=["start_time ASC"], page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def log(
        self, run_id: str, metrics: Sequence[Metric] = (), parameters: Mapping[str, str] | None = None
    ) -> None:
        """Logs metrics and parameters in as few requests as MLflow's limits allow; mostly one.

        Logging the same once more changes nothing.
        """
        from mlflow import entities

        cut = zip_longest(_cut(metrics, 900), _cut(tuple((parameters or {}).items()), 100), fillvalue=())
        for some, named in cut:
            self.client.log_batch(
                run_id, [entities.Metric(*m) for m in some], [entities.Param(*p) for p in named]
            )

    def log_data(self, run_id: str, name: str, digest: str) -> None:
        """Logs the prepared data set `name` as the run's input."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source = json.dumps({"uri": f"data/prepared/{name}"})
        data = Dataset(name, digest[:LONGEST_DIGEST], "local", source)
        tags = [InputTag("mlflow.data.context", "training"), InputTag("nas.digest", digest)]
        self.client.log_inputs(run_id, [DatasetInput(data, tags)])


def _cut(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Pieces of at most `size`."""
    for begin in range(0, len(values), size):
        yield values[begin : begin + size]


def connect(workspace: Workspace, uri: str | None = None) -> Connection:
    """Opens the store `uri`, else that of `MLFLOW_TRACKING_URI`, else SQLite in the workspace.

    A new SQLite store gets its tables here, in one process, before anybody else uses it.

    Raises:
        TemporaryError: the folder of a SQLite store can't be made.
    """
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or _SQLITE + str(workspace.tracking / "mlflow.db")
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    artifacts = None
    if uri.startswith(_SQLITE):
        folder = Path(uri.removeprefix(_SQLITE)).resolve().parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TemporaryError(f"MLflow's folder {folder} can't be made: {error}") from error
        artifacts = (folder / "artifacts").as_uri()
    return Connection(MlflowClient(uri), without_password(uri), artifacts)


def without_password(uri: str) -> str:
    """`uri` without user name and password.

    Example:
        >>> without_password("https://ada:secret@mlflow.example:5000/x")
        'https://mlflow.example:5000/x'
    """
    return re.sub(r"(?<=://)[^/\s]*@", "", uri)


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turns MLflow's errors into one sentence.

    Raises:
        TemporaryError: MLflow refused or could not be reached.
    """
    try:
        yield
    except Exception as error:
        from mlflow.exceptions import MlflowException  # imported late: `connect` sets what it reads

        if not isinstance(error, MlflowException):
            raise
        raise TemporaryError(f"{what}: {sentence(error)}") from error


def sentence(error: Exception) -> str:
    """The first line of an error without passwords, of a length that fits a warning."""
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else type(error).__name__
    request, failed, _ = text.partition(" failed with exception ")
    if failed:  # urllib3 nests three errors in one line; the innermost says what happened
        text = f"{request} failed: {_origin(error)}"
    text = without_password(text)
    return text if len(text) <= 240 else text[:239] + "…"


def _origin(error: BaseException) -> BaseException:
    cause = error.__cause__ or error.__context__
    return error if cause is None else _origin(cause)
