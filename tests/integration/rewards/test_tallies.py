"""Tallies in the database."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import text

from services.rewards.domain.tally import tallies as names
from services.rewards.store import tallies
from tests.integration.rewards.conftest import NOON, Ledger

WORKERS = 8
ROUNDS = 10


async def test_what_is_added_is_there(ledger: Ledger, new_program_id: Callable[[str], str]) -> None:
    program = new_program_id("tallies")
    volume = (names.counter("volume"), "maria\x1fvera", "2026-05-01")
    score = (names.contest("spring"), "maria", "")
    nothing = (names.counter("volume"), 'quote " \\ brace {,} null', "")
    database = ledger.rewards.service.deps.database
    async with database.transaction() as conn:
        await tallies.add(conn, program, {volume: 5, score: 2, nothing: 0}, {score: (NOON, 7)})
        await tallies.add(conn, program, {volume: -7, score: 1}, {score: (NOON - timedelta(days=1), 9)})
        await tallies.add(conn, program, {score: 1}, {score: (NOON, 8)})
        await tallies.add(conn, program, {score: -1}, {score: (NOON, 6)})
        await tallies.add(conn, program, {nothing: 3}, {})
        assert await tallies.load(conn, program, [volume, score, nothing]) == {volume: -2, nothing: 3}
        assert await tallies.load(conn, program, []) == {}
        row = (
            await conn.execute(
                text("SELECT score, reach_time, reach_position FROM contest_score WHERE program_id = :p"),
                {"p": program},
            )
        ).one()
        assert tuple(row) == (3, NOON, 8)
        await tallies.add(conn, program, {score: 1}, {score: (NOON + timedelta(seconds=1), 5)})
        row = (
            await conn.execute(
                text("SELECT contest_id, participant_id, reach_position FROM contest_score WHERE program_id = :p"),
                {"p": program},
            )
        ).one()
        assert tuple(row) == ("spring", "maria", 5)


async def test_of_many_periods_only_those_of_each_subject_are_loaded(
    ledger: Ledger, new_program_id: Callable[[str], str]
) -> None:
    program, name = new_program_id("tallies"), names.counter("volume")
    people, days = [f"p{number}" for number in range(10)], [f"2026-05-{day:02}" for day in range(1, 11)]
    database = ledger.rewards.service.deps.database
    async with database.transaction() as conn:
        await tallies.add(conn, program, {(name, person, day): 1 for person in people for day in days}, {})
        wanted = [(name, person, day) for person, day in zip(people, days, strict=True)]
        assert await tallies.load(conn, program, wanted) == dict.fromkeys(wanted, 1)
        whole, of_nobody = (names.budget("b"), "", ""), (names.budget("b"), "", "2026")
        await tallies.add(conn, program, {whole: 7, of_nobody: 8}, {})
        assert await tallies.load(conn, program, [whole, of_nobody]) == {whole: 7, of_nobody: 8}


async def test_behind_the_lock_nothing_is_lost_and_positions_grow(
    ledger: Ledger, new_program_id: Callable[[str], str]
) -> None:
    program, other = new_program_id("tallies"), new_program_id("tallies")
    key = (names.counter("orders"), "maria", "")
    database = ledger.rewards.service.deps.database
    seen: list[tuple[int, list[int]]] = []

    async def work() -> None:
        for _ in range(ROUNDS):
            async with database.transaction() as conn:
                await tallies.lock(conn, [other, program])
                stands = (await tallies.load(conn, program, [key])).get(key, 0)
                seen.append((stands, await tallies.draw_positions(conn, 3)))
                await tallies.add(conn, program, {key: 1}, {})

    await asyncio.gather(*(work() for _ in range(WORKERS)))
    assert [stands for stands, _ in sorted(seen)] == list(range(WORKERS * ROUNDS))
    drawn = [position for _, positions in sorted(seen) for position in positions]
    assert drawn == sorted(set(drawn))
