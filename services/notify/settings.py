"""The settings of notify besides the common ones."""

from pydantic import Field, field_validator

from chassis.settings import ServiceSettings

LEAST_RETENTION_DAYS = 30
"""The least time for which entries are kept: events may come again as long as the outbox of rewards keeps them (7
days), and one that comes for the first time is not to be taken for one that was forgotten."""


class NotifySettings(ServiceSettings):
    """The settings of notify, read from `UPLINE_*` like the others."""

    notify_retention_days: int = Field(default=0, ge=0, le=36_500)
    """The days for which inbox entries are kept, read or not: 0 for ever, else at least 30. Older ones are removed once
    a day, and what happened before the oldest that are kept is told to nobody any more."""

    delivery_retention_days: int = Field(default=90, ge=30, le=36_500)
    """The days for which deliveries are kept that were delivered or parked, at least 30. Older ones are removed once a
    day; parked ones among them cannot be sent again any more."""
    webhook_allow_loopback: bool = False
    """Lets webhooks be on the machine itself, also without encryption: for development and tests. Else they must be
    `https` and at public addresses."""

    @field_validator("notify_retention_days")
    @classmethod
    def _outlives_repeated_events(cls, days: int) -> int:
        if 0 < days < LEAST_RETENTION_DAYS:
            raise ValueError(f"must be 0, for ever, or at least {LEAST_RETENTION_DAYS}")
        return days
