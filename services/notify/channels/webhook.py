"""Webhooks: deliveries as signed HTTP requests (Standard Webhooks 1.0.0)."""

import asyncio
import base64
import json
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from uuid import UUID

import httpx
from httpx_secure import SSRFProtectionError
from pydantic import SecretStr
from standardwebhooks import Webhook as Signer

from chassis.clock import Clock, SystemClock
from chassis.secrets import derive_key
from services.notify.channels.addresses import AddressGuard, NotPublicError
from services.notify.domain.cause import Kind
from services.notify.domain.delivery import GONE_STATUS, Outgoing, Result
from services.notify.domain.inbox import Entry

CONNECT_SECONDS = 5.0
"""The longest for a connection to be made, with its encryption."""
SEND_SECONDS = 15.0
"""The longest from the look-up of the name to the end of the answer, the least that Standard Webhooks recommends: the
next byte of an answer that drips always comes in time. It is well below the lease under which a delivery is sent."""
MAX_ANSWER_BYTES = 16 * 1024
"""The part of an answer that is read; nobody looks at it, and nothing is unpacked. A connection whose answer is longer
is closed; of an answer's headers the library reads 100 KB."""
MAX_CONNECTIONS = 100
MAX_IDLE_CONNECTIONS = 20
IDLE_SECONDS = 5.0
NO_COOKIES = DefaultCookiePolicy(allowed_domains=())
"""A receiver's cookies would be kept, and sent to whichever program has a webhook at the same host."""
THROTTLED = frozenset({429, 503})
"""The answers that may say when to come again."""

TYPES = {
    Kind.EARNED: "reward.earned",
    Kind.HELD: "reward.held",
    Kind.RELEASED: "reward.released",
    Kind.REVERSED: "reward.reversed",
    Kind.REJECTED: "reward.rejected",
    Kind.EXPIRING: "value.expiring",
    Kind.PAYOUT_PAID: "payout.paid",
    Kind.PAYOUT_FAILED: "payout.failed",
    Kind.PAYOUT_RETURNED: "payout.returned",
    Kind.PRIZE_WON: "contest.prize_won",
    Kind.PAYOUT_BOUNCED: "payout.bounced",
}
"""The types of webhooks by kinds. They are promises: a receiver goes by them."""


@dataclass(frozen=True, slots=True)
class WebhookSecrets:
    """The secrets of webhooks. None is stored: each is derived from the secret of the installation, the id of its
    webhook and its number, so that no dump of the database holds one."""

    secret: SecretStr

    def get(self, webhook_id: UUID, version: int) -> str:
        """A webhook's secret, as its receiver is given it."""
        key = derive_key(self.secret, f"webhook {webhook_id} {version}")
        return "whsec_" + base64.b64encode(key).decode()


@dataclass
class WebhookChannel:
    """Sends deliveries to webhooks. A 2xx answer means that the receiver has it; anything else that it is sent again,
    under the same `webhook-id`. Redirects are not followed."""

    secrets: WebhookSecrets
    allow_loopback: bool = False
    clock: Clock = field(default_factory=SystemClock)
    """The machine's clock: a receiver compares the time of a signature with its own."""
    seconds: float = SEND_SECONDS

    def __post_init__(self) -> None:
        limits = httpx.Limits(
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_IDLE_CONNECTIONS,
            keepalive_expiry=IDLE_SECONDS,
        )
        # No proxy of the environment: it would make the connection, and look the name up.
        client = httpx.AsyncClient(
            timeout=httpx.Timeout(self.seconds, connect=CONNECT_SECONDS),
            limits=limits,
            trust_env=False,
            cookies=CookieJar(NO_COOKIES),
        )
        self._guard = AddressGuard(self.allow_loopback)
        self._client = self._guard.guard(client)

    async def send(self, outgoing: Outgoing) -> Result:
        """Sends a delivery. Nothing that goes wrong is raised, and no error repeats what was sent."""
        if outgoing.entry is None:
            return Result(error="what it told of is not kept any more", is_final=True)
        body = json.dumps(content(outgoing.entry), ensure_ascii=False, separators=(",", ":"))
        moment = self.clock.now()
        headers = {
            "content-type": "application/json",
            "accept-encoding": "identity",
            "user-agent": "Upline",
            "webhook-id": outgoing.message_id,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": self._signatures(outgoing, moment, body),
        }
        try:
            async with asyncio.timeout(self.seconds):
                url = httpx.URL(outgoing.url)
                # The name as it is called: the decoded one may lead elsewhere.
                await self._guard.check(url.raw_host.decode("ascii"))
                async with self._client.stream("POST", url, content=body.encode(), headers=headers) as response:
                    await _read_some(response)
        except (TimeoutError, NotPublicError, httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            return Result(error=self._told(error))
        return self._result(response)

    async def close(self) -> None:
        """Ends its connections."""
        await self._client.aclose()
        self._guard.close()

    def _signatures(self, outgoing: Outgoing, moment: datetime, body: str) -> str:
        """One signature, or two while a secret is replaced."""
        newest = outgoing.secret_version
        versions = [newest, newest - 1] if outgoing.signs_twice else [newest]
        secrets = [self.secrets.get(outgoing.endpoint_id, each) for each in versions]
        return " ".join(Signer(each).sign(outgoing.message_id, moment, body) for each in secrets)

    def _told(self, error: Exception) -> str:
        """An error in words that repeat nothing of the request."""
        match error:
            case NotPublicError() | SSRFProtectionError():
                return "the address is not public"
            case httpx.ConnectTimeout():
                return f"no connection within {CONNECT_SECONDS:g} seconds"
            case TimeoutError() | httpx.TimeoutException():
                return f"no whole answer within {self.seconds:g} seconds"
            case httpx.HTTPError():
                return f"the call failed ({type(error).__name__})"
            case _:
                return "the name leads to no address"

    def _result(self, response: httpx.Response) -> Result:
        status = response.status_code
        if response.is_success:
            return Result(status)
        error = f"HTTP {status}" + (", and redirects are not followed" if response.is_redirect else "")
        retry_after = self._retry_after(response) if status in THROTTLED else 0.0
        return Result(status, error, retry_after, is_final=status == GONE_STATUS)

    def _retry_after(self, response: httpx.Response) -> float:
        """The seconds that `Retry-After` asks for, as a number or as a time; 0 where it says neither."""
        told = response.headers.get("retry-after", "").strip()
        if told.isascii() and told.isdigit():
            return float(told[:10])
        try:
            return max(0.0, (parsedate_to_datetime(told) - self.clock.now()).total_seconds())
        except (ValueError, TypeError, OverflowError):
            return 0.0


async def _read_some(response: httpx.Response) -> None:
    """Reads an answer to its end where that is near, so that its connection can be used again."""
    size = 0
    async for part in response.aiter_raw():
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            return


def content(entry: Entry) -> dict[str, object]:
    """The body of the request: what somebody is told, in facts."""
    data: dict[str, object] = {
        "program_id": entry.inbox.program_id,
        "participant_id": entry.inbox.participant_id,
        "entry_id": str(entry.entry_id),
        "cause_id": entry.cause_id,
        "level": entry.level,
        "amounts": [
            {
                "asset": each.asset,
                "amount_minor": each.total_minor,
                "held_minor": each.held_minor,
            }
            for each in entry.amounts
        ],
    }
    optional: dict[str, object] = {
        "conversion_id": entry.conversion_id,
        "event_type": entry.event_type,
        "buyer_id": entry.buyer_id,
        "contest_id": entry.contest_id,
        "rank": entry.rank,
        "reason": entry.reason,
        "hold_until": entry.hold_until and entry.hold_until.isoformat(),
    }
    data |= {name: value for name, value in optional.items() if value}
    return {"type": TYPES[entry.kind], "timestamp": entry.occurred_at.isoformat(), "data": data}
