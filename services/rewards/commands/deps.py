"""What commands work with."""

from dataclasses import dataclass

from chassis.clock import Clock
from chassis.database import Database
from chassis.outbox import Relay
from services.rewards.store.plans import PlanShelf


@dataclass(frozen=True, slots=True)
class Deps:
    """Made once, at the composition root."""

    database: Database
    clock: Clock
    relay: Relay
    plans: PlanShelf
