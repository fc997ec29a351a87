"""The three services together, as the end-to-end tests have them, and the servers beneath them."""

from collections.abc import AsyncIterator

import pytest_asyncio

from chassis.stream import Stream
from tests.conftest import Servers
from tests.e2e.conftest import client, flow, opened  # noqa: F401 - fixtures
from tests.faults.reconciling import Apparatus, new_apparatus
from tests.integration.rewards.conftest import ledger, published  # noqa: F401 - fixtures


@pytest_asyncio.fixture(scope="session")
async def broker(servers: Servers) -> AsyncIterator[Stream]:
    """A connection to the suite's broker."""
    stream = await Stream.connect(servers.nats.url, "fault-tests", servers.nats.monitor_url)
    yield stream
    await stream.close()


@pytest_asyncio.fixture
async def silent_apparatus(servers: Servers) -> AsyncIterator[Apparatus]:
    """Nothing was recorded; the reader does not answer yet."""
    async with new_apparatus(servers) as made:
        yield made


@pytest_asyncio.fixture
async def apparatus(silent_apparatus: Apparatus) -> Apparatus:
    """Nothing was recorded; the reader answers."""
    await silent_apparatus.answer()
    return silent_apparatus
