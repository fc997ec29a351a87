"""Reading participants and the tree."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.attribution.domain.conversion import Purchases
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

    nodes: list[TreeNode]
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
        is_whole = len(self.nodes) > self.size and last is self.nodes[self.size - 1]
        if is_whole or last.level > self.top:
            return DownlinePosition(self.anchors, self.top, last.level, last.key)
        return DownlinePosition(self.begin.anchors, self.begin.top, last.level, last.key)


@dataclass(frozen=True, slots=True)
class RefereePage:
    """Some of the people whom a participant brought."""

    currency_code: str
    """The program's."""
    referees: list[Participant]


async def get_participant(deps: QueryDeps, program_id: str, participant_id: str) -> Participant:
    """One participant. Raises NOT_FOUND if they are not enrolled."""
    async with deps.database.transaction() as conn:
        await load_program(conn, program_id)
        return await load_participant(conn, program_id, participant_id)


async def list_upline(
    deps: QueryDeps, program_id: str, participant_id: str, after: UplinePosition | None, limit: int
) -> list[TreeNode]:
    """Ancestors, nearest first; deep pages cost no more than the first, for they go on from their position."""
    async with deps.database.transaction() as conn:
        await load_program(conn, program_id)
        person = await load_participant(conn, program_id, participant_id)
        start = after or UplinePosition(person.key, 0)
        path = (await walk_up(conn, [start.key], limit)).paths[start.key]
        nodes = await load_nodes(conn, {key: level for level, key in enumerate(path, start=start.level + 1)})
    return [nodes[key] for key in path]


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
    return DownlinePage([nodes[key] for _, key in found], begin, anchors, top, size)


async def list_referees(
    deps: QueryDeps, program_id: str, participant_id: str, after: tuple[datetime, int], limit: int
) -> RefereePage:
    """People bound to a participant after (time, key), in the order of their bonds."""
    async with deps.database.transaction() as conn:
        program = await load_program(conn, program_id)
        person = await load_participant(conn, program_id, participant_id)
        referees = await participant_store.list_referrals(conn, person.key, after, limit)
    return RefereePage(program.currency_code, referees)


async def load_referrals(deps: QueryDeps, program_id: str, referees: Sequence[Participant]) -> list[Referral]:
    """The referees, each with what they bought."""
    ids = [each.participant_id for each in referees]
    async with deps.database.transaction() as conn:
        purchases = await load_purchases(conn, program_id, ids)
        recent = await load_recent(conn, program_id, ids, RECENT_CONVERSIONS)
    return [
        Referral(
            each,
            purchases.get(each.participant_id, Purchases(0, 0)),
            recent.get(each.participant_id, []),
        )
        for each in referees
    ]


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
