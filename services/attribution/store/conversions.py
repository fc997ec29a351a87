"""Conversions."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.database import psycopg_connection
from chassis.pages import Portion, read_portion, within_budget
from services.attribution.domain.attribution import Attribution, Reason
from services.attribution.domain.conversion import Conversion, ConversionDraft, Purchases
from services.attribution.wire.conversions import pack_losers, unpack_losers

_COLUMNS = """conversion_key, conversion_id, body_hash, buyer_id, amount_minor, draft, referrer_id, reason, link_id,
    code, channel, campaign, losers, reversed_minor, reversed, create_time"""
_HASHES = text("""
    SELECT conversion_id, body_hash FROM conversion
    WHERE program_id = :program_id AND conversion_id = ANY(CAST(:conversion_ids AS text[]))
""")
_LOAD = text(f"""
    SELECT {_COLUMNS} FROM conversion
    WHERE program_id = :program_id AND conversion_id = ANY(CAST(:conversion_ids AS text[]))
""")
_LOCK = text(f"""
    SELECT {_COLUMNS} FROM conversion
    WHERE program_id = :program_id AND conversion_id = ANY(CAST(:conversion_ids AS text[]))
    ORDER BY conversion_id FOR NO KEY UPDATE
""")
_EARLIER_BUYERS = text("""
    SELECT wanted.buyer_id FROM unnest(CAST(:buyer_ids AS text[])) AS wanted (buyer_id)
    WHERE EXISTS (SELECT FROM conversion WHERE program_id = :program_id AND conversion.buyer_id = wanted.buyer_id)
""")
_LIST = f"""
    SELECT {_COLUMNS} FROM conversion
    WHERE program_id = :program_id AND conversion_key > :after {{only}}
    ORDER BY conversion_key LIMIT :limit
"""
_ONLY_BUYER = "AND buyer_id = :buyer_id"
_ONLY_UNATTRIBUTED = "AND referrer_id = ''"
_ROW_BYTES = "octet_length(draft) + coalesce(octet_length(losers), 0)"
_TOTALS = text("""
    SELECT buyer_id, count(*) FILTER (WHERE NOT reversed) AS conversion_count,
        sum(amount_minor) - sum(reversed_minor) AS amount_minor
    FROM conversion WHERE program_id = :program_id AND buyer_id = ANY(CAST(:buyer_ids AS text[]))
    GROUP BY buyer_id
""")
_RECENT = within_budget(
    f"""
    SELECT wanted.place, recent.* FROM unnest(CAST(:buyer_ids AS text[])) WITH ORDINALITY AS wanted (buyer_id, place)
    CROSS JOIN LATERAL (
        SELECT {_COLUMNS} FROM conversion
        WHERE program_id = :program_id AND conversion.buyer_id = wanted.buyer_id
        ORDER BY conversion_key DESC LIMIT :limit
    ) AS recent
    """,
    _ROW_BYTES,
    "place, conversion_key DESC",
)
_NEW_KEYS = text("SELECT nextval('conversion_key_seq') FROM generate_series(1, :count)")
_COPY = """
    COPY conversion (conversion_key, program_id, conversion_id, body_hash, event_type, buyer_id, amount_minor,
        occurred_at, draft, referrer_id, reason, link_id, code, channel, campaign, losers, reversed_minor, reversed,
        create_time)
    FROM STDIN
"""
_SET_REVERSED = text("""
    UPDATE conversion SET reversed_minor = given.reversed_minor, reversed = given.reversed
    FROM unnest(CAST(:keys AS bigint[]), CAST(:reversed_minors AS bigint[]), CAST(:reverseds AS boolean[]))
        AS given (key, reversed_minor, reversed)
    WHERE conversion_key = given.key
""")


async def load_hashes(conn: AsyncConnection, program_id: str, conversion_ids: Collection[str]) -> dict[str, bytes]:
    """The body hashes of those of the conversions that are recorded."""
    rows = await conn.execute(_HASHES, {"program_id": program_id, "conversion_ids": list(conversion_ids)})
    return {conversion_id: bytes(body_hash) for conversion_id, body_hash in rows}


async def load_conversions(
    conn: AsyncConnection, program_id: str, conversion_ids: Collection[str]
) -> dict[str, Conversion]:
    """Conversions by id; those not recorded are absent."""
    wanted = sorted({each for each in conversion_ids if "\x00" not in each})
    rows = await conn.execute(_LOAD, {"program_id": program_id, "conversion_ids": wanted})
    return {row.conversion_id: _conversion(row) for row in rows}


async def lock_conversions(
    conn: AsyncConnection, program_id: str, conversion_ids: Collection[str]
) -> dict[str, Conversion]:
    """Conversions by id, held against other reversals until the transaction ends; those not recorded are absent."""
    wanted = {"program_id": program_id, "conversion_ids": list(conversion_ids)}
    return {row.conversion_id: _conversion(row) for row in await conn.execute(_LOCK, wanted)}


async def find_earlier_buyers(conn: AsyncConnection, program_id: str, buyer_ids: Collection[str]) -> set[str]:
    """Those of the buyers who have a conversion already."""
    if not buyer_ids:
        return set()
    rows = await conn.execute(_EARLIER_BUYERS, {"program_id": program_id, "buyer_ids": sorted(buyer_ids)})
    return set(rows.scalars())


async def list_conversions(
    conn: AsyncConnection, program_id: str, buyer_id: str, unattributed_only: bool, after: int, limit: int
) -> Portion[Conversion]:
    """Conversions after key `after` in the order of recording; `buyer_id` is empty for everybody's."""
    if "\x00" in buyer_id:
        return Portion.whole([])
    only = " ".join([_ONLY_BUYER] * bool(buyer_id) + [_ONLY_UNATTRIBUTED] * unattributed_only)
    values: dict[str, Any] = {"program_id": program_id, "after": after, "limit": limit}
    if buyer_id:
        values["buyer_id"] = buyer_id
    return await read_portion(
        conn, within_budget(_LIST.format(only=only), _ROW_BYTES, "conversion_key"), values, _conversion
    )


async def load_purchases(conn: AsyncConnection, program_id: str, buyer_ids: Collection[str]) -> dict[str, Purchases]:
    """Totals by buyer; those who bought nothing are absent."""
    rows = await conn.execute(_TOTALS, {"program_id": program_id, "buyer_ids": list(buyer_ids)})
    return {row.buyer_id: Purchases(row.conversion_count, int(row.amount_minor)) for row in rows}


async def load_recent(
    conn: AsyncConnection, program_id: str, buyer_ids: Sequence[str], limit: int
) -> Portion[tuple[str, Conversion]]:
    """The latest conversions of the buyers in turn, each with its buyer, newest first, at most `limit` each."""
    wanted = {"program_id": program_id, "buyer_ids": list(buyer_ids), "limit": limit}
    return await read_portion(conn, _RECENT, wanted, lambda row: (row.buyer_id, _conversion(row)))


async def new_keys(conn: AsyncConnection, count: int) -> list[int]:
    """Keys for `count` new conversions."""
    return list((await conn.execute(_NEW_KEYS, {"count": count})).scalars()) if count else []


async def insert_conversions(
    conn: AsyncConnection, program_id: str, recorded: Iterable[tuple[ConversionDraft, Conversion]]
) -> None:
    """Adds conversions. psycopg's UniqueViolation says that somebody else has just recorded one of them.

    Rows go in by id, so that two batches with the same conversions wait for one another and do not deadlock.
    """
    raw = await psycopg_connection(conn)
    async with raw.cursor() as cursor, cursor.copy(_COPY) as copy:
        for draft, conversion in sorted(recorded, key=lambda each: each[0].conversion_id):
            attribution = conversion.attribution
            await copy.write_row(
                (
                    conversion.key,
                    program_id,
                    draft.conversion_id,
                    draft.body_hash,
                    draft.event_type,
                    draft.buyer_id,
                    draft.amount_minor,
                    draft.occurred_at,
                    draft.content,
                    attribution.referrer_id,
                    int(attribution.reason),
                    attribution.link_id,
                    attribution.code,
                    attribution.channel,
                    attribution.campaign,
                    pack_losers(attribution.losers),
                    conversion.reversed_minor,
                    conversion.is_reversed,
                    conversion.create_time,
                )
            )


async def set_reversed(conn: AsyncConnection, conversions: Sequence[Conversion]) -> None:
    """Writes the amount of each that is reversed; the caller holds the rows."""
    await conn.execute(
        _SET_REVERSED,
        {
            "keys": [each.key for each in conversions],
            "reversed_minors": [each.reversed_minor for each in conversions],
            "reverseds": [each.is_reversed for each in conversions],
        },
    )


def _conversion(row: Row[Any]) -> Conversion:
    losers = unpack_losers(None if row.losers is None else bytes(row.losers))
    attribution = Attribution(
        row.referrer_id, Reason(row.reason), row.link_id, row.code, row.channel, row.campaign, losers
    )
    return Conversion(
        key=row.conversion_key,
        conversion_id=row.conversion_id,
        amount_minor=row.amount_minor,
        content=bytes(row.draft),
        body_hash=bytes(row.body_hash),
        attribution=attribution,
        reversed_minor=row.reversed_minor,
        is_reversed=row.reversed,
        create_time=row.create_time,
    )
