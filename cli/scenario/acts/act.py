"""Does what a step says, whoever acts."""

from typing import Any

from cli.scenario.acts import events, payouts, people, wallets
from cli.scenario.acts.table import Acts
from cli.scenario.run import ScenarioRun

_ACTS: Acts = people.ACTS | events.ACTS | wallets.ACTS | payouts.ACTS


async def act(run: ScenarioRun, action: Any) -> None:
    """Does what a step says. Raises the service's error where it refuses."""
    await _ACTS[type(action)](run, action)
