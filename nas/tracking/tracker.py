"""The tracker: keeps MLflow up with a search while it runs, replays what it missed, registers winners."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nas.datasets import Prepared
from nas.experiment import Experiment
from nas.search.record import Record
from nas.search.search import Event, Search
from nas.tracking import attached, facts, winner
from nas.tracking.connection import Connection, connect, explained, is_away, sentence
from nas.tracking.projection import Projection
from nas.workspace import Workspace

PAUSE = 0.5
"""Seconds between two looks at the record."""

RETRY = 10.0
"""Seconds after which an MLflow that was away is tried again."""

FAREWELL = 30.0
"""Seconds that a finished search waits at most until MLflow has its last results."""

INTERRUPTED_FAREWELL = 2.0
"""The same for an interrupted search, which must end soon."""

_logger = logging.getLogger("nas")


class Tracker:
    """Logs to one MLflow store. Making one does nothing; MLflow is imported when it is first needed.

    Args:
        workspace: holds the local store `mlflow/mlflow.db`.
        uri: another store; else `MLFLOW_TRACKING_URI`, else the local one.
    """

    def __init__(self, workspace: Workspace, uri: str | None = None) -> None:
        self._workspace, self._uri = workspace, uri
        self._connection: Connection | None = None

    def sync(self, record: Record, experiment: Experiment) -> int:
        """Adds to MLflow what it lacks of a record that nobody is searching in, and ends its run.

        The run of a search with an open batch ends as `KILLED`: it was interrupted.

        Args:
            record: held by this process.
            experiment: of the record.

        Returns:
            The number of children that were added.

        Raises:
            TemporaryError: MLflow can't be reached; calling it again goes on.
            RefusedError: MLflow refuses; the run ends as `FAILED` and says why.
            InputError: the record is open for reading only, or the MLflow experiment was deleted.
        """
        with explained("the record is not all in MLflow yet", "try again later"):
            projection = Projection(self._connect(), record, experiment)
            added = projection.catch_up()
            projection.close("KILLED" if record.open_batches() else "FINISHED")
        return added

    @contextmanager
    def follow(self, search: Search) -> Iterator[None]:
        """Keeps MLflow up with `search` in a thread of its own while the block runs.

        Never fatal and never in the way: if MLflow is away, the search goes on, a warning is logged
        once, and what was missed is sent as soon as MLflow is back (here, in a later search, or by
        `sync`). The run ends as `FINISHED`, as `FAILED` with the error as its tag `nas.message`, or,
        if the block was interrupted, as `KILLED`.
        """
        follower = _Follower(self._connect, search.record, search.experiment)
        search.listeners = [*search.listeners, follower.tell]
        status, message, patience = "FINISHED", "", FAREWELL
        follower.thread.start()
        try:
            yield
        except Exception as error:
            status, message = "FAILED", f"{type(error).__name__}: {error}"
            raise
        except BaseException:
            status, patience = "KILLED", INTERRUPTED_FAREWELL
            raise
        finally:
            search.listeners = [each for each in search.listeners if each != follower.tell]
            follower.end(status, message, patience)

    def register_winner(
        self, folder: Path, experiment: Experiment, data: Prepared, measured: Mapping[str, Any]
    ) -> str:
        """Logs the winner as a run of its own and registers it as `nasflow-EXPERIMENT`, alias `champion`.

        A winner that is registered already is not registered again.

        Args:
            folder: holds `model.keras` and `final.json`.
            experiment: that it won.
            data: what it was trained on; says what kind of model it is, and gives an input example.
            measured: numbers of its evaluation, nested as they may be.

        Returns:
            The model's address in MLflow, e.g. `models:/nasflow-digits-conv/3`.

        Raises:
            TemporaryError: MLflow can't be reached.
            RefusedError: MLflow refuses.
            InputError: the folder holds no winner.
        """
        with explained("the winner is not registered in MLflow", "try again later"):
            return winner.register(self._connect(), folder, experiment, data, measured)

    def page(self, experiment: Experiment) -> str:
        """The address of an experiment in the server's page; empty for a store without a server.

        Raises:
            TemporaryError: MLflow can't be reached.
            RefusedError: MLflow refuses.
        """
        with explained("the page of the experiment is not known", "try again later"):
            to = self._connect()
            if not to.uri.startswith("http"):
                return ""
            return f"{to.uri.rstrip('/')}/{facts.page(to.experiment(experiment.name, experiment.about))}"

    def attach(self, record: Record, files: Sequence[Path], drawings: Mapping[int, Path]) -> str:
        """Adds files to a search's run, and their drawings to the runs of its children.

        What is there already under the same name is replaced.

        Args:
            record: of the search; its notes tell the runs.
            files: files and folders that go to `report` of the search's run.
            drawings: by the child's number; each becomes `drawing` with the file's own ending.

        Returns:
            The id of the search's run; empty if the search does not stand in this store.

        Raises:
            TemporaryError: MLflow can't be reached.
            RefusedError: MLflow refuses.
        """
        with explained("the report is not in MLflow", "try again later"):
            return attached.attach(self._connect(), record, files, drawings)

    def _connect(self) -> Connection:
        if self._connection is None:
            self._connection = connect(self._workspace, self._uri)
        return self._connection


class _Follower:
    """The thread that keeps MLflow up with one search."""

    def __init__(self, connect: Any, record: Record, experiment: Experiment) -> None:
        self._connect, self._record, self._experiment = connect, record, experiment
        self._news, self._ending, self._late = threading.Event(), threading.Event(), threading.Event()
        self._warned = False
        self._status, self._message = "FINISHED", ""
        self._projection: Projection | None = None
        self.thread = threading.Thread(target=self._run, name="nas-tracking", daemon=True)

    def tell(self, event: Event) -> None:
        """A listener of the search."""
        if event.what in ("finished", "updated"):
            self._news.set()

    def end(self, status: str, message: str, patience: float) -> None:
        """Lets the thread send the rest and end the run, for at most `patience` seconds."""
        self._status, self._message = status, message
        self._ending.set()
        self._news.set()
        self.thread.join(patience)
        if self.thread.is_alive():
            self._late.set()
            self._warn(f"MLflow took more than {patience:g} s for the last results")

    def _run(self) -> None:
        self._news.set()
        while True:
            self._news.wait()
            self._news.clear()
            ending = self._ending.is_set()
            well = self._catch_up(ending)
            if ending:
                return
            self._ending.wait(PAUSE if well else RETRY)
            if not well:
                self._news.set()

    def _catch_up(self, ending: bool) -> bool:
        try:
            if self._projection is None:
                self._projection = Projection(self._connect(), self._record, self._experiment)
            self._projection.catch_up(self._late.is_set)
            if ending and not self._late.is_set():
                self._projection.close(self._status, self._message)
            return True
        except Exception as error:  # whatever is wrong with MLflow, the search must not suffer
            self._projection = None
            if not self._late.is_set():
                what = "is away" if is_away(error) else "refuses"
                self._warn(f"MLflow {what} ({sentence(error)})")
            return False

    def _warn(self, what: str) -> None:
        if not self._warned:
            self._warned = True
            _logger.warning(
                "%s; the search goes on, and what MLflow misses is sent later, "
                "at the latest by `nas track %s`",
                what,
                self._experiment.name,
            )
