"""Prefect's servers as flows start them: open to their own page and to programs, to no other page."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from flows import server

NEW_FLOW = '{"name": "planted"}'


@pytest.fixture(scope="module")
def address(api: str) -> str:
    """A protected server."""
    return api.removesuffix("/api")


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
    named = "https://prefect.example.org, https://nas.example.org:8443/,*"
    monkeypatch.setenv("PREFECT_SERVER_CORS_ALLOWED_ORIGINS", named)
    assert server.settings(4200)["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] == named

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("ok")(scope, receive, send)

    async def ask(url: str, **headers: str) -> int:
        way = httpx.ASGITransport(server.protected(answer, named))
        async with httpx.AsyncClient(transport=way) as client:
            return (await client.get(url, headers=headers)).status_code

    for url, origin, status in (
        ("https://prefect.example.org", "https://prefect.example.org", 200),
        ("https://nas.example.org:8443", "https://nas.example.org:8443", 200),
        ("http://127.0.0.1:4200", "https://nas.example.org:8443", 200),
        ("https://prefect.example.org", "https://other.example.org", 403),
        ("https://prefect.example.org", "http://prefect.example.org", 403),
        ("https://prefect.example.org", "https://prefect.example.org.evil.example", 403),
    ):
        assert asyncio.run(ask(url, Origin=origin)) == status, (url, origin)
    for host in ("example.org", "www.prefect.example.org", "xprefect.example.org"):
        assert asyncio.run(ask(f"https://{host}")) == 400
