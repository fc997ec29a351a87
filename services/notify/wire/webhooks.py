"""Webhooks and deliveries as messages."""

from datetime import datetime
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from upline.notify.v1 import notify_pb2, webhook_pb2

from chassis.errors import UplineError, not_found
from chassis.times import to_timestamp
from services.notify.domain.cause import Kind
from services.notify.domain.delivery import Attempt, Delivery, message_id
from services.notify.domain.webhook import Webhook


def read_webhook_id(text: str) -> UUID:
    """The id of a webhook that a request names. NOT_FOUND if none can have it."""
    return _read_id("webhook", text)


def read_delivery_id(text: str) -> UUID:
    """The id of a delivery that a request names. NOT_FOUND if none can have it."""
    return _read_id("delivery", text)


def _read_id(kind: str, text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        missing: UplineError = not_found(kind, text)
        raise missing from None


def read_kinds(message: webhook_pb2.KindFilter) -> frozenset[Kind]:
    """The kinds of a filter; empty for all."""
    return frozenset(Kind(each) for each in message.kinds)


def webhook_message(webhook: Webhook) -> webhook_pb2.Webhook:
    """A webhook, without its secret."""
    return webhook_pb2.Webhook(
        webhook_id=str(webhook.webhook_id),
        url=webhook.url,
        filter=webhook_pb2.KindFilter(
            kinds=[notify_pb2.NotificationKind.ValueType(each) for each in sorted(webhook.kinds)]
        ),
        state=webhook_pb2.WebhookState.ValueType(webhook.state),
        switched_off_reason=webhook.switched_off_reason,
        secret_version=webhook.secret_version,
        previous_secret_until=_time(webhook.previous_secret_until),
        failing_since=_time(webhook.failing_since),
        create_time=to_timestamp(webhook.create_time),
    )


def delivery_message(delivery: Delivery) -> webhook_pb2.Delivery:
    """A delivery."""
    return webhook_pb2.Delivery(
        delivery_id=str(delivery.delivery_id),
        message_id=message_id(delivery.delivery_id),
        channel=webhook_pb2.DeliveryChannel.ValueType(delivery.channel),
        webhook_id=str(delivery.endpoint_id),
        participant_id=delivery.participant_id,
        cause_id=delivery.cause_id,
        kind=notify_pb2.NotificationKind.ValueType(delivery.kind),
        state=webhook_pb2.DeliveryState.ValueType(delivery.state),
        attempt_count=delivery.attempts,
        next_attempt_time=_time(delivery.due_time),
        error=delivery.error,
        create_time=to_timestamp(delivery.create_time),
        update_time=to_timestamp(delivery.update_time),
    )


def attempt_message(attempt: Attempt) -> webhook_pb2.DeliveryAttempt:
    """An attempt."""
    message = webhook_pb2.DeliveryAttempt(
        attempt=attempt.attempt,
        attempt_time=to_timestamp(attempt.attempt_time),
        http_status=attempt.http_status,
        error=attempt.error,
    )
    if attempt.duration_ms is not None:
        message.duration.FromMilliseconds(attempt.duration_ms)
    return message


def _time(moment: datetime | None) -> Timestamp | None:
    return to_timestamp(moment) if moment else None
