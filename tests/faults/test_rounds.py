"""A dozen short rounds of faults on one stack: whatever was acknowledged is exactly what is paid and told.

The long version, with full disks and all clocks, is `make faults`.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.faults.injections import SHORT_KINDS
from tests.faults.program import Holds
from tests.faults.rounds import Pace, play, reconciled
from tests.faults.sites import Able, Site, site

PACE = Pace(SHORT_KINDS, warm_seconds=0.3, spread_seconds=0.5, holds=Holds(1, 1), reconciles=False)
SEEDS = range(1, 13)


@pytest_asyncio.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A stack of these tests' own, spoilt in such ways as anybody can."""
    folder = tmp_path_factory.mktemp("rounds")
    folder.chmod(0o755)
    async with site(folder / "state", able=Able(disks=False, database_clock="")) as running:
        yield running


@pytest.mark.parametrize("seed", SEEDS)
async def test_what_was_acknowledged_is_what_is_paid_and_told(stack: Site, seed: int) -> None:
    outcome = await play(stack, seed, pace=PACE)
    assert outcome.injections
    assert outcome.wrong == []
    assert outcome.figures["conversions_acknowledged"] > 0


async def test_services_agree_on_all_of_it(stack: Site) -> None:
    await reconciled(stack.flow)
