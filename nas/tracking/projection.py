"""One search's record as MLflow runs: a parent, and a nested run for each child that has ended."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

from nas.definitions import written_out
from nas.errors import InputError
from nas.experiment import FINAL_SUFFIX, Experiment, fingerprint, ring_of, stage_of
from nas.search.record import Record
from nas.search.rewards import rejudging, rule_of
from nas.search.rows import Child
from nas.tracking import facts, limits
from nas.tracking.connection import Connection, sentence

if TYPE_CHECKING:
    from mlflow.entities import Run

BATCH = 25
"""Children between two notes in the record of what stands in MLflow."""

LEADERS = 20
"""Places of the leaderboard."""

PARENT = "parent"
"""How a record notes its own run."""

_BEGUN = "nas.children"
_LEADERBOARD = "leaderboard.json"
_DRAWING = "nas.drawing"


def target_of(connection: Connection) -> str:
    """How a record names a store in its notes."""
    return f"mlflow:{connection.uri}"


def noted_as(child: int) -> str:
    """How a record notes a child's run."""
    return f"child {child}"


def describe(to: Connection, record: Record, run: Run, drawing: str = "") -> None:
    """Writes the description of a search's run: outcome, drawing and the next commands.

    Args:
        to: the store.
        record: of the search.
        run: that of the search.
        drawing: name of an artifact of the run; empty: the one that it was described with before.
    """
    tags = run.data.tags
    drawing = drawing or tags.get(_DRAWING, "")
    name = str(record.meta("experiment", {}).get("name", ""))
    about = str(record.meta("experiment", {}).get("about", ""))
    source = f"get-artifact?path={quote(drawing, safe='')}&run_uuid={run.info.run_id}" if drawing else ""
    final, ring = tags.get("nas.role") == "finals", ring_of(name)
    searched = ring[0] if ring else name.removesuffix(FINAL_SUFFIX)
    if ring:
        about = f"{stage_of(name).capitalize()} of the retraining of the best. {about}"
    text = facts.note(about, searched, final, record, run.info.experiment_id, source)
    if drawing:
        to.set_tag(run.info.run_id, _DRAWING, drawing)
    to.set_tag(run.info.run_id, "mlflow.note.content", text)


_ROLES = {"search": ("search", "child"), "ring": ("ring", "retrained"), "finals": ("finals", "final")}
"""Role of the run of a stage, and of those of its children."""


class Projection:
    """The way of one record into one MLflow store: finds out what is there and adds what is missing.

    Nothing is ever logged twice, whenever a process is killed: the record notes the id of each run.
    Before children's runs are created, their number goes to the parent's tag `nas.children`; if at the
    next opening it differs from the number noted, the runs are looked up by their tags. Logging the
    same values to a run again changes nothing.

    Args:
        connection: to the store.
        record: held by this process, since it keeps the notes.
        experiment: of the record.

    Raises:
        InputError: the record is open for reading only.
    """

    def __init__(self, connection: Connection, record: Record, experiment: Experiment) -> None:
        if not record.held:
            raise InputError(
                f"the record {record.path} is open for reading only, but notes must be kept in it; "
                "open it with Record.hold"
            )
        self._to, self._record, self._experiment = connection, record, experiment
        self._client = connection.client
        self._target = target_of(connection)
        definition = record.definition
        self._fingerprint = fingerprint(definition)
        final = experiment.name.endswith(FINAL_SUFFIX)
        self._role, self._child_role = _ROLES[
            "ring" if ring_of(experiment.name) else stage_of(experiment.name)
        ]
        self._score_name = "score" if final else "proxy_score"
        self._data = {"name": experiment.data.name, "digest": "", **definition.get("data", {})}
        self._commit = str(record.meta("git_commit", ""))
        reward, self._anew = rule_of(experiment), rejudging(experiment)
        self._score: Callable[[Child], float | None] = lambda child: (
            reward.score(child.result) if child.result else None
        )
        self._tags = {
            "nas.fingerprint": self._fingerprint,
            "nas.git_commit": self._commit,
            "nas.data": f"{self._data['name']}@{self._data['digest']}",
            "mlflow.source.git.commit": self._commit.removesuffix("+"),
        }
        self._leaders = ""
        self._bar = -math.inf  # a child below it doesn't change the leaderboard
        self._best: tuple[int, float | None] | None = None  # (next round, best reward before it)
        self._experiment_id = connection.experiment(experiment.name, experiment.about)
        noted = record.projected(self._target)
        parent = self._parent(noted)
        self.run_id = parent.info.run_id
        self._begun = sum(1 for item in record.projected(self._target) if item.startswith("child "))
        begun_there = int(parent.data.tags.get(_BEGUN, "0"))
        self._unsure = self._look_up() if begun_there != self._begun else {}

    def catch_up(self, stop: Callable[[], bool] = lambda: False) -> int:
        """Adds what is missing and returns how many children that were.

        Args:
            stop: asked between two children; true: leave the rest for the next time.
        """
        try:
            return self._catch_up(stop)
        except Exception as error:
            self._fail(self.run_id, error)
            raise

    def _catch_up(self, stop: Callable[[], bool]) -> int:
        added, best = 0, math.inf if not self._leaders else -math.inf
        while not stop() and (missing := self._record.unprojected_children(self._target, BATCH)):
            added += self._add(missing, stop)
            best = max(best, *(c.result.reward or 0.0 for c in missing if c.result))
        if not stop():
            self._add_rounds()
            if best >= self._bar:
                self._show_leaders()
        return added

    def close(self, status: str, message: str = "") -> None:
        """Ends the parent run.

        Args:
            status: `FINISHED`, `FAILED` or `KILLED`, as MLflow calls them.
            message: why it failed.
        """
        if message:
            self._to.set_tag(self.run_id, "nas.message", message)
        describe(self._to, self._record, self._to.client.get_run(self.run_id))
        self._client.set_terminated(self.run_id, status)

    # --- the parent -------------------------------------------------------------------------------

    def _parent(self, noted: Mapping[str, str]) -> Run:
        """The parent run, running, complete and noted."""
        parent = self._to.run(noted[PARENT]) if PARENT in noted else None
        if parent is None:
            self._record.forget_projected(self._target)  # the store is a new one, or was emptied
            same = {"nas.fingerprint": self._fingerprint, "nas.role": self._role}
            parent = next(self._to.runs(self._experiment_id, same), None) or self._create_parent()
        run_id = parent.info.run_id
        if parent.info.status != "RUNNING":
            self._client.update_run(run_id, "RUNNING")
        try:
            self._describe(parent)
        except Exception as error:
            self._fail(run_id, error)
            raise
        self._record.set_projected(self._target, {PARENT: run_id})
        return parent

    def _describe(self, parent: Run) -> None:
        run_id, definition = parent.info.run_id, self._record.definition
        if "format" in definition:  # earlier ones name all options themselves
            definition = {**written_out(definition), "data": self._data}
        self._to.log_new(parent, facts.flattened(definition))
        self._client.log_dict(
            run_id,
            {
                "fingerprint": self._fingerprint,
                "definition": self._record.definition,
                "experiment": self._record.meta("experiment") or self._experiment.model_dump(mode="json"),
            },
            "experiment.json",
        )
        self._to.log_data(run_id, self._data["name"], self._data["digest"])

    def _fail(self, run_id: str, error: Exception) -> None:
        """Ends the run whatever happened: nobody is to take it for one that goes on."""
        with suppress(Exception):  # the store may be away, and the first error says so
            self._to.set_tag(run_id, "nas.message", sentence(error))
            self._client.set_terminated(run_id, "FAILED")

    def _create_parent(self) -> Run:
        batches = self._record.batches()
        created = self._record.meta("created_at") or (batches[0].sampled_at if batches else time.time())
        tags = {
            **self._tags,
            "nas.role": self._role,
            "nas.seed": str(self._experiment.seed),
            "mlflow.note.content": self._experiment.about,
            "mlflow.loggedArtifacts": json.dumps([{"path": _LEADERBOARD, "type": "table"}]),
        }
        name = f"{self._role} · seed {self._experiment.seed} · {self._fingerprint[:6]}"
        return self._to.create_run(self._experiment_id, name, tags, created)

    def _look_up(self) -> dict[int, str]:
        """Runs of children that stand in MLflow, whether or not they are complete and noted."""
        same = {"nas.fingerprint": self._fingerprint, "nas.role": self._child_role}
        return {
            int(r.data.tags["nas.child"]): r.info.run_id for r in self._to.runs(self._experiment_id, same)
        }

    # --- what is missing --------------------------------------------------------------------------

    def _add(self, children: Sequence[Child], stop: Callable[[], bool]) -> int:
        self._client.set_tag(self.run_id, _BEGUN, str(self._begun + len(children)))
        ids: dict[str, str] = {}
        try:
            for child in children:
                if stop():
                    break
                ids[noted_as(child.number)] = self._add_child(child)
        finally:
            self._record.set_projected(self._target, ids)
            self._begun += len(ids)
        return len(ids)

    def _add_child(self, child: Child) -> str:
        form = json.dumps(child.proposal.architecture.to_json())
        short = len(form) <= limits.TAG  # an artifact for each child would cost a fifth more time
        run_id = self._unsure.get(child.number) or self._create_child(child, form if short else "")
        child = self._judged(child)
        metrics = facts.child_metrics(child, self._score(child), self._score_name)
        try:
            self._to.log(run_id, metrics, facts.child_parameters(child))
            self._to.log_data(run_id, self._data["name"], self._data["digest"])
            if not short:
                self._client.log_text(run_id, form, "architecture.json")
        except Exception as error:
            self._fail(run_id, error)
            raise
        ok = child.result is not None and child.result.ok
        ended = facts.milliseconds(child.finished_at or child.started_at or 0.0)
        self._client.set_terminated(run_id, "FINISHED" if ok else "FAILED", ended)
        return run_id

    def _create_child(self, child: Child, form: str) -> str:
        tags = {
            **self._tags,
            **facts.child_tags(child),
            "nas.role": self._child_role,
            "nas.architecture": form,
            "mlflow.parentRunId": self.run_id,
        }
        name = f"{self._child_role} {child.number} · round {child.batch}"
        begun = child.started_at or child.finished_at or 0.0
        return str(self._to.create_run(self._experiment_id, name, tags, begun).info.run_id)

    def _add_rounds(self) -> None:
        batches = self._record.unprojected_batches(self._target)
        for done in batches:
            before = self._best
            best = (
                before[1]
                if before and before[0] == done.number
                else self._record.best_reward_before(done.number)
            )
            children = [self._judged(child) for child in self._record.children(batch=done.number)]
            rewards = [c.result.reward for c in children if c.result and c.result.ok]
            known = [reward for reward in (best, *rewards) if reward is not None]
            best = max(known) if known else None
            self._to.log(self.run_id, facts.round_metrics(done, children, best))
            self._record.set_projected(self._target, {f"round {done.number}": self.run_id})
            self._best = (done.number + 1, best)

    def _judged(self, child: Child) -> Child:
        return child if self._anew is None else child.judged(self._anew)

    def _show_leaders(self) -> None:
        best = self._record.best(LEADERS, self._anew)
        leaders = facts.leaderboard(best, self._score, self._score_name)
        if leaders != self._leaders:
            self._client.log_text(self.run_id, leaders, _LEADERBOARD)
            self._leaders = leaders
        if len(best) == LEADERS and best[-1].result:
            self._bar = best[-1].result.reward or 0.0
