"""How long the rows of notify live."""

from chassis.clock import Clock
from chassis.retention import Life, common_lives
from services.notify.domain.delivery import DeliveryState
from services.notify.settings import NotifySettings
from services.notify.store.causes import LIFE


def lives(settings: NotifySettings, clock: Clock) -> list[Life]:
    """How long the rows of the tables that grow live: entries for ever, unless a retention is set.

    Entries go before their causes, without which nobody could read them.
    """
    common = [*common_lives(settings), _deliveries(settings)]
    if not settings.notify_retention_days:
        return common
    entries = Life(LIFE, ("inbox_entry", "cause"), "entry_id < :least_id", settings.notify_retention_days, clock)
    return [*common, entries]


def _deliveries(settings: NotifySettings) -> Life:
    """The life of deliveries that have ended. That one was written is known by its cause ever after."""
    ended = f"state IN ({DeliveryState.DELIVERED:d}, {DeliveryState.PARKED:d}) AND update_time < :before"
    return Life("deliveries", ("delivery",), ended, settings.delivery_retention_days)
