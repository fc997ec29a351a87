"""The load that slow visitors, many of them, and links that do not exist put on the redirect."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import pytest
from sqlalchemy import event

from services.attribution import connections
from services.attribution.store.link_cache import LOADS_AT_ONCE, LinkCache
from services.attribution.store.links import MissingLink
from tests.integration.attribution.clicking import Shop, open_shop
from tests.integration.attribution.test_redirect import OtherRedirect
from tests.running import DEADLINE_SECONDS, Running


@pytest.fixture
async def shop(attribution: Running, new_program_id: Callable[[str], str]) -> Shop:
    """A program with a link."""
    return await open_shop(attribution, new_program_id("limits"))


async def record(_payload: bytes) -> None:
    """A broker that takes every click."""


@asynccontextmanager
async def connected(base: str, sent: bytes = b"") -> Any:
    """A connection on which a visitor sent so much."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(base.rsplit(":", 1)[1]))
    writer.write(sent)
    try:
        yield reader, writer
    finally:
        writer.close()


async def is_ended(reader: asyncio.StreamReader) -> bool:
    """Waits until the other side ended the connection; what it said before is of no interest."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        try:
            while await reader.read(65_536):
                pass
        except ConnectionError:
            pass
    return True


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("REQUEST_SECONDS", b""),
        ("REQUEST_SECONDS", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "),
        ("REQUEST_SECONDS", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("TOTAL_SECONDS", b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"),
    ],
    ids=["nothing", "header", "answered", "body"],
)
async def test_who_is_slow_is_ended(
    attribution: Running, monkeypatch: pytest.MonkeyPatch, name: str, sent: bytes
) -> None:
    monkeypatch.setattr(connections, name, 0.5)
    async with OtherRedirect(attribution, record) as base, connected(base, sent) as (reader, writer):

        async def drip() -> None:
            while not writer.is_closing():
                writer.write(b"x" if sent and not sent.endswith(b"x\r\n\r\n") else b"")
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        try:
            assert await is_ended(reader)
        finally:
            dripping.cancel()


async def test_one_address_has_so_many_connections(
    attribution: Running, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.attribution.redirect.MAX_ADDRESS_CONNECTIONS", 5)
    async with OtherRedirect(attribution, record) as base, AsyncExitStack() as slow:
        for _ in range(5):
            await slow.enter_async_context(connected(base, b"GET "))
        async with connected(base, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n") as (reader, _):
            assert await is_ended(reader)
    async with OtherRedirect(attribution, record, trusted_proxies=1) as base, AsyncExitStack() as proxied:
        for _ in range(10):
            await proxied.enter_async_context(connected(base, b"GET "))
        assert await status(f"{base}/healthz") == 200


async def test_slow_visitors_make_room_for_others(
    attribution: Running, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 20)
    other = OtherRedirect(attribution, record)
    async with other as base, AsyncExitStack() as slow:
        for _ in range(30):
            await slow.enter_async_context(connected(base, b"GET "))
        assert await status(f"{base}/r/{shop.program_id}/{shop.link.link_id}") == 302
        assert len(other.server.connections) <= 20
    async with asyncio.timeout(DEADLINE_SECONDS):
        while len(other.server.connections):
            await asyncio.sleep(0.01)


async def test_links_that_do_not_exist_cost_few_statements(attribution: Running, shop: Shop) -> None:
    unknown = [(shop.program_id, f"{shop.link.link_id[:-4]}{number:04}") for number in range(600)]
    links = LinkCache(attribution.service.database)
    with counted(attribution) as statements:
        found = await asyncio.gather(*(links.find([key]) for key in unknown))
        assert [each[key] for each, key in zip(found, unknown, strict=True)] == [MissingLink.LINK] * 600
        assert len(statements) <= LOADS_AT_ONCE + 1
        del statements[:]
        await asyncio.gather(*(links.find([key]) for key in unknown for _ in range(3)))
        assert len(statements) <= 1  # they are remembered for a second


async def test_one_key_that_the_database_refuses_fails_no_other(attribution: Running, shop: Shop) -> None:
    links = LinkCache(attribution.service.database)
    keys = [(shop.program_id, shop.link.link_id), (shop.program_id, "a\x00b"), ("\udcff", shop.link.link_id)]
    known, *others = await asyncio.gather(*(links.find([key]) for key in keys))
    assert known[keys[0]].link.link_id == shop.link.link_id  # type: ignore[union-attr]
    assert [each[key] for each, key in zip(others, keys[1:], strict=True)] == [MissingLink.LINK] * 2


async def status(url: str) -> int:
    """The status of an answer."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(DEADLINE_SECONDS)) as session,
        session.get(url, allow_redirects=False) as response,
    ):
        return response.status


class counted:  # noqa: N801 - a context manager
    """Counts statements that look links up."""

    def __init__(self, running: Running) -> None:
        self._engine = running.service.database.engine.sync_engine
        self._statements: list[str] = []

    def __enter__(self) -> list[str]:
        event.listen(self._engine, "after_cursor_execute", self._count)
        return self._statements

    def __exit__(self, *_: object) -> None:
        event.remove(self._engine, "after_cursor_execute", self._count)

    def _count(self, _conn: Any, _cursor: Any, statement: str, *_others: Any) -> None:
        if "allowed_hosts" in statement:
            self._statements.append(statement)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        b"X" * 100_000 + b" / HTTP/1.1\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nno colon in it\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"z" * 70_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"y" * 100_000,
    ],
    ids=["tls", "method", "path", "header", "long header", "length", "chunks"],
)
async def test_what_is_no_request_is_answered_in_a_line_and_fills_no_log(
    attribution: Running, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    async with OtherRedirect(attribution, record) as base, connected(base, sent) as (reader, _):
        answer = b""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while part := await reader.read(65_536):
                answer += part
    assert answer.startswith((b"HTTP/1.0 400 Bad Request\r\n", b"HTTP/1.1 400 Bad Request\r\n"))
    assert len(answer) < 500
    assert [each.getMessage() for each in caplog.records if each.name.startswith("aiohttp")] == []
