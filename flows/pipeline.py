"""Runs the pipeline, `dvc repro`, as one flow: `python -m flows.pipeline [TARGET …]`.

The stages are flow runs of their own, in the same server, with the tag `pipeline:<id of this run>`.
Cancelling the flow, or ending its process, ends DVC, the running stage and its children. One pipeline
runs at a time in a workspace; a second one is refused and told which process has it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from prefect import flow, runtime, task
from prefect.cache_policies import NO_CACHE

from flows._process_tree import run_tree
from flows._runs import PIPELINE, run, this_run
from flows._server import start_temporary_server
from flows._settings import logger
from nas.errors import NasError, TemporaryError
from nas.locking import lock_file
from nas.workspace import Workspace


@contextmanager
def one_at_a_time(workspace: Workspace) -> Iterator[IO[str]]:
    """Holds the workspace's lock of DVC; a DVC that outlives a killed flow holds it too.

    Raises:
        TemporaryError: another process has it; the message names its id.
    """
    workspace.state.mkdir(parents=True, exist_ok=True)
    path: Path = workspace.state / "pipeline.lock"
    file = lock_file(path)
    if file is None:
        holder = path.read_text().strip() or "?"
        raise TemporaryError(
            f"the pipeline is running already (process {holder}, or the DVC that it started); one DVC "
            "command at a time: wait until it ends, or stop it"
        )
    with file:
        yield file


def stage_environment(run_id: str) -> dict[str, str]:
    """What DVC and its stages get: our Python and server, and nothing that says which run we are."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT__")}
    return ours | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PREFECT_API_URL": start_temporary_server(),
        "PYTHONUNBUFFERED": "1",
        "DVC_NO_ANALYTICS": "1",
        PIPELINE: run_id,
    }


@task(name="dvc-repro", cache_policy=NO_CACHE)
def dvc_repro(targets: list[str], run_id: str) -> None:
    """Runs DVC and passes its output on, line by line."""
    workspace = Workspace.here()
    with one_at_a_time(workspace) as lock:
        command = [sys.executable, "-m", "dvc", "repro", *targets]
        code = run_tree(command, workspace.root, stage_environment(run_id), logger.info, [lock.fileno()])
    if code:
        raise NasError(f"`dvc repro` ended with code {code}; its log above tells why")


@flow(name="pipeline")
def pipeline(targets: list[str] | None = None) -> None:
    """Brings everything up to date that `dvc.yaml` describes.

    Args:
        targets: stages, as DVC names them; none: all.
    """
    with this_run():
        dvc_repro(targets or [], runtime.flow_run.id)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="a stage, as DVC names it")
    targets = parser.parse_args(words).targets
    return run(lambda: pipeline(targets))


if __name__ == "__main__":
    sys.exit(main())
