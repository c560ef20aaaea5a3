"""A Prefect server that only its own pages and this machine's programs can use: `python -m flows.server`.

Prefect's own `prefect server start` answers any page that the user's browser happens to show: such a page
could create a deployment whose pull step runs a command. This one refuses requests from other origins
(also on WebSockets, which know no CORS) and under other host names (which stops DNS rebinding), asks for
CSRF tokens, which Prefect's page and clients send by themselves, and leaves out the second version of the
page, which calls a telemetry host even when analytics are off.

A server for others behind a proxy names its origins in `PREFECT_SERVER_CORS_ALLOWED_ORIGINS`, and a
password in `PREFECT_SERVER_API_AUTH_STRING`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

HOST = "127.0.0.1"
NAMES = (HOST, "localhost")
"""Host names of this machine by which a server on loopback is reached."""

FACTORY = "flows.server:create_app"
"""How uvicorn finds the protected application."""


def settings(port: int) -> dict[str, str]:
    """The settings of a protected server at a port, as environment variables; the user's own win."""
    protected = {
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_V2_ENABLED": "false",
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(f"http://{name}:{port}" for name in NAMES),
        "PREFECT_SERVER_UI_API_URL": f"http://{HOST}:{port}/api",
    }
    return {name: os.environ.get(name, value) for name, value in protected.items()}


def command(port: int) -> list[str]:
    """What starts a protected server at a port, as a process of its own."""
    return [sys.executable, "-m", "flows.server", "--port", str(port)]


def create_app() -> ASGIApp:
    """Prefect's application behind the checks of host and origin."""
    import prefect
    from prefect.server.api.server import create_app
    from prefect.settings import get_current_settings

    chosen = get_current_settings().server
    if not chosen.ui.v2_enabled:  # Prefect would only make it second choice, and serve it all the same
        prefect.__ui_v2_static_path__ = prefect.__ui_v2_static_path__ / "left out"
    return protected(create_app(), chosen.api.cors_allowed_origins)


def protected(app: ASGIApp, named: str) -> ASGIApp:
    """An application behind the checks of host and origin.

    Args:
        app: what is protected.
        named: origins beside this machine's, separated by commas; `*` allows nobody more.
    """
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    origins = {origin.strip().rstrip("/").lower() for origin in named.split(",")} - {"", "*"}
    hosts = [*NAMES, *(urlsplit(origin).hostname or "" for origin in origins)]
    return TrustedHostMiddleware(
        OwnOrigin(app, origins), list(dict.fromkeys(filter(None, hosts))), www_redirect=False
    )


class OwnOrigin:
    """Refuses requests that a page of another origin makes; programs other than browsers name none.

    Args:
        app: what is protected.
        allowed: origins beside those of this machine at the port that is asked.
    """

    def __init__(self, app: ASGIApp, allowed: set[str]) -> None:
        self._app, self._allowed = app, allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: Mapping[bytes, bytes] = dict(scope.get("headers", ()))
        origin = headers.get(b"origin")
        if origin is None or self._is_own(origin.decode("latin-1"), headers.get(b"host", b"")):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "foreign origin"})
        else:
            from starlette.responses import PlainTextResponse

            await PlainTextResponse("Foreign origin", status_code=403)(scope, receive, send)

    def _is_own(self, origin: str, host: bytes) -> bool:
        port = host.decode("latin-1").rpartition(":")[2]
        return origin in self._allowed or origin in {f"http://{name}:{port}" for name in NAMES}


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=4200, help="on loopback (default 4200)")
    port = parser.parse_args(words).port
    os.environ |= settings(port) | {"PREFECT__SERVER_FINAL": "1"}
    os.environ |= {"PREFECT_SERVER_API_HOST": HOST, "PREFECT_SERVER_API_PORT": str(port)}
    import uvicorn

    # as `prefect server start` calls it
    shared: dict[str, Any] = {"timeout_keep_alive": 5, "log_level": "warning"}
    uvicorn.run(FACTORY, factory=True, host=HOST, port=port, **shared)
    return 0


if __name__ == "__main__":
    sys.exit(main())
