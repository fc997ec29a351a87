"""Who takes which level of a rule."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from services.rewards.domain.decide.decision import Failed, Moved, Outcome, Step
from services.rewards.domain.decide.facts import Facts
from services.rewards.domain.plan.amounts import LevelAmount
from services.rewards.domain.plan.audience import BUYER_LEVEL, Who
from services.rewards.domain.plan.condition import Condition, ConditionError
from services.rewards.domain.plan.plan import Rule
from services.rewards.domain.plan.qualification import Qualification, Unqualified


class Seat(NamedTuple):
    """One level of a rule, and who takes it."""

    number: int
    """Its index in the rule's levels."""
    level: LevelAmount
    person: str
    """Empty where there is nobody."""
    distance: int
    """How far he stands above the buyer."""
    refusal: Outcome | None = None
    steps: tuple[Step, ...] = ()


def seats(rule: Rule, facts: Facts, above: int = BUYER_LEVEL) -> Iterator[Seat]:
    """Every level of a rule. Levels of the upline are counted from the one who stands `above` levels over the buyer."""
    for seat in _taken(rule, facts, above):
        if seat.refusal is None and rule.when is not None and rule.when.asks_for_people:
            refusal, steps = verdict(rule.when, facts, seat.person, seat.level.level)
            if refusal is not None:
                yield seat._replace(refusal=refusal, steps=(*seat.steps, *steps))
                continue
        yield seat


def verdict(condition: Condition, facts: Facts, person: str, level: int) -> tuple[Outcome | None, tuple[Step, ...]]:
    """Why a condition refuses somebody; (None, ()) where it does not."""
    try:
        return (None if facts.holds(condition, person, level) else Outcome.CONDITION), ()
    except ConditionError as error:
        return Outcome.CONDITION_ERROR, (Failed(str(error)),)


def _taken(rule: Rule, facts: Facts, above: int) -> Iterator[Seat]:
    if rule.to.who is Who.BUYER:
        yield Seat(0, rule.levels[0], facts.conversion.buyer_id, BUYER_LEVEL)
    elif rule.to.who is Who.LINK_OWNER:
        owner_id = facts.link_owner_id
        refusal = None if owner_id else Outcome.NO_LINK_OWNER
        yield Seat(0, rule.levels[0], owner_id, facts.distance(owner_id), refusal)
    elif rule.qualification is None or rule.qualification.otherwise is Unqualified.SKIP:
        yield from _by_distance(rule, facts, above)
    else:
        yield from _compressed(rule, rule.qualification, facts, above)


def _by_distance(rule: Rule, facts: Facts, above: int) -> Iterator[Seat]:
    upline = facts.conversion.upline
    for index, level in enumerate(rule.levels):
        distance = above + level.level
        if distance > len(upline):
            yield Seat(index, level, "", distance, Outcome.NO_ANCESTOR)
            continue
        seat = Seat(index, level, upline[distance - 1], distance)
        if rule.qualification is not None:
            refusal, steps = verdict(rule.qualification.when, facts, seat.person, distance)
            if refusal is Outcome.CONDITION:
                refusal = Outcome.UNQUALIFIED
            seat = seat._replace(refusal=refusal, steps=steps)
        yield seat


def _compressed(rule: Rule, qualification: Qualification, facts: Facts, above: int) -> Iterator[Seat]:
    qualified = _qualified(qualification, facts, above, rule.levels[-1].level)
    for index, level in enumerate(rule.levels):
        if level.level > len(qualified):
            yield Seat(index, level, "", 0, Outcome.NO_ANCESTOR)
            continue
        person, distance = qualified[level.level - 1]
        moved = (Moved(distance),) if distance != above + level.level else ()
        yield Seat(index, level, person, distance, None, moved)


def _qualified(qualification: Qualification, facts: Facts, above: int, wanted: int) -> Sequence[tuple[str, int]]:
    """The nearest ancestors who are qualified, with their distances; one whose condition cannot be evaluated is not."""
    found: list[tuple[str, int]] = []
    for distance, person in enumerate(facts.conversion.upline[above:], start=above + 1):
        if verdict(qualification.when, facts, person, distance)[0] is None:
            found.append((person, distance))
            if len(found) == wanted:
                break
    return found
