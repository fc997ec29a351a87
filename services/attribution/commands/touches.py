"""From codes, click tokens and visitor ids to the candidates that may be credited."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from services.attribution.domain import click_token
from services.attribution.domain.attribution import Candidate, NamedTouches, Reason
from services.attribution.domain.codes import normalise
from services.attribution.domain.policy import Program
from services.attribution.store.clicks import VisitorTouch, load_visitor_touches
from services.attribution.store.links import TouchSource, load_code_sources, load_link_sources

_FIRST_CLICKS = datetime(1970, 1, 1, tzinfo=UTC)
"""The time before which there is no click: ids of clicks count from here."""


async def load_candidates(
    conn: AsyncConnection, key: bytes, program: Program, wanted: Sequence[NamedTouches]
) -> list[tuple[Candidate, ...]]:
    """The candidates of each conversion or enrolment: of the code, then of the token, then of the visitor's clicks, the
    oldest first."""
    codes = {each.code for each in wanted if each.code}
    visitors = {each.visitor_id for each in wanted if each.visitor_id}
    tokens = {each.click_token: _read_token(key, program, each.click_token) for each in wanted if each.click_token}
    visited: Mapping[str, list[VisitorTouch]] = {}
    if visitors:
        since = _since(min(each.at for each in wanted if each.visitor_id), program.policy.window)
        visited = await load_visitor_touches(conn, program.program_id, visitors, since)
    links = {token.link_id for token in tokens.values() if token is not None}
    links |= {touch.link_id for each in visited.values() for touch in each}
    by_code = await load_code_sources(conn, program.program_id, codes) if codes else {}
    by_link = await load_link_sources(conn, program.program_id, links) if links else {}
    return [tuple(_candidates(each, tokens, visited, by_code, by_link)) for each in wanted]


def _since(moment: datetime, window: timedelta) -> datetime:
    """The time from which on clicks may count for what happened at `moment`. History may be so old that there is no
    date a window before it."""
    return max(moment, _FIRST_CLICKS + window) - window


def _read_token(key: bytes, program: Program, text: str) -> click_token.ClickToken | None:
    try:
        token = click_token.read(key, text)
    except click_token.InvalidTokenError:
        return None
    return token if token.program_id == program.program_id else None


def _candidates(
    touches: NamedTouches,
    tokens: Mapping[str, click_token.ClickToken | None],
    visited: Mapping[str, list[VisitorTouch]],
    by_code: Mapping[str, TouchSource],
    by_link: Mapping[str, TouchSource],
) -> list[Candidate]:
    found = []
    if touches.code:
        code = normalise(touches.code)
        source = by_code.get(code)
        found.append(_from_code(source) if source else Candidate("", code=code, flaw=Reason.UNKNOWN_CODE))
    if touches.click_token:
        token = tokens[touches.click_token]
        source = by_link.get(token.link_id) if token else None
        if token and source:
            found.append(_from_click(source, token.clicked_at))
        else:
            found.append(Candidate("", flaw=Reason.INVALID_TOKEN))
    found += [
        _from_click(by_link[touch.link_id], touch.clicked_at)
        for touch in visited.get(touches.visitor_id, ())
        if touch.link_id in by_link
    ]
    return found


def _from_code(source: TouchSource) -> Candidate:
    return Candidate(
        source.participant_id,
        source.link_id,
        source.code,
        source.channel,
        source.campaign,
        share_percent=source.share_percent,
    )


def _from_click(source: TouchSource, clicked_at: datetime) -> Candidate:
    return Candidate(
        source.participant_id,
        source.link_id,
        "",
        source.channel,
        source.campaign,
        clicked_at,
        share_percent=source.share_percent,
    )
