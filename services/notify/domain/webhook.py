"""Webhooks: addresses of a program's own servers, which are told what its participants are told."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from uuid import UUID

from services.notify.domain.cause import Kind


class WebhookState(IntEnum):
    """Whether anything is sent to a webhook; stored and sent under these numbers."""

    ENABLED = 1
    DISABLED = 2
    SWITCHED_OFF = 3


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook as stored. Its secrets are not: they are derived from its id and their number."""

    webhook_id: UUID
    program_id: str
    url: str
    kinds: frozenset[Kind]
    """The kinds that it wants; empty for everything."""
    state: WebhookState
    switched_off_reason: str
    secret_version: int
    previous_secret_until: datetime | None
    failing_since: datetime | None
    create_time: datetime

    def wants(self, kind: Kind) -> bool:
        """Whether it is sent things of a kind."""
        return not self.kinds or kind in self.kinds
