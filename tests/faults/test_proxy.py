"""The proxy of the fault rounds spoils what it says and nothing else."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.faults.proxy import Link, Way
from tests.running import DEADLINE_SECONDS

A_MOMENT = 0.2

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest_asyncio.fixture
async def link() -> AsyncIterator[Link]:
    """A link to a server that says everything back."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(1024):
            writer.write(chunk)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    link = Link("echo", server.sockets[0].getsockname()[1])
    await link.start()
    yield link
    await link.stop()
    server.close()


async def connect(link: Link) -> Streams:
    """A connection through the link."""
    return await asyncio.open_connection("127.0.0.1", link.port)


async def answer(streams: Streams, text: bytes = b"hello") -> bytes:
    """The answer; nothing at the end of the connection."""
    reader, writer = streams
    writer.write(text)
    async with asyncio.timeout(DEADLINE_SECONDS):
        return await reader.read(1024)


async def is_silent(streams: Streams) -> bool:
    """Whether nothing comes back, not even an end."""
    reader, writer = streams
    writer.write(b"hello?")
    try:
        async with asyncio.timeout(A_MOMENT):
            await reader.read(1024)
    except TimeoutError:
        return True
    return False


async def test_it_hands_everything_on_and_the_end_too(link: Link) -> None:
    streams = await connect(link)
    assert await answer(streams) == b"hello"
    streams[1].write_eof()
    assert await streams[0].read() == b""


async def test_it_cuts_with_an_end_or_with_a_reset_and_refuses(link: Link) -> None:
    streams = await connect(link)
    assert await answer(streams) == b"hello"
    assert link.cut(reset=False) == 1
    assert await streams[0].read() == b""
    streams = await connect(link)
    assert await answer(streams) == b"hello"
    link.cut(reset=True)
    with pytest.raises(ConnectionResetError):
        await streams[0].read()
    link.refusing = True
    with pytest.raises(ConnectionResetError):
        await answer(await connect(link))
    link.heal()
    assert await answer(await connect(link)) == b"hello"


async def test_it_takes_its_time(link: Link) -> None:
    streams = await connect(link)
    link.delay_seconds = A_MOMENT
    began = asyncio.get_running_loop().time()
    assert await answer(streams) == b"hello"
    assert asyncio.get_running_loop().time() - began > 2 * A_MOMENT - 0.01


@pytest.mark.parametrize("way", list(Way))
async def test_what_is_half_open_stays_so_and_says_nothing(link: Link, way: Way) -> None:
    streams = await connect(link)
    assert await answer(streams) == b"hello"
    link.swallow(frozenset([way]))
    assert await is_silent(streams)
    assert await is_silent(await connect(link))
    link.heal()
    assert await is_silent(streams)
    assert await answer(await connect(link)) == b"hello"


async def test_what_was_half_open_is_reset_when_it_is_asked_for(link: Link) -> None:
    streams = await connect(link)
    assert await answer(streams) == b"hello"
    link.swallow(frozenset(Way))
    assert await is_silent(streams)
    assert link.half_open() == 1
    link.heal(reset_swallowed=True)
    with pytest.raises(ConnectionResetError):
        await streams[0].read()
