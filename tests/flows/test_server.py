"""Prefect's servers as flows start them: open to their own page and to programs, to no other page."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from flows import server
from flows.ui import answers, free_port
from tests.flows.processes import ROOT, Flow, until

FOREIGN = {"Origin": "http://evil.example"}
NEW_FLOW = '{"name": "planted"}'


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A protected server with a database of its own."""
    home, port = tmp_path_factory.mktemp("protected"), free_port(0)
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            server.command(port),
            cwd=ROOT,
            env=os.environ | {"PREFECT_HOME": str(home)},
            stdout=log,
            stderr=log,
        )
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/api/health"), "the server answers")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def flows_there(address: str) -> list[str]:
    with temporary_settings({PREFECT_API_URL: f"{address}/api"}), get_client(sync_client=True) as client:
        return [flow.name for flow in client.read_flows()]


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "http://localhost"])
def test_a_page_of_another_origin_can_neither_write_nor_ask(address: str, origin: str) -> None:
    simple = httpx.post(f"{address}/api/flows/", content=NEW_FLOW, headers={"Origin": origin})
    preflight = httpx.options(
        f"{address}/api/flows/", headers={"Origin": origin, "Access-Control-Request-Method": "POST"}
    )
    read = httpx.get(f"{address}/api/csrf-token?client=x", headers={"Origin": origin})
    for answer in (simple, preflight, read):
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers
    assert "planted" not in flows_there(address)


def test_a_page_of_another_origin_gets_no_websocket(address: str) -> None:
    sent = f"{address}/api/events/in".replace("http", "ws", 1)
    with pytest.raises(InvalidStatus, match="403"), connect(sent, origin="http://evil.example"):
        pass
    with connect(sent):
        pass


@pytest.mark.parametrize("host", ["evil.example", "evil.example:4200", "127.0.0.1.evil.example", ""])
def test_another_host_name_is_refused(address: str, host: str) -> None:
    assert httpx.get(f"{address}/api/health", headers={"Host": host}).status_code == 400


def test_a_write_without_a_token_is_refused_even_without_an_origin(address: str) -> None:
    assert httpx.post(f"{address}/api/flows/", content=NEW_FLOW).status_code == 403


def test_the_servers_own_page_and_clients_are_served(address: str) -> None:
    port = address.rpartition(":")[2]
    for name in ("127.0.0.1", "localhost"):
        own = {"Host": f"{name}:{port}", "Origin": f"http://{name}:{port}"}
        page = httpx.get(f"{address}/", headers=own, follow_redirects=True)
        assert page.status_code == 200
        assert "<html" in page.text.lower()
        told = httpx.get(f"{address}/ui-settings", headers=own).json()
        assert told["api_url"] == f"{address}/api"
        assert "v2" not in told["available_uis"]
        other = {"Origin": f"http://{name}:{port}", "Access-Control-Request-Method": "POST"}
        assert httpx.options(f"{address}/api/flows/", headers=other).status_code == 200
    with temporary_settings({PREFECT_API_URL: f"{address}/api"}), get_client(sync_client=True) as client:
        client.create_flow_from_name("ours")
    assert "ours" in flows_there(address)


def test_a_server_for_others_is_reached_under_the_names_of_its_origins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PREFECT_SERVER_CORS_ALLOWED_ORIGINS", "https://prefect.example.org")
    assert server.settings(4200)["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] == "https://prefect.example.org"
    asked = (
        "import asyncio, httpx, flows\n"
        "from flows.server import create_app\n"
        "async def main():\n"
        "    way = httpx.ASGITransport(create_app())\n"
        "    async with httpx.AsyncClient(transport=way, base_url='https://prefect.example.org') as client:\n"
        "        for origin in ('https://prefect.example.org', 'https://other.example.org'):\n"
        "            print((await client.get('/api/health', headers={'Origin': origin})).status_code)\n"
        "        print((await client.get('https://example.org/api/health')).status_code)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["200", "403", "400"]


def test_the_temporary_server_of_a_flow_is_protected_too(
    home: Path, start: type[Flow], tmp_path: Path
) -> None:
    from tests.factories import write_experiment

    write_experiment(home, "hang", evaluator__trainer="tests.fakes:hang")
    flow = start("search", "hang", PREFECT_HOME=str(tmp_path / "prefect"))
    flow.wait_for_children()
    (port,) = {
        connection.laddr.port
        for process in flow.family()
        for connection in process.net_connections("tcp")
        if connection.status == "LISTEN" and "uvicorn" in process.cmdline()
    }
    url = f"http://127.0.0.1:{port}/api/flows/"
    assert httpx.post(url, content=NEW_FLOW, headers=FOREIGN).status_code == 403
    assert httpx.post(url, content=NEW_FLOW).status_code == 403
    assert httpx.get(url, headers={"Host": "evil.example"}).status_code == 400
