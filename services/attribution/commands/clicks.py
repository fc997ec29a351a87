"""Recording clicks: on disk before anybody is told so."""

import asyncio
from collections.abc import Sequence

from chassis.errors import FieldViolation, not_found
from services.attribution.commands.deps import ClickDeps
from services.attribution.domain.click_token import sign_parts
from services.attribution.domain.links import LinkKey
from services.attribution.intake import MAX_PART_CLICKS, Intake
from services.attribution.store.links import MissingLink
from services.attribution.wire.clicks import SealedClick, SealedClicks
from services.attribution.wire.plain_clicks import PlainClicks, Visit


async def record_click(deps: ClickDeps, click: SealedClick) -> None:
    """Records one click."""
    if deps.links.peek(click.link) is None:
        await _require_links(deps, [click.link], "click")
    await deps.intake.record(click.frame, 1)


async def keep_click(deps: ClickDeps, click: SealedClick) -> None:
    """Returns when a click on a link that is known to exist is on disk."""
    await deps.intake.record(click.frame, 1)


async def record_clicks(deps: ClickDeps, clicks: PlainClicks | SealedClicks) -> None:
    """Records all clicks, or refuses them all.

    Where the stream fails in the middle some may be on disk: the same clicks sent again are the same clicks.
    """
    if any(deps.links.peek(key) is None for key in clicks.links()):
        await _require_links(deps, clicks.link_of_each(), "clicks[{}]")
    await _append(deps.intake, clicks.parts(MAX_PART_CLICKS))


def token_of(deps: ClickDeps, click: SealedClick, now_ms: int) -> str:
    """The token of one click; empty for a click that is no visit: previews are shared with their links, and must not
    credit anybody. That there is a token does not say that the click is on disk, or that its link exists."""
    if click.kind:
        return ""
    return _sign(deps.click_token_key, now_ms * 1000, (*click.link, click.click_id, click.clicked_at_us))


def tokens_of(deps: ClickDeps, clicks: PlainClicks | SealedClicks, now_ms: int) -> list[str]:
    """The tokens of many clicks, each as `token_of` gives it."""
    key, now_us = deps.click_token_key, now_ms * 1000
    return ["" if visit is None else _sign(key, now_us, visit) for visit in clicks.visits()]


def _sign(key: bytes, now_us: int, visit: Visit) -> str:
    """A token with the time of its click, which is now at the latest: the clock of an edge may be an hour ahead, and
    its tokens would come too late for whatever is bought meanwhile."""
    program_id, link_id, click_id, clicked_at_us = visit
    return sign_parts(key, program_id, link_id, click_id, min(clicked_at_us, now_us))


async def _append(intake: Intake, parts: Sequence[tuple[bytes, int]]) -> None:
    """Returns when the clicks are on disk. Each part is a serialised ClickBatch and the number of clicks in it."""
    if len(parts) == 1:
        await intake.record(*parts[0])
        return
    outcomes = await asyncio.gather(*(intake.record(*part) for part in parts), return_exceptions=True)
    for outcome in outcomes:
        if outcome is not None:
            raise outcome


async def _require_links(deps: ClickDeps, keys: Sequence[LinkKey], path: str) -> None:
    """Raises NOT_FOUND, with every click at fault named, unless all links exist; `keys` has the link of each click."""
    found = await deps.links.find(set(keys))
    violations = []
    missing: list[tuple[str, str]] = []
    for index, key in enumerate(keys):
        absent = found[key]
        if isinstance(absent, MissingLink):
            field, name = ("program_id", key[0]) if absent is MissingLink.PROGRAM else ("link_id", key[1])
            description = f"{absent.value} {name!r} does not exist"
            violations.append(FieldViolation(f"{path.format(index)}.{field}", description))
            missing.append((absent.value, name))
    if missing:
        raise not_found(*missing[0], violations)
