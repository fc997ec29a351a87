"""The metrics of notify that tell what stands in its database."""

from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.measuring import Measure
from chassis.telemetry import Snapshot, named_programs
from services.notify.store import deliveries
from services.notify.store import webhooks as webhook_store

PARKED = Gauge(
    "upline_deliveries_parked",
    "Deliveries that are sent no more and wait for a person; 10,000 are counted. The 20 programs that have the most are"
    " named, all others are one without a name.",
    ["program"],
)
WAITING = Gauge(
    "upline_deliveries_waiting",
    "Deliveries that are yet to be sent, also those of webhooks that are switched off; 10,000 are counted. The 20"
    " programs that have the most are named, all others are one without a name.",
    ["program"],
)
WAITING_AGE = Gauge(
    "upline_delivery_age_seconds",
    "Time since the oldest delivery was written that is yet to be sent, of those counted.",
)
SWITCHED_OFF = Gauge(
    "upline_webhooks_switched_off",
    "Webhooks that were switched off by themselves and wait for a person. The 20 programs that have the most are named,"
    " all others are one without a name.",
    ["program"],
)


def all_of() -> list[Measure]:
    """All that a process of notify tells now and then."""
    return [_deliveries(), _webhooks()]


def _deliveries() -> Measure:
    parked_counts, waiting_counts = Snapshot(PARKED), Snapshot(WAITING)

    async def tell(conn: AsyncConnection) -> None:
        parked, waiting = await deliveries.parked(conn), await deliveries.waiting(conn)
        for counts, found in ((parked_counts, parked), (waiting_counts, waiting)):
            named = named_programs({program_id: each.number for program_id, each in found.items()})
            counts.tell({(program_id,): count for program_id, count in named.items()})
        WAITING_AGE.set(max((each.age_seconds for each in waiting.values()), default=0.0))

    return tell


def _webhooks() -> Measure:
    counts = Snapshot(SWITCHED_OFF)

    async def tell(conn: AsyncConnection) -> None:
        named = named_programs(await webhook_store.switched_off(conn))
        counts.tell({(program_id,): count for program_id, count in named.items()})

    return tell
