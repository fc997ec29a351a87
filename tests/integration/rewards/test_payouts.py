"""Payouts: asked for, approved, handed over, paid or not, and never twice."""

import asyncio

import grpc
import psycopg
import pytest
from upline.rewards.v1 import events_pb2, plan_pb2

from chassis.database import SHARES, Work
from tests.conftest import Servers
from tests.errors import violated_fields
from tests.integration.rewards.conftest import Ledger, Owner, Published, forget, message, recorded, reversed_
from tests.integration.rewards.paying_out import SAID_BOUNCED, SAID_FAILED, SAID_PAID, Treasury, payout_plan
from tests.integration.rewards.spending import EXISTS, FAILED, MISSING, refusal

REQUESTED, APPROVED, SENT, PAID, UNPAID, REJECTED, CANCELLED, BOUNCED = range(1, 9)

CALLS_AT_ONCE = SHARES[Work.CALLS].connections
"""More would wait for connections, and on a slow machine some of them in vain."""
BOUNCE = 19


async def rich(ledger: Ledger, program: str) -> Treasury:
    """Maria, with 100.00 dollars of a friend's order of 1,000.00."""
    await ledger.settle(message(recorded(program, "c1", 100_000)))
    return Treasury(ledger, program)


async def test_a_payout_is_approved_batched_and_paid(ledger: Ledger, published: Published) -> None:
    maria = await rich(ledger, await published(payout_plan(approval=True)))
    asked = await maria.ask("p1", 2_501)
    # 0.30 and half a percent of 25.01, rounded up: 0.30 + 0.13.
    assert (asked.state, asked.fee_minor, asked.attempts) == (REQUESTED, 43, 0)
    assert await maria.ask("p1", 2_501) == asked
    assert await maria.money() == (0, 7_499, 2_501, 0)
    assert not (await maria.batch("too-early")).payouts
    assert (await maria.act("Approve", "p1")).state == APPROVED
    assert (await maria.act("Approve", "p1")).state == APPROVED
    batch = await maria.batch("b1")
    assert [(each.payout_id, each.state, each.batch_id) for each in batch.payouts] == [("p1", SENT, "b1")]
    assert batch.csv.splitlines() == [
        "payout_id,attempt,participant_id,method,destination,asset,amount", "p1,1,maria,bank,token-1,USD,24.58",
    ]  # fmt: skip
    assert await maria.batch("b1") == batch
    assert await refusal(maria.batch("b1", "card")) == (EXISTS, "BATCH_EXISTS")
    assert not (await maria.batch("b2")).payouts
    paid = await maria.act("Report", "p1", outcome=SAID_PAID, provider_reference="ref-9")
    assert (paid.state, paid.provider_reference) == (PAID, "ref-9")
    assert (await maria.act("Report", "p1", outcome=SAID_PAID)) == paid
    assert await refusal(maria.act("Report", "p1", outcome=SAID_FAILED)) == (FAILED, "ANSWERED_BEFORE")
    assert await refusal(maria.act("Retry", "p1")) == (FAILED, "PAYOUT_NOT_FAILED")
    assert await maria.money() == (0, 7_499, 0, 0)
    assert (await maria.batch("b1")).csv == batch.csv
    kinds = sorted(each.kind for each in await ledger.transfers(maria.program, "maria"))
    assert kinds == [1, 13, 14, 15]
    await maria.assert_clean()


async def test_a_failed_payout_is_retried_or_given_up(ledger: Ledger, published: Published) -> None:
    maria = await rich(ledger, await published(payout_plan()))
    assert (await maria.ask("p1", 1_000)).state == APPROVED
    assert await refusal(maria.act("Report", "p1", outcome=SAID_PAID)) == (FAILED, "PAYOUT_NOT_SENT")
    await maria.batch("b1")
    failed = await maria.act("Report", "p1", outcome=SAID_FAILED, reason="account closed")
    assert (failed.state, failed.reason) == (UNPAID, "account closed")
    assert (await maria.act("Report", "p1", outcome=SAID_FAILED)).state == UNPAID
    assert await refusal(maria.act("Report", "p1", outcome=SAID_PAID)) == (FAILED, "ANSWERED_BEFORE")
    assert (await maria.act("Retry", "p1")).state == APPROVED
    assert await refusal(maria.act("Reject", "p1", reason="no")) == (FAILED, "PAYOUT_ON_ITS_WAY")
    again = (await maria.batch("b2")).payouts[0]
    assert (again.attempts, again.batch_id, again.reason) == (2, "b2", "")
    # The first attempt's answer comes late, and again. Without its number, nobody could tell that it is none to the
    # second.
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await maria.act("Report", "p1", outcome=SAID_PAID, attempt=0)
    assert violated_fields(refused.value) == ["attempt"]
    assert (await maria.act("Report", "p1", outcome=SAID_FAILED, attempt=1)).state == SENT
    assert await refusal(maria.act("Report", "p1", outcome=SAID_PAID, attempt=1)) == (FAILED, "ANSWERED_BEFORE")
    await maria.act("Report", "p1", outcome=SAID_FAILED, attempt=2)
    assert (await maria.act("Cancel", "p1")).state == CANCELLED
    assert (await maria.act("Cancel", "p1")).state == CANCELLED
    assert await maria.money() == (0, 10_000, 0, 0)
    assert [each.payout_id for each in (await maria.batch("b1")).payouts] == ["p1"]
    await maria.assert_clean()


async def told(servers: Servers, program: str) -> list[tuple[int, int]]:
    """(change, amount) of what participants were told of their payouts."""
    async with await psycopg.AsyncConnection.connect(servers.postgres.url) as conn:
        rows = await (await conn.execute("SELECT payload FROM rewards.outbox ORDER BY outbox_id")).fetchall()
    return [
        (event.change, event.earnings[0].amount_minor)
        for (payload,) in rows
        for event in events_pb2.RewardEventBatch.FromString(payload).events
        if event.program_id == program and event.event_id.startswith("payout:")
    ]


async def test_participants_are_told_what_became_of_their_payouts(
    ledger: Ledger, published: Published, servers: Servers
) -> None:
    maria = await rich(ledger, await published(payout_plan()))
    for number in (1, 2, 3):
        await maria.ask(f"p{number}", 1_000)
    await maria.act("Reject", "p3", reason="no")
    await maria.batch("b1")
    for _ in range(2):
        await maria.act("Report", "p1", outcome=SAID_PAID)
        await maria.act("Report", "p2", outcome=SAID_FAILED)
    await maria.act("Retry", "p2")
    await maria.batch("b2")
    await maria.act("Report", "p2", outcome=SAID_FAILED, attempt=2)
    await maria.act("Cancel", "p2")
    paid, failed, returned = (
        events_pb2.REWARD_CHANGE_PAYOUT_PAID,
        events_pb2.REWARD_CHANGE_PAYOUT_FAILED,
        events_pb2.REWARD_CHANGE_PAYOUT_RETURNED,
    )
    assert await told(servers, maria.program) == [
        (returned, 1_000), (paid, 965), (failed, 1_000), (failed, 1_000), (returned, 1_000),
    ]  # fmt: skip


async def test_what_was_paid_and_comes_back_is_available_again_but_for_the_fee(
    ledger: Ledger, published: Published, servers: Servers
) -> None:
    maria = await rich(ledger, await published(payout_plan()))
    await maria.ask("p1", 1_000)
    assert await refusal(maria.act("Report", "p1", outcome=SAID_BOUNCED)) == (FAILED, "PAYOUT_NOT_SENT")
    await maria.batch("b1")
    assert await refusal(maria.act("Report", "p1", outcome=SAID_BOUNCED)) == (FAILED, "PAYOUT_NOT_PAID")
    await maria.act("Report", "p1", outcome=SAID_PAID, provider_reference="ref-9")
    assert await maria.money() == (0, 9_000, 0, 0)
    back = await maria.act("Report", "p1", outcome=SAID_BOUNCED, reason="no such account")
    assert (back.state, back.reason, back.provider_reference) == (BOUNCED, "no such account", "ref-9")
    # 9.65 had reached the bank, 0.35 was the fee.
    assert await maria.money() == (0, 9_965, 0, 0)
    # Whoever says it again, or says late that it had been paid, changes nothing; anything else is refused.
    for said in (SAID_BOUNCED, SAID_PAID):
        assert await maria.act("Report", "p1", outcome=said) == back
    assert await refusal(maria.act("Report", "p1", outcome=SAID_FAILED)) == (FAILED, "ANSWERED_BEFORE")
    for verb in ("Retry", "Cancel"):
        assert await refusal(maria.act(verb, "p1")) == (FAILED, "PAYOUT_NOT_FAILED")
    assert await refusal(maria.act("Reject", "p1", reason="no")) == (FAILED, "PAYOUT_ON_ITS_WAY")
    assert not (await maria.batch("b2")).payouts
    assert await maria.money() == (0, 9_965, 0, 0)
    [moved] = [each for each in await ledger.transfers(maria.program, "maria") if each.kind == BOUNCE]
    assert (moved.debit_account, moved.credit_account, moved.amount_minor) == ("paid_out", "available:maria", 965)
    assert [each.payout_id for each in (await maria.listed(state=BOUNCED)).payouts] == ["p1"]
    paid, bounced = events_pb2.REWARD_CHANGE_PAYOUT_PAID, events_pb2.REWARD_CHANGE_PAYOUT_BOUNCED
    assert await told(servers, maria.program) == [(paid, 965), (bounced, 965)]
    async with await psycopg.AsyncConnection.connect(servers.postgres.url) as conn:
        named = await conn.execute(
            "SELECT debit_account, credit_account FROM rewards.ledger WHERE program_id = %s AND kind = 'payout_bounce'",
            [maria.program],
        )
        assert await named.fetchall() == [("paid_out", "available:maria")]
    await maria.assert_clean()


async def test_only_the_attempt_that_was_paid_comes_back(ledger: Ledger, published: Published) -> None:
    maria = await rich(ledger, await published(payout_plan()))
    await maria.ask("p1", 1_000)
    await maria.batch("b1")
    await maria.act("Report", "p1", outcome=SAID_FAILED)
    assert await refusal(maria.act("Report", "p1", outcome=SAID_BOUNCED)) == (FAILED, "ANSWERED_BEFORE")
    await maria.act("Retry", "p1")
    await maria.batch("b2")
    await maria.act("Report", "p1", outcome=SAID_PAID, attempt=2)
    assert await refusal(maria.act("Report", "p1", outcome=SAID_BOUNCED, attempt=1)) == (FAILED, "ANSWERED_BEFORE")
    assert await maria.money() == (0, 9_000, 0, 0)
    assert (await maria.act("Report", "p1", outcome=SAID_BOUNCED, attempt=2)).state == BOUNCED
    assert await maria.money() == (0, 9_965, 0, 0)
    await maria.assert_clean()


async def test_many_who_say_that_it_came_back_bring_it_back_once(
    ledger: Ledger, published: Published, servers: Servers
) -> None:
    maria = await rich(ledger, await published(payout_plan()))
    await maria.ask("p1", 1_000)
    await maria.batch("b1")
    await maria.act("Report", "p1", outcome=SAID_PAID)
    said = [maria.act("Report", "p1", outcome=(SAID_BOUNCED, SAID_PAID)[number % 4 == 0]) for number in range(16)]
    for each in await asyncio.gather(*said):
        assert each.state in (PAID, BOUNCED)
    assert await maria.money() == (0, 9_965, 0, 0)
    bounced = events_pb2.REWARD_CHANGE_PAYOUT_BOUNCED
    assert [change for change, _ in await told(servers, maria.program)].count(bounced) == 1
    await maria.assert_clean()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE rewards.payout SET state = 4 WHERE program_id = %(p)s",
        "UPDATE rewards.transfer SET kind = 16, debit = 4 WHERE program_id = %(p)s AND kind = 19",
        "UPDATE rewards.transfer SET amount_minor = amount_minor + 1 WHERE program_id = %(p)s AND kind = 19",
    ],
)
async def test_the_audit_compares_what_came_back(
    ledger: Ledger, published: Published, owner: Owner, damage: str
) -> None:
    maria = await rich(ledger, await published(payout_plan()))
    await maria.ask("p1", 1_000)
    await maria.batch("b1")
    await maria.act("Report", "p1", outcome=SAID_PAID)
    await maria.act("Report", "p1", outcome=SAID_BOUNCED)
    await maria.assert_clean()
    try:
        await owner.execute(damage.encode(), {"p": maria.program})
        found = {each.check: each.subject for each in (await ledger.audit(maria.program)).findings}
        assert found["PAYOUT_DIFFERS"] == "p1"
    finally:
        await forget(owner, maria.program)
        await owner.execute(b"DELETE FROM rewards.payout WHERE program_id = %s", [maria.program])


async def test_a_person_says_no(ledger: Ledger, published: Published) -> None:
    maria = await rich(ledger, await published(payout_plan(approval=True)))
    await maria.ask("p1", 1_000)
    no = await maria.act("Reject", "p1", reason="not you")
    assert (no.state, no.reason) == (REJECTED, "not you")
    assert (await maria.act("Reject", "p1", reason="again")) == no
    assert await refusal(maria.act("Approve", "p1")) == (FAILED, "PAYOUT_ENDED")
    assert await maria.money() == (0, 10_000, 0, 0)
    await maria.assert_clean()


async def test_terms_decide_what_may_leave(ledger: Ledger, published: Published) -> None:
    maria = await rich(ledger, await published(payout_plan()))
    assert await refusal(maria.ask("p1", 499)) == (FAILED, "BELOW_MINIMUM")
    assert await refusal(maria.ask("p1", 10_001)) == (FAILED, "INSUFFICIENT_BALANCE")
    assert await refusal(maria.ask("p1", 1_000, method="pigeon")) == (FAILED, "NOT_WITHDRAWABLE")
    assert await refusal(maria.ask("p1", 1_000, asset="points")) == (FAILED, "NOT_WITHDRAWABLE")
    await maria.ask("p1", 1_000)
    assert await refusal(maria.ask("p1", 1_001)) == (EXISTS, "PAYOUT_EXISTS")
    assert await refusal(maria.act("Get", "p2")) == (MISSING, "PAYOUT_NOT_FOUND")
    assert (await maria.act("Get", "p1")).destination == "token-1"


async def test_payouts_are_listed_newest_first(ledger: Ledger, published: Published) -> None:
    maria = await rich(ledger, await published(payout_plan()))
    for number in range(5):
        await maria.ask(f"p{number}", 1_000)
    await maria.act("Reject", "p3", reason="no")
    first = await maria.listed(page_size=3)
    rest = await maria.listed(page_size=3, page_token=first.next_page_token)
    listed = [each.payout_id for page in (first, rest) for each in page.payouts]
    assert sorted(listed, reverse=True) == listed == [f"p{number}" for number in range(4, -1, -1)]
    assert not rest.next_page_token
    assert [each.payout_id for each in (await maria.listed(state=REJECTED)).payouts] == ["p3"]
    assert not (await maria.listed(participant_id="olga")).payouts


async def test_a_batch_is_no_longer_than_one_answer_and_the_next_has_the_rest(
    ledger: Ledger, published: Published
) -> None:
    maria = await rich(ledger, await published(payout_plan()))
    await ledger.settle(message(recorded(maria.program, "c2", 10_000_000)))
    ids = [f"p{number:04}{'€' * 120}" for number in range(1_200)]
    for start in range(0, len(ids), CALLS_AT_ONCE):
        some = ids[start : start + CALLS_AT_ONCE]
        await asyncio.gather(*(maria.ask(each, 500, destination='"€' * 128) for each in some))
    batches = [await maria.batch(name) for name in ("b1", "b2", "b3")]
    assert [each.payout_id for batch in batches for each in batch.payouts] == ids
    assert all(batch.payouts for batch in batches[:2])
    assert all(batch.ByteSize() < 4 * 1024 * 1024 for batch in batches)
    assert all(len(batch.csv.splitlines()) == len(batch.payouts) + 1 for batch in batches)
    assert await maria.batch("b1") == batches[0]
    await maria.assert_clean()


async def test_batches_at_once_hand_every_payout_over_once(ledger: Ledger, published: Published) -> None:
    maria = await rich(ledger, await published(payout_plan()))
    await asyncio.gather(*(maria.ask(f"p{number}", 600) for number in range(12)))
    batches = await asyncio.gather(*(maria.batch(f"b{number}") for number in range(4)), maria.batch("b0"))
    handed = [each.payout_id for batch in batches[:4] for each in batch.payouts]
    assert sorted(handed) == sorted(f"p{number}" for number in range(12))
    assert batches[4] == batches[0]
    await maria.assert_clean()


@pytest.mark.parametrize("verbs", [("Cancel", "Retry"), ("Report", "Report")])
async def test_people_at_once_decide_once(ledger: Ledger, published: Published, verbs: tuple[str, str]) -> None:
    maria = await rich(ledger, await published(payout_plan()))
    for number in range(5):
        await maria.ask(f"p{number}", 1_000)
    await maria.batch("b1")
    if verbs[0] == "Cancel":
        for number in range(5):
            await maria.act("Report", f"p{number}", outcome=SAID_FAILED)
    fields = [{"outcome": SAID_PAID}, {"outcome": SAID_FAILED}] if verbs[0] == "Report" else [{}, {}]
    calls = [
        maria.act(verb, f"p{number}", **given) for number in range(5) for verb, given in zip(verbs, fields, strict=True)
    ]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(each, BaseException) for each in outcomes) == 5
    await maria.assert_clean()


async def test_a_gate_opens_by_counters_and_amount(ledger: Ledger, published: Published) -> None:
    plan = payout_plan()
    plan.counters.add(
        counter_id="friends",
        on=["order"],
        of={"upline": {"from_level": 1, "to_level": 1}},
        measure=plan_pb2.MEASURE_REFEREES,
    )
    plan.payouts[0].gate = "counters.friends >= 2 && amount <= counters.friends * 1000"
    maria = await rich(ledger, await published(plan))
    assert await refusal(maria.ask("p1", 1_000)) == (FAILED, "GATE_CLOSED")
    await ledger.settle(message(recorded(maria.program, "c2", 1_000)))
    assert await refusal(maria.ask("p1", 1_000)) == (FAILED, "GATE_CLOSED")
    await ledger.settle(message(recorded(maria.program, "c3", 1_000, buyer="petra")))
    assert await refusal(maria.ask("p1", 2_001)) == (FAILED, "GATE_CLOSED")
    asked = await maria.ask("p1", 2_000)
    await ledger.settle(message(reversed_(maria.program, "c3", "r1", 1_000, completes=True)))
    assert await refusal(maria.ask("p2", 1_000)) == (FAILED, "GATE_CLOSED")
    assert await maria.ask("p1", 2_000) == asked
    await maria.assert_clean()
