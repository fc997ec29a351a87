"""A decision: the amount that one rule owes at one level, and every step on the way there. Postings and explanations
are made of decisions."""

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
    """How one rule ends at one level: paid, or why it is unpaid."""

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
    """Only explanations use it: a person rejected the reward after it was decided."""


class ConditionFailureStep(NamedTuple):
    """A condition could not be evaluated."""

    error: str


class TierStep(NamedTuple):
    """The tier of mode NEXT that holds, or that none is reached yet."""

    counter_id: str
    value: int
    bound: int
    """The bound of the tier; 0 below the first."""


new_tier_step: Final = partial(tuple.__new__, TierStep)
"""A tier's step of a tuple of all its fields, in half of the time."""


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
    """The counter before the conversion."""
    adds: int
    tiers: tuple[int, ...]
    """The tiers that pay, numbered from 0."""
    lost: tuple[int, ...] = ()
    """The tiers that paid before something was taken back, and no longer do."""


class CompressionStep(NamedTuple):
    """Compression gave an ancestor the level of one nearer to the buyer."""

    distance: int


class EarningsStep(NamedTuple):
    """A part of the base EARNINGS."""

    rule_id: str
    earner_id: str
    amount_minor: int
    """The amount that the earner earned, in minor units of `asset`."""
    asset: str
    digits: int
    percent: Fraction | None


class AllotmentStep(NamedTuple):
    """A part of an allotment."""

    allotment_id: str
    at_first_minor: int
    """The amount of the whole allotment before anything of the conversion was taken back."""
    left_minor: int
    """The amount of the whole allotment for the rest of the conversion."""
    weight: Fraction
    weights: Fraction
    """The weights of all parts together."""
    part_minor: int


class LimitStep(NamedTuple):
    """A cap or budget left less headroom than was owed."""

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
    """The participant who earned the reward."""


class RejectionStep(NamedTuple):
    """A person rejected the reward."""

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
    """The amount that one rule owes at one level, in minor units of its asset, and how that came about."""

    rule: Rule
    amount: LevelAmount
    """The amount of the level, by the tier that holds."""
    beneficiary_id: str
    """The beneficiary; empty where nobody takes the level."""
    outcome: Outcome
    base_minor: int
    """The base of a percentage, rounded down: in minor units of the conversion's currency, and of the rule's asset
    where the base is EARNINGS."""
    numerator: int
    """The exact amount before rounding is numerator / denominator."""
    denominator: int
    amount_minor: int
    steps: tuple[Step, ...] = ()
    """The steps from the exact amount to the one that is paid, in their order."""
    is_share: bool = False
    """Whether it is the buyer's part of another's reward."""

    @property
    def slot(self) -> int:
        """The number that tells it from all others of its conversion: the last two bytes of its reward's id."""
        return slot_of(self.rule.ordinal, self.amount.level, self.is_share)


def slot_of(ordinal: int, level: int, is_share: bool) -> int:
    """The slot of a rule's level, by the ordinal of the rule."""
    return ordinal << 8 | (SHARE_BIT if is_share else 0) | level


new_decision: Final = partial(tuple.__new__, Decision)
"""A decision of a tuple of all its fields, in two thirds of the time: a payout makes one for every level."""
