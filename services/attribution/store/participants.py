"""Participants and their bonds."""

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.database import psycopg_connection
from chassis.errors import not_found
from chassis.pages import read_portion, within_budget
from services.attribution.domain.attribution import BindSource, Bond, Reason
from services.attribution.domain.participant import (
    Adoption,
    ChangedAttributes,
    Enrolment,
    NewBond,
    Participant,
    Referee,
    StoredPerson,
)
from services.attribution.store.tree import array_literal

_BOND_COLUMNS = """person.participant_key, person.participant_id, sponsor.participant_id AS sponsor_id,
    person.bind_time, person.bind_source, person.bind_link_id, person.bind_code, person.bind_channel,
    person.bind_campaign, person.bind_share_percent"""
_COLUMNS = f"{_BOND_COLUMNS}, person.attributes, person.draft_hash, person.unbound_reason, person.create_time"
_FROM = "FROM participant AS person LEFT JOIN participant AS sponsor ON sponsor.participant_key = person.sponsor_key"
_KEY = text(
    "SELECT participant_key FROM participant WHERE program_id = :program_id AND participant_id = :participant_id"
)
_LOAD = text(f"""
    SELECT {_COLUMNS} {_FROM}
    WHERE person.program_id = :program_id AND person.participant_id = ANY(CAST(:participant_ids AS text[]))
""")
_PEOPLE = within_budget(
    f"""
    SELECT {_COLUMNS}, person.program_id, person.attributes_revision {_FROM}
    WHERE person.participant_key > :after ORDER BY person.participant_key LIMIT :limit
    """,
    "pg_column_size(attributes)",
    "participant_key",
)
_REFERRALS = text(f"""
    SELECT {_BOND_COLUMNS} {_FROM}
    WHERE person.sponsor_key = :sponsor_key
      AND (person.bind_time, person.participant_key) > (CAST(:after_time AS timestamptz), CAST(:after_key AS bigint))
    ORDER BY person.bind_time, person.participant_key LIMIT :limit
""")
_NEW_KEYS = text("SELECT nextval('participant_key_seq') FROM generate_series(1, :count)")
_COPY = """
    COPY participant (participant_key, program_id, participant_id, attributes, draft_hash, sponsor_key, upline,
        bind_time, bind_source, bind_link_id, bind_code, bind_channel, bind_campaign, bind_share_percent,
        unbound_reason, create_time) FROM STDIN
"""
_BIND = text("""
    UPDATE participant SET sponsor_key = :sponsor_key, upline = CAST(CAST(:upline AS text) AS bigint[]),
        bind_time = :bind_time, bind_source = :bind_source, bind_link_id = :bind_link_id, bind_code = :bind_code,
        bind_channel = :bind_channel, bind_campaign = :bind_campaign, bind_share_percent = :bind_share_percent
    WHERE participant_key = :participant_key AND sponsor_key IS NULL
""")
_ADOPT = text("""
    WITH stored AS (
        SELECT participant_key, attributes <> CAST(:attributes AS jsonb) AS change FROM participant
        WHERE participant_key = :participant_key AND draft_hash IS NULL FOR NO KEY UPDATE)
    UPDATE participant
    SET attributes = CAST(:attributes AS jsonb), draft_hash = :draft_hash, unbound_reason = :unbound_reason,
        attributes_revision = attributes_revision + CAST(stored.change AS integer)
    FROM stored WHERE participant.participant_key = stored.participant_key
    RETURNING CASE WHEN stored.change THEN attributes_revision END
""")
_SET_ATTRIBUTES = text("""
    UPDATE participant SET attributes = CAST(:attributes AS jsonb), attributes_revision = attributes_revision + 1
    WHERE participant_key = :participant_key AND attributes <> CAST(:attributes AS jsonb)
    RETURNING attributes_revision
""")


async def require_participant(conn: AsyncConnection, program_id: str, participant_id: str) -> int:
    """The internal key of a participant. Raises NOT_FOUND if they are not enrolled."""
    key: int | None = (
        (await conn.execute(_KEY, {"program_id": program_id, "participant_id": participant_id})).scalar_one_or_none()
        if "\x00" not in participant_id
        else None
    )
    if key is None:
        raise not_found("participant", participant_id)
    return key


async def load_participant(conn: AsyncConnection, program_id: str, participant_id: str) -> Participant:
    """One participant. Raises NOT_FOUND if they are not enrolled."""
    found = await load_participants(conn, program_id, [participant_id])
    if participant_id not in found:
        raise not_found("participant", participant_id)
    return found[participant_id]


async def load_participants(
    conn: AsyncConnection, program_id: str, participant_ids: Collection[str]
) -> dict[str, Participant]:
    """Participants by id; those not enrolled are absent."""
    wanted = sorted({each for each in participant_ids if each and "\x00" not in each})
    if not wanted:
        return {}
    rows = await conn.execute(_LOAD, {"program_id": program_id, "participant_ids": wanted})
    return {row.participant_id: _participant(row) for row in rows}


async def list_people(conn: AsyncConnection, after: int, limit: int) -> Sequence[StoredPerson]:
    """People of all programs behind a key, in the order of their keys; none only where there are none."""
    found = await read_portion(conn, _PEOPLE, {"after": after, "limit": limit}, _stored_person)
    return found.items


async def list_referrals(
    conn: AsyncConnection, sponsor_key: int, after: tuple[datetime, int], limit: int
) -> list[Referee]:
    """Direct referees bound after (time, key), in the order of their binds."""
    rows = await conn.execute(
        _REFERRALS, {"sponsor_key": sponsor_key, "after_time": after[0], "after_key": after[1], "limit": limit}
    )
    return [Referee(row.participant_key, row.participant_id, _bond(row)) for row in rows]


async def new_keys(conn: AsyncConnection, count: int) -> list[int]:
    """Keys for `count` new participants."""
    return list((await conn.execute(_NEW_KEYS, {"count": count})).scalars()) if count else []


async def insert_participants(conn: AsyncConnection, program_id: str, enrolments: Sequence[Enrolment]) -> None:
    """Adds new participants. psycopg's UniqueViolation says that somebody else has just enrolled one of them.

    Rows go in by id, so that two batches with the same people wait for one another and do not deadlock.
    """
    if not enrolments:
        return
    raw = await psycopg_connection(conn)
    async with raw.cursor() as cursor, cursor.copy(_COPY) as copy:
        for each in sorted(enrolments, key=lambda enrolment: enrolment.participant_id):
            await copy.write_row(
                (
                    each.key,
                    program_id,
                    each.participant_id,
                    json.dumps(each.attributes),
                    each.draft_hash,
                    *(_UNBOUND if each.binding is None else _binding_values(each.binding)),
                    each.unbound_reason or 0,
                    each.create_time,
                )
            )


async def bind_participants(conn: AsyncConnection, bindings: Sequence[NewBond]) -> None:
    """Binds participants who exist; the caller has locked the tree and seen that they are unbound."""
    for each in sorted(bindings, key=lambda binding: binding.key):
        bond = each.bond
        done = await conn.execute(
            _BIND,
            {
                "participant_key": each.key,
                "sponsor_key": each.sponsor_key,
                "upline": array_literal(each.upline),
                "bind_time": bond.bound_at,
                "bind_source": int(bond.source),
                "bind_link_id": bond.link_id,
                "bind_code": bond.code,
                "bind_channel": bond.channel,
                "bind_campaign": bond.campaign,
                "bind_share_percent": bond.share_percent,
            },
        )
        if done.rowcount != 1:
            raise RuntimeError(f"participant {each.key} was bound although the tree was locked")


async def adopt_participants(conn: AsyncConnection, adoptions: Sequence[Adoption]) -> list[ChangedAttributes]:
    """Gives people enrolled by a purchase what the caller says of them now; tells whose attributes that changed."""
    changed = []
    for each in adoptions:
        adopted = await conn.execute(
            _ADOPT,
            {
                "participant_key": each.key,
                "attributes": json.dumps(each.attributes),
                "draft_hash": each.draft_hash,
                "unbound_reason": each.unbound_reason or 0,
            },
        )
        if (revision := adopted.scalar_one_or_none()) is not None:
            changed.append(ChangedAttributes(each.key, each.participant_id, each.attributes, revision))
    return changed


async def set_attributes(
    conn: AsyncConnection, participant: Participant, attributes: dict[str, str]
) -> list[ChangedAttributes]:
    """Replaces a participant's attributes; tells the change, if it is one."""
    values = {"participant_key": participant.key, "attributes": json.dumps(attributes)}
    revisions = (await conn.execute(_SET_ATTRIBUTES, values)).scalars()
    return [ChangedAttributes(participant.key, participant.participant_id, attributes, each) for each in revisions]


_UNBOUND = (None, "{}", None, int(BindSource.NONE), "", "", "", "", "")
"""The columns of a bond for somebody without a sponsor, in the order of `_COPY`."""


def _binding_values(binding: NewBond) -> tuple[Any, ...]:
    """The columns of a bond, in the order of `_COPY`."""
    bond = binding.bond
    return (
        binding.sponsor_key,
        array_literal(binding.upline),
        bond.bound_at,
        int(bond.source),
        bond.link_id,
        bond.code,
        bond.channel,
        bond.campaign,
        bond.share_percent,
    )


def _participant(row: Row[Any]) -> Participant:
    bond = None if row.sponsor_id is None else _bond(row)
    draft_hash = None if row.draft_hash is None else bytes(row.draft_hash)
    unbound_reason = Reason(row.unbound_reason) if row.unbound_reason else None
    return Participant(
        row.participant_key, row.participant_id, row.attributes, draft_hash, bond, unbound_reason, row.create_time
    )


def _stored_person(row: Row[Any]) -> StoredPerson:
    return StoredPerson(row.program_id, _participant(row), row.attributes_revision)


def _bond(row: Row[Any]) -> Bond:
    return Bond(
        row.sponsor_id,
        row.bind_time,
        BindSource(row.bind_source),
        row.bind_link_id,
        row.bind_code,
        row.bind_channel,
        row.bind_campaign,
        row.bind_share_percent,
    )
