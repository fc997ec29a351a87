"""The webhooks of a program: adding, changing and removing them."""

from collections.abc import Collection
from uuid import UUID

import httpx

from chassis.errors import UplineError, failed_precondition, invalid, not_found
from chassis.idempotency import Answer, Call, answer_once
from chassis.ids import new_id
from services.notify.channels.addresses import NotPublicError, check_literal
from services.notify.commands.deps import Deps
from services.notify.domain.cause import Kind
from services.notify.domain.webhook import Webhook, WebhookState
from services.notify.store import lanes
from services.notify.store import webhooks as webhook_store

MAX_WEBHOOKS = 20
"""The most webhooks of a program: each is sent everything that people are told, so many times the traffic."""
DEFAULT_OVERLAP_HOURS = 24
MAX_PORT = 65_535


async def create_webhook(
    deps: Deps,
    call: Call[Webhook, Answer],
    program_id: str,
    url: str,
    kinds: Collection[Kind],
    *,
    allow_loopback: bool,
) -> Answer:
    """Adds a webhook, which gets what happens from now on."""
    _check_url(url, allow_loopback=allow_loopback)
    async with deps.database.transaction() as conn:

        async def carry_out() -> Webhook:
            if await webhook_store.take_turn(conn, program_id) >= MAX_WEBHOOKS:
                raise failed_precondition(
                    "TOO_MANY_WEBHOOKS", f"the program has {MAX_WEBHOOKS} webhooks already: remove one, or change it"
                )
            return await webhook_store.add(conn, new_id(), program_id, url, kinds)

        return await answer_once(conn, call, carry_out)


async def rotate_secret(
    deps: Deps, call: Call[Webhook, Answer], program_id: str, webhook_id: UUID, overlap_hours: int
) -> Answer:
    """Makes a further secret the newest; the one before signs too for some hours."""
    async with deps.database.transaction() as conn:

        async def carry_out() -> Webhook:
            return found(await webhook_store.rotate(conn, program_id, webhook_id, overlap_hours), webhook_id)

        return await answer_once(conn, call, carry_out)


async def update_webhook(
    deps: Deps,
    call: Call[Webhook, Answer],
    program_id: str,
    webhook_id: UUID,
    state: WebhookState | None,
    kinds: Collection[Kind] | None,
) -> Answer:
    """Changes what is not None."""
    async with deps.database.transaction() as conn:

        async def carry_out() -> Webhook:
            return found(await webhook_store.update(conn, program_id, webhook_id, state, kinds), webhook_id)

        return await answer_once(conn, call, carry_out)


async def delete_webhook(deps: Deps, call: Call[int, Answer], program_id: str, webhook_id: UUID) -> Answer:
    """Removes a webhook, and parks what waited for it; the answer tells how much."""
    async with deps.database.transaction() as conn:

        async def carry_out() -> int:
            if not await webhook_store.remove(conn, program_id, webhook_id):
                raise not_found_webhook(webhook_id)
            return await lanes.park_all(conn, webhook_id, "its webhook was removed")

        return await answer_once(conn, call, carry_out)


def found(webhook: Webhook | None, webhook_id: UUID) -> Webhook:
    """The webhook. NOT_FOUND if there is none."""
    if webhook is None:
        raise not_found_webhook(webhook_id)
    return webhook


def not_found_webhook(webhook_id: UUID) -> UplineError:
    """NOT_FOUND: the program has no such webhook."""
    return not_found("webhook", str(webhook_id))


def _check_url(url: str, *, allow_loopback: bool) -> None:
    """INVALID_ARGUMENT where nothing can be sent to an address, whatever its name leads to."""
    try:
        parsed = httpx.URL(url)
        host = parsed.raw_host.decode("ascii")
    except (httpx.InvalidURL, UnicodeError):
        raise _bad_url("is no address: write `https://host/path`") from None
    if not host:
        raise _bad_url("names no host: write `https://host/path`")
    if parsed.scheme != "https" and not allow_loopback:
        raise _bad_url("must begin with `https://`")
    if parsed.port is not None and not 0 < parsed.port <= MAX_PORT:
        raise _bad_url(f"must have a port from 1 to {MAX_PORT}, or none")
    if parsed.userinfo:
        raise _bad_url("must not name a user or a password: what is sent is signed")
    if parsed.fragment:
        raise _bad_url("must not have a fragment (`#…`), which is never sent")
    try:
        check_literal(host, allow_loopback=allow_loopback)
    except NotPublicError:
        raise _bad_url("must not be a private address: name a host of the internet") from None
    except UnicodeError:
        raise _bad_url("must name a host whose parts between the dots have 1 to 63 characters each") from None


def _bad_url(description: str) -> UplineError:
    return invalid("url", description, "INVALID_WEBHOOK_URL")
