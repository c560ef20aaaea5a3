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

from nas.errors import InputError, NasError, RefusedError, TemporaryError
from nas.loopback import bypass_proxies
from nas.tracking import limits
from nas.tracking.facts import Metric
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

        name = limits.clipped_name(name)
        found = self.client.get_experiment_by_name(name)
        if found is None:
            tags = {"mlflow.experimentKind": "custom_model_development", "mlflow.note.content": about}
            try:
                return str(self.client.create_experiment(name, self.artifacts, limits.tags(tags)))
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

    def create_run(
        self, experiment_id: str, name: str, tags: Mapping[str, str], start_seconds: float | None = None
    ) -> Run:
        """Begins a run; tags without a value are left out."""
        begun = None if start_seconds is None else int(1000 * start_seconds)
        return self.client.create_run(
            experiment_id, begun, limits.tags(tags), limits.clipped_name(limits.clipped(name, limits.NAME))
        )

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        """Sets a tag of a run."""
        self.client.set_tag(run_id, limits.name(key), limits.clipped(value, limits.TAG))

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

        called = limits.names(dict.fromkeys(metric[0] for metric in metrics))
        measured = [entities.Metric(called[name], value, at, step) for name, value, at, step in metrics]
        called = limits.names(parameters or {})
        given = [
            entities.Param(called[key], limits.clipped(value, limits.PARAMETER))
            for key, value in (parameters or {}).items()
        ]
        for some, named in zip_longest(_cut(measured, 900), _cut(given, 100), fillvalue=()):
            self.client.log_batch(run_id, some, named)

    def log_new(self, run: Run, parameters: Mapping[str, str]) -> None:
        """Logs the parameters that a run lacks; MLflow refuses another value for one that it has."""
        called = limits.names(parameters)
        new = {key: value for key, value in parameters.items() if called[key] not in run.data.params}
        self.log(run.info.run_id, parameters=new)

    def log_data(self, run_id: str, name: str, digest: str) -> None:
        """Logs the prepared data set `name` as the run's input."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source = json.dumps({"uri": f"data/prepared/{name}"})
        data = Dataset(limits.clipped_name(name) or "_", digest[: limits.DIGEST], "local", source)
        tags = [
            InputTag("mlflow.data.context", "training"),
            InputTag("nas.digest", limits.clipped(digest, limits.INPUT_TAG)),
        ]
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
    bypass_proxies()
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
def explained(what: str, later: str = "") -> Iterator[None]:
    """Turns the errors of MLflow, and of the libraries by which it reaches its store, into one sentence.

    Args:
        what: what is not done, as `the winner is not registered in MLflow`.
        later: what to do when the store is back, as `try again later`.

    Raises:
        TemporaryError: the store could not be reached.
        RefusedError: it was reached, and refused.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, NasError) or not _is_the_stores(error):
            raise
        if is_away(error):
            advice = f"; {later}" if later else ""
            raise TemporaryError(f"{what}: MLflow is away ({sentence(error)}){advice}") from error
        raise RefusedError(f"{what}: MLflow refuses ({sentence(error)})") from error


def _is_the_stores(error: BaseException) -> bool:
    """Whether MLflow or what it stands on raised this, and not our own code."""
    from mlflow.exceptions import MlflowException  # imported late: `connect` sets what it reads
    from sqlalchemy.exc import SQLAlchemyError

    return isinstance(error, MlflowException | SQLAlchemyError | OSError | ImportError)


def is_away(error: BaseException) -> bool:
    """Whether the store could not be reached, or was too busy to answer; else it refused."""
    from mlflow.exceptions import MlflowException, RestException
    from requests import exceptions as requests
    from sqlalchemy import exc as sqlalchemy

    if isinstance(error, TemporaryError):
        return True
    if isinstance(error, sqlalchemy.OperationalError | sqlalchemy.InterfaceError):
        of_a_file = "sqlite" in str(type(error.orig).__module__)
        return "locked" in str(error.orig) or not of_a_file  # other faults of a file don't pass
    if isinstance(error, requests.HTTPError):
        return error.response is not None and _passes(error.response.status_code)
    if isinstance(error, requests.InvalidURL | requests.MissingSchema | requests.InvalidSchema):
        return False
    if isinstance(
        error, requests.RequestException | ConnectionError | TimeoutError | sqlalchemy.TimeoutError
    ):
        return True
    cause = error.__cause__ or error.__context__
    if isinstance(error, MlflowException):
        if cause is not None and isinstance(cause, requests.RequestException | sqlalchemy.SQLAlchemyError):
            return is_away(cause)
        code = int(error.get_http_status_code())  # type: ignore[no-untyped-call]
        answered = isinstance(error, RestException) or "failed with error code" in str(error)
        return _passes(code) and (code != 500 or answered)  # 500 is also MLflow's code for its own refusals
    return False


def _passes(status: int) -> bool:
    """Whether an HTTP status says that the same request may succeed later."""
    return status in (408, 429) or status >= 500


def sentence(error: Exception) -> str:
    """The first line of an error without passwords, of a length that fits a warning."""
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else type(error).__name__
    if nested := re.match(r"(.*?) failed with (?:timeout )?exception ", text):
        # urllib3 nests three errors in one line; the innermost says what happened
        text = f"{nested[1]} failed: {str(_origin(error)) or 'no answer'}"
    return limits.clipped(without_password(text), 240)


def _origin(error: BaseException) -> BaseException:
    cause = error.__cause__ or error.__context__
    return error if cause is None else _origin(cause)
