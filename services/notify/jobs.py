"""How long the rows of notify live."""

from chassis.clock import Clock
from chassis.retention import Life, common_lives
from services.notify.settings import NotifySettings
from services.notify.store.causes import LIFE


def lives(settings: NotifySettings, clock: Clock) -> list[Life]:
    """How long the rows of the tables that grow live: entries for ever, unless a retention is set.

    Entries go before their causes, without which nobody could read them.
    """
    common = common_lives(settings)
    if not settings.notify_retention_days:
        return common
    entries = Life(LIFE, ("inbox_entry", "cause"), "entry_id < :least_id", settings.notify_retention_days, clock)
    return [*common, entries]
