"""The expectations of a step: what must be so when everything before it is settled."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, ClassVar, Literal

from upline.attribution.v1.conversion_pb2 import AttributionReason
from upline.notify.v1.notify_pb2 import NotificationKind
from upline.rewards.v1.contest_pb2 import ContestState
from upline.rewards.v1.payout_pb2 import PayoutState
from upline.rewards.v1.redemption_pb2 import RedemptionState
from upline.rewards.v1.reward_pb2 import Outcome, RewardState

from cli.scenario.shapes.marks import (
    Amount,
    Asset,
    Contest,
    Event,
    InAssetOf,
    KeyAmount,
    Money,
    OneOf,
    Payout,
    Person,
    Redemption,
    Rule,
    When,
)

MadeAmount = Annotated[Decimal, InAssetOf()]
"""An amount of the asset of the redemption or payout under whose name it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedWallet:
    """The amounts that a person has of an asset; one that is not said is 0."""

    available: KeyAmount = Decimal(0)
    held: KeyAmount = Decimal(0)
    reserved: KeyAmount = Decimal(0)
    debt: KeyAmount = Decimal(0)

    SHORT: ClassVar[str] = "available"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedReward:
    """One reward of an event; only what is said is compared."""

    to: Person
    amount: Amount
    """The amount that is left of the reward now."""
    first: Amount | None = None
    """The amount of the reward at first."""
    rule: Rule = ""
    asset: Asset = ""
    level: int | None = None
    state: Annotated[str, OneOf(RewardState.DESCRIPTOR)] = ""
    held_until: When | None = None
    until_event: str | None = None
    awaits_approval: bool | None = None
    rejection_reason: str | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedOutcome:
    """The outcome of a rule for an event; only what is said is compared."""

    rule: Rule
    outcome: Annotated[str, OneOf(Outcome.DESCRIPTOR)]
    level: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedEntry:
    """One entry of an inbox; only what is said is compared."""

    text: str = ""
    """A text that stands somewhere in title or body."""
    kind: Annotated[str, OneOf(NotificationKind.DESCRIPTOR)] = ""
    title: str = ""
    body: str = ""
    event: Event = ""

    SHORT: ClassVar[str] = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedCredit:
    """The person who got credit for an event, and why; only what is said is compared."""

    to: Literal["nobody"] | Person = ""
    reason: Annotated[str, OneOf(AttributionReason.DESCRIPTOR)] = ""
    channel: str | None = None
    campaign: str | None = None

    SHORT: ClassVar[str] = "to"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedRedemption:
    """The state and amounts of a redemption; only what is said is compared."""

    state: Annotated[str, OneOf(RedemptionState.DESCRIPTOR)] = ""
    authorized: MadeAmount | None = None
    captured: MadeAmount | None = None
    refunded: MadeAmount | None = None
    worth: Money | None = None
    """The amount that the redemption takes off the order."""

    SHORT: ClassVar[str] = "state"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedPayout:
    """The state and amounts of a payout; only what is said is compared."""

    state: Annotated[str, OneOf(PayoutState.DESCRIPTOR)] = ""
    amount: MadeAmount | None = None
    """The amount that leaves the wallet, the fee included."""
    fee: MadeAmount | None = None
    """The part of the amount that is the fee."""
    attempts: int | None = None
    reason: str | None = None

    SHORT: ClassVar[str] = "state"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedStanding:
    """One place of a contest's ranking; only what is said is compared."""

    person: Person
    rank: int | None = None
    score: int | None = None
    """The score as the counter counts it; a volume is in minor units."""

    SHORT: ClassVar[str] = "person"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedContest:
    """The state and ranking of a contest; only what is said is compared."""

    state: Annotated[str, OneOf(ContestState.DESCRIPTOR)] = ""
    ranking: tuple[ExpectedStanding, ...] | None = None
    """The whole ranking, best first."""

    SHORT: ClassVar[str] = "state"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedTotal:
    """The totals of the program in one asset; only what is said is compared."""

    rewards: int | None = None
    accrued: KeyAmount | None = None
    reversed: KeyAmount | None = None
    rejected: KeyAmount | None = None
    earners: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """All that is expected by now, each part by its names."""

    wallets: dict[Person, dict[Asset, ExpectedWallet]] = field(default_factory=dict)
    """Wallets by person and asset; an asset that is not named is expected to be 0."""
    rewards: dict[Event, tuple[ExpectedReward, ...]] = field(default_factory=dict)
    """All rewards of an event, in any order."""
    outcomes: dict[Event, tuple[ExpectedOutcome, ...]] = field(default_factory=dict)
    """Outcomes by event; an event may have others that are not named."""
    inbox: dict[Person, tuple[ExpectedEntry, ...]] = field(default_factory=dict)
    """All that a person was told since their inbox was last compared, oldest first."""
    redemptions: dict[Redemption, ExpectedRedemption] = field(default_factory=dict)
    payouts: dict[Payout, ExpectedPayout] = field(default_factory=dict)
    contests: dict[Contest, ExpectedContest] = field(default_factory=dict)
    credit: dict[Event, ExpectedCredit] = field(default_factory=dict)
    totals: dict[Asset, ExpectedTotal] = field(default_factory=dict)
    shares: dict[Person, dict[str, int]] = field(default_factory=dict)
    """The number of times that a person shared, by channel."""
