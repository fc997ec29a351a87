"""Stream CONVERSIONS → the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.rewards.commands.deps import Deps
from services.rewards.commands.settle import settle
from services.rewards.wire.events import read_facts

CONSUMER = "rewards"
FETCH_MESSAGES = 64
"""Messages hold up to 500 events each; more at once would only wait in this process."""


@dataclass(frozen=True, slots=True)
class ConversionEvents:
    """Handles messages of the stream."""

    deps: Deps

    async def handle(self, payloads: Sequence[bytes]) -> None:
        """Settles the facts that the messages tell. Raises after that if one cannot be read or settled, so that its
        message is set aside."""
        facts, unreadable = read_facts(payloads)
        failures = [*unreadable, *await settle(self.deps, facts)]
        if failures:
            raise failures[0]
