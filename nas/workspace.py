"""Where things lie: one folder that holds experiments, data, records and tracking."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """The folders of one project, all under `root`.

    DVC owns `data`; git ignores `state`, the live records.
    """

    root: Path

    @classmethod
    def here(cls) -> Workspace:
        """The workspace that the variable `NAS_HOME` names, else the current folder."""
        return cls(Path(os.environ.get("NAS_HOME") or Path.cwd()).resolve())

    @property
    def experiments(self) -> Path:
        return self.root / "experiments"

    @property
    def tables(self) -> Path:
        """Descriptions of tables of trained networks, and the settings that are compared on them."""
        return self.root / "tables"

    @property
    def raw(self) -> Path:
        """Downloads, as they came."""
        return self.root / "data" / "raw"

    def prepared(self, name: str) -> Path:
        """The prepared data set `name`."""
        return self.root / "data" / "prepared" / name

    def search(self, experiment: str) -> Path:
        """Snapshot and leaderboard of an experiment's search, for DVC."""
        return self.root / "data" / "searches" / experiment

    def models(self, experiment: str) -> Path:
        """The retrained winner and its exports."""
        return self.root / "data" / "models" / experiment

    def reports(self, experiment: str) -> Path:
        return self.root / "data" / "reports" / experiment

    @property
    def state(self) -> Path:
        """All live records, one folder for each fingerprint."""
        return self.root / ".state"

    def record(self, fingerprint: str) -> Path:
        """The live record of the search (or final) with this fingerprint."""
        return self.state / fingerprint / "record.sqlite"

    @property
    def tracking(self) -> Path:
        """MLflow's local database and artifacts."""
        return self.root / "mlflow"
