"""The rewards service: composition root."""

from functools import partial

from upline.rewards.v1 import approval_pb2, contest_pb2, payout_pb2, plan_pb2, redemption_pb2, reward_pb2, wallet_pb2

from chassis import process, telemetry
from chassis.clock import Clock
from chassis.consumer import Consumer
from chassis.database import Database
from chassis.dead_letters import DeadLetters
from chassis.file_clock import clock_for
from chassis.migrate import assert_migrated
from chassis.outbox import Relay
from chassis.pages import Pager
from chassis.secrets import derive_key
from chassis.server import Probe, Server
from chassis.settings import ServiceSettings
from chassis.stream import Stream
from chassis.topology import CONVERSIONS, REWARDS
from services.rewards import jobs
from services.rewards.commands.deps import Deps
from services.rewards.consumer import CONSUMER, FETCH_MESSAGES, ConversionEvents
from services.rewards.domain.wallet.payout import Provider
from services.rewards.providers import WebhookProvider
from services.rewards.queries.deps import QueryDeps
from services.rewards.rpc.approvals import ApprovalServicer
from services.rewards.rpc.contests import ContestServicer
from services.rewards.rpc.payouts import PayoutServicer
from services.rewards.rpc.plans import PlanServicer
from services.rewards.rpc.redemptions import RedemptionServicer
from services.rewards.rpc.rewards import RewardServicer
from services.rewards.rpc.wallets import WalletServicer
from services.rewards.settings import RewardsSettings
from services.rewards.store.plans import PlanShelf

SERVICE = "rewards"


class Rewards:
    """One process of the service. Any number may run."""

    server: Server

    def __init__(self, settings: ServiceSettings, clock: Clock) -> None:
        self._settings = RewardsSettings(**settings.model_dump())
        self._clock = clock
        self._database = Database(settings.database_url, SERVICE)

    async def start(self) -> None:
        """Looks for the broker and begins to answer."""
        telemetry.configure(self._settings, SERVICE)
        self._stream = await Stream.begin(
            self._settings.nats_url, f"upline-{SERVICE}", self._settings.nats_monitor_url, (CONVERSIONS, REWARDS)
        )
        self._relay = Relay(self._database, self._stream, REWARDS)
        shelf = PlanShelf()
        self._provider = _provider(self._settings)
        self.deps = Deps(self._database, self._clock, self._relay, shelf, self._provider)
        queries = QueryDeps(self._database, self._clock, shelf, Pager(derive_key(self._settings.secret, "page-token")))
        self.server = Server(
            self._settings,
            [
                Probe("database", self._database.ready),
                Probe("migrations", partial(assert_migrated, self._database, SERVICE)),
            ],
            Probe("broker", partial(self._stream.ready, (REWARDS,))),
        )
        self.server.add(plan_pb2.DESCRIPTOR.services_by_name["PlanService"], PlanServicer(self.deps, queries))
        self.server.add(reward_pb2.DESCRIPTOR.services_by_name["RewardService"], RewardServicer(queries))
        self.server.add(wallet_pb2.DESCRIPTOR.services_by_name["WalletService"], WalletServicer(self.deps, queries))
        self.server.add(
            redemption_pb2.DESCRIPTOR.services_by_name["RedemptionService"], RedemptionServicer(self.deps, queries)
        )
        self.server.add(
            approval_pb2.DESCRIPTOR.services_by_name["ApprovalService"], ApprovalServicer(self.deps, queries)
        )
        self.server.add(contest_pb2.DESCRIPTOR.services_by_name["ContestService"], ContestServicer(queries))
        self.server.add(payout_pb2.DESCRIPTOR.services_by_name["PayoutService"], PayoutServicer(self.deps, queries))
        await self.server.start()

    async def run(self) -> None:
        """Settles, releases, publishes and audits until cancelled."""
        consumer = Consumer(
            self._stream,
            CONVERSIONS,
            CONSUMER,
            ConversionEvents(self.deps).handle,
            DeadLetters(self._database),
            FETCH_MESSAGES,
        )
        await process.run_all(self.server.run(), self._relay.run(), consumer.run(), jobs.run(self.deps))

    async def stop(self) -> None:
        """Finishes calls in flight and closes."""
        await self.server.stop()
        if self._provider is not None:
            await self._provider.close()
        await self._stream.close()
        await self._database.close()


def _provider(settings: RewardsSettings) -> Provider | None:
    if not settings.payout_webhook_url:
        return None
    methods = frozenset(each.strip() for each in settings.payout_webhook_methods.split(",") if each.strip())
    return WebhookProvider(settings.payout_webhook_url, settings.payout_webhook_secret.get_secret_value(), methods)


if __name__ == "__main__":
    process.main(lambda: Rewards(settings := ServiceSettings(), clock_for(settings, SERVICE)))
