"""The versions of a program's plan, by their outlines."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta

from services.rewards.domain.plan.asset import Asset
from services.rewards.domain.plan.contests import Contest
from services.rewards.domain.plan.limits import Budget, Cap, CapScope
from services.rewards.domain.plan.plan import Plan

VERSION_BYTES = 512
PROGRAM_BYTES = 2_048
PART_BYTES = 256
"""The memory that the outlines of a program take: for each version, for what its versions share, and for each asset,
limit and prize that one of them states anew."""


@dataclass(frozen=True, slots=True)
class PlanOutline:
    """Everything about one version that is asked of versions which decide nothing now. It takes a kilobyte or two,
    where a version that decides has its conditions compiled and may take many megabytes."""

    version: int
    currency_code: str
    effective_time: datetime | None
    """The first moment at which the version pays; None for since always."""
    assets: tuple[Asset, ...]
    contests: tuple[Contest, ...]
    lifetimes: Mapping[str, timedelta]
    """How long an asset lives, by asset; assets that live for ever are not among them."""
    limits: Mapping[str, int]
    """The amounts of caps and budgets that use tallies, by the names of these."""
    has_order: bool
    """Whether it matters in which order facts are settled."""
    waits: bool
    """Whether any hold needs more than time."""
    awaited_events: frozenset[str]
    """The event types that holds wait for."""


def outline(plan: Plan, before: PlanOutline | None) -> PlanOutline:
    """The outline of a plan, whose conditions need not be compiled. What is the same in the version `before` is shared
    with it."""
    counted: list[Cap | Budget] = [*plan.budgets]
    counted += [cap for rule in plan.rules for cap in rule.caps if cap.scope is not CapScope.REWARD]
    limits: dict[str, int] = {}
    for each in counted:
        limits[each.name] = max(limits.get(each.name, 0), each.amount_minor)
    made = PlanOutline(
        version=plan.version,
        currency_code=plan.currency_code,
        effective_time=plan.effective_time,
        assets=plan.assets,
        contests=plan.contests,
        lifetimes={code: terms.expires_after for code, terms in plan.terms.assets.items() if terms.expires_after},
        limits=limits,
        has_order=plan.has_order,
        waits=plan.waits,
        awaited_events=frozenset(rule.hold.until_event for rule in plan.rules if rule.hold and rule.hold.until_event),
    )
    if before is None:
        return made
    pairs = {one.name: (getattr(made, one.name), getattr(before, one.name)) for one in fields(PlanOutline)}
    return replace(made, **{name: old for name, (new, old) in pairs.items() if new == old})


@dataclass(frozen=True, slots=True)
class PlanVersions:
    """Every version of one program's plan in ascending order; none for a program without a plan."""

    outlines: tuple[PlanOutline, ...] = ()

    def __iter__(self) -> Iterator[PlanOutline]:
        return iter(self.outlines)

    def __reversed__(self) -> Iterator[PlanOutline]:
        return reversed(self.outlines)

    def __len__(self) -> int:
        return len(self.outlines)

    @property
    def memory_bytes(self) -> int:
        """The memory that the outlines take, as it is estimated."""
        assets = {id(each.assets): len(each.assets) for each in self.outlines}
        limits = {id(each.limits): len(each.limits) for each in self.outlines}
        contests = {id(each.contests): each.contests for each in self.outlines}
        prizes = sum(1 + len(contest.prizes) for stated in contests.values() for contest in stated)
        parts = sum(assets.values()) + sum(limits.values()) + prizes
        return PROGRAM_BYTES + VERSION_BYTES * len(self.outlines) + PART_BYTES * parts

    def version(self, number: int) -> PlanOutline:
        """The version with a number, counted from 1."""
        return self.outlines[number - 1]

    def in_force(self, time: datetime) -> PlanOutline | None:
        """The version that pays for a conversion at `time`; None before the first one begins."""
        for each in reversed(self.outlines):
            if each.effective_time is None or each.effective_time <= time:
                return each
        return None

    @property
    def asset_digits(self) -> dict[str, int]:
        """Decimal places of every asset of any version; those of the newest version come first."""
        digits: dict[str, int] = {}
        for each in reversed(self.outlines):
            for asset in each.assets:
                digits.setdefault(asset.code, asset.digits)
        return digits

    @property
    def has_order(self) -> bool:
        """Whether it matters in which order the program's facts are settled, for any version."""
        return any(each.has_order for each in self.outlines)

    @property
    def waits(self) -> bool:
        """Whether a hold of any version needs more than time."""
        return any(each.waits for each in self.outlines)

    @property
    def awaited_events(self) -> frozenset[str]:
        """The event types that holds of any version wait for."""
        return frozenset(event_type for each in self.outlines for event_type in each.awaited_events)
