"""Metrics of what waits, however much it is."""

from chassis import measuring
from chassis.measuring import MOST_COUNTED, read_dead_letters
from services.rewards.store.audits import flow
from tests.faults.reconciling import READER, Apparatus

LETTERS = f"""
INSERT INTO dead_letter (consumer, message_id, subject, payload, error, park_time)
SELECT '{READER}', number, 'subject', '', 'error', now() - CASE WHEN number > {MOST_COUNTED} THEN interval '9 days'
    ELSE interval '1 day' END FROM generate_series(1, {MOST_COUNTED} + 1) AS number
"""

COUNTED = f"""
INSERT INTO dead_letter (consumer, message_id, subject, payload, error, park_time)
SELECT '{READER}', number, 'subject', '', 'error', CASE WHEN number % 1000 = 0 THEN now() END
FROM generate_series(1, 20000) AS number
"""


async def test_the_oldest_dead_letter_is_found_among_more_than_are_counted(silent_apparatus: Apparatus) -> None:
    await silent_apparatus.owner.execute(LETTERS.encode())
    async with silent_apparatus.database.transaction() as conn:
        standing = (await read_dead_letters(conn))[READER]
    assert standing.number == MOST_COUNTED
    assert standing.age_seconds > 8 * 86_400


async def test_failures_that_are_only_counted_are_not_read_by_who_looks_for_letters(
    silent_apparatus: Apparatus,
) -> None:
    owner = silent_apparatus.owner
    await owner.execute(COUNTED.encode())
    await owner.execute("ANALYZE dead_letter")
    for statement in (measuring._DEAD_LETTERS.text, flow.DEAD_LETTERS):
        plan = await (await owner.execute(f"EXPLAIN {statement}".encode())).fetchall()
        assert not [line for (line,) in plan if "Seq Scan" in line], plan
