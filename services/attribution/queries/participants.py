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
from services.attribution.store.tree import level_below, load_nodes, next_levels, walk_up

RECENT_CONVERSIONS = 20
MAX_ANCHORS = 40
"""The number of keys of a narrow level that a page token carries: 40 of 19 digits fit into its 1,024 characters."""


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
    narrow: dict[int, list[int]]
    """The levels, from above, that are known to be narrow, with the keys of all of their nodes."""

    def position_after(self, last: TreeNode) -> DownlinePosition:
        """Where the next page begins if this one ends with `last`."""
        top = max(level for level in self.narrow if level <= last.level)
        return DownlinePosition(self.narrow[top], top, last.level, last.key)


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
        found, narrow = await _descend(conn, begin, max_level, size + 1)
        nodes = await load_nodes(conn, found)
    return DownlinePage(nodes, narrow)


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
) -> tuple[dict[int, int], dict[int, list[int]]]:
    """Finds the next `limit` descendants, as keys with their levels, and the levels that are known to be narrow.

    Below a narrow level, one statement goes down level by level as long as they are narrow, so that neither a broad
    tree nor a long chain costs more than the nodes that are returned. Below a wide level, it costs that level.
    """
    found: dict[int, int] = {}
    narrow, top = {begin.top: begin.anchors}, begin.top
    level, after = begin.level, begin.key
    if level == top:
        found = dict.fromkeys([key for key in begin.anchors if key > after][:limit], level)
        level, after = level + 1, 0
    while len(found) < limit and level <= max_level:
        wanted = max(limit - len(found), MAX_ANCHORS + 1)  # enough to know whether a level is narrow
        if level == top + 1:
            bottom = level if after else max_level
            levels = await next_levels(conn, narrow[top], top, bottom, after, wanted, MAX_ANCHORS)
        else:
            levels = [(level, await level_below(conn, narrow[top], top, level, after, wanted))]
        for level, keys in levels:
            found |= dict.fromkeys(keys[: limit - len(found)], level)
            if not after and len(keys) <= MAX_ANCHORS:  # a page that begins inside a level does not see all of it
                narrow[level], top = keys, level
        if not (after or keys):
            break
        level, after = level + 1, 0
    return found, narrow
