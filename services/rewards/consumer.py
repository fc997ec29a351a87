"""Stream CONVERSIONS → the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass

from chassis.apart import TakesLongError
from chassis.consumer import SomeFailedError
from chassis.dead_letters import About
from chassis.pacing import in_turns
from chassis.telemetry import BATCH_EVENTS, EVENTS
from services.rewards.commands.deps import Deps
from services.rewards.commands.settle import settle
from services.rewards.domain.conversion import ArrivedConversion, Reversal
from services.rewards.wire.events import FactReading

CONSUMER = "rewards"
FETCH_MESSAGES = 64
"""Messages hold up to 500 events each; more at once would only wait in this process."""


@dataclass(frozen=True, slots=True)
class ConversionEvents:
    """Handles messages of the stream."""

    deps: Deps

    async def handle(self, payloads: Sequence[bytes]) -> None:
        """Settles the facts that the messages tell. Raises SomeFailedError after that if one cannot be read or
        settled, or takes long."""
        await self._handle(payloads, apart=False)

    async def handle_apart(self, payloads: Sequence[bytes]) -> None:
        """Settles facts that take long. Raises SomeFailedError as `handle` does."""
        await self._handle(payloads, apart=True)

    async def _handle(self, payloads: Sequence[bytes], *, apart: bool) -> None:
        reading = await _read(payloads)
        facts = reading.facts
        count = len(facts.conversions) + len(facts.reversals)
        BATCH_EVENTS.labels(CONSUMER).observe(count)
        failed = await settle(self.deps, facts, apart=apart)
        EVENTS.labels(CONSUMER).inc(count - len(failed))
        if reading.unreadable or failed:
            unsettled = await _by_place(payloads, failed)
            raise SomeFailedError(
                reading.unreadable | {place: error for place, (_, error) in unsettled.items()},
                {place: _about(fact) for place, (fact, _) in unsettled.items()},
            )


def _about(fact: ArrivedConversion | Reversal) -> About:
    """The names that logs give to a fact."""
    if isinstance(fact, ArrivedConversion):
        told = {"conversion": fact.conversion.conversion_id, "trace_id": fact.conversion.trace_id}
    else:
        told = {"conversion": fact.conversion_id, "reversal": fact.reversal_id, "trace_id": fact.trace_id}
    return {name: text for name, text in {"program": fact.program_id, **told}.items() if text}


async def _read(payloads: Sequence[bytes]) -> FactReading:
    reading = FactReading()
    async for _ in in_turns(reading.read_each(payloads)):
        pass
    return reading


async def _by_place(
    payloads: Sequence[bytes], failed: Sequence[tuple[ArrivedConversion | Reversal, Exception]]
) -> dict[int, tuple[ArrivedConversion | Reversal, Exception]]:
    """The places of the messages that tell failed facts, with the first of each and its error. Messages are read once
    more to find them, rather than to note of every fact where it stood."""
    errors: dict[tuple[type, tuple[str, str]], Exception] = {(type(fact), fact.key): error for fact, error in failed}
    found: dict[int, tuple[ArrivedConversion | Reversal, Exception]] = {}
    for place, payload in enumerate(payloads if errors else ()):
        facts = (await _read([payload])).facts
        told: list[ArrivedConversion | Reversal] = [*facts.conversions, *facts.reversals]
        at_fault = [(fact, error) for fact in told if (error := errors.get((type(fact), fact.key)))]
        slow = [fact for fact, error in at_fault if isinstance(error, TakesLongError)]
        if slow:  # whatever fails besides it fails again when the message is handled apart, and is counted then
            found[place] = slow[0], TakesLongError(*{each.program_id for each in slow})
        elif at_fault:
            found[place] = at_fault[0]
    return found
