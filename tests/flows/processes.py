"""Flows as processes of their own: started, signalled, and looked for when they should be gone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import psutil

ROOT = Path(__file__).parents[2]
PATIENCE = 90.0


def until(said: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Waits until `said()` is true and returns it."""
    end = time.monotonic() + seconds
    while not (found := said()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)
    return found


class Flow:
    """`python -m flows.NAME …` in a session of its own; its output is kept in a file.

    All processes that it starts are known by a variable that they inherit.
    """

    home: ClassVar[Path]
    started: ClassVar[list[Flow]] = []

    @classmethod
    def begin(cls, home: Path) -> None:
        cls.home, cls.started = home, []

    def __init__(self, name: str, *words: str, **variables: str) -> None:
        number = len(self.started)
        self.log = self.home / f"flow-{number}.log"
        environment = os.environ | variables
        environment["NAS_HOME"] = str(self.home)
        environment["PYTHONPATH"] = str(ROOT)  # only for tests.fakes; the program itself is installed
        environment["NAS_TEST_TRAININGS"] = str(self.home / "trainings")
        environment["NAS_TEST_FLOW"] = self.mark = f"{self.home}/{number}"
        with self.log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"flows.{name}", *words],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.started.append(self)

    @property
    def pid(self) -> int:
        return self.process.pid

    def output(self) -> str:
        return self.log.read_text()

    def wait(self, seconds: float = PATIENCE) -> int:
        """Waits for the flow's own process and returns its exit code."""
        return self.process.wait(seconds)

    def wait_for_children(self, count: int = 2) -> list[int]:
        """The process ids of `count` children that hang (see `tests.fakes.hang`)."""
        trainings = self.home / "trainings"

        def pids() -> list[int]:
            if self.process.poll() is not None:
                raise AssertionError(f"the flow ended: {self.output()[-2000:]}")
            text = trainings.read_text() if trainings.exists() else ""
            found = [int(pid) for pid in re.findall(r"pid (\d+)", text)]
            return found if len(found) >= count else []

        found: list[int] = until(pids, "children train")
        return found

    def family(self) -> list[psutil.Process]:
        """All processes that this one started and that live still, itself included."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                living = process.status() != psutil.STATUS_ZOMBIE
                if living and process.environ().get("NAS_TEST_FLOW") == self.mark:
                    found.append(process)
        return found

    def servers(self) -> list[psutil.Process]:
        """The temporary servers of Prefect among them."""
        found = []
        for process in self.family():
            with suppress(psutil.Error):
                if "uvicorn" in process.cmdline():
                    found.append(process)
        return found

    @classmethod
    def kill_all(cls) -> None:
        for flow in cls.started:
            for process in flow.family():
                with suppress(psutil.Error):
                    process.kill()
            flow.process.wait(10)
