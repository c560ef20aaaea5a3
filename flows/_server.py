"""Prefect's servers as flows start them: on loopback, out of reach of a terminal's Ctrl-C."""

from __future__ import annotations

import functools
import subprocess
from typing import Any

from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import get_current_settings


def start_temporary_server() -> str:
    """Starts Prefect's temporary server unless an address is configured; returns the address of the API.

    Prefect would start it by itself, but in our process group, where Ctrl-C, `timeout` or a service
    manager's stop ends it before the flow has told it how it ended. It ends with this process.
    """
    if configured := get_current_settings().api.url:
        return str(configured)
    server: Any = SubprocessASGIServer()  # the one that Prefect's clients then find
    in_our_session: Any = subprocess.Popen
    subprocess.Popen = functools.partial(in_our_session, start_new_session=True)  # type: ignore[misc,assignment]
    try:
        server.start()
    finally:
        subprocess.Popen = in_our_session  # type: ignore[misc]
    return str(server.api_url)
