"""Sending a delivery again that was parked."""

from uuid import UUID

from chassis.errors import failed_precondition, not_found
from chassis.idempotency import Answer, Call, answer_once
from services.notify.commands.deps import Deps
from services.notify.commands.webhooks import not_found_webhook
from services.notify.domain.delivery import Delivery, DeliveryState
from services.notify.store import deliveries, lanes
from services.notify.store import webhooks as webhook_store


async def redeliver(deps: Deps, call: Call[Delivery, Answer], program_id: str, delivery_id: UUID) -> Answer:
    """Has a parked delivery wait again, and answers with it."""
    async with deps.database.transaction() as conn:

        async def carry_out() -> Delivery:
            known = await deliveries.get(conn, program_id, delivery_id)
            if known is None:
                raise not_found("delivery", str(delivery_id))
            # The webhook is held before the delivery is locked, in the order of whoever removes it.
            if not await webhook_store.hold(conn, known.endpoint_id):
                raise not_found_webhook(known.endpoint_id)
            parked = await deliveries.lock(conn, program_id, delivery_id)
            if parked is None or parked.state is not DeliveryState.PARKED:
                raise failed_precondition(
                    "DELIVERY_NOT_PARKED", "only a parked delivery is sent again by a person", "delivery_id"
                )
            await deliveries.redeliver(conn, parked.delivery_no)
            await lanes.reopen(conn, parked.endpoint_id, parked.participant_id)
            again = await deliveries.get(conn, program_id, delivery_id)
            return again or parked

        return await answer_once(conn, call, carry_out)
