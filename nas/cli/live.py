"""What a running search shows: a live view on a terminal, one line for each event elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nas.cli.common import PROXY, clock, kind_of
from nas.evaluation import Evaluator, Status
from nas.search.rewards import rejudging, shown
from nas.search.rows import Child
from nas.search.search import Event, Search
from nas.workspace import Workspace

REFRESH_PER_SECOND = 4
BAR_WIDTH = 30
PATIENCE = 5.0
"""Seconds after which a search that isn't on a terminal says why none of its children runs."""


class Monitor:
    """Follows one search as its listener and tells where it stands. Thread-safe.

    Args:
        console: where it is shown.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._search: Search | None = None
        self._rule: Any = None
        self._kind = PROXY
        self._begun = time.monotonic()
        self._running: dict[int, tuple[str, float, str]] = {}
        self._finished = self._finished_here = self._failed = self._round = 0
        self._target: int | None = None
        self._best: Child | None = None
        self._last_round = ""

    def start(self, evaluator: Evaluator) -> None:
        """Waits until the evaluator's processes can start, if it has any."""
        if self._console.is_terminal:
            with self._console.status(
                "starting the children's processes (TensorFlow's import takes seconds) …"
            ):
                evaluator.warm_up()
        else:
            evaluator.warm_up()

    @contextmanager
    def watch(self, search: Search) -> Iterator[None]:
        """Shows the search within the block, which must enclose all its work."""
        self._search, record = search, search.record
        self._rule = search.reward
        self._kind = kind_of(search.experiment.name)
        self._finished = record.count("finished")
        self._failed = self._finished - record.count("ok")
        self._best = next(iter(record.best(1, rejudging(search.experiment))), None)
        self._target = _children_in_budget(search)
        self._round = record.count_batches(updated_only=True)
        last = record.last_update()
        if last is not None and last.statistics is not None:
            self._note_round(last.number, last.statistics.get("reward/mean"))
        self._begun = time.monotonic()
        live = Live(
            console=self._console,
            get_renderable=self._view,
            refresh_per_second=REFRESH_PER_SECOND,
            transient=True,
        )
        ended = threading.Event()
        try:
            if self._console.is_terminal:
                with live:
                    yield
            else:
                threading.Thread(
                    target=self._tell_waiting, args=(search.evaluator, ended), daemon=True
                ).start()
                yield
        finally:
            ended.set()
            with self._lock:  # children may end while the search closes, and with it the record
                self._search = None

    def __call__(self, event: Event) -> None:
        """Takes an event of the search."""
        with self._lock:
            if self._search is None:
                return
            record = self._search.record
            if event.what == "started" and event.child is not None:
                text = record.child(event.child).proposal.text
                self._running[event.child] = (event.slot, time.monotonic(), text)
            elif event.what == "finished" and event.child is not None:
                self._running.pop(event.child, None)
                self._note_child(record.child(event.child))
            elif event.what == "updated":
                statistics = record.batch(event.batch).statistics or {}
                self._round = event.batch + 1
                self._note_round(event.batch, statistics.get("reward/mean"))
                if not self._console.is_terminal:
                    typer.echo(self._last_round)

    def _tell_waiting(self, evaluator: Evaluator, ended: threading.Event) -> None:
        """Says why nothing runs, each time that the reason is another one."""
        told = ""
        while not ended.wait(PATIENCE):
            with self._lock:
                idle = not self._running
            reason = evaluator.waiting() if idle else ""
            if reason and reason != told:
                typer.echo(f"waiting: {reason}")
                told = reason

    def _note_child(self, child: Child) -> None:
        self._finished += 1
        self._finished_here += 1
        ok = child.status == Status.OK
        if not ok:
            self._failed += 1
        elif self._best is None or _reward(child) > _reward(self._best):
            self._best = child
        if not self._console.is_terminal:
            of = f"/{self._target}" if self._target else ""
            typer.echo(f"{self._finished}{of}  {self._line(child)}")
        elif not ok:
            self._console.print(escape(self._line(child)), style="yellow")

    def _line(self, child: Child) -> str:
        """One finished child in a line."""
        seconds = (child.finished_at or 0.0) - (child.started_at or child.finished_at or 0.0)
        where = f"{clock(seconds)} on {child.slot}" if child.slot else f"as child {child.same_as}"
        if child.result is not None and not child.result.ok:
            return f"child {child.number}  {child.status}  {where}  {child.result.message}"
        return f"child {child.number}  {self._values(child)}  {where}  {child.proposal.text}"

    def _values(self, child: Child) -> str:
        score = None if child.result is None else self._rule.score(child.result)
        measured = "" if score is None else f"  score {shown(score)}"
        return f"reward {shown(_reward(child))}{measured} ({self._kind})"

    def _note_round(self, number: int, mean: float | None) -> None:
        value = "" if mean is None else f": mean reward {shown(mean)} ({self._kind})"
        self._last_round = f"round {number}{value}"

    def _time_left(self, passed: float, hours: float | None) -> str:
        estimates = []
        if self._target is not None and self._finished_here:
            left = max(0, self._target - self._finished)
            estimates.append(left * passed / self._finished_here)
        if hours is not None:
            estimates.append(max(0.0, hours * 3600 - passed))
        return f"about {clock(min(estimates))} left" if estimates else "time left not known yet"

    def _view(self) -> Group:
        search = self._search
        if search is None:
            return Group()
        experiment = search.experiment
        with self._lock:
            passed = time.monotonic() - self._begun
            of = f" of {self._target}" if self._target else ""
            failed = f", {self._failed} failed" if self._failed else ""
            head = Table.grid(padding=(0, 2))
            bar: Any = (
                ProgressBar(total=self._target, completed=self._finished, width=BAR_WIDTH)
                if self._target
                else ""
            )
            head.add_row(
                f"[bold]{escape(experiment.name)}[/] seed {experiment.seed}",
                bar,
                f"{self._finished}{of} children{failed}",
                f"round {self._round}",
                f"{clock(passed)}, {self._time_left(passed, experiment.budget.hours)}",
            )
            running = Table.grid(padding=(0, 2))
            for number, (slot, since, text) in sorted(self._running.items()):
                running.add_row(f"  {slot}", f"child {number}", clock(time.monotonic() - since), Text(text))
            facts = Table.grid(padding=(0, 2))
            if self._best is not None:
                facts.add_row(
                    "  best so far",
                    f"{self._values(self._best)}  child {self._best.number}",
                    Text(self._best.proposal.text),
                )
            if self._last_round:
                facts.add_row("  last update", self._last_round)
        if waiting := search.evaluator.waiting():
            facts.add_row("  waiting", escape(waiting))
        return Group(head, running, facts)


def _children_in_budget(search: Search) -> int | None:
    """How many children the record will have in the end; None: only time limits it."""
    budget, record = search.experiment.budget, search.record
    limits = [budget.children] if budget.children else []
    if budget.rounds:
        left = max(0, budget.rounds - record.count_batches())
        limits.append(record.count() + left * search.experiment.search.children_per_round)
    return min(limits, default=None)


def _reward(child: Child) -> float:
    return 0.0 if child.result is None or child.result.reward is None else child.result.reward


@contextmanager
def followed(running: Search, workspace: Workspace, monitor: Monitor, track: bool) -> Iterator[None]:
    """Shows a search and, if `track`, keeps MLflow up with it while the block runs.

    Its processes are started first, so that this isn't counted as the time of children. After an error
    or a signal the children end before anything else.
    """
    monitor.start(running.evaluator)
    with _tracked(running, workspace, track), monitor.watch(running):
        try:
            yield
        except BaseException:
            running.evaluator.close()
            raise


def _tracked(running: Search, workspace: Workspace, track: bool) -> AbstractContextManager[Any]:
    if not track:
        return nullcontext()
    from nas.tracking import Tracker

    return Tracker(workspace).follow(running)
