"""Reading webhooks, and what was delivered to them."""

from dataclasses import dataclass
from uuid import UUID

from chassis.errors import not_found
from chassis.pages import Portion
from services.notify.domain.delivery import Attempt, Delivery, DeliveryState
from services.notify.domain.inbox import Inbox
from services.notify.domain.webhook import Webhook
from services.notify.queries.deps import QueryDeps
from services.notify.store import deliveries
from services.notify.store import webhooks as webhook_store


@dataclass(frozen=True, slots=True)
class DeliveryHistory:
    """A delivery with its attempts."""

    delivery: Delivery
    attempts: list[Attempt]


async def list_webhooks(deps: QueryDeps, program_id: str) -> list[Webhook]:
    """The webhooks of a program."""
    async with deps.database.transaction() as conn:
        return await webhook_store.of_program(conn, program_id)


async def list_deliveries(
    deps: QueryDeps, inbox: Inbox, cause_id: str, state: DeliveryState | None, before: int | None, limit: int
) -> Portion[Delivery]:
    """Deliveries of a program, of everybody where the inbox names nobody, older than number `before`, newest first."""
    async with deps.database.transaction() as conn:
        return await deliveries.page(conn, inbox, cause_id, state, before, limit)


async def get_delivery(deps: QueryDeps, program_id: str, delivery_id: UUID) -> DeliveryHistory:
    """A delivery with its attempts. NOT_FOUND if the program has no such one."""
    async with deps.database.transaction() as conn:
        found = await deliveries.get(conn, program_id, delivery_id)
        if found is None:
            raise not_found("delivery", str(delivery_id))
        return DeliveryHistory(found, await deliveries.attempts(conn, found.delivery_no))
