"""The three services together, as the end-to-end tests have them, and the servers beneath them."""

from collections.abc import AsyncIterator

import pytest_asyncio

from chassis.stream import Stream
from tests.conftest import Servers
from tests.e2e.conftest import client, flow, opened  # noqa: F401 - fixtures
from tests.integration.rewards.conftest import ledger, published  # noqa: F401 - fixtures


@pytest_asyncio.fixture(scope="session")
async def broker(servers: Servers) -> AsyncIterator[Stream]:
    """A connection to the suite's broker."""
    stream = await Stream.connect(servers.nats.url, "fault-tests", servers.nats.monitor_url)
    yield stream
    await stream.close()
