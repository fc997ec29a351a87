"""Simulation: the pay of a draft of a plan for facts of the past, beside the rewards that were posted for them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.errors import not_found
from chassis.parallel import Progress, in_processes
from services.rewards.domain.conversion import Conversion, Reversal
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.settle.replay import NetRewards, Replay
from services.rewards.store import history
from services.rewards.store.history import SettledFact, Slice
from services.rewards.store.plans import PlanCache
from services.rewards.store.view import View, one_view, shared_view
from services.rewards.wire.plans import decode_plan

CONVERSIONS_A_SLICE = 10_000
FACTS_A_REPORT = 500


@dataclass(frozen=True, slots=True)
class PlanDraft:
    """A plan that is not published, for the conversions of one program that occurred in [start, end)."""

    program_id: str
    plan: bytes
    """The message, as it travels to worker processes: what it is compiled to cannot travel."""
    start: datetime | None = None
    end: datetime | None = None

    def covers(self, conversion: Conversion) -> bool:
        """Whether a conversion is simulated."""
        time = conversion.occurred_at
        return (self.start is None or time >= self.start) and (self.end is None or time < self.end)


@dataclass(frozen=True, slots=True)
class _Task:
    view: View
    draft: PlanDraft
    currency_code: str
    part: Slice


@dataclass(slots=True)
class Simulation:
    """The rewards of both sides: those that were posted, and those of the draft."""

    conversions: int = 0
    """How many conversions were simulated."""
    paid: NetRewards = field(default_factory=dict)
    simulated: NetRewards = field(default_factory=dict)
    digits: dict[str, int] = field(default_factory=dict)
    """Decimal places of every asset on either side."""

    def add(self, other: "Simulation") -> None:
        """Adds another part of the same simulation."""
        self.conversions += other.conversions
        for mine, theirs in ((self.paid, other.paid), (self.simulated, other.simulated)):
            for key, (count, minor) in theirs.items():
                before = mine.get(key, (0, 0))
                mine[key] = (before[0] + count, before[1] + minor)


async def simulate(url: str, draft: PlanDraft, begin: Callable[[int], Progress], jobs: int = 0) -> Simulation:
    """Runs the draft over recorded history, as if it had been in force alone, with nothing counted before
    `draft.start`.

    Where it counts something, facts come in the order in which they were settled, and those of a time when nothing was
    counted in the order of recording. `begin` gets the number of conversions and returns what is told how many of them
    are done. Nothing is written. NOT_FOUND for a program without a plan; INVALID_ARGUMENT with every mistake of the
    draft.
    """
    async with one_view(url) as (conn, view):
        versions = (await PlanCache().load(conn, [draft.program_id]))[draft.program_id]
        if not versions:
            raise not_found("program", draft.program_id)
        currency_code = versions.outlines[-1].currency_code
        plan = decode_plan(draft.program_id, len(versions) + 1, currency_code, draft.plan, None)
        count = (await history.counts(conn, draft.program_id)).get(draft.program_id, 0)
        # What is counted has one order; where nothing is, conversions do not know of one another.
        parts = (
            [Slice(draft.program_id)]
            if plan.is_stateful
            else await history.slices(conn, draft.program_id, CONVERSIONS_A_SLICE)
        )
        tasks = [_Task(view, draft, currency_code, part) for part in parts]
        results = await in_processes(_simulate_part, tasks, begin(count), jobs)
    total = Simulation(digits={asset.code: asset.digits for each in (*versions, plan) for asset in each.assets})
    for each in results:
        total.add(each)
    return total


async def _simulate_part(task: _Task, progress: Progress) -> Simulation:
    draft = task.draft
    plan = decode_plan(draft.program_id, 0, task.currency_code, draft.plan, None)
    simulated = _SimulatedRewards(plan)
    async with shared_view(task.view) as conn:
        seen = 0
        async for fact in history.facts(conn, task.part):
            if fact.change is None:
                seen += 1
                if seen % FACTS_A_REPORT == 0:
                    progress(FACTS_A_REPORT)
            if draft.covers(fact.settled.conversion):
                simulated.add(fact)
        progress(seen % FACTS_A_REPORT)
        paid = await _paid(conn, task, simulated.conversion_ids)
    return Simulation(len(simulated.conversion_ids), paid, simulated.total)


async def _paid(conn: AsyncConnection, task: _Task, conversion_ids: list[str]) -> NetRewards:
    everything = task.draft.start is None and task.draft.end is None
    return await history.net_rewards(conn, task.part, None if everything else conversion_ids)


class _SimulatedRewards:
    """The rewards of a plan for fact after fact, added up."""

    def __init__(self, plan: Plan) -> None:
        self.conversion_ids: list[str] = []
        self.total: NetRewards = {}
        self._plan = plan
        self._replay = Replay()

    def add(self, fact: SettledFact) -> None:
        """Decides one fact."""
        conversion = fact.settled.conversion
        if fact.change is None:
            self.conversion_ids.append(conversion.conversion_id)
            accrual, _ = self._replay.decide(
                self._plan, conversion, fact.position or 0, to_be_revised=bool(fact.settled.reversals)
            )
            for each in accrual.rewards:
                self._add_up(each.rule_id, each.beneficiary_id, each.asset, 1, each.amount_minor)
        elif isinstance(fact.change, Reversal):
            # Rewards that people rejected were those of another plan: nobody was asked about this one.
            for revision in self._replay.take_back(conversion, fact.change, fact.position or 0):
                reward = revision.reward
                self._add_up(reward.rule_id, reward.beneficiary_id, reward.asset, 0, revision.delta_minor)

    def _add_up(self, rule_id: str, beneficiary_id: str, asset: str, count: int, minor: int) -> None:
        key = (rule_id, beneficiary_id, asset)
        before = self.total.get(key, (0, 0))
        self.total[key] = (before[0] + count, before[1] + minor)
