"""The rewards service: decides what conversions pay, and keeps the ledger."""

from dataclasses import replace
from functools import partial

from chassis import process, retention
from chassis.answering import Reader
from chassis.asking import AskedReader, Batches
from chassis.clock import Clock
from chassis.database import Work
from chassis.measuring import outbox
from chassis.progress import Progress
from chassis.readiness import Probe
from chassis.reconciler import Reconciler
from chassis.relay import Relay
from chassis.service import Service
from chassis.settings import ServiceSettings
from chassis.topology import CONVERSIONS, REWARDS
from services.rewards import jobs, measures
from services.rewards.commands.deferred import Deferral
from services.rewards.commands.deps import Deps
from services.rewards.consumer import CONSUMER, FETCH_MESSAGES, ConversionEvents
from services.rewards.events import only, told_facts
from services.rewards.providers import provider_of
from services.rewards.queries.deps import QueryDeps
from services.rewards.rpc.approvals import ApprovalServicer
from services.rewards.rpc.classes import CLASSES
from services.rewards.rpc.contests import ContestServicer
from services.rewards.rpc.payouts import PayoutServicer
from services.rewards.rpc.plans import PlanServicer
from services.rewards.rpc.redemptions import RedemptionServicer
from services.rewards.rpc.rewards import RewardServicer
from services.rewards.rpc.wallets import WalletServicer
from services.rewards.settings import RewardsSettings
from services.rewards.store.audits.helpers import Helpers
from services.rewards.store.conversions import settled
from services.rewards.store.plans import PlanCache
from services.rewards.wire.events import read_told_facts


class RewardsService(Service[RewardsSettings]):
    """The composition root."""

    name = schema = "rewards"
    streams = (CONVERSIONS, REWARDS)
    tried_streams = (REWARDS,)

    def __init__(self, settings: ServiceSettings, clock: Clock) -> None:
        super().__init__(RewardsSettings(**settings.model_dump()), clock)

    async def compose(self) -> None:
        """Serves plans, ledger and payouts, and settles the events of attribution."""
        relay = Relay(self.databases[Work.RELAY], self.stream, [REWARDS])
        self.on_run(relay.run)
        self.on_measure(outbox(self.name))
        batches = Batches(told_facts, only)
        for reader in REWARDS.consumers:
            asked = AskedReader(self.stream, REWARDS, reader, batches)
            self.on_run(Reconciler(self.databases[Work.JOBS], asked).run)
        provider = provider_of(self.settings)
        if provider is not None:
            self.on_stop(provider.close)
        plans = PlanCache()
        helpers = Helpers(self.database)
        self.deps = deps = Deps(self.database, self.clock, relay, plans, provider, audit_helpers=helpers)
        queries = QueryDeps(self.database, self.clock, plans)

        add = self.server.add
        add(PlanServicer(deps, queries, self.pager), CLASSES)
        add(RewardServicer(queries, self.pager), CLASSES)
        add(WalletServicer(deps, queries, self.pager), CLASSES)
        add(RedemptionServicer(deps, queries), CLASSES)
        add(ApprovalServicer(deps, queries, self.pager), CLASSES)
        add(ContestServicer(queries, self.pager), CLASSES)
        add(PayoutServicer(deps, queries, self.pager), CLASSES)

        consuming = replace(deps, database=self.databases[Work.CONSUMING], progress=self.progress)
        events = ConversionEvents(consuming)
        self.consume(CONVERSIONS, CONSUMER, events.handle, FETCH_MESSAGES)
        # Its progress is its own: that of one says nothing of the other.
        deferral = Deferral(replace(consuming, progress=Progress()), CONSUMER)
        self.on_run(deferral.run)
        self.server.watch(Probe("deferred", deferral.check_progress))
        for each in measures.all_of(deps):
            self.on_measure(each)
        await Reader(self.databases[Work.JOBS], self.stream, CONSUMER, settled, read_told_facts).listen()
        self.on_run(partial(jobs.run, replace(deps, database=self.databases[Work.JOBS])))
        self.on_run(
            partial(retention.keep, self.databases[Work.JOBS], self.clock, jobs.lives(self.settings, self.clock))
        )


if __name__ == "__main__":
    process.main(RewardsService)
