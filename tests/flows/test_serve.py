"""Schedules: they stand in prefect.yaml, fire by themselves, and run one at a time."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import DeploymentFilter, FlowRunFilter
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows import _server
from flows.serve import deployments, main, schedule
from nas.errors import InputError
from nas.experiment import load
from nas.search.opening import read_record
from nas.workspace import Workspace
from tests.flows.processes import ROOT, Flow, until
from tests.servers import answering


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def described(home: Path, **changes: Any) -> None:
    """Writes a prefect.yaml whose search runs every 5 seconds, a round at a time."""
    text = (ROOT / "prefect.yaml").read_text(encoding="utf-8")
    tree = yaml.safe_load(text)
    parameters = {"experiment": "tiny", "children": 400, "rounds_of_this_run": 1}
    tree["deployments"][0] |= {"parameters": parameters, "schedules": [{"interval": 5}]} | changes
    (home / "prefect.yaml").write_text(yaml.safe_dump(tree))


def finished(home: Path) -> int:
    with read_record(load(home / "experiments" / "tiny.yaml"), Workspace(home)) as record:
        return record.count("finished")


def begun(home: Path) -> bool:
    return any(home.glob(".state/*/record.sqlite"))


def completed(address: str, deployment: str) -> int:
    """How many flow runs of a deployment ended well, by the API at an address."""
    done = FlowRunFilter.model_validate({"state": {"type": {"any_": ["COMPLETED"]}}})
    named = DeploymentFilter.model_validate({"name": {"any_": [deployment]}})
    with temporary_settings({PREFECT_API_URL: address}), get_client(sync_client=True) as client:
        return len(client.read_flow_runs(deployment_filter=named, flow_run_filter=done))


def test_a_real_server_fires_the_schedule_on_loopback_and_everything_ends_together(
    home: Path, start: type[Flow], tmp_path: Path
) -> None:
    described(home)
    port = free_port()
    address = f"http://127.0.0.1:{port}/api"
    serving = start("serve", PREFECT_HOME=str(tmp_path / "prefect"), PREFECT_SERVER_API_PORT=str(port))
    until(lambda: begun(home) and completed(address, "nightly"), "a scheduled run completes")
    assert finished(home) >= 4
    listening = {
        connection.laddr.ip
        for process in serving.family()
        for connection in process.net_connections("tcp")
        if connection.status == "LISTEN"
    }
    assert listening == {"127.0.0.1"}
    os.killpg(serving.pid, signal.SIGTERM)
    serving.wait()
    until(lambda: not serving.family(), "the server and all flow runs end", 10)


@pytest.mark.long
def test_a_worker_runs_what_the_closed_servers_schedule_fires_wherever_the_workspace_lies(
    home: Path, start: type[Flow], api: str, client: SyncPrefectClient
) -> None:
    described(home)
    environment = os.environ | {"PREFECT_API_URL": api, "NAS_HOME": str(home), "NO_COLOR": "1"}
    environment["PYTHONPATH"] = str(ROOT)  # only for tests.fakes; the program itself is installed

    def prefect(*words: str) -> None:
        command = [sys.executable, "-m", "prefect", "--no-prompt", *words]
        done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    prefect("work-pool", "create", "nas", "--type", "process")
    prefect("work-pool", "set-concurrency-limit", "nas", "1")
    del environment["NAS_HOME"]  # the address of a workspace is the worker's own
    prefect("deploy", "--all")
    deployment = client.read_deployment_by_name("search/nightly")
    assert str(home) not in str(deployment.pull_steps)
    environment["NAS_HOME"] = str(home)
    log = (home / "worker.log").open("w")
    worker = subprocess.Popen(
        [sys.executable, "-m", "prefect", "worker", "start", "--pool", "nas", "--name", "tests"],
        cwd=home.parent,
        env=environment | {"NAS_TEST_FLOW": f"{home}/worker"},
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        until(lambda: begun(home) and completed(api, "nightly"), "a scheduled run of the worker completes")
    finally:
        os.killpg(worker.pid, signal.SIGTERM)
        worker.wait(40)
        log.close()
        client.delete_deployment(deployment.id)
    assert finished(home) >= 4


def test_the_projects_schedules_are_a_nightly_search_and_a_weekly_pipeline() -> None:
    made = {f"{one.flow_name}/{one.name}": one for one in deployments(ROOT / "prefect.yaml")}
    assert set(made) == {"search/nightly", "pipeline/weekly"}
    assert made["search/nightly"].parameters["hours"] == 8
    assert [len(one.schedules or []) for one in made.values()] == [1, 1]


def test_the_same_schedules_are_for_one_pool_and_hold_no_path_of_a_machine() -> None:
    tree = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
    assert {one["work_pool"]["name"] for one in tree["deployments"]} == {"nas"}
    step = tree["pull"][0]["prefect.deployments.steps.set_working_directory"]
    assert step == {"directory": "{{ $NAS_HOME }}"}


def test_a_configured_server_that_hangs_is_told_in_a_sentence_with_code_75(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    described(home)
    monkeypatch.setattr(_server, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(_server, "ANSWER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}/api"
        with temporary_settings({PREFECT_API_URL: address}):
            assert main() == 75
    told = capsys.readouterr().err
    assert "did not answer within 0.3 s" in told
    assert len(told.splitlines()) == 1


def test_a_server_that_goes_away_while_its_schedules_are_served_is_told_in_a_sentence(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def away(*_: object, **__: object) -> None:
        raise httpx.ReadTimeout("")

    described(home)
    monkeypatch.setattr("flows.serve.serve", away)
    monkeypatch.setenv("PREFECT_API_URL", "")  # is set for the flow runs, and only here
    with answering(200, '"3.8.8"') as address, temporary_settings({PREFECT_API_URL: address}):
        assert main() == 75
    assert capsys.readouterr().err == "Prefect's API is away (ReadTimeout); the same command goes on\n"


def test_wrong_schedules_are_told_in_a_sentence(home: Path) -> None:
    with pytest.raises(InputError, match="no schedules at"):
        deployments(home / "prefect.yaml")
    (home / "prefect.yaml").write_text("deployments: []")
    with pytest.raises(InputError, match="describes no deployments"):
        deployments(home / "prefect.yaml")
    with pytest.raises(InputError, match="names cron or interval"):
        schedule(rrule="FREQ=DAILY")
