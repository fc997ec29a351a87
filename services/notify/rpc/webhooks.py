"""WebhookService: the webhooks of a program."""

from dataclasses import dataclass

from upline.notify.v1 import webhook_pb2

from chassis.handlers import Context
from chassis.idempotency import call_of
from services.notify.channels.webhook import WebhookSecrets
from services.notify.commands import webhooks
from services.notify.commands.deps import Deps
from services.notify.domain.webhook import Webhook, WebhookState
from services.notify.queries.deps import QueryDeps
from services.notify.queries.webhooks import list_webhooks
from services.notify.wire.webhooks import read_kinds, read_webhook_id, webhook_message


@dataclass(frozen=True, slots=True)
class WebhookServicer:
    """Webhooks. Methods are named as the contract names them, which says the rest.

    A secret is put into an answer after that was stored: what is stored for repetitions holds none.
    """

    service = webhook_pb2.DESCRIPTOR.services_by_name["WebhookService"]

    deps: Deps
    queries: QueryDeps
    secrets: WebhookSecrets
    allow_loopback: bool

    async def CreateWebhook(
        self, request: webhook_pb2.CreateWebhookRequest, _context: Context
    ) -> webhook_pb2.CreateWebhookResponse:
        def created(webhook: Webhook) -> webhook_pb2.CreateWebhookResponse:
            return webhook_pb2.CreateWebhookResponse(webhook=webhook_message(webhook))

        call = call_of(request, webhook_pb2.CreateWebhookResponse, created)
        kinds = read_kinds(request.filter)
        answer = await webhooks.create_webhook(
            self.deps, call, request.program_id, request.url, kinds, allow_loopback=self.allow_loopback
        )
        answer.secret = self._secret(answer.webhook)
        return answer

    async def RotateWebhookSecret(
        self, request: webhook_pb2.RotateWebhookSecretRequest, _context: Context
    ) -> webhook_pb2.RotateWebhookSecretResponse:
        def rotated(webhook: Webhook) -> webhook_pb2.RotateWebhookSecretResponse:
            return webhook_pb2.RotateWebhookSecretResponse(webhook=webhook_message(webhook))

        call = call_of(request, webhook_pb2.RotateWebhookSecretResponse, rotated)
        hours = request.overlap_hours if request.HasField("overlap_hours") else webhooks.DEFAULT_OVERLAP_HOURS
        webhook_id = read_webhook_id(request.webhook_id)
        answer = await webhooks.rotate_secret(self.deps, call, request.program_id, webhook_id, hours)
        answer.secret = self._secret(answer.webhook)
        return answer

    async def UpdateWebhook(
        self, request: webhook_pb2.UpdateWebhookRequest, _context: Context
    ) -> webhook_pb2.UpdateWebhookResponse:
        def updated(webhook: Webhook) -> webhook_pb2.UpdateWebhookResponse:
            return webhook_pb2.UpdateWebhookResponse(webhook=webhook_message(webhook))

        call = call_of(request, webhook_pb2.UpdateWebhookResponse, updated)
        state = WebhookState(request.state) if request.state else None
        kinds = read_kinds(request.filter) if request.HasField("filter") else None
        webhook_id = read_webhook_id(request.webhook_id)
        return await webhooks.update_webhook(self.deps, call, request.program_id, webhook_id, state, kinds)

    async def ListWebhooks(
        self, request: webhook_pb2.ListWebhooksRequest, _context: Context
    ) -> webhook_pb2.ListWebhooksResponse:
        found = await list_webhooks(self.queries, request.program_id)
        return webhook_pb2.ListWebhooksResponse(webhooks=[webhook_message(each) for each in found])

    async def DeleteWebhook(
        self, request: webhook_pb2.DeleteWebhookRequest, _context: Context
    ) -> webhook_pb2.DeleteWebhookResponse:
        def deleted(count: int) -> webhook_pb2.DeleteWebhookResponse:
            return webhook_pb2.DeleteWebhookResponse(parked_count=count)

        call = call_of(request, webhook_pb2.DeleteWebhookResponse, deleted)
        webhook_id = read_webhook_id(request.webhook_id)
        return await webhooks.delete_webhook(self.deps, call, request.program_id, webhook_id)

    def _secret(self, webhook: webhook_pb2.Webhook) -> str:
        if not webhook.webhook_id:  # an answer of before there were webhooks
            return ""
        return self.secrets.get(read_webhook_id(webhook.webhook_id), webhook.secret_version)
