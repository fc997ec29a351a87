"""Stream CONVERSIONS → the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass

from chassis.consumer import SomeFailedError
from chassis.pacing import in_turns
from chassis.telemetry import BATCH_EVENTS, EVENTS
from services.rewards.commands.deferred import DeferredFullError, defer
from services.rewards.commands.deps import Deps
from services.rewards.commands.settle import AnyFact, names_of, settle
from services.rewards.store.deferred import MAX_FACTS_OF_PROGRAM
from services.rewards.wire.events import FactReading, ToldFact, fact_key, find_events

CONSUMER = "rewards"
FETCH_MESSAGES = 64
"""Messages hold up to 500 events each; more at once would only wait in this process."""


@dataclass(frozen=True, slots=True)
class ConversionEvents:
    """Handles messages of the stream."""

    deps: Deps

    async def handle(self, payloads: Sequence[bytes]) -> None:
        """Settles the facts that the messages tell; those that take long, and what comes behind them, wait in the
        database until they are. Raises SomeFailedError after that if one cannot be read, settled or put there."""
        reading = await _read(payloads)
        facts = reading.facts
        count = len(facts.conversions) + len(facts.reversals)
        BATCH_EVENTS.labels(CONSUMER).observe(count)
        failed, left_out = await settle(self.deps, facts)
        EVENTS.labels(CONSUMER).inc(count - len(failed) - len(left_out))
        if left_out:
            failed = [*failed, *await self._defer(payloads, left_out)]
        if reading.unreadable or failed:
            unsettled = await _by_place(payloads, failed)
            raise SomeFailedError(
                reading.unreadable | {place: error for place, (_, error) in unsettled.items()},
                {place: names_of(fact) for place, (fact, _) in unsettled.items()},
            )

    async def _defer(self, payloads: Sequence[bytes], facts: Sequence[AnyFact]) -> list[tuple[AnyFact, Exception]]:
        """Has facts wait; returns those for which there is no room, with the errors that say so."""
        places = {fact_key(each): place for place, each in enumerate(facts)}
        waiting: dict[int, ToldFact] = {}
        async for _ in in_turns(find_events(payloads, places, waiting)):
            pass
        full = await defer(self.deps, [waiting[place] for place in sorted(waiting)])
        return [
            (each, DeferredFullError(f"{MAX_FACTS_OF_PROGRAM:,} facts of program {each.program_id!r} wait already"))
            for each in facts
            if each.program_id in full
        ]


async def _read(payloads: Sequence[bytes]) -> FactReading:
    reading = FactReading()
    async for _ in in_turns(reading.read_each(payloads)):
        pass
    return reading


async def _by_place(
    payloads: Sequence[bytes], failed: Sequence[tuple[AnyFact, Exception]]
) -> dict[int, tuple[AnyFact, Exception]]:
    """The places of the messages that tell failed facts, with the first of each and its error. Messages are read once
    more to find them, rather than to note of every fact where it stood."""
    errors = {fact_key(fact): error for fact, error in failed}
    found: dict[int, tuple[AnyFact, Exception]] = {}
    for place, payload in enumerate(payloads if errors else ()):
        facts = (await _read([payload])).facts
        told: list[AnyFact] = [*facts.conversions, *facts.reversals]
        for fact in told:
            if (error := errors.get(fact_key(fact))) is not None:
                found[place] = fact, error
                break
    return found
