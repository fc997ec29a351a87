"""Walks up and down the tree of sponsors: a few statements for a whole batch, whatever the size of the tree.

The `upline` of a row is a prefix of its list of ancestors. A walk takes the prefix, goes on with that of the last one
in it, and so on: 64 levels a hop where prefixes are full. Binding somebody with a downline leaves short prefixes below
them; a walk over those writes the longer ones back.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.pages import Portion, read_portion, within_budget
from services.attribution.domain.conversion import UplineMember
from services.attribution.domain.participant import TreeNode
from services.attribution.domain.tree import PATH_LEVELS

_FEW_HOPS = 2
"""The number of hops above which a walk met short prefixes: a chain of full ones reaches 64 levels in two."""

_WALK = text("""
    WITH RECURSIVE walk (start, hop, levels, path) AS (
        SELECT participant_key, 1, cardinality(upline), upline FROM participant
        WHERE participant_key = ANY(CAST(:keys AS bigint[])) AND sponsor_key IS NOT NULL
        UNION ALL
        SELECT walk.start, walk.hop + 1, walk.levels + cardinality(next.upline), next.upline
        FROM walk JOIN participant AS next ON next.participant_key = walk.path[cardinality(walk.path)]
        WHERE walk.levels < :levels AND next.sponsor_key IS NOT NULL
    )
    SELECT start, hop, path FROM walk ORDER BY start, hop
""")
_ROOTS = text("""
    WITH RECURSIVE walk (start, last) AS (
        SELECT participant_key, coalesce(upline[cardinality(upline)], participant_key) FROM participant
        WHERE participant_key = ANY(CAST(:keys AS bigint[]))
        UNION ALL
        SELECT walk.start, next.upline[cardinality(next.upline)]
        FROM walk JOIN participant AS next ON next.participant_key = walk.last
        WHERE next.sponsor_key IS NOT NULL
    )
    SELECT walk.start, walk.last FROM walk JOIN participant AS root ON root.participant_key = walk.last
    WHERE root.sponsor_key IS NULL
""")
# Whoever has no referee is nobody's ancestor, which settles most pairs without a walk.
_ABOVE = text("""
    WITH RECURSIVE walk (upper, lower, path) AS (
        SELECT pair.upper, pair.lower, start.upline
        FROM unnest(CAST(:uppers AS bigint[]), CAST(:lowers AS bigint[])) AS pair (upper, lower)
        JOIN participant AS start ON start.participant_key = pair.lower
        WHERE EXISTS (SELECT FROM participant AS referee WHERE referee.sponsor_key = pair.upper)
        UNION ALL
        SELECT walk.upper, walk.lower, next.upline
        FROM walk JOIN participant AS next ON next.participant_key = walk.path[cardinality(walk.path)]
        WHERE NOT walk.upper = ANY(walk.path)
    )
    SELECT upper, lower FROM walk WHERE upper = ANY(path)
""")
# Skips rows that somebody else holds: the prefix there is right as it is, only shorter.
_LENGTHEN = text("""
    UPDATE participant SET upline = CAST(longer.path AS bigint[])
    FROM (
        SELECT participant_key, path FROM participant
        JOIN unnest(CAST(:keys AS bigint[]), CAST(:paths AS text[])) AS given (key, path) ON given.key = participant_key
        WHERE cardinality(upline) < cardinality(CAST(path AS bigint[]))
        ORDER BY participant_key FOR NO KEY UPDATE OF participant SKIP LOCKED
    ) AS longer
    WHERE participant.participant_key = longer.participant_key
""")
_MEMBERS = text("""
    SELECT participant_key, participant_id, attributes FROM participant
    WHERE participant_key = ANY(CAST(:keys AS bigint[]))
""")
_NODES = within_budget(
    """
    SELECT wanted.place, node.participant_key, node.participant_id, node.attributes,
        coalesce(sponsor.participant_id, '') AS sponsor_id
    FROM unnest(CAST(:keys AS bigint[])) WITH ORDINALITY AS wanted (key, place)
    JOIN participant AS node ON node.participant_key = wanted.key
    LEFT JOIN participant AS sponsor ON sponsor.participant_key = node.sponsor_key
    """,
    "octet_length(CAST(attributes AS text))",
    "place",
)
# One row a level, so that it is known at each whether to go on. Of each sponsor no more referees are looked up than a
# page has: an index has them in its order.
_NEXT_LEVELS = text("""
    WITH RECURSIVE down (level, keys, found) AS (
        SELECT CAST(:top AS integer), CAST(:keys AS bigint[]), 0
        UNION ALL
        SELECT down.level + 1, next.keys, down.found + cardinality(next.keys)
        FROM down CROSS JOIN LATERAL (
            SELECT ARRAY(
                SELECT referee.participant_key FROM unnest(down.keys) AS sponsor (key) CROSS JOIN LATERAL (
                    SELECT participant_key FROM participant
                    WHERE sponsor_key = sponsor.key AND participant_key > :after
                    ORDER BY participant_key LIMIT :limit
                ) AS referee
                ORDER BY referee.participant_key LIMIT :limit
            )
        ) AS next (keys)
        WHERE down.level < :bottom AND down.found < :limit AND down.keys <> '{}' AND cardinality(down.keys) <= :narrow
    )
    SELECT level, keys FROM down WHERE level > :top ORDER BY level
""")
_LEVEL = text("""
    WITH RECURSIVE down (participant_key, level) AS (
        SELECT key, CAST(:top AS integer) FROM unnest(CAST(:keys AS bigint[])) AS start (key)
        UNION ALL
        SELECT referee.participant_key, down.level + 1
        FROM down JOIN participant AS referee ON referee.sponsor_key = down.participant_key
        WHERE down.level < :level
    )
    SELECT participant_key FROM down WHERE level = :level AND participant_key > :after
    ORDER BY participant_key LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class UplineWalks:
    """The uplines of a batch."""

    paths: dict[int, tuple[int, ...]]
    """Ancestors by key, nearest first, to the root or to the number of levels asked for."""
    short: dict[int, tuple[int, ...]]
    """Those of `paths` whose row holds less than it could."""


async def walk_up(conn: AsyncConnection, keys: Collection[int], levels: int = PATH_LEVELS) -> UplineWalks:
    """The nearest `levels` ancestors of each."""
    paths: dict[int, list[int]] = {key: [] for key in keys}
    hops: dict[int, int] = {}
    if keys:
        for start, hop, path in await conn.execute(_WALK, {"keys": sorted(paths), "levels": levels}):
            paths[start].extend(path)
            hops[start] = hop
    found = {key: tuple(path[:levels]) for key, path in paths.items()}
    short = {key: found[key][:PATH_LEVELS] for key, hop in hops.items() if hop > _FEW_HOPS and levels == PATH_LEVELS}
    return UplineWalks(found, short)


async def lengthen(conn: AsyncConnection, paths: Mapping[int, tuple[int, ...]]) -> None:
    """Writes longer prefixes back. It is the last statement of a transaction, so that nothing waits while it holds
    rows."""
    if paths:
        keys = sorted(paths)
        arrays = [array_literal(paths[key]) for key in keys]
        await conn.execute(_LENGTHEN, {"keys": keys, "paths": arrays})


def array_literal(keys: Collection[int]) -> str:
    """A bigint[] as text: psycopg's own dump of a list takes 300 µs for 64 numbers, this one takes 5."""
    return "{" + ",".join(map(str, keys)) + "}"


async def find_roots(conn: AsyncConnection, keys: Collection[int]) -> dict[int, int]:
    """The root above each (itself for a root), however far up."""
    if not keys:
        return {}
    rows = await conn.execute(_ROOTS, {"keys": sorted(keys)})
    return {row.start: row.last for row in rows}


async def find_above(conn: AsyncConnection, pairs: Collection[tuple[int, int]]) -> set[tuple[int, int]]:
    """Those of the pairs (upper, lower) in which upper is an ancestor of lower, however far up."""
    if not pairs:
        return set()
    uppers, lowers = zip(*sorted(pairs), strict=True)
    rows = await conn.execute(_ABOVE, {"uppers": list(uppers), "lowers": list(lowers)})
    return {(upper, lower) for upper, lower in rows}


async def load_members(conn: AsyncConnection, keys: Collection[int]) -> dict[int, UplineMember]:
    """Names and attributes by key."""
    if not keys:
        return {}
    rows = await conn.execute(_MEMBERS, {"keys": sorted(keys)})
    return {key: UplineMember(participant_id, attributes) for key, participant_id, attributes in rows}


async def load_nodes(conn: AsyncConnection, levels: Mapping[int, int]) -> Portion[TreeNode]:
    """The first nodes; `levels` maps their keys, in the order of the answer, to their levels."""
    return await read_portion(
        conn,
        _NODES,
        {"keys": list(levels)},
        lambda row: TreeNode(
            row.participant_key, row.participant_id, row.sponsor_id, row.attributes, levels[row.participant_key]
        ),
    )


async def next_levels(
    conn: AsyncConnection, keys: Collection[int], top: int, bottom: int, after: int, limit: int, narrow: int
) -> list[tuple[int, list[int]]]:
    """The levels below level `top`, of which `keys` are all nodes: of each its number and its first `limit` nodes after
    key `after`.

    Goes on below a level that has `narrow` nodes at most, until there are `limit` in all. So the cost is that of a page
    for each of the nodes that lie above one.
    """
    rows = await conn.execute(
        _NEXT_LEVELS,
        {"keys": list(keys), "top": top, "bottom": bottom, "after": after, "limit": limit, "narrow": narrow},
    )
    return [(level, found) for level, found in rows]


async def level_below(
    conn: AsyncConnection, keys: Collection[int], top: int, level: int, after: int, limit: int
) -> list[int]:
    """The first `limit` nodes of a level after key `after`; `keys` are all nodes of level `top`, further above.

    The cost is that of all levels between.
    """
    values = {"keys": list(keys), "top": top, "level": level, "after": after, "limit": limit}
    return list((await conn.execute(_LEVEL, values)).scalars())
