"""Decides who is credited for a conversion, and why."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum

from services.attribution.domain.policy import Bindable, Binding, CreditBeforeBinding, Policy, Touch

MAX_LOSERS = 20
"""The number of losing candidates kept with a conversion; a visitor who followed more links than that is a machine."""

CLOCK_TOLERANCE = timedelta(minutes=1)
"""The time by which something may seem to come too late, or too early, for what it belongs to: many systems cut their
times to the minute, and clicks, conversions and bindings are dated by different machines. More would credit those who
place their touch after the purchase."""


class Reason(IntEnum):
    """The reasons why somebody was credited, or not. Their numbers are those of the contract."""

    BOUND = 1
    CODE = 2
    CLICK = 3
    DEFAULT_SPONSOR = 4
    NO_TOUCH = 20
    WINDOW_PASSED = 21
    SELF_REFERRAL = 22
    UNKNOWN_CODE = 23
    INVALID_TOKEN = 24
    NOT_NEW = 25
    CYCLE = 26
    OUTRANKED = 27
    CALLER = 28
    TOUCH_TOO_LATE = 29
    BEFORE_BINDING = 30


class BindSource(IntEnum):
    """The source that brought a referee to the sponsor. The numbers are those of the contract."""

    NONE = 0
    CODE = 1
    CLICK = 2
    CALLER = 3
    DEFAULT = 4


@dataclass(frozen=True, slots=True)
class NamedTouches:
    """The touches that one conversion or enrolment names; empty where it names none."""

    code: str
    click_token: str
    visitor_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Candidate:
    """One touch that a conversion or an enrolment names."""

    referrer_id: str
    """The owner of the link or code; empty where the touch leads to nobody."""
    link_id: str = ""
    code: str = ""
    channel: str = ""
    campaign: str = ""
    touched_at: datetime | None = None
    """The time of a click, by its own record or signed in its token; None for codes, which are typed at the
    conversion."""
    flaw: Reason | None = None
    """The reason why the touch leads to nobody: UNKNOWN_CODE or INVALID_TOKEN."""
    share_percent: str = ""
    """The share of the reward that the owner of the link or code chose to give away, in percent; empty where they chose
    nothing."""

    @property
    def is_code(self) -> bool:
        """Whether the touch was typed rather than clicked."""
        return bool(self.code)


@dataclass(frozen=True, slots=True)
class LosingCandidate:
    """A candidate that got no credit."""

    candidate: Candidate
    reason: Reason


@dataclass(frozen=True, slots=True)
class Bond:
    """How somebody is bound to a sponsor."""

    sponsor_id: str
    bound_at: datetime
    source: BindSource
    link_id: str = ""
    code: str = ""
    channel: str = ""
    campaign: str = ""
    share_percent: str = ""
    """The share that the link or code had at the bind, kept for ever; empty where nothing was chosen."""


@dataclass(frozen=True, slots=True)
class Attribution:
    """The credit for one conversion or enrolment, and the reason for it."""

    referrer_id: str
    """The participant who is credited; empty if nobody is."""
    reason: Reason
    link_id: str = ""
    code: str = ""
    channel: str = ""
    campaign: str = ""
    losers: tuple[LosingCandidate, ...] = ()
    touch: Candidate | None = field(default=None, compare=False)
    """The link or code that led to this very conversion, whoever is credited. It is known when the conversion is
    decided, and not kept with it."""


@dataclass(frozen=True, slots=True)
class Buyer:
    """The part of a buyer that attribution depends on."""

    participant_id: str
    bond: Bond | None
    is_new: bool


def decide(
    policy: Policy,
    buyer: Buyer,
    converted_at: datetime,
    candidates: Sequence[Candidate],
    default_sponsor_id: str,
    closes_cycle: Callable[[str], bool],
) -> Attribution:
    """Credits a conversion.

    `default_sponsor_id` is empty where there is none or they are not enrolled; `closes_cycle` tells whether a referrer
    stands in the buyer's downline. Somebody bound for life keeps their sponsor whatever they touch; the touch that
    would have won had they not been bound is told all the same, for its owner may be paid by the conversion. What
    occurred before the bond credits nobody where the policy says so, whichever of the two was reported first.
    """
    if policy.binding is Binding.LIFETIME and buyer.bond is not None:
        bond = buyer.bond
        losers = tuple(LosingCandidate(each, each.flaw or Reason.OUTRANKED) for each in candidates[:MAX_LOSERS])
        touch = _leading_touch(policy, buyer, converted_at, candidates)
        if _is_before(policy, bond, converted_at):
            return Attribution("", Reason.BEFORE_BINDING, losers=losers, touch=touch)
        return Attribution(
            bond.sponsor_id, Reason.BOUND, bond.link_id, bond.code, bond.channel, bond.campaign, losers, touch
        )
    flaws = [_flaw(policy, buyer, converted_at, each, closes_cycle) for each in candidates]
    valid = [each for each, flaw in zip(candidates, flaws, strict=True) if flaw is None]
    winner = _winner(policy, valid)
    losers = tuple(
        LosingCandidate(each, flaw or Reason.OUTRANKED)
        for each, flaw in zip(candidates, flaws, strict=True)
        if each is not winner
    )[:MAX_LOSERS]
    if winner is not None:
        reason = Reason.CODE if winner.is_code else Reason.CLICK
        return Attribution(
            winner.referrer_id, reason, winner.link_id, winner.code, winner.channel, winner.campaign, losers, winner
        )
    touch = _leading_touch(policy, buyer, converted_at, candidates)
    if default_sponsor_id and default_sponsor_id != buyer.participant_id and not closes_cycle(default_sponsor_id):
        if _may_be_bound(policy, buyer):
            return Attribution(default_sponsor_id, Reason.DEFAULT_SPONSOR, losers=losers, touch=touch)
        return Attribution("", Reason.NOT_NEW, losers=losers, touch=touch)
    return Attribution("", _reason_for_nobody([flaw for flaw in flaws if flaw is not None]), losers=losers, touch=touch)


def bond_of(policy: Policy, attribution: Attribution, bound_at: datetime) -> Bond | None:
    """The bond that a credit makes; None if it makes none: PER_CONVERSION credits bind nobody, and old bonds stay."""
    source = _SOURCES.get(attribution.reason)
    if source is None or policy.binding is not Binding.LIFETIME:
        return None
    return Bond(
        attribution.referrer_id,
        bound_at,
        source,
        attribution.link_id,
        attribution.code,
        attribution.channel,
        attribution.campaign,
        attribution.touch.share_percent if attribution.touch and source is not BindSource.DEFAULT else "",
    )


def share_of(policy: Policy, attribution: Attribution, bond: Bond | None) -> str:
    """The share of the reward that the referrer gives to the buyer, in percent; empty where nothing was chosen.

    For life it is the share that was pinned at the bind; where referrals are per conversion, it is that of the credited
    link or code.
    """
    if policy.binding is Binding.LIFETIME:
        return bond.share_percent if bond else ""
    return attribution.touch.share_percent if attribution.touch else ""


_SOURCES = {
    Reason.CODE: BindSource.CODE,
    Reason.CLICK: BindSource.CLICK,
    Reason.DEFAULT_SPONSOR: BindSource.DEFAULT,
}

# What says most about a conversion that nobody is credited for comes first.
_MOST_TELLING_FIRST = (
    Reason.NOT_NEW,
    Reason.SELF_REFERRAL,
    Reason.CYCLE,
    Reason.UNKNOWN_CODE,
    Reason.WINDOW_PASSED,
    Reason.TOUCH_TOO_LATE,
    Reason.INVALID_TOKEN,
)


def _is_before(policy: Policy, bond: Bond, converted_at: datetime) -> bool:
    """Whether a conversion occurred before the bond, and the policy credits nobody for such conversions."""
    if policy.credit_before_binding is not CreditBeforeBinding.NOT_CREDITED:
        return False
    return converted_at + CLOCK_TOLERANCE < bond.bound_at


def _may_be_bound(policy: Policy, buyer: Buyer) -> bool:
    return buyer.is_new or policy.bindable is Bindable.UNBOUND


def _flaw(
    policy: Policy,
    buyer: Buyer,
    converted_at: datetime,
    candidate: Candidate,
    closes_cycle: Callable[[str], bool],
) -> Reason | None:
    own = _own_flaw(policy, buyer, converted_at, candidate)
    if own is not None:
        return own
    if closes_cycle(candidate.referrer_id):
        return Reason.CYCLE
    return None if _may_be_bound(policy, buyer) else Reason.NOT_NEW


def _own_flaw(policy: Policy, buyer: Buyer, converted_at: datetime, candidate: Candidate) -> Reason | None:
    """The reason why a touch cannot be credited, whoever may be bound; None if there is none."""
    if candidate.flaw is not None:
        return candidate.flaw
    if candidate.referrer_id == buyer.participant_id:
        return Reason.SELF_REFERRAL
    if candidate.touched_at is not None:
        # What came after a conversion did not lead to it, however late the conversion is reported.
        if candidate.touched_at > converted_at + CLOCK_TOLERANCE:
            return Reason.TOUCH_TOO_LATE
        if not policy.is_in_window(candidate.touched_at, converted_at):
            return Reason.WINDOW_PASSED
    return None


def _leading_touch(
    policy: Policy, buyer: Buyer, converted_at: datetime, candidates: Sequence[Candidate]
) -> Candidate | None:
    """The touch behind a conversion that credits no touch.

    Who may be bound is a question of bonds, not of what led here; where referrals are per conversion nobody is bound,
    and a touch without credit is none.
    """
    if policy.binding is not Binding.LIFETIME:
        return None
    return _winner(policy, [each for each in candidates if _own_flaw(policy, buyer, converted_at, each) is None])


def _winner(policy: Policy, valid: Sequence[Candidate]) -> Candidate | None:
    clicks: list[tuple[datetime, Candidate]] = []
    for each in valid:
        if each.touched_at is None:
            return each
        clicks.append((each.touched_at, each))
    if not clicks:
        return None
    # Link ids break ties, so that the same touches always give the same referrer.
    earliest_first = sorted(clicks, key=lambda click: (click[0], click[1].link_id))
    return earliest_first[0 if policy.touch is Touch.FIRST else -1][1]


def _reason_for_nobody(flaws: Sequence[Reason]) -> Reason:
    return next((reason for reason in _MOST_TELLING_FIRST if reason in flaws), Reason.NO_TOUCH)
