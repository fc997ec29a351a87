"""The three services together."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from cli.client import Addresses, Client
from tests.conftest import Servers
from tests.e2e.world import World, open_program
from tests.flow import Flow
from tests.running import Running

OpenProgram = Callable[[str], Awaitable[World]]


@pytest_asyncio.fixture(scope="session")
async def client(attribution: Running, rewards: Running, notify: Running) -> AsyncIterator[Client]:
    """Calls to the three services."""
    async with Client(Addresses(attribution.target, rewards.target, notify.target)) as calls:
        yield calls


@pytest.fixture(scope="session")
def flow(servers: Servers) -> Flow:
    """How far events have flowed."""
    return Flow(servers.postgres.url, servers.nats.url)


@pytest.fixture
def opened(client: Client, flow: Flow, new_program_id: Callable[[str], str]) -> OpenProgram:
    """Applies a program file of the repository under a new id."""

    async def open_file(file: str) -> World:
        return await open_program(client, flow, file, new_program_id(file.removesuffix(".yaml")))

    return open_file
