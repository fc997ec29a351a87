"""Beneficiaries: the people who take the levels of a rule."""

from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple

from services.rewards.domain.decide.decision import CompressionStep, ConditionFailureStep, Outcome, Step
from services.rewards.domain.decide.inputs import Inputs
from services.rewards.domain.plan.amounts import LevelAmount
from services.rewards.domain.plan.audience import BUYER_LEVEL, Role
from services.rewards.domain.plan.condition import Condition, ConditionError
from services.rewards.domain.plan.plan import Rule
from services.rewards.domain.plan.qualification import Qualification, Unqualified

_BUYER = Role.BUYER  # in Python 3.11, to look up a member takes longer than much of what is done with it
_LINK_OWNER = Role.LINK_OWNER


class Beneficiary(NamedTuple):
    """One level of a rule, and who takes it."""

    number: int
    """Its index in the rule's levels."""
    level: LevelAmount
    person: str
    """The participant; empty where nobody takes the level."""
    distance: int
    """How many levels above the buyer the person stands."""
    unpaid: Outcome | None = None
    steps: tuple[Step, ...] = ()


_new_beneficiary: Final = partial(tuple.__new__, Beneficiary)
"""A beneficiary of a tuple of all its fields, in two thirds of the time."""


def beneficiaries(rule: Rule, inputs: Inputs, above: int = BUYER_LEVEL) -> list[Beneficiary]:
    """A beneficiary for each level of a rule. Levels of the upline are counted from whoever stands `above` the
    buyer."""
    found = _by_role(rule, inputs, above)
    if rule.when is None or not rule.when.asks_for_people:
        return found
    return [_under_condition(rule.when, inputs, each) for each in found]


def verdict(condition: Condition, inputs: Inputs, person: str, level: int) -> tuple[Outcome | None, tuple[Step, ...]]:
    """Why a rule is unpaid to somebody by a condition; (None, ()) where it is paid."""
    try:
        return (None if inputs.holds(condition, person, level) else Outcome.CONDITION), ()
    except ConditionError as error:
        return Outcome.CONDITION_ERROR, (ConditionFailureStep(str(error)),)


def _under_condition(condition: Condition, inputs: Inputs, beneficiary: Beneficiary) -> Beneficiary:
    """The beneficiary, unpaid where the rule's condition is not true for them."""
    if beneficiary.unpaid is not None:
        return beneficiary
    unpaid, steps = verdict(condition, inputs, beneficiary.person, beneficiary.level.level)
    return beneficiary if unpaid is None else beneficiary._replace(unpaid=unpaid, steps=(*beneficiary.steps, *steps))


def _by_role(rule: Rule, inputs: Inputs, above: int) -> list[Beneficiary]:
    if rule.to.who is _BUYER:
        return [Beneficiary(0, rule.levels[0], inputs.conversion.buyer_id, BUYER_LEVEL)]
    if rule.to.who is _LINK_OWNER:
        owner_id = inputs.link_owner_id
        unpaid = None if owner_id else Outcome.NO_LINK_OWNER
        return [Beneficiary(0, rule.levels[0], owner_id, inputs.distance(owner_id), unpaid)]
    if rule.qualification is None:
        return _by_distance(rule, inputs, above)
    if rule.qualification.otherwise is Unqualified.SKIP:
        return [_qualifying(rule.qualification, inputs, each) for each in _by_distance(rule, inputs, above)]
    return _compressed(rule, rule.qualification, inputs, above)


def _by_distance(rule: Rule, inputs: Inputs, above: int) -> list[Beneficiary]:
    upline = inputs.conversion.upline
    found, height = [], len(upline)
    for index, level in enumerate(rule.levels):
        distance = above + level[0]
        if distance > height:
            found.append(Beneficiary(index, level, "", distance, Outcome.NO_ANCESTOR))
        else:
            found.append(_new_beneficiary((index, level, upline[distance - 1], distance, None, ())))
    return found


def _qualifying(qualification: Qualification, inputs: Inputs, beneficiary: Beneficiary) -> Beneficiary:
    """The beneficiary, unpaid where they are not qualified."""
    if beneficiary.unpaid is not None:
        return beneficiary
    unpaid, steps = verdict(qualification.when, inputs, beneficiary.person, beneficiary.distance)
    if unpaid is Outcome.CONDITION:
        unpaid = Outcome.UNQUALIFIED
    return beneficiary._replace(unpaid=unpaid, steps=steps)


def _compressed(rule: Rule, qualification: Qualification, inputs: Inputs, above: int) -> list[Beneficiary]:
    qualified = _qualified(qualification, inputs, above, rule.levels[-1].level)
    found = []
    for index, level in enumerate(rule.levels):
        if level.level > len(qualified):
            found.append(Beneficiary(index, level, "", 0, Outcome.NO_ANCESTOR))
            continue
        person, distance = qualified[level.level - 1]
        moved = (CompressionStep(distance),) if distance != above + level.level else ()
        found.append(Beneficiary(index, level, person, distance, None, moved))
    return found


def _qualified(qualification: Qualification, inputs: Inputs, above: int, wanted: int) -> Sequence[tuple[str, int]]:
    """The nearest ancestors who are qualified, with their distances; one whose condition cannot be evaluated is not."""
    found: list[tuple[str, int]] = []
    for distance, person in enumerate(inputs.conversion.upline[above:], start=above + 1):
        if verdict(qualification.when, inputs, person, distance)[0] is None:
            found.append((person, distance))
            if len(found) == wanted:
                break
    return found
