"""Runs the schedules of `prefect.yaml` in one process, without a worker: `python -m flows.serve`.

One flow run at a time over all of them. `PREFECT_API_URL` names the server; if it names none, a server
on loopback is started (or the one that runs there is used), and ends with this process.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from prefect import serve
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron, Interval, Schedule
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings
from prefect.types.entrypoint import EntrypointType

from flows import _process_tree
from flows._runs import is_away, why
from flows._server import check_proxies, reach_api
from flows._settings import logger
from flows.server import HOST, command
from flows.ui import START_SECONDS, answers
from nas.errors import InputError, NasError, TemporaryError
from nas.workspace import Workspace


def deployments(file: Path) -> list[RunnerDeployment]:
    """The deployments of a `prefect.yaml` with their schedules and parameters.

    Raises:
        InputError: there is no such file, or it describes no deployment.
    """
    if not file.is_file():
        raise InputError(f"no schedules at {file}; run this in the workspace, or name it by NAS_HOME")
    described: list[dict[str, Any]] = yaml.safe_load(file.read_text(encoding="utf-8")).get("deployments")
    if not described:
        raise InputError(f"{file} describes no deployments")
    made = []
    for one in described:
        module, _, name = str(one["entrypoint"]).rpartition(".")
        made.append(
            getattr(importlib.import_module(module), name).to_deployment(
                name=one["name"],
                description=one.get("description"),
                parameters=one.get("parameters", {}),
                schedules=[schedule(**each) for each in one.get("schedules", [])],
                entrypoint_type=EntrypointType.MODULE_PATH,
            )
        )
    return made


def schedule(cron: str | None = None, interval: float | None = None, **rest: Any) -> Schedule:
    """A schedule as `prefect.yaml` writes it: a cron line, or an interval in seconds."""
    if cron is not None:
        return Cron(cron, **rest)
    if interval is not None:
        return Interval(interval, **rest)
    raise InputError(f"a schedule names cron or interval. Received: {rest}")


@contextmanager
def server(workspace: Workspace) -> Iterator[str]:
    """The address of a Prefect API that fires schedules (a temporary server doesn't).

    Raises:
        InputError: the environment names a proxy that can't be used.
        TemporaryError: the server that is configured can't be used, or ours did not start.
    """
    configured = get_current_settings().api.url
    port = get_current_settings().server.api.port
    address = str(configured or f"http://{HOST}:{port}/api")
    check_proxies()
    if configured:
        reach_api()
    if configured or answers(f"{address}/health"):
        yield address
        return
    log = workspace.state / "logs" / "prefect-server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        started = subprocess.Popen(command(port), stdout=output, stderr=output, start_new_session=True)
    try:
        begun = time.monotonic()
        while not answers(f"{address}/health"):
            if started.poll() is not None or time.monotonic() - begun > START_SECONDS:
                raise TemporaryError(f"the Prefect server at {address} did not start; see {log}")
            time.sleep(0.3)
        yield address
    finally:
        _process_tree.end(started.pid)


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    workspace = Workspace.here()
    try:
        described = deployments(workspace.root / "prefect.yaml")
        with server(workspace) as address, temporary_settings({PREFECT_API_URL: address}):
            os.environ["PREFECT_API_URL"] = address  # for the processes of the flow runs
            for one in described:
                logger.info("%s/%s: %s", one.flow_name, one.name, address.removesuffix("/api"))
            serve(*described, limit=1, print_starting_message=False)
    except NasError as error:
        sys.stderr.write(f"{error}\n")
        return 2 if isinstance(error, InputError) else 75
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception as error:
        if not is_away(error):
            raise
        sys.stderr.write(f"Prefect's API is away ({why(error)}); the same command goes on\n")
        return 75
    return 0


if __name__ == "__main__":
    sys.exit(main())
