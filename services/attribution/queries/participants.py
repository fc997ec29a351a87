"""Reading participants and the tree."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.pages import Portion
from services.attribution.domain.conversion import Conversion, Purchases
from services.attribution.domain.participant import Participant, Referral, TreeNode
from services.attribution.queries.deps import QueryDeps
from services.attribution.store import participants as participant_store
from services.attribution.store.conversions import load_purchases, load_recent
from services.attribution.store.participants import load_participant
from services.attribution.store.programs import load_program
from services.attribution.store.tree import load_nodes, walk_down, walk_up

RECENT_CONVERSIONS = 20
MAX_ANCHORS = 40
"""The number of keys of a narrow level that a page token carries: 40 of 19 digits fit into its 1,024 characters."""
MAX_SPAN = 1_024
"""The number of levels that one statement looks at: a chain has one node a level."""


@dataclass(frozen=True, slots=True)
class UplinePosition:
    """The last ancestor of a page, after which the next page goes on."""

    key: int
    level: int


@dataclass(frozen=True, slots=True)
class DownlinePosition:
    """The last descendant of a page, after which the next page goes on, and where the walk to it may begin."""

    anchors: list[int]
    """Keys of all nodes of level `top`."""
    top: int
    level: int
    key: int
    """The key of the last descendant; zero for the beginning of the level."""


@dataclass(frozen=True, slots=True)
class DownlinePage:
    """A part of a downline."""

    nodes: Portion[TreeNode]
    """The descendants found: one more than was asked for, if there are more."""
    begin: DownlinePosition
    """The position after which this page begins."""
    anchors: list[int]
    """Keys of all nodes of level `top`."""
    top: int
    """The lowest level above the last node asked for that is known to be whole and narrow."""
    size: int
    """The number of nodes asked for."""

    def position_after(self, last: TreeNode) -> DownlinePosition:
        """Where the next page begins if this one ends with `last`."""
        # What was found on the way is above the last node of a whole page; the last one of a page that ended
        # earlier may stand on that level or above it.
        is_whole = len(self.nodes.items) > self.size and last is self.nodes.items[self.size - 1]
        if is_whole or last.level > self.top:
            return DownlinePosition(self.anchors, self.top, last.level, last.key)
        return DownlinePosition(self.begin.anchors, self.begin.top, last.level, last.key)


@dataclass(frozen=True, slots=True)
class ReferralPage:
    """Some of the people whom a participant brought."""

    currency_code: str
    """The program's."""
    referrals: Portion[Referral]


async def get_participant(deps: QueryDeps, program_id: str, participant_id: str) -> Participant:
    """One participant. Raises NOT_FOUND if they are not enrolled."""
    async with deps.database.transaction() as conn:
        await load_program(conn, program_id)
        return await load_participant(conn, program_id, participant_id)


async def list_upline(
    deps: QueryDeps, program_id: str, participant_id: str, after: UplinePosition | None, limit: int
) -> Portion[TreeNode]:
    """Ancestors, nearest first; deep pages cost no more than the first, for they go on from their position."""
    async with deps.database.transaction() as conn:
        await load_program(conn, program_id)
        person = await load_participant(conn, program_id, participant_id)
        start = after or UplinePosition(person.key, 0)
        path = (await walk_up(conn, [start.key], limit)).paths[start.key]
        return await load_nodes(conn, {key: level for level, key in enumerate(path, start=start.level + 1)})


async def list_downline(
    deps: QueryDeps, program_id: str, participant_id: str, after: DownlinePosition | None, max_level: int, size: int
) -> DownlinePage:
    """Descendants by level, then in the order of enrolment."""
    async with deps.database.transaction() as conn:
        await load_program(conn, program_id)
        person = await load_participant(conn, program_id, participant_id)
        begin = after or DownlinePosition([person.key], 0, 1, 0)
        found, anchors, top = await _descend(conn, begin, max_level, size + 1)
        nodes = await load_nodes(conn, {key: level for level, key in found})
    return DownlinePage(nodes, begin, anchors, top, size)


async def list_referrals(
    deps: QueryDeps, program_id: str, participant_id: str, after: tuple[datetime, int], limit: int
) -> ReferralPage:
    """People bound to a participant after (time, key), in the order of their bonds, each with what they bought."""
    async with deps.database.transaction() as conn:
        program = await load_program(conn, program_id)
        person = await load_participant(conn, program_id, participant_id)
        found = await participant_store.list_referrals(conn, person.key, after, limit)
        ids = [each.participant_id for each in found]
        recent = _whole_buyers(ids, await load_recent(conn, program_id, ids, RECENT_CONVERSIONS))
        purchases = await load_purchases(conn, program_id, list(recent))
    referrals = [
        Referral(each, purchases.get(each.participant_id, Purchases(0, 0)), recent[each.participant_id])
        for each in found
        if each.participant_id in recent
    ]
    return ReferralPage(program.currency_code, Portion(referrals, len(found)))


def _whole_buyers(buyer_ids: Sequence[str], read: Portion[tuple[str, Conversion]]) -> dict[str, list[Conversion]]:
    """The conversions by buyer, of those buyers alone who have all of theirs: where an answer is full, it is the last
    one who may lack some. The first has what there is, or nobody would come past them."""
    whole_count = len(buyer_ids)
    if read.listed_count > len(read.items):
        whole_count = max(1, buyer_ids.index(read.items[-1][0]))
    found: dict[str, list[Conversion]] = {each: [] for each in buyer_ids[:whole_count]}
    for buyer_id, conversion in read.items:
        if buyer_id in found:
            found[buyer_id].append(conversion)
    return found


async def _descend(
    conn: AsyncConnection, begin: DownlinePosition, max_level: int, limit: int
) -> tuple[list[tuple[int, int]], list[int], int]:
    """Finds the next `limit` descendants as (level, key), and the lowest level above the page's last one that is known
    to be whole and narrow: the keys of its nodes, and its number.

    Statements look at one level where levels are wide, and at twice as many as before where they are narrow, so that
    neither a broad tree nor a long chain costs more than the nodes that are returned.
    """
    found: list[tuple[int, int]] = []
    span = 1
    anchors, top, level, after = begin.anchors, begin.top, begin.level, (begin.level, begin.key)
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
