"""The pipeline's flow: it runs DVC, shows its log, runs alone, and is ended whole."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, LogFilter

from flows.pipeline import one_at_a_time
from nas.errors import TemporaryError
from nas.workspace import Workspace
from tests.factories import write_experiment
from tests.flows.processes import Flow, until

LIMIT = 10.0
"""Seconds: DVC and its stages get 8 between TERM and KILL."""


@pytest.fixture
def project(home: Path) -> Path:
    """A DVC project with a stage that ends, one that fails, and one that hangs."""
    write_experiment(home, "hang", evaluator__trainer="tests.fakes:hang")
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    stages = {
        "tiny": {"cmd": "python -m flows.search tiny", "outs": ["data/searches/tiny"]},
        "hang": {"cmd": "python -m flows.search hang", "outs": ["data/searches/hang"]},
        "fail": {"cmd": "echo the disk is full; exit 3"},
        "stubborn": {"cmd": f'echo up > up; python -c "{stubborn}"'},
    }
    (home / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    subprocess.run(
        [sys.executable, "-m", "dvc", "init", "--quiet", "--no-scm"],
        cwd=home,
        check=True,
        env=os.environ | {"DVC_NO_ANALYTICS": "1"},
    )
    return home


def test_it_makes_a_stage_and_shows_its_log_and_its_flow_run(
    project: Path, start: type[Flow], client: SyncPrefectClient, api: str
) -> None:
    flow = start("pipeline", "tiny", PREFECT_API_URL=api)
    assert flow.wait() == 0, flow.output()
    assert (project / "data/searches/tiny/metrics.json").is_file()
    assert "Running stage 'tiny'" in flow.output()
    tagged = FlowRunFilter.model_validate({"tags": {"all_": ["nasflow"]}})
    runs = client.read_flow_runs(flow_run_filter=tagged)
    pipeline = next(run for run in runs if any(f":{flow.pid}:" in tag for tag in run.tags))
    stages = [run.name for run in runs if f"pipeline:{pipeline.id}" in run.tags]
    assert sorted(stages) == ["round 0", "round 1", "search tiny"]
    chosen = LogFilter.model_validate({"flow_run_id": {"any_": [pipeline.id]}})
    logged = until(
        lambda: [each.message for each in client.read_logs(chosen) if "tiny, seed 7" in each.message],
        "the stage's lines are in the log of the pipeline",
        20,
    )
    assert len(logged) == 2


def test_a_failing_stage_fails_it_with_the_stages_words_in_the_log(
    project: Path, start: type[Flow], api: str
) -> None:
    flow = start("pipeline", "fail", PREFECT_API_URL=api)
    assert flow.wait() == 1
    assert "the disk is full" in flow.output()
    assert flow.output().rstrip().endswith("its log above tells why")


def test_a_second_one_is_refused_and_a_signal_ends_the_first_with_all_its_processes(
    project: Path, start: type[Flow], api: str
) -> None:
    flow = start("pipeline", "hang", PREFECT_API_URL=api)
    flow.wait_for_children()
    names = [" ".join(process.cmdline()) for process in flow.family()]
    assert any("-m dvc repro" in name for name in names)
    assert any("flows.search hang" in name for name in names)
    with pytest.raises(TemporaryError, match=f"process {flow.pid}"), one_at_a_time(Workspace(project)):
        pass
    flow.process.terminate()
    assert flow.wait(LIMIT) == 143
    until(lambda: not flow.family(), "all processes of the pipeline end", 2)
    with one_at_a_time(Workspace(project)):
        pass  # nobody holds the lock any more


@pytest.mark.long
def test_a_stage_that_ignores_the_signal_is_killed_after_some_seconds(
    project: Path, start: type[Flow], api: str
) -> None:
    flow = start("pipeline", "stubborn", PREFECT_API_URL=api)
    until((project / "up").is_file, "the stage runs")
    time.sleep(1)
    flow.process.terminate()
    flow.wait(2 * LIMIT)
    until(lambda: not flow.family(), "all processes of the pipeline end", 2)
