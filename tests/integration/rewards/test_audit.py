"""Whatever is done to the ledger by other hands than the service's, the audit tells of it."""

from datetime import timedelta

import grpc
import pytest

from chassis.relay import Relay
from services.rewards.store.audits import findings, full
from tests.integration.rewards.conftest import (
    NOON,
    Ledger,
    Owner,
    Published,
    forget,
    message,
    recorded,
    reversed_,
    three_levels,
)

BALANCES = """
    UPDATE rewards.balance SET {0} WHERE program_id = %(p)s;
    UPDATE rewards.balance_delta SET {0} WHERE program_id = %(p)s
"""
TRANSFERS = "UPDATE rewards.transfer SET {} WHERE program_id = %(p)s"


async def checks(ledger: Ledger, program: str) -> set[str]:
    """The checks that do not hold."""
    return {each.check for each in (await ledger.audit(program)).findings}


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (TRANSFERS.format("amount_minor = amount_minor + 1"), {"BALANCE_DIFFERS", "REWARD_DIFFERS"}),
        (TRANSFERS.format("credit = 3"), {"BALANCE_DIFFERS", "TRANSFER_DIFFERS"}),
        (
            "DELETE FROM rewards.transfer WHERE program_id = %(p)s AND participant_id = 'maria'",
            {"BALANCE_DIFFERS", "REWARD_DIFFERS"},
        ),
        # Taken from somebody else, with balances to match.
        (
            TRANSFERS.format("participant_id = 'mallory'") + " AND participant_id = 'maria';"
            "INSERT INTO rewards.balance_delta VALUES (%(p)s, 'mallory', 2, 'USD', -5), (%(p)s, 'maria', 2, 'USD', 5)",
            {"TRANSFER_DIFFERS", "HOLD_DIFFERS", "NEGATIVE_BALANCE"},
        ),
        # Paid at once instead of on hold.
        (
            "UPDATE rewards.reward SET hold_until = NULL WHERE program_id = %(p)s;"
            + BALANCES.format("place = 3").replace(";", " AND place = 2;") + " AND place = 2",
            {"BALANCE_DIFFERS"},
        ),
        (
            "UPDATE rewards.reward SET amount_minor = 7 WHERE program_id = %(p)s AND level = 1",
            {"BALANCE_DIFFERS", "HOLD_DIFFERS"},
        ),
        ("DELETE FROM rewards.hold WHERE program_id = %(p)s", {"HOLD_DIFFERS"}),
        # A refund that was noted and took nothing back.
        (
            "INSERT INTO rewards.reversal VALUES (%(p)s, 'r1', 'c1', 900, true, now(), 1)",
            {"REVERSAL_DIFFERS"},
        ),
    ],
)  # fmt: skip
async def test_damage_is_found(
    ledger: Ledger, published: Published, owner: Owner, damage: str, found: set[str]
) -> None:
    # A hold of ten years from an order of this year is not released while the test runs.
    program = await published(three_levels(timedelta(days=3650)))
    await ledger.settle(message(recorded(program, "c1", 1000), reversed_(program, "c1", "r0", 100)))
    assert await checks(ledger, program) == set()
    try:
        for statement in damage.split(";"):
            await owner.execute(statement.encode(), {"p": program})
        assert await checks(ledger, program) == found
    finally:
        await forget(owner, program)


async def test_a_conversion_that_never_comes_is_told_of(ledger: Ledger, published: Published) -> None:
    program = await published(three_levels())
    await ledger.settle(message(reversed_(program, "c1", "r1", 400)))
    assert await checks(ledger, program) == {"CONVERSION_MISSING"}
    await ledger.settle(message(recorded(program, "c1", 1000)))
    assert await checks(ledger, program) == set()


async def test_a_hold_that_nobody_ends_is_told_of(ledger: Ledger, published: Published) -> None:
    program = await published(three_levels(timedelta(days=3650)))
    await ledger.settle(message(recorded(program, "c1", 1000)))
    for late, found in [(findings.OVERDUE, []), (findings.OVERDUE + timedelta(seconds=1), ["HOLD_OVERDUE"])]:
        async with ledger.rewards.service.deps.database.transaction() as conn:
            audit = await full.run(conn, program, NOON + timedelta(days=3650) + late, [])
        assert [each.check for each in audit.findings] == found


async def test_events_that_nobody_publishes_are_told_of(
    ledger: Ledger, published: Published, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def publish_nothing(_relay: Relay, _subject: str) -> int:
        return 0

    program = await published(three_levels())
    monkeypatch.setattr(Relay, "publish_some", publish_nothing)
    await owner.execute(
        b"INSERT INTO rewards.outbox (subject, message_id, message_type, payload, create_time)"
        b" VALUES ('nowhere', 'late-1', 'test', '', now() - interval '11 minutes')"
    )
    try:
        assert await checks(ledger, program) == {"NOT_PUBLISHED"}
    finally:
        await owner.execute(b"DELETE FROM rewards.outbox WHERE subject = 'nowhere'")
    assert await checks(ledger, program) == set()


async def test_a_program_that_does_not_exist_has_no_audit(ledger: Ledger) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ledger.audit("nowhere")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
