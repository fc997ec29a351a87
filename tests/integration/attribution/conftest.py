"""Programs for the tests of the attribution service."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from chassis.clock import ManualClock
from tests.conftest import Servers
from tests.integration.attribution.people import Caller
from tests.running import Running, running


@pytest.fixture
def program(attribution: Running, new_program_id: Callable[[str], str]) -> Callable[..., Awaitable[Caller]]:
    """Creates a program of the test's own."""

    async def create(**policy_changes: Any) -> Caller:
        return await Caller(attribution, new_program_id("people")).create(**policy_changes)

    return create


@pytest_asyncio.fixture(scope="session")
async def second_attribution(servers: Servers, clock: ManualClock) -> AsyncIterator[Running]:
    """Another instance of the service on the same database."""
    from services.attribution.__main__ import AttributionService

    async with running(AttributionService(servers.settings("attribution"), clock)) as service:
        yield service
