"""What killed processes leave in Prefect, and how a later flow run clears it up.

Every flow run carries its process as a tag. After `kill -9` its runs would stay `Running` for ever,
and its temporary server would live on; the next flow of this user on this machine ends both.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Any

import psutil
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, TaskRunFilter
from prefect.client.schemas.objects import State
from prefect.states import Crashed

from flows.server import FACTORY

OURS = "nasflow"
"""Tag of all our runs."""

MARK = "NAS_FLOW_PROCESS"
"""Variable by which the servers that a flow started are known to be its own: the flow's process tag."""

_OPEN_AND_OURS = {
    "tags": {"all_": [OURS]},
    "state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}},
}


def process_tag() -> str:
    """Names this process so that no later one, even with the same id, is taken for it."""
    return f"process:{socket.gethostname()}:{os.getpid()}:{int(psutil.Process().create_time())}"


def is_gone(tag: str) -> bool:
    """Whether `tag` is the tag of a process of this machine that has ended."""
    kind, _, rest = tag.partition(":")
    host, _, rest = rest.partition(":")
    identity, _, begun = rest.partition(":")
    if (kind, host) != ("process", socket.gethostname()) or not (identity.isdigit() and begun.isdigit()):
        return False
    try:
        process = psutil.Process(int(identity))
        return int(process.create_time()) != int(begun) or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def close_stale_runs(client: SyncPrefectClient) -> int:
    """Marks the open flow and task runs of processes that are gone as crashed; returns how many."""
    crashed: State[Any] = Crashed(
        message="Its process was killed. Nothing is lost: the next flow run goes on."
    )
    flow_runs = client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(_OPEN_AND_OURS))
    task_runs = client.read_task_runs(task_run_filter=TaskRunFilter.model_validate(_OPEN_AND_OURS))
    stale_flows = [run.id for run in flow_runs if any(map(is_gone, run.tags))]
    stale_tasks = [run.id for run in task_runs if any(map(is_gone, run.tags))]
    for identity in stale_flows:
        client.set_flow_run_state(identity, crashed, force=True)
    for identity in stale_tasks:
        client.set_task_run_state(identity, crashed, force=True)
    return len(stale_flows) + len(stale_tasks)


def end_stale_servers() -> None:
    """Ends temporary Prefect servers whose flow was killed before it could end them."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            temporary = FACTORY in process.cmdline()
            if temporary and is_gone(process.environ().get(MARK, "")):
                process.terminate()
