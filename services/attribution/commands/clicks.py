"""Recording clicks: checked, sealed, and on disk before anybody is told so."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from google.rpc import code_pb2
from upline.attribution.v1.click_pb2 import (
    Click,
    ClickBatch,
    RecordClickRequest,
    RecordClicksRequest,
    StreamClicksRequest,
)

from chassis.clock import Clock
from chassis.errors import FieldViolation, UplineError
from chassis.handlers import check
from chassis.times import unix_ms
from services.attribution.domain.click_token import sign_parts
from services.attribution.intake import MAX_PART_CLICKS, Intake
from services.attribution.store.link_cache import LinkCache
from services.attribution.store.links import LinkKey, MissingLink
from services.attribution.wire.clicks import (
    MAX_REQUEST_CLICKS,
    PlainClicks,
    Sealer,
    clicked_at_us,
    conforms,
    id_time_us,
)


@dataclass(frozen=True, slots=True)
class ClickDeps:
    """What recording a click stands on."""

    clock: Clock
    links: LinkCache
    intake: Intake
    sealer: Sealer
    click_token_key: bytes


async def record_click(deps: ClickDeps, request: RecordClickRequest) -> str:
    """Records the click, which is changed to what is stored, and returns its token."""
    token = seal_click(deps, request)
    click = request.click
    if deps.links.peek((click.program_id, click.link_id)) is None:
        await _require_links(deps, [click], "click")
    await keep_click(deps, request)
    return token


def seal_click(deps: ClickDeps, request: RecordClickRequest) -> str:
    """Changes the click to what is stored, and returns its token, empty unless it is a visit. Neither says that the
    click is on disk, or that its link exists."""
    if not request.HasField("click") or not conforms(request.click):
        check(request)
    request.DiscardUnknownFields()
    now_ms = unix_ms(deps.clock.now())
    deps.sealer.seal(request.click, "click", now_ms)
    return _token(deps, request.click, now_ms)


async def keep_click(deps: ClickDeps, request: RecordClickRequest) -> None:
    """Returns when a sealed click is on disk."""
    # A request with one click and a batch with one click are the same bytes.
    await deps.intake.record(request.SerializeToString(), 1)


async def record_plain_clicks(deps: ClickDeps, plain: PlainClicks, *, return_tokens: bool) -> list[str]:
    """Does what `record_clicks` does for clicks that need no change."""
    now_ms = unix_ms(deps.clock.now())
    if not plain.are_timely(now_ms) or any(deps.links.peek(key) is None for key in plain.links()):
        # Click by click it is found out which is at fault, or that the links had only to be loaded.
        request = RecordClicksRequest.FromString(plain.frame)
        return await record_clicks(deps, request, return_tokens=return_tokens)
    await _append(deps.intake, plain.parts(MAX_PART_CLICKS))
    if not return_tokens:
        return []
    return [
        _sign(deps, plain.program_id, link_id.decode(), click_id, id_time_us(click_id), now_ms)
        for click_id, link_id in zip(plain.click_ids, plain.link_ids, strict=True)
    ]


async def record_clicks(
    deps: ClickDeps, request: RecordClicksRequest | StreamClicksRequest, *, return_tokens: bool
) -> list[str]:
    """Records all clicks, which are changed to what is stored, or refuses them all; returns their tokens if wanted.

    Where the stream fails in the middle some may be on disk: the same clicks sent again are the same clicks.
    """
    clicks = request.clicks
    if not 0 < len(clicks) <= MAX_REQUEST_CLICKS:
        check(request)
    request.DiscardUnknownFields()
    now_ms = unix_ms(deps.clock.now())
    keys = deps.sealer.seal_regular(clicks, now_ms)
    if keys is None:
        keys = _seal(deps, request, now_ms)
    if any(deps.links.peek(key) is None for key in keys):
        await _require_links(deps, clicks, "clicks[{}]")
    parts = [clicks[first : first + MAX_PART_CLICKS] for first in range(0, len(clicks), MAX_PART_CLICKS)]
    await _append(deps.intake, [(ClickBatch(clicks=part).SerializeToString(), len(part)) for part in parts])
    if not return_tokens:
        return []
    return [_token(deps, click, now_ms) for click in clicks]


def _seal(deps: ClickDeps, request: RecordClicksRequest | StreamClicksRequest, now_ms: int) -> set[LinkKey]:
    """Seals click by click and returns the links that they name."""
    clicks = request.clicks
    if not all(map(conforms, clicks)):
        check(request)
    for index, click in enumerate(clicks):
        deps.sealer.seal(click, f"clicks[{index}]", now_ms)
    return {(click.program_id, click.link_id) for click in clicks}


def _token(deps: ClickDeps, click: Click, now_ms: int) -> str:
    """The click's token; empty for a click that is no visit: previews are shared with their links, and must not credit
    anybody."""
    if click.kind:
        return ""
    return _sign(deps, click.program_id, click.link_id, click.click_id, clicked_at_us(click), now_ms)


def _sign(deps: ClickDeps, program_id: str, link_id: str, click_id: bytes, clicked_us: int, now_ms: int) -> str:
    """A token with the time of its click, which is now at the latest: the clock of an edge may be an hour ahead, and
    its tokens would come too late for whatever is bought meanwhile."""
    return sign_parts(deps.click_token_key, program_id, link_id, click_id, min(clicked_us, now_ms * 1000))


async def _append(intake: Intake, parts: Sequence[tuple[bytes, int]]) -> None:
    """Returns when the clicks are on disk: serialised ClickBatches, and how many clicks each has."""
    if len(parts) == 1:
        await intake.record(*parts[0])
        return
    outcomes = await asyncio.gather(*(intake.record(*part) for part in parts), return_exceptions=True)
    for outcome in outcomes:
        if outcome is not None:
            raise outcome


async def _require_links(deps: ClickDeps, clicks: Sequence[Click], path: str) -> None:
    """NOT_FOUND, with every click at fault named, unless all links exist."""
    found = await deps.links.find({(click.program_id, click.link_id) for click in clicks})
    violations = []
    metadata: dict[str, str] = {}
    for index, click in enumerate(clicks):
        absent = found[click.program_id, click.link_id]
        if not isinstance(absent, MissingLink):
            continue
        field = "program_id" if absent is MissingLink.PROGRAM else "link_id"
        name: str = getattr(click, field)
        metadata = metadata or {absent.value: name}
        violations.append(FieldViolation(f"{path.format(index)}.{field}", f"{absent.value} {name!r} does not exist"))
    if violations:
        kind = next(iter(metadata)).upper()
        raise UplineError(
            code_pb2.NOT_FOUND, f"{kind}_NOT_FOUND", violations[0].description, tuple(violations), metadata
        )
