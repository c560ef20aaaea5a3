"""`nas serve` runs the schedules of prefect.yaml."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from nas.workspace import Workspace


def test_without_schedules_there_is_nothing_to_serve(
    workspace: Workspace, start: Callable[..., subprocess.Popen[str]]
) -> None:
    served = start("serve")
    out, err = served.communicate(timeout=120)
    assert (served.returncode, out) == (2, "")
    assert f"no schedules at {workspace.root / 'prefect.yaml'}" in err
