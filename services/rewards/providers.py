"""Providers to which payouts are sent one by one."""

import asyncio
import hashlib
import json
from dataclasses import dataclass, field

import httpx
from standardwebhooks import Webhook

from chassis.clock import Clock, SystemClock
from services.rewards.domain.explain.numbers import minor_text
from services.rewards.domain.wallet.payout import Payout, ProviderAnswer, ProviderError, ProviderStatus
from services.rewards.settings import RewardsSettings

SILENCE_SECONDS = 20.0
"""The longest wait for a connection, or for the next bytes of an answer."""
SEND_SECONDS = 30.0
"""The longest time for a payout to be sent and answered: the next byte of an answer that drips always comes in time.
It is well below the lease under which the payout is sent."""
MAX_ANSWER_BYTES = 64 * 1024
"""The part of an answer that is read; nothing is unpacked, so it takes no more memory than that."""
MAX_TEXT = 500


@dataclass
class WebhookProvider:
    """Payouts as signed webhooks (Standard Webhooks 1.0.0).

    Each payout and attempt has a name, in `webhook-id` and `Idempotency-Key`, which stays the same however often it is
    sent. A 2xx answer means that the provider has the payout; its JSON may say more: `{"state": "paid" | "failed" |
    "pending", "reference": …, "reason": …}`. Anything else means that nobody knows, so the same is sent again.
    """

    url: str
    secret: str
    methods: frozenset[str] = frozenset()
    """The payout methods that it takes; empty for all."""
    clock: Clock = field(default_factory=SystemClock)
    """The machine's clock: a receiver compares the time of a signature with its own."""
    client: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(timeout=SILENCE_SECONDS))

    def takes(self, method: str) -> bool:
        """Whether payouts by this method are sent to it."""
        return not self.methods or method in self.methods

    async def send(self, payout: Payout, minor_digits: int) -> ProviderAnswer:
        """Hands a payout over. Raises ProviderError where nobody knows whether it arrived."""
        name = message_name(payout)
        moment = self.clock.now()
        body = json.dumps(content(payout, minor_digits), ensure_ascii=False, separators=(",", ":"))
        headers = {
            "content-type": "application/json",
            "accept-encoding": "identity",
            "idempotency-key": name,
            "webhook-id": name,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": Webhook(self.secret).sign(name, moment, body),
        }
        try:
            async with (
                asyncio.timeout(SEND_SECONDS),
                self.client.stream("POST", self.url, content=body.encode(), headers=headers) as response,
            ):
                body_start = await _beginning(response)
        except httpx.HTTPError as error:
            raise ProviderError(f"{type(error).__name__}: {error}") from error
        except TimeoutError as error:
            raise ProviderError(f"no whole answer within {SEND_SECONDS:g} seconds") from error
        if not response.is_success:
            raise ProviderError(f"HTTP {response.status_code}")
        if (encoding := response.headers.get("content-encoding", "identity")) != "identity":
            raise ProviderError(f"the answer is packed ({encoding[:MAX_TEXT]}), which was not asked for")
        return read_answer(body_start)

    async def close(self) -> None:
        """Ends its connections."""
        await self.client.aclose()


def message_name(payout: Payout) -> str:
    """The name of a payout and attempt towards the provider: letters that fit into a header, whatever the ids are."""
    names = "\x1f".join((payout.program_id, payout.payout_id, str(payout.attempts)))
    return "payout_" + hashlib.blake2b(names.encode(), digest_size=16).hexdigest()


def content(payout: Payout, minor_digits: int) -> dict[str, object]:
    """The body of the request: a payout as the provider needs it."""
    return {
        "type": "payout.requested",
        "timestamp": payout.update_time.isoformat(),
        "data": {
            "program_id": payout.program_id,
            "payout_id": payout.payout_id,
            "attempt": payout.attempts,
            "participant_id": payout.participant_id,
            "method": payout.method,
            "destination": payout.destination,
            "asset": payout.asset,
            "amount": minor_text(payout.paid_minor, minor_digits),
            "amount_minor": payout.paid_minor,
            "fee_minor": payout.fee_minor,
        },
    }


def read_answer(body: bytes) -> ProviderAnswer:
    """The answer in a 2xx body: PENDING unless it says otherwise in so many words."""
    try:
        answer = json.loads(body)
        outcome = ProviderStatus(answer["state"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ProviderAnswer(ProviderStatus.PENDING)
    reference, reason = (_storable(str(answer.get(name) or "")) for name in ("reference", "reason"))
    return ProviderAnswer(outcome, reference, reason)


def _storable(text: str) -> str:
    """A text that PostgreSQL takes: no NUL, and question marks for halves of characters, which JSON can escape."""
    return text[:MAX_TEXT].replace("\x00", "").encode(errors="replace").decode()


async def _beginning(response: httpx.Response) -> bytes:
    """The body, as far as an answer is read."""
    beginning = b""
    async for part in response.aiter_raw():
        beginning += part
        if len(beginning) > MAX_ANSWER_BYTES:
            break
    return beginning


def provider_of(settings: RewardsSettings) -> WebhookProvider | None:
    """The provider that the settings name; None where payouts wait for batches."""
    if not settings.payout_webhook_url:
        return None
    methods = frozenset(each.strip() for each in settings.payout_webhook_methods.split(",") if each.strip())
    return WebhookProvider(settings.payout_webhook_url, settings.payout_webhook_secret.get_secret_value(), methods)
