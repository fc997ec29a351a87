"""Who takes which level of a rule."""

from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple

from services.rewards.domain.decide.decision import Failed, Moved, Outcome, Step
from services.rewards.domain.decide.facts import Facts
from services.rewards.domain.plan.amounts import LevelAmount
from services.rewards.domain.plan.audience import BUYER_LEVEL, Who
from services.rewards.domain.plan.condition import Condition, ConditionError
from services.rewards.domain.plan.plan import Rule
from services.rewards.domain.plan.qualification import Qualification, Unqualified

_BUYER = Who.BUYER  # in Python 3.11, to look up a member takes longer than much of what is done with it
_LINK_OWNER = Who.LINK_OWNER


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


_new_seat: Final = partial(tuple.__new__, Seat)
"""A seat of a tuple of all its fields, in two thirds of the time."""


def seats(rule: Rule, facts: Facts, above: int = BUYER_LEVEL) -> list[Seat]:
    """Every level of a rule. Levels of the upline are counted from the one who stands `above` levels over the buyer."""
    taken = _taken(rule, facts, above)
    if rule.when is None or not rule.when.asks_for_people:
        return taken
    return [_asked(rule.when, facts, each) for each in taken]


def verdict(condition: Condition, facts: Facts, person: str, level: int) -> tuple[Outcome | None, tuple[Step, ...]]:
    """Why a condition refuses somebody; (None, ()) where it does not."""
    try:
        return (None if facts.holds(condition, person, level) else Outcome.CONDITION), ()
    except ConditionError as error:
        return Outcome.CONDITION_ERROR, (Failed(str(error)),)


def _asked(condition: Condition, facts: Facts, seat: Seat) -> Seat:
    """The seat, refused where the rule's condition is not true for who takes it."""
    if seat.refusal is not None:
        return seat
    refusal, steps = verdict(condition, facts, seat.person, seat.level.level)
    return seat if refusal is None else seat._replace(refusal=refusal, steps=(*seat.steps, *steps))


def _taken(rule: Rule, facts: Facts, above: int) -> list[Seat]:
    if rule.to.who is _BUYER:
        return [Seat(0, rule.levels[0], facts.conversion.buyer_id, BUYER_LEVEL)]
    if rule.to.who is _LINK_OWNER:
        owner_id = facts.link_owner_id
        refusal = None if owner_id else Outcome.NO_LINK_OWNER
        return [Seat(0, rule.levels[0], owner_id, facts.distance(owner_id), refusal)]
    if rule.qualification is None:
        return _by_distance(rule, facts, above)
    if rule.qualification.otherwise is Unqualified.SKIP:
        return [_qualifying(rule.qualification, facts, each) for each in _by_distance(rule, facts, above)]
    return _compressed(rule, rule.qualification, facts, above)


def _by_distance(rule: Rule, facts: Facts, above: int) -> list[Seat]:
    upline = facts.conversion.upline
    found, height = [], len(upline)
    for index, level in enumerate(rule.levels):
        distance = above + level[0]
        if distance > height:
            found.append(Seat(index, level, "", distance, Outcome.NO_ANCESTOR))
        else:
            found.append(_new_seat((index, level, upline[distance - 1], distance, None, ())))
    return found


def _qualifying(qualification: Qualification, facts: Facts, seat: Seat) -> Seat:
    """The seat, refused where who takes it is not qualified."""
    if seat.refusal is not None:
        return seat
    refusal, steps = verdict(qualification.when, facts, seat.person, seat.distance)
    if refusal is Outcome.CONDITION:
        refusal = Outcome.UNQUALIFIED
    return seat._replace(refusal=refusal, steps=steps)


def _compressed(rule: Rule, qualification: Qualification, facts: Facts, above: int) -> list[Seat]:
    qualified = _qualified(qualification, facts, above, rule.levels[-1].level)
    found = []
    for index, level in enumerate(rule.levels):
        if level.level > len(qualified):
            found.append(Seat(index, level, "", 0, Outcome.NO_ANCESTOR))
            continue
        person, distance = qualified[level.level - 1]
        moved = (Moved(distance),) if distance != above + level.level else ()
        found.append(Seat(index, level, person, distance, None, moved))
    return found


def _qualified(qualification: Qualification, facts: Facts, above: int, wanted: int) -> Sequence[tuple[str, int]]:
    """The nearest ancestors who are qualified, with their distances; one whose condition cannot be evaluated is not."""
    found: list[tuple[str, int]] = []
    for distance, person in enumerate(facts.conversion.upline[above:], start=above + 1):
        if verdict(qualification.when, facts, person, distance)[0] is None:
            found.append((person, distance))
            if len(found) == wanted:
                break
    return found
