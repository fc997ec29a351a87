"""How much an answer reads from the database: what fits into it, and not what a page of so many rows might have."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from sqlalchemy import event
from upline.attribution.v1 import conversion_pb2, link_pb2, participant_pb2, program_pb2
from upline.notify.v1 import notify_pb2, webhook_pb2
from upline.rewards.v1 import approval_pb2, contest_pb2, payout_pb2, plan_pb2, reward_pb2, wallet_pb2

from chassis.ids import new_id
from chassis.pages import MAX_PAGE_BYTES
from tests.conftest import Servers
from tests.contract.conftest import Channels
from tests.contract.surface import METHODS, call, owner
from tests.integration.attribution.people import Caller, order, request_id
from tests.integration.rewards import counted
from tests.integration.rewards.conftest import NOON, Ledger, message, recorded, three_levels
from tests.running import Running

BESIDE_ITEMS_BYTES = 256 * 1024
"""The most that is read beside the items of an answer: keys, counts, the program."""
BYTEA = 17
"""The type's number in PostgreSQL."""
WIDE = "я" * 256
LONG_ID = "𝄞" * 128
"""The longest id that a participant may have."""
ONE_THING = "one thing, which a request of at most 4 MB made"
OTHERWISE_BOUNDED = {
    "ApproveRewards": "the rewards of a conversion, read as ListRewards reads them",
    "AuditLedger": "100 findings a check",
    "BindSponsor": ONE_THING,
    "CreatePayoutBatch": "10,000 payouts and 1 MB",
    "CreateProgram": ONE_THING,
    "CreateWebhook": ONE_THING,
    "EnrollParticipant": ONE_THING,
    "EnrollParticipants": "by what was asked for",
    "EraseContact": "a name for each field",
    "ExplainReward": "two derivations, and as many revisions as fit",
    "GetParticipant": ONE_THING,
    "GetPlan": ONE_THING,
    "GetDelivery": "50 attempts",
    "GetProgram": ONE_THING,
    "GetProgramTotals": "100 participants for each asset of the program",
    "GetSettlementReport": "the accounts and kinds of each asset of the program",
    "GetShareCounts": "so many channels as were asked for, 1,000 at most",
    "GetTexts": ONE_THING,
    "ListWebhooks": "20 of a program",
    "GetWallet": "one balance for each asset of the program",
    "PublishPlan": ONE_THING,
    "RecordClicks": "one token for each click that was told",
    "RecordConversion": "as GetConversion",
    "RejectRewards": "the rewards of a conversion, read as ListRewards reads them",
    "ResolveCode": ONE_THING,
    "ReverseConversion": ONE_THING,
    "RotateWebhookSecret": ONE_THING,
    "StreamClicks": "one acknowledgement for each portion of clicks",
    "UpdateParticipant": ONE_THING,
    "UpdateProgram": ONE_THING,
    "UpdateWebhook": ONE_THING,
    "ValidatePlan": "warnings and worst cases of one plan",
    "WatchInbox": "one entry at a time",
}
"""Answers with lists that no page ends, and their bounds."""


@dataclass(frozen=True)
class World:
    """The services, somebody who may do everything with their tables, and a program's id of the test's own."""

    services: dict[str, Running]
    sql: psycopg.AsyncConnection[Any]
    program_id: str

    @property
    def shop(self) -> Caller:
        """A caller of attribution."""
        return Caller(self.services["attribution"], self.program_id)

    @property
    def ledger(self) -> Ledger:
        """A caller of rewards."""
        return Ledger(self.services["rewards"])

    async def run(self, statement: str, **values: Any) -> None:
        """Carries out a statement; `%(program)s` is the program."""
        await self.sql.execute(statement.encode(), {"program": self.program_id, **values})


@dataclass(frozen=True)
class Asked:
    """A question about more rows than fit into its answer."""

    request: Message
    row_bytes: int
    """About how long each row is."""
    count: int
    """How many of the test's rows all pages have together; 0 where the answer has no pages."""
    items: str = ""
    """The field that they are in."""


def long_order(conversion_id: str, buyer_id: str = "vera") -> conversion_pb2.ConversionDraft:
    """An order of some 800 kB."""
    lines = [
        conversion_pb2.ConversionLine(amount_minor=100, attributes={f"{key:02}": WIDE for key in range(16)})
        for _ in range(100)
    ]
    return order(conversion_id, buyer_id, 10_000, lines=lines)


async def long_orders(world: World) -> list[str]:
    """Twelve orders, some 10 MB together."""
    ids = [f"order-{number:02}" for number in range(12)]
    for start in range(0, 12, 4):
        await world.shop.record_all([long_order(each) for each in ids[start : start + 4]])
    return ids


async def conversions(world: World) -> Asked:
    """Long orders."""
    await world.shop.create()
    ids = await long_orders(world)
    request = conversion_pb2.ListConversionsRequest(program_id=world.program_id)
    return Asked(request, 850_000, len(ids), "conversions")


async def reversals(world: World) -> Asked:
    """One order with 300 reversals of 25 kB."""
    await world.shop.create()
    await world.shop.record(order("order", "vera", 10_000))
    await world.shop.reverse("part", "order")
    await world.run(
        """INSERT INTO attribution.reversal SELECT nextval('attribution.reversal_key_seq'), program_id,
        reversal_id || n, conversion_id, body_hash, draft || %(more)s, amount_minor, lines, completes, pending,
        create_time FROM attribution.reversal, generate_series(1, 300) AS n WHERE program_id = %(program)s""",
        more=conversion_pb2.ReversalDraft(reason="x" * 25_000).SerializeToString(),
    )
    request = conversion_pb2.GetConversionRequest(program_id=world.program_id, conversion_id="order")
    return Asked(request, 25_000, 0)


async def wide_line(world: World) -> list[str]:
    """600 people, each below the one before, with attributes of 13 kB."""
    await world.shop.create()
    people = [f"person-{number:03}" for number in range(600)]
    await world.shop.enroll_line(people)
    await widen(world)
    return people


async def widen(world: World) -> None:
    """Gives everybody of the program attributes of 13 kB."""
    await world.run(
        """UPDATE attribution.participant SET attributes = (
        SELECT jsonb_object_agg(to_char(n, '00'), repeat('x', 256)) FROM generate_series(1, 50) AS n)
        WHERE program_id = %(program)s"""
    )


async def downline(world: World) -> Asked:
    """A long chain of people with many attributes, from above."""
    people = await wide_line(world)
    request = participant_pb2.ListDownlineRequest(program_id=world.program_id, participant_id=people[0])
    return Asked(request, 13_000, len(people) - 1, "descendants")


async def upline(world: World) -> Asked:
    """A long chain of people with many attributes, from below."""
    people = await wide_line(world)
    request = participant_pb2.ListUplineRequest(program_id=world.program_id, participant_id=people[-1])
    return Asked(request, 13_000, len(people) - 1, "ancestors")


async def referrals(world: World) -> Asked:
    """Referees with many attributes, some of whom bought much."""
    await world.shop.create()
    await world.shop.enroll("maria")
    for each in ("ada", "vera", *(f"person-{number:03}" for number in range(300))):
        await world.shop.enroll(each, sponsor_id="maria")
    await widen(world)
    await long_orders(world)
    request = participant_pb2.ListReferralsRequest(program_id=world.program_id, participant_id="maria")
    return Asked(request, 850_000, 302, "referrals")


async def programs(world: World) -> Asked:
    """Programs that allow many hosts."""
    await world.shop.create()
    await world.run(
        """INSERT INTO attribution.program
        SELECT '0' || program_id || n, title, currency_code, touch, touch_window, binding, bindable, enroll_buyers,
            default_sponsor_id, array_fill(repeat('x', 250), ARRAY[100]), create_time, update_time,
            credit_before_binding, visitor_cookie
        FROM attribution.program, generate_series(1, 300) AS n WHERE program_id = %(program)s"""
    )
    return Asked(program_pb2.ListProgramsRequest(), 25_000, 300, "programs")


async def links(world: World) -> Asked:
    """Links to long addresses."""
    await world.shop.create()
    await world.shop.enroll("maria")
    link = link_pb2.CreateLinkRequest(
        request_id=request_id(),
        program_id=world.program_id,
        participant_id="maria",
        destination_url="https://shop.example/",
    )
    await call(world.services["attribution"].channel, next(each for each in METHODS if each.name == "CreateLink"), link)
    await world.run(
        """INSERT INTO attribution.link (program_id, link_id, participant_id, destination_url, channel, campaign,
            utm_source, utm_medium, utm_campaign, utm_term, utm_content, create_time)
        SELECT program_id, link_id || n, participant_id, destination_url || repeat('я', 2000), channel, campaign,
            repeat('я', 128), repeat('я', 128), repeat('я', 128), repeat('я', 128), repeat('я', 128), create_time
        FROM attribution.link, generate_series(1, 999) AS n WHERE program_id = %(program)s"""
    )
    request = link_pb2.ListLinksRequest(program_id=world.program_id, participant_id="maria")
    return Asked(request, 5_500, 1_000, "links")


async def plans(world: World) -> Asked:
    """Versions of a plan of 1 MB."""
    await world.ledger.publish(world.program_id, three_levels())
    plan = three_levels()
    plan.rules[0].on.extend(f"event-{number:05}-{'x' * 50}" for number in range(15_000))
    await world.run(
        """INSERT INTO rewards.plan_version
        SELECT program_id, 1 + n, currency_code, %(plan)s, effective_time, create_time
        FROM rewards.plan_version, generate_series(1, 8) AS n WHERE program_id = %(program)s""",
        plan=plan.SerializeToString(),
    )
    await world.ledger.wallet(world.program_id, "maria")  # versions are compiled when they are first asked for
    return Asked(plan_pb2.ListPlansRequest(program_id=world.program_id), 1_000_000, 9, "plan_versions")


async def payouts(world: World) -> Asked:
    """Payouts with long destinations and reasons."""
    await world.ledger.publish(world.program_id, three_levels())
    await world.run(
        """INSERT INTO rewards.payout (program_id, payout_id, participant_id, asset, amount_minor, fee_minor, method,
            destination, state, provider_reference, reason, create_time, update_time)
        SELECT %(program)s, 'payout-' || n, 'maria', 'USD', 100, 0, 'card', repeat('𝄞', 256), 5, repeat('𝄞', 256),
            repeat('𝄞', 500), now(), now()
        FROM generate_series(1, 1000) AS n"""
    )
    return Asked(payout_pb2.ListPayoutsRequest(program_id=world.program_id), 4_200, 1_000, "payouts")


async def approvals(world: World) -> Asked:
    """Long orders that wait for approval."""
    plan = three_levels()
    plan.rules[0].hold.approval = True
    await world.ledger.publish(world.program_id, plan)
    for number in range(12):
        fact = recorded(world.program_id, f"order-{number:02}", 10_000)
        fact.recorded.conversion.draft.lines.extend(long_order("order").lines)
        await world.ledger.settle(message(fact))
    request = approval_pb2.ListPendingApprovalsRequest(program_id=world.program_id)
    return Asked(request, 850_000, 12, "approvals")


async def inbox(world: World) -> Asked:
    """Entries about conversions that pay many assets."""
    await world.run(
        """WITH new AS (
            INSERT INTO notify.cause (entry_id, program_id, event_id, conversion_id, event_type, buyer_id, occurred_at,
                assets, texts_version, create_time)
            SELECT gen_random_uuid(), %(program)s, 'event-' || n, 'order-' || n, 'order', 'vera', now(),
                (SELECT jsonb_agg(jsonb_build_array('asset-' || a, false, 0)) FROM generate_series(1, 200) AS a),
                0, now()
            FROM generate_series(1, 1000) AS n RETURNING entry_id
        )
        INSERT INTO notify.inbox_entry (program_id, participant_id, entry_id, kind, level, amounts)
        SELECT %(program)s, 'maria', entry_id, 1, 1, '[["asset-1", 100, 0]]' FROM new"""
    )
    request = notify_pb2.ListInboxRequest(program_id=world.program_id, participant_id="maria")
    return Asked(request, 5_000, 1_000, "entries")


async def codes(world: World) -> Asked:
    """Codes of the longest ids."""
    await world.shop.create()
    await world.shop.enroll(LONG_ID)
    await world.run(
        """INSERT INTO attribution.code (program_id, code, participant_id, channel, create_time, share_percent)
        SELECT %(program)s, repeat('X', 58) || n, %(owner)s, repeat('я', 64), now(), '12.5'
        FROM generate_series(1, 1000) AS n""",
        owner=LONG_ID,
    )
    request = link_pb2.ListCodesRequest(program_id=world.program_id, participant_id=LONG_ID)
    return Asked(request, 1_000, 1_000, "codes")


async def rewards_(world: World) -> Asked:
    """Rewards that were rejected with long reasons."""
    await world.ledger.publish(world.program_id, three_levels())
    await world.run(
        """WITH new AS (
            INSERT INTO rewards.reward
            SELECT id, %(program)s, repeat('𝄞', 120) || n, repeat('r', 63), %(owner)s, 1, 'USD', 100, '9000-01-01Z', 1
            FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS t (id, n) RETURNING *
        ), taken AS (
            INSERT INTO rewards.reward_revision SELECT reward_id, '', -100, now() FROM new
        )
        INSERT INTO rewards.hold_wait (program_id, conversion_id, mark, rule_id, buyer_id, event_type, approval,
            reason, earliest, occurred_at)
        SELECT program_id, conversion_id, hold_until, rule_id, 'vera', '', 3, repeat('𝄞', 500), now(), now()
        FROM new""",
        ids=[str(new_id()) for _ in range(1_000)],
        owner=LONG_ID,
    )
    request = reward_pb2.ListRewardsRequest(program_id=world.program_id, beneficiary_id=LONG_ID)
    return Asked(request, 3_700, 1_000, "rewards")


async def transfers(world: World) -> Asked:
    """Gifts among people with the longest ids."""
    await world.ledger.publish(world.program_id, three_levels())
    await world.run(
        """INSERT INTO rewards.transfer (transfer_id, program_id, kind, participant_id, debit, credit, asset,
            amount_minor, cause_id, recipient_id)
        SELECT id, %(program)s, 20, repeat('𝄞', 120) || n, 3, 3, repeat('U', 32), 100, repeat('𝄞', 400), %(owner)s
        FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS t (id, n)""",
        ids=[str(new_id()) for _ in range(1_000)],
        owner=LONG_ID,
    )
    request = wallet_pb2.ListTransfersRequest(program_id=world.program_id, participant_id=LONG_ID)
    return Asked(request, 3_000, 1_000, "transfers")


async def explanations(world: World) -> Asked:
    """An order that two hundred rules pay on sixteen levels."""
    levels = plan_pb2.Beneficiary(upline=plan_pb2.UplineLevels(from_level=1, to_level=16))
    await world.ledger.publish(
        world.program_id, counted.plan(*(counted.rule(f"rule-{number}", "0.01", to=levels) for number in range(200)))
    )
    people = tuple(f"{'𝄞' * 120}{number}" for number in range(16))
    await world.ledger.settle(message(recorded(world.program_id, "order", 10_000, upline=people)))
    request = reward_pb2.ExplainConversionRequest(program_id=world.program_id, conversion_id="order")
    return Asked(request, 3_000, 3_200, "derivations")


async def leaderboard(world: World) -> Asked:
    """A ranking of people with the longest ids."""
    plan = three_levels()
    plan.counters.add().CopyFrom(counted.counter("orders"))
    plan.contests.add().CopyFrom(counted.contest("spring", "orders", NOON, NOON + timedelta(days=1), timedelta(days=1)))
    await world.ledger.publish(world.program_id, plan)
    await world.run(
        """INSERT INTO rewards.contest_score (program_id, contest_id, participant_id, score, reach_time)
        SELECT %(program)s, 'spring', repeat('𝄞', 120) || n, n, now() FROM generate_series(1, 1000) AS n"""
    )
    request = contest_pb2.GetLeaderboardRequest(program_id=world.program_id, contest_id="spring")
    return Asked(request, 1_000, 1_000, "standings")


async def deliveries(world: World) -> Asked:
    """A thousand deliveries about people with the longest ids, each with a long error."""
    await world.run(
        """INSERT INTO notify.cause (entry_id, program_id, event_id, conversion_id, event_type, buyer_id, occurred_at,
            assets, contest_id, reason, texts_version, create_time)
        VALUES (%(entry)s, %(program)s, repeat('𝄞', 128), 'c', 'order', 'ben', now(), '[]', '', '', 0, now())""",
        entry=(entry := str(new_id())),
    )
    await world.run(
        """INSERT INTO notify.delivery (delivery_id, program_id, entry_id, participant_id, channel, endpoint_id, kind,
            state, error)
        SELECT gen_random_uuid(), %(program)s, %(entry)s, repeat('𝄞', 120) || n, 1, gen_random_uuid(), 1, 5,
            repeat('я', 500)
        FROM generate_series(1, 1000) AS n""",
        entry=entry,
    )
    return Asked(webhook_pb2.ListDeliveriesRequest(program_id=world.program_id), 2_000, 1_000, "deliveries")


Fill = Callable[[World], Awaitable[Asked]]
FILLS: dict[str, Fill] = {
    "ExplainConversion": explanations,
    "GetConversion": reversals,
    "GetLeaderboard": leaderboard,
    "ListCodes": codes,
    "ListConversions": conversions,
    "ListDeliveries": deliveries,
    "ListDownline": downline,
    "ListInbox": inbox,
    "ListLinks": links,
    "ListPayouts": payouts,
    "ListPendingApprovals": approvals,
    "ListPlans": plans,
    "ListPrograms": programs,
    "ListReferrals": referrals,
    "ListRewards": rewards_,
    "ListTransfers": transfers,
    "ListUpline": upline,
}


@pytest.fixture
async def world(
    attribution: Running,
    rewards: Running,
    notify: Running,
    servers: Servers,
    new_program_id: Callable[[str], str],
    channels: Channels,
) -> Any:
    """Everything, and nothing of it left."""
    services = {"attribution": attribution, "rewards": rewards, "notify": notify}
    async with await psycopg.AsyncConnection.connect(servers.postgres.url, autocommit=True) as sql:
        made = World(services, sql, new_program_id("bytes"))
        yield made
        # What was put into the ledger by hand would be found by every audit.
        await made.run(
            """DELETE FROM rewards.reward_revision WHERE reward_id IN (
                SELECT reward_id FROM rewards.reward WHERE program_id = %(program)s)"""
        )
        for table in ("reward", "hold_wait", "transfer"):
            await made.run(f"DELETE FROM rewards.{table} WHERE program_id = %(program)s")
        await made.run("DELETE FROM attribution.program WHERE program_id LIKE '0' || %(program)s || '%%'")


@dataclass
class Read:
    """The rows that a service read from its database."""

    content_bytes: int = 0
    statements: list[str] = field(default_factory=list)


@contextmanager
def reading(running: Running) -> Iterator[Read]:
    """Counts the bytes of all rows that PostgreSQL sends meanwhile."""
    read = Read()

    def count(_conn: Any, cursor: Any, statement: str, *_others: Any) -> None:
        result = cursor._cursor.pgresult
        for row in range(result.ntuples):
            for column in range(result.nfields):
                size = len(result.get_value(row, column) or b"")
                read.content_bytes += size // 2 if result.ftype(column) == BYTEA else size  # two digits for a byte
        read.statements.append(statement)

    engine = running.service.database.engine.sync_engine
    event.listen(engine, "after_cursor_execute", count)
    try:
        yield read
    finally:
        event.remove(engine, "after_cursor_execute", count)


def lists(message: Descriptor, seen: frozenset[str] = frozenset()) -> bool:
    """Whether a message, or one within it, has a list."""
    return any(
        each.is_repeated
        or (
            each.message_type is not None
            and each.message_type.full_name not in seen
            and lists(each.message_type, seen | {message.full_name})
        )
        for each in message.fields
        if each.message_type is None or each.message_type.full_name.startswith("upline.") or each.is_repeated
    )


def test_every_answer_with_a_list_has_a_bound() -> None:
    listing = {method.name for method in METHODS if method.server_streaming or lists(method.output_type)}
    assert listing == FILLS.keys() | OTHERWISE_BOUNDED.keys()
    assert not FILLS.keys() & OTHERWISE_BOUNDED.keys()
    assert {method.name for method in METHODS if "page_size" in method.input_type.fields_by_name} <= FILLS.keys()


@pytest.mark.parametrize("name", FILLS)
async def test_an_answer_reads_what_fits_into_it(world: World, name: str) -> None:
    method = next(each for each in METHODS if each.name == name)
    running = world.services[owner(method.containing_service)]
    asked = await FILLS[name](world)
    request: Any = asked.request
    if asked.count:
        request.page_size = 1_000
    found = 0
    while True:
        with reading(running) as read:
            page: Any = await call(running.channel, method, request)
        assert read.content_bytes < MAX_PAGE_BYTES + asked.row_bytes * 2 + BESIDE_ITEMS_BYTES, read.statements
        assert page.ByteSize() < MAX_PAGE_BYTES + asked.row_bytes * 2
        if not asked.count:
            break
        found += sum(1 for each in getattr(page, asked.items) if name != "ListPrograms" or each.program_id < "a")
        if not (token := page.next_page_token):
            break
        request.page_token = token
    assert found == asked.count
