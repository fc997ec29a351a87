"""Settings of the rewards service beyond the common ones."""

from ipaddress import ip_address
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator
from standardwebhooks import Webhook

from chassis.settings import ServiceSettings


class RewardsSettings(ServiceSettings):
    """Read from `UPLINE_*` like the others."""

    wait_retention_days: int = Field(default=400, ge=90, le=36_500)
    """How many days it stays on record what a hold waited for, counted from its end, and which events could end one. A
    conversion that is recorded so long after the event that its hold waits for goes on waiting."""
    payout_webhook_url: str = Field(default="", pattern=r"^(https?://[^\s/?#@]+(/\S*)?)?$")
    """The address to which payouts are sent; empty: they wait for batches. It must be https beyond this machine."""
    payout_webhook_secret: SecretStr = SecretStr("")
    """The key of the signatures, required with the URL: `whsec_` and 24 to 64 bytes in base 64, or these alone."""
    payout_webhook_methods: str = ""
    """The payout methods that are sent there, separated by commas; empty: all. The others wait for batches."""

    @model_validator(mode="after")
    def _webhook_is_safe(self) -> Self:
        if not self.payout_webhook_url:
            return self
        if not self.payout_webhook_secret.get_secret_value():
            raise ValueError("UPLINE_PAYOUT_WEBHOOK_SECRET is missing: payouts are not sent unsigned")
        try:
            Webhook(self.payout_webhook_secret.get_secret_value())
        except ValueError as error:
            raise ValueError("UPLINE_PAYOUT_WEBHOOK_SECRET is not base 64") from error
        parts = urlsplit(self.payout_webhook_url)
        if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
            raise ValueError("UPLINE_PAYOUT_WEBHOOK_URL must be https beyond this machine")
        return self


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
