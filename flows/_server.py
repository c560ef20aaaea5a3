"""Prefect's API as flows find it: the server that is configured, or a temporary one on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import prefect
from prefect.client.base import ServerType
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, get_current_settings, temporary_settings

from flows import server as closed
from nas.errors import InputError, TemporaryError

PATIENCE_SECONDS = 15.0
"""How long a server that is configured may take to start again."""

ANSWER_SECONDS = 10.0
"""How long one answer of it may take."""


def reach_api() -> str:
    """The address of the API that is configured, once it has answered, or of a temporary server.

    Raises:
        InputError: the environment names a proxy that Prefect's client can't use.
        TemporaryError: it can't be reached, hangs, or is no Prefect API that lets us in.
    """
    check_proxies()
    if configured := get_current_settings().api.url:
        _wait_for(str(configured))
        return str(configured)
    try:
        return start_temporary_server()
    except (RuntimeError, httpx.HTTPError) as error:
        reason = str(error).splitlines()[0]
        raise TemporaryError(f"Prefect's temporary server did not start: {reason}") from error


def check_proxies() -> None:
    """Raises InputError if the environment names a proxy that Prefect's client can't use.

    The client prepares for all proxies when it is made, also where none is between it and its server.
    """
    try:
        httpx.Client().close()
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        names = {name.upper() for name in os.environ if name.lower().endswith("_proxy")} - {"NO_PROXY"}
        raise InputError(
            f"a proxy of the environment ({', '.join(sorted(names))}) can't be used: {error}"
        ) from error


def _wait_for(address: str) -> None:
    begun = time.monotonic()
    while wrong := _why_not():
        reason, passing = wrong
        if not passing or time.monotonic() - begun > PATIENCE_SECONDS:
            raise TemporaryError(
                f"the Prefect API at {_shown(address)}, as PREFECT_API_URL or Prefect's profile names it, "
                f"can't be used: {reason}; nothing is lost: the same command goes on "
                "(where no address is set, with a temporary server)"
            )
        time.sleep(1)


def _why_not() -> tuple[str, bool] | None:
    """Why the API can't be used, and whether that may pass; None: it can."""
    try:
        with (
            temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
            get_client(sync_client=True, httpx_settings={"timeout": ANSWER_SECONDS}) as client,
        ):
            hosted = client.server_type == ServerType.CLOUD
            client.request("GET", "/health" if hosted else "/admin/version").raise_for_status().json()
    except httpx.HTTPStatusError as error:
        code = error.response.status_code
        advice = {
            401: "; set PREFECT_API_AUTH_STRING (a server's own password) or PREFECT_API_KEY",
            404: "; the address ends in /api",
        }
        return f"it answers {code} {error.response.reason_phrase}{advice.get(code, '')}", code >= 500
    except httpx.TimeoutException:
        return f"it did not answer within {ANSWER_SECONDS:g} s", True
    except httpx.TransportError as error:
        return str(error) or type(error).__name__, not isinstance(error, httpx.UnsupportedProtocol)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return f"what answers is no Prefect API ({error}); the address ends in /api", False
    return None


def _shown(address: str) -> str:
    """An address without user name and password."""
    return str(httpx.URL(address).copy_with(userinfo=b""))


def _closed_uvicorn(port: int) -> subprocess.Popen[Any]:
    """Prefect's temporary server, closed to foreign pages and in a session of its own."""
    ours = get_current_settings()
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "uvicorn", "--factory", closed.FACTORY),
            *("--app-dir", str(Path(prefect.__file__).parents[1])),  # not the folder we are in
            *("--host", "127.0.0.1", "--port", str(port), "--log-level", "error", "--lifespan", "on"),
        ],
        env={
            **os.environ,
            "PREFECT_UI_ENABLED": "0",
            "PREFECT__SERVER_EPHEMERAL": "1",
            "PREFECT__SERVER_FINAL": "1",
            **ours.to_environment_variables(exclude_unset=True),
            **closed.settings(port),
            "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": str(ours.client.csrf_support_enabled).lower(),
        },
        start_new_session=True,
    )


def start_temporary_server() -> str:
    """Starts Prefect's temporary server unless an address is configured; returns the address of the API.

    Prefect would start it by itself, but open to every page in the user's browser (see `flows.server`),
    and in our process group, where Ctrl-C, `timeout` or a service manager's stop ends it before the flow
    has told it how it ended. It ends with this process.
    """
    if configured := get_current_settings().api.url:
        return str(configured)
    from prefect.server.api.server import SubprocessASGIServer  # the whole server: seconds of processor

    class ClosedServer(SubprocessASGIServer):  # Prefect's clients find it as theirs
        def _run_uvicorn_command(self) -> subprocess.Popen[Any]:
            return _closed_uvicorn(int(self.port or 0))

    server: Any = ClosedServer()
    server.start()
    return str(server.api_url)
