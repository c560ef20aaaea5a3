"""Starts the MLflow and the Prefect pages of this workspace on loopback: `python -m flows.ui`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from flows import server
from flows.server import HOST
from nas.workspace import Workspace

START_SECONDS = 90
PAGES = 10
"""Experiments whose pages are printed."""


def answers(url: str) -> bool:
    """Whether a server answers at `url`."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def free_port(wanted: int) -> int:
    """`wanted` if nobody listens there, else a port that the system chooses."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError:
            probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def program(name: str) -> str:
    """The program `name` of this environment."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name) or name


def mlflow_command(workspace: Workspace, port: int) -> list[str]:
    workspace.tracking.mkdir(parents=True, exist_ok=True)
    store = f"sqlite:///{workspace.tracking / 'mlflow.db'}"
    artifacts = str(workspace.tracking / "artifacts")
    options = ["--backend-store-uri", store, "--default-artifact-root", artifacts]
    return [program("mlflow"), "server", "--host", HOST, "--port", str(port), "--workers", "1", *options]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mlflow-port", type=int, default=5000, help="another is taken if it is busy")
    parser.add_argument("--prefect-port", type=int, default=4200, help="another is taken if it is busy")
    arguments = parser.parse_args()
    workspace = Workspace.here()
    prefect_running = answers(f"http://{HOST}:{arguments.prefect_port}/api/health")
    ports = {"MLflow": free_port(arguments.mlflow_port)}
    commands = {"MLflow": mlflow_command(workspace, ports["MLflow"])}
    health = {"MLflow": f"http://{HOST}:{ports['MLflow']}/health"}
    if prefect_running:
        print(f"Prefect already answers at http://{HOST}:{arguments.prefect_port}")
    else:
        ports["Prefect"] = free_port(arguments.prefect_port)
        commands["Prefect"] = server.command(ports["Prefect"])
        health["Prefect"] = f"http://{HOST}:{ports['Prefect']}/api/health"
    environment = {
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        **os.environ,
    }
    logs = workspace.state / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    servers = {}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print("Starting the pages (about 20 seconds); Ctrl-C ends them …", flush=True)
    try:
        for name, command in commands.items():
            with (logs / f"{name.lower()}-server.log").open("w") as log:
                servers[name] = subprocess.Popen(
                    command, env=environment, stdout=log, stderr=log, start_new_session=True
                )
        return watch(servers, health, ports, logs)
    except KeyboardInterrupt:
        return 0
    finally:
        for one in servers.values():
            if one.poll() is None:
                os.killpg(one.pid, signal.SIGTERM)
        for one in servers.values():
            try:
                one.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(one.pid, signal.SIGKILL)


def experiment_pages(port: int) -> list[str]:
    """The newest experiments of MLflow's server with their pages, opened as model training.

    Without this, MLflow opens them as if they were of generative AI, whatever their tags say.
    """
    asked = urllib.request.Request(
        f"http://{HOST}:{port}/api/2.0/mlflow/experiments/search",
        json.dumps({"max_results": PAGES, "order_by": ["last_update_time DESC"]}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(asked, timeout=5) as answer:
            found = json.load(answer).get("experiments", [])
    except (OSError, ValueError):
        return []
    return [
        f"http://{HOST}:{port}/#/experiments/{one['experiment_id']}/runs?workflowType=machine_learning"
        f"  {one['name']}"
        for one in found
        if one["experiment_id"] != "0"  # MLflow's own `Default`
    ]


def watch(
    servers: dict[str, subprocess.Popen[bytes]], health: dict[str, str], ports: dict[str, int], logs: Path
) -> int:
    """Prints each address when its server answers; returns 1 when a server ends by itself."""
    waiting, begun = set(servers), time.monotonic()
    while True:
        for name, one in servers.items():
            if one.poll() is not None:
                print(f"{name} ended; see {logs / f'{name.lower()}-server.log'}", file=sys.stderr)
                return 1
        for name in sorted(waiting):
            if answers(health[name]):
                print(f"{name:8} http://{HOST}:{ports[name]}", flush=True)
                for line in experiment_pages(ports[name]) if name == "MLflow" else ():
                    print(f"{'':8} {line}", flush=True)
                waiting.discard(name)
        if waiting and time.monotonic() - begun > START_SECONDS:
            print(f"{', '.join(sorted(waiting))} did not answer within {START_SECONDS} s", file=sys.stderr)
            return 1
        time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
