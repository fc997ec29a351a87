"""The collaborators that commands share."""

from dataclasses import dataclass

from chassis.clock import Clock
from chassis.database import Database
from chassis.relay import Relay
from services.rewards.domain.wallet.payout import Provider
from services.rewards.store.plans import PlanCache


@dataclass(frozen=True, slots=True)
class Deps:
    """Made once, at the composition root."""

    database: Database
    clock: Clock
    relay: Relay
    plans: PlanCache
    provider: Provider | None = None
    """The provider that is sent payouts one by one; None: payouts wait for batches."""
