"""Inbox entries and their ids."""

from uuid import UUID

from upline.notify.v1 import notify_pb2

from chassis.errors import invalid
from chassis.times import to_timestamp
from services.notify.domain.inbox import RenderedEntry


def read_entry_id(value: str, field_path: str) -> UUID:
    """The id of an entry that a request names. INVALID_ARGUMENT if no entry can have it."""
    try:
        return UUID(value)
    except ValueError as error:
        raise invalid(field_path, "is not the id of an entry", "INVALID_ENTRY_ID") from error


def entry_message(rendered: RenderedEntry) -> notify_pb2.InboxEntry:
    """An entry with its words."""
    entry = rendered.entry
    return notify_pb2.InboxEntry(
        entry_id=str(entry.entry_id),
        kind=notify_pb2.NotificationKind.ValueType(entry.kind),
        cause_id=entry.cause_id,
        conversion_id=entry.conversion_id,
        buyer_id=entry.buyer_id,
        level=entry.level,
        amounts=[
            notify_pb2.EntryAmount(asset=each.asset, amount_minor=each.total_minor, formatted=text)
            for each, text in zip(entry.amounts, rendered.amounts, strict=True)
        ],
        title=rendered.title,
        body=rendered.body,
        locale=rendered.locale,
        occurred_at=to_timestamp(entry.occurred_at),
        create_time=to_timestamp(entry.create_time),
        read=entry.read,
        hold_until=to_timestamp(entry.hold_until) if entry.hold_until else None,
        contest_id=entry.contest_id,
        rank=entry.rank,
        reason=entry.reason,
    )
