"""What one rule owes at one level, and every step on the way there: postings and explanations are made of it."""

from enum import Enum
from fractions import Fraction
from functools import partial
from typing import Final, NamedTuple

from services.rewards.domain.plan.amounts import LevelAmount
from services.rewards.domain.plan.limits import Budget, Cap
from services.rewards.domain.plan.plan import Rule

SHARE_BIT = 0x80
"""Set in the slot of the buyer's part of a level's reward. Levels are at most 64."""


class Outcome(Enum):
    """What became of one rule at one level."""

    PAID = "paid"
    EVENT_TYPE = "event_type"
    NO_ANCESTOR = "no_ancestor"
    ROUNDS_TO_ZERO = "rounds_to_zero"
    NO_BASE = "no_base"
    CURRENCY_MISMATCH = "currency_mismatch"
    REVERSED = "reversed"
    CONDITION = "condition"
    CONDITION_ERROR = "condition_error"
    OCCURRENCE = "occurrence"
    UNQUALIFIED = "unqualified"
    NO_LINK_OWNER = "no_link_owner"
    NO_TIER = "no_tier"
    CAPPED = "capped"
    OUTBID = "outbid"
    SHARED = "shared"
    TOO_LITTLE_LEFT = "too_little_left"
    REJECTED = "rejected"
    """No decision: a person's word after it, for explanations."""


class ConditionFailureStep(NamedTuple):
    """A condition could not be evaluated."""

    error: str


class TierStep(NamedTuple):
    """A tier of mode NEXT, or that none is reached yet."""

    counter_id: str
    value: int
    bound: int
    """The tier's; 0 below the first."""


new_tier_step: Final = partial(tuple.__new__, TierStep)
"""One of a tuple of all its fields, in half of the time."""


class MarginalTiersStep(NamedTuple):
    """A conversion that was split at the bounds of tiers of mode MARGINAL."""

    counter_id: str
    value: int
    parts: tuple[tuple[int, Fraction | None], ...]
    """(how much of the conversion's amount, at how many percent)."""


class BonusStep(NamedTuple):
    """Tiers of mode BONUS whose bounds the conversion crossed."""

    counter_id: str
    value: int
    """Before the conversion."""
    adds: int
    tiers: tuple[int, ...]
    """Numbers from 0 of those that pay."""
    lost: tuple[int, ...] = ()
    """Of those that paid before something was taken back, and no longer do."""


class CompressionStep(NamedTuple):
    """Compression gave an ancestor the level of one nearer to the buyer."""

    distance: int


class EarningsStep(NamedTuple):
    """A part of the base EARNINGS."""

    rule_id: str
    earner_id: str
    amount_minor: int
    """In minor units of `asset`."""
    asset: str
    digits: int
    percent: Fraction | None


class AllotmentStep(NamedTuple):
    """A part of an allotment. Amounts are those of the whole allotment, and of the part."""

    allotment_id: str
    at_first_minor: int
    """The amount of the whole allotment before anything of the conversion was taken back."""
    left_minor: int
    weight: Fraction
    weights: Fraction
    """The weights of all parts together."""
    part_minor: int


class LimitStep(NamedTuple):
    """A cap or budget left less room than was owed."""

    limit: Cap | Budget
    before_minor: int
    after_minor: int


class OutbidStep(NamedTuple):
    """Another rule of the group is worth more to the beneficiary."""

    by_rule_id: str


class ShareStep(NamedTuple):
    """A part of the reward goes to the buyer."""

    percent: Fraction
    whole_minor: int
    beneficiary_id: str
    """Whose reward it is."""


class RejectionStep(NamedTuple):
    """A person refused the reward."""

    reason: str


Step = (
    ConditionFailureStep
    | TierStep
    | MarginalTiersStep
    | BonusStep
    | CompressionStep
    | EarningsStep
    | AllotmentStep
    | LimitStep
    | OutbidStep
    | ShareStep
    | RejectionStep
)


class Decision(NamedTuple):
    """What one rule owes at one level, and how that came about. Amounts in the asset's minor units."""

    rule: Rule
    amount: LevelAmount
    """What the level gets, with the tier that holds."""
    beneficiary_id: str
    """Empty where there is nobody."""
    outcome: Outcome
    base_minor: int
    """What a percentage was taken of, rounded down: in minor units of the conversion's currency; of base EARNINGS, of the rule's asset."""
    numerator: int
    """The exact amount before rounding is numerator / denominator."""
    denominator: int
    amount_minor: int
    steps: tuple[Step, ...] = ()
    """On the way from the exact amount to the one that is paid, in their order."""
    is_share: bool = False
    """Whether it is the buyer's part of another's reward."""

    @property
    def slot(self) -> int:
        """Tells it from all others of the same conversion: the last two bytes of its reward's id."""
        return slot_of(self.rule.ordinal, self.amount.level, self.is_share)


def slot_of(ordinal: int, level: int, is_share: bool) -> int:
    """The same of a rule's ordinal and a level."""
    return ordinal << 8 | (SHARE_BIT if is_share else 0) | level


new_decision: Final = partial(tuple.__new__, Decision)
"""A decision of a tuple of all its fields, in two thirds of the time: a payout makes one for every level."""
