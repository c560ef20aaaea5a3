"""What a search shows in Prefect: its progress, its leaderboard and a summary, as artifacts."""

from __future__ import annotations

import json
import re
from typing import Any

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from flows._runs import harmless
from nas.experiment import Budget
from nas.search.leaderboard import leaderboard
from nas.search.rewards import shown
from nas.search.search import Search

PLACES = 10


class Page:
    """The artifacts of one search; a few calls of the API for a round, none for a child.

    Args:
        search: what to show.
        budget: what its progress is measured by.
    """

    def __init__(self, search: Search, budget: Budget) -> None:
        self._search, self._budget = search, budget
        self._progress: Any = None
        name, seed = search.experiment.name, search.experiment.seed
        self._title = f"{name}, seed {seed}"
        self._key = re.sub(r"[^a-z0-9]+", "-", f"{name}-seed-{seed}".lower()).strip("-")

    def show(self, hours: float) -> None:
        """Brings progress and leaderboard up to date.

        Args:
            hours: how long this flow run has been searching.
        """
        done = 100 * min(1.0, self._share(hours))
        with harmless("showing the progress"):
            if self._progress is None:
                self._progress = create_progress_artifact(done, f"progress-{self._key}", self._title)
            else:
                update_progress_artifact(self._progress, done)
            if rows := self._leaderboard():
                create_table_artifact(rows, f"leaderboard-{self._key}", f"Best of {self._title}")

    def close(self) -> None:
        """Leaves a summary."""
        record = self._search.record
        finished, well = record.count("finished"), record.count("ok")
        lines = [f"# {self._title}", "", f"{finished} children, {finished - well} of them failed.", ""]
        if rows := self._leaderboard():
            lines += ["| place | child | reward | parameters | architecture |", "|---|---|---|---|---|"]
            lines += [
                f"| {row['place']} | {row['child']} | {shown(row['reward'])} | {row['parameters']} "
                f"| `{row['architecture']}` |".replace("|`", "| `")
                for row in rows[:PLACES]
            ]
        with harmless("writing the summary"):
            create_markdown_artifact("\n".join(lines), f"summary-{self._key}", self._title)

    def _share(self, hours: float) -> float:
        """Part of the budget that is used up: of the limit that is nearest."""
        record, budget = self._search.record, self._budget
        used = {
            "children": record.count("finished"),
            "rounds": record.count_batches(),
            "hours": hours,
            "cost_seconds": record.cost_seconds() if budget.cost_seconds else 0.0,
        }
        limits = budget.model_dump().items()
        return float(max(used[name] / limit for name, limit in limits if limit))

    def _leaderboard(self) -> list[dict[str, Any]]:
        table = leaderboard([self._search.record], self._search.reward, PLACES, front=False)
        rows: list[dict[str, Any]] = json.loads(table.to_json(orient="records"))
        return rows
