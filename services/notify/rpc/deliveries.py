"""DeliveryService: what was sent to webhooks, and what became of it."""

from dataclasses import dataclass

from upline.notify.v1 import webhook_pb2

from chassis.handlers import Context
from chassis.idempotency import call_of
from chassis.pages import Pager, page_size
from services.notify.commands.deps import Deps
from services.notify.commands.redeliver import redeliver
from services.notify.domain.delivery import Delivery, DeliveryState
from services.notify.domain.inbox import Inbox
from services.notify.queries.deps import QueryDeps
from services.notify.queries.webhooks import get_delivery, list_deliveries
from services.notify.wire.webhooks import attempt_message, delivery_message, read_delivery_id


@dataclass(frozen=True, slots=True)
class DeliveryServicer:
    """Deliveries. Methods are named as the contract names them, which says the rest."""

    service = webhook_pb2.DESCRIPTOR.services_by_name["DeliveryService"]

    deps: Deps
    queries: QueryDeps
    pager: Pager

    async def ListDeliveries(
        self, request: webhook_pb2.ListDeliveriesRequest, _context: Context
    ) -> webhook_pb2.ListDeliveriesResponse:
        size = page_size(request.page_size)
        position = self.pager.position(request, request.page_token)
        before = int(position[0]) if position else None
        inbox = Inbox(request.program_id, request.participant_id)
        state = DeliveryState(request.state) if request.state else None
        found = await list_deliveries(self.queries, inbox, request.cause_id, state, before, size + 1)
        messages, token = self.pager.page(request, found, size, delivery_message, lambda last: [last.delivery_no])
        return webhook_pb2.ListDeliveriesResponse(deliveries=messages, next_page_token=token)

    async def GetDelivery(
        self, request: webhook_pb2.GetDeliveryRequest, _context: Context
    ) -> webhook_pb2.GetDeliveryResponse:
        delivery_id = read_delivery_id(request.delivery_id)
        history = await get_delivery(self.queries, request.program_id, delivery_id)
        return webhook_pb2.GetDeliveryResponse(
            delivery=delivery_message(history.delivery),
            attempts=[attempt_message(each) for each in history.attempts],
        )

    async def RedeliverDelivery(
        self, request: webhook_pb2.RedeliverDeliveryRequest, _context: Context
    ) -> webhook_pb2.RedeliverDeliveryResponse:
        def redelivered(delivery: Delivery) -> webhook_pb2.RedeliverDeliveryResponse:
            return webhook_pb2.RedeliverDeliveryResponse(delivery=delivery_message(delivery))

        call = call_of(request, webhook_pb2.RedeliverDeliveryResponse, redelivered)
        return await redeliver(self.deps, call, request.program_id, read_delivery_id(request.delivery_id))
