"""Flows that are stopped, cancelled or killed leave no process behind and a record that goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelling

from flows._processes import is_gone, process_tag
from flows.search import main, search
from nas.experiment import load
from nas.search.opening import read_record
from nas.workspace import Workspace
from tests.factories import write_experiment
from tests.flows.processes import Flow, until

LIMIT = 5.0
"""Seconds that a stopped flow may take, as the program promises."""


@pytest.fixture
def hanging(home: Path) -> Path:
    """A workspace whose experiment `hang` has children that never end."""
    write_experiment(home, "hang", evaluator__trainer="tests.fakes:hang")
    return home


@pytest.fixture(scope="module")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder for temporary servers; the first makes its database there, which takes seconds."""
    return str(tmp_path_factory.mktemp("prefect"))


def statuses(home: Path) -> list[str]:
    with read_record(load(home / "experiments" / "hang.yaml"), Workspace(home)) as record:
        return [child.status for child in record.children()]


def runs_of(client: SyncPrefectClient, flow: Flow) -> dict[str, FlowRun]:
    """The flow runs of a flow's process by name; they carry its process id."""
    tagged = FlowRunFilter.model_validate({"tags": {"all_": ["nasflow"]}})
    found = client.read_flow_runs(flow_run_filter=tagged)
    return {run.name: run for run in found if any(f":{flow.pid}:" in tag for tag in run.tags)}


def gone_within(flow: Flow, seconds: float) -> bool:
    until(lambda: not flow.family(), "all processes of the flow end", seconds)
    return True


def assert_closed(flow: Flow) -> None:
    """The flow's temporary server answers no page of another origin, no other host and no write of theirs."""
    (port,) = {
        connection.laddr.port
        for process in flow.servers()
        for connection in process.net_connections("tcp")
        if connection.status == "LISTEN"
    }
    url, new = f"http://127.0.0.1:{port}/api/flows/", '{"name": "planted"}'
    assert httpx.post(url, content=new, headers={"Origin": "http://evil.example"}).status_code == 403
    assert httpx.post(url, content=new).status_code == 403
    assert httpx.get(url, headers={"Host": "evil.example"}).status_code == 400


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_to_the_whole_process_group_ends_a_search_and_its_own_closed_server(
    hanging: Path, start: type[Flow], prefect_home: str, number: int, code: int
) -> None:
    flow = start("search", "hang", PREFECT_HOME=prefect_home)
    children = flow.wait_for_children()
    assert_closed(flow)
    assert flow.pid not in map(os.getpgid, children)  # the signal is for the search, which ends them
    begun = time.monotonic()
    os.killpg(flow.pid, number)
    assert flow.wait() == code
    assert time.monotonic() - begun < 2 * LIMIT  # 1.5 to 2.5 s on an idle machine
    assert gone_within(flow, LIMIT)
    assert set(statuses(hanging)) <= {"running", "waiting"}  # none is taken for crashed
    assert "goes on" in flow.output()


@pytest.mark.long
def test_a_search_that_is_cancelled_in_prefect_ends_as_cancelled(
    hanging: Path, start: type[Flow], client: SyncPrefectClient, api: str
) -> None:
    flow = start("search", "hang", PREFECT_API_URL=api)
    flow.wait_for_children()
    run = runs_of(client, flow)["search hang"]
    client.set_flow_run_state(run.id, Cancelling())
    assert flow.wait(2 * LIMIT) == 143
    assert gone_within(flow, LIMIT)
    assert client.read_flow_run(run.id).state_name == "Cancelled"
    assert set(statuses(hanging)) <= {"running", "waiting"}  # none is taken for crashed


def test_after_kill_9_the_children_end_and_the_next_flow_run_closes_what_stayed_open(
    hanging: Path, start: type[Flow], client: SyncPrefectClient, api: str
) -> None:
    flow = start("search", "hang", PREFECT_API_URL=api)
    flow.wait_for_children()
    flow.process.kill()
    flow.wait()
    assert gone_within(flow, LIMIT)
    left = runs_of(client, flow)
    assert {name: run.state_name for name, run in left.items()} == {
        "search hang": "Running",
        "round 0": "Running",
    }
    assert search("tiny") is False
    assert {client.read_flow_run(run.id).state_name for run in left.values()} == {"Crashed"}


def test_a_temporary_server_that_outlived_its_flow_is_ended_by_the_next(
    hanging: Path, start: type[Flow], prefect_home: str
) -> None:
    flow = start("search", "hang", PREFECT_HOME=prefect_home)
    flow.wait_for_children()
    flow.process.kill()
    flow.wait()
    servers = until(flow.servers, "the server is left")
    assert main(["nothing"]) == 2  # any flow does, even one with wrong input
    psutil.wait_procs(servers, timeout=LIMIT)
    assert gone_within(flow, LIMIT)


def test_only_processes_of_this_machine_that_ended_are_gone() -> None:
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait()
    kind, host, identity, begun = process_tag().split(":")
    assert not is_gone(process_tag())
    assert is_gone(f"{kind}:{host}:{ended.pid}:{begun}")
    assert is_gone(f"{kind}:{host}:{identity}:{int(begun) - 60}")  # the same id, but an earlier process
    assert not is_gone(f"{kind}:another-{host}:{ended.pid}:{begun}")
    assert not is_gone("experiment:digits")
    assert not is_gone("")
