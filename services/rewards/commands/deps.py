"""The collaborators that commands share."""

from dataclasses import dataclass, field
from functools import partial

from chassis.clock import Clock
from chassis.database import Database
from chassis.relay import Relay
from services.rewards.commands.resting import Resting
from services.rewards.domain.wallet.payout import Provider
from services.rewards.store.plans import PlanCache

PROGRAM_RESTS_SECONDS = (1.0, 30.0)
"""The shortest and the longest rest of a program whose facts waited in vain. Each try of it may hold everybody else up
for as long as a wait for a lock may take (`chassis.database.LOCK_TIMEOUT_MS`)."""


@dataclass(frozen=True, slots=True)
class Deps:
    """Made once, at the composition root."""

    database: Database
    clock: Clock
    relay: Relay
    plans: PlanCache
    provider: Provider | None = None
    """The provider that is sent payouts one by one; None: payouts wait for batches."""
    resting_programs: Resting[str] = field(default_factory=partial(Resting[str], *PROGRAM_RESTS_SECONDS))
    """The programs whose facts waited in vain lately."""
