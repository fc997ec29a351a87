"""Reading participants and the tree."""

from datetime import UTC, datetime
from typing import Any

from google.rpc import code_pb2
from sqlalchemy.ext.asyncio import AsyncConnection
from upline.attribution.v1 import participant_pb2
from upline.type.v1 import money_pb2

from chassis.errors import UplineError
from chassis.pages import Filling, page_size
from services.attribution.domain.participant import Participant
from services.attribution.domain.policy import Program
from services.attribution.domain.tree import PATH_LEVELS
from services.attribution.queries import Reader
from services.attribution.store.conversions import BuyerPurchases, load_purchases, load_recent
from services.attribution.store.participants import list_referrals as load_referrals
from services.attribution.store.participants import load_participant
from services.attribution.store.programs import load_program
from services.attribution.store.tree import load_nodes, walk_down, walk_up
from services.attribution.wire.conversions import write_conversion
from services.attribution.wire.participants import write_bond, write_node, write_participant

RECENT_CONVERSIONS = 20
REFERRALS_AT_ONCE = 50
"""The number of referees that are read together, with what they bought: a page ends at 2 MB, so not all that it might
have are read first."""
MAX_ANCHORS = 40
"""Keys of a narrow level that a page token carries: 40 of 19 digits fit into its 1,024 characters."""
MAX_SPAN = 1_024
"""Levels looked at in one statement: a chain has one node a level."""
MAX_LEVEL = 2**31 - 1
INT64_MAX = 2**63 - 1
_BEFORE_ALL = datetime(1, 1, 1, tzinfo=UTC)


async def get_participant(
    reader: Reader, request: participant_pb2.GetParticipantRequest
) -> participant_pb2.GetParticipantResponse:
    """One participant. NOT_FOUND if he is not enrolled."""
    async with reader.database.transaction() as conn:
        await load_program(conn, request.program_id)
        person = await load_participant(conn, request.program_id, request.participant_id)
    return participant_pb2.GetParticipantResponse(participant=write_participant(request.program_id, person))


async def list_upline(reader: Reader, request: participant_pb2.ListUplineRequest) -> participant_pb2.ListUplineResponse:
    """Ancestors, nearest first; a page goes on from the last one, so deep pages cost no more than the first."""
    position = reader.pager.position(request, request.page_token)
    size = page_size(request.page_size, PATH_LEVELS)
    async with reader.database.transaction() as conn:
        await load_program(conn, request.program_id)
        person = await load_participant(conn, request.program_id, request.participant_id)
        start, level = position or (person.key, 0)
        path = (await walk_up(conn, [start], size + 1)).paths[start]
        levels = {key: level + 1 + place for place, key in enumerate(path)}
        nodes = await load_nodes(conn, {key: levels[key] for key in path[:size]})
    ancestors, token = reader.pager.page(
        request, path, size, lambda key: write_node(nodes[key]), lambda last: [last, levels[last]]
    )
    return participant_pb2.ListUplineResponse(ancestors=ancestors, next_page_token=token)


async def list_downline(
    reader: Reader, request: participant_pb2.ListDownlineRequest
) -> participant_pb2.ListDownlineResponse:
    """Descendants by level, then in the order of enrolment."""
    position = reader.pager.position(request, request.page_token)
    size = page_size(request.page_size)
    async with reader.database.transaction() as conn:
        await load_program(conn, request.program_id)
        person = await load_participant(conn, request.program_id, request.participant_id)
        first_anchors, first_top, level, after = position or ([person.key], 0, 1, 0)
        found, anchors, top = await _descend(
            conn, first_anchors, first_top, (level, after), request.max_level or MAX_LEVEL, size + 1
        )
        nodes = await load_nodes(conn, {key: level for level, key in found[:size]})

    def position_after(last: tuple[int, int]) -> list[Any]:
        # What was found on the way is above the last node of a whole page; the last one of a page that ended
        # earlier may stand on that level or above it.
        whole = len(found) > size and last == found[size - 1]
        return [anchors, top, *last] if whole or last[0] > top else [first_anchors, first_top, *last]

    descendants, token = reader.pager.page(
        request, found, size, lambda each: write_node(nodes[each[1]]), position_after
    )
    return participant_pb2.ListDownlineResponse(descendants=descendants, next_page_token=token)


async def list_referrals(
    reader: Reader, request: participant_pb2.ListReferralsRequest
) -> participant_pb2.ListReferralsResponse:
    """Direct referees in the order of their binds, and what each bought."""
    position = reader.pager.position(request, request.page_token)
    size = page_size(request.page_size)
    after = (datetime.fromisoformat(position[0]), position[1]) if position else (_BEFORE_ALL, 0)
    async with reader.database.transaction() as conn:
        program = await load_program(conn, request.program_id)
        person = await load_participant(conn, request.program_id, request.participant_id)
        found = await load_referrals(conn, person.key, after, size + 1)
        filling: Filling[participant_pb2.Referral] = Filling()
        for start in range(0, min(size, len(found)), REFERRALS_AT_ONCE):
            some = found[start : min(start + REFERRALS_AT_ONCE, size)]
            if not filling.take(await _referrals(conn, program, some)):
                break
    return participant_pb2.ListReferralsResponse(
        referrals=filling.messages,
        next_page_token=reader.pager.next_token(request, found, len(filling.messages), _place_of_bind),
    )


def _place_of_bind(referee: Participant) -> list[Any]:
    """Where a referee stands among those of a sponsor."""
    if referee.bond is None:
        raise ValueError(f"{referee.participant_id!r} is listed as a referee and is bound to nobody")
    return [referee.bond.bound_at.isoformat(), referee.key]


async def _descend(
    conn: AsyncConnection, anchors: list[int], top: int, after: tuple[int, int], max_level: int, limit: int
) -> tuple[list[tuple[int, int]], list[int], int]:
    """The next `limit` descendants as (level, key), and the lowest level above the page's last one known whole and narrow.

    `anchors` are all nodes of level `top`. Statements look at one level where levels are wide, and at twice as many
    as before where they are narrow, so that neither a broad tree nor a long chain costs more than what is returned.
    """
    found: list[tuple[int, int]] = []
    span = 1
    level = after[0]
    while len(found) < limit and level <= max_level:
        bottom = min(level + span - 1, max_level)
        some = await walk_down(conn, anchors, top, after, bottom, limit - len(found))
        found += some
        lowest = [key for at, key in some if at == bottom]
        # A page may begin inside a level, after its last node: then the level is over, not the tree.
        started_there = after[0] == bottom and after[1] > 0
        if len(found) == limit or not (lowest or started_there):
            break
        narrow = len(lowest) <= MAX_ANCHORS and not started_there
        if narrow:
            anchors, top = lowest, bottom
        span = min(span * 2, MAX_SPAN) if narrow else 1
        level, after = bottom + 1, (bottom + 1, 0)
    return found, anchors, top


async def _referrals(
    conn: AsyncConnection, program: Program, people: list[Participant]
) -> list[participant_pb2.Referral]:
    ids = [each.participant_id for each in people]
    bought = await load_purchases(conn, program.program_id, ids)
    recent = await load_recent(conn, program.program_id, ids, RECENT_CONVERSIONS)
    referrals = []
    for each in people:
        purchases = bought.get(each.participant_id, BuyerPurchases(0, 0))
        if purchases.amount_minor > INT64_MAX:
            raise UplineError(
                code_pb2.OUT_OF_RANGE, "SUM_TOO_LARGE", f"purchases of {each.participant_id!r} exceed 64 bits"
            )
        referrals.append(
            participant_pb2.Referral(
                participant_id=each.participant_id,
                binding=write_bond(each.bond) if each.bond else None,
                conversion_count=purchases.conversion_count,
                amount=money_pb2.Money(currency_code=program.currency_code, amount_minor=purchases.amount_minor),
                recent_conversions=[
                    write_conversion(program.program_id, program.currency_code, conversion)
                    for conversion in recent.get(each.participant_id, ())
                ],
            )
        )
    return referrals
