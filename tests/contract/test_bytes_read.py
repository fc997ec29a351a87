"""How much an answer reads from the database: what fits into it, and not what a page of so many rows might have."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from google.protobuf.message import Message
from sqlalchemy import event
from upline.attribution.v1 import conversion_pb2, link_pb2, participant_pb2, program_pb2
from upline.notify.v1 import notify_pb2
from upline.rewards.v1 import approval_pb2, payout_pb2, plan_pb2

from chassis.pages import MAX_PAGE_BYTES
from tests.conftest import Servers
from tests.contract.conftest import Channels
from tests.contract.surface import METHODS, call, owner
from tests.integration.attribution.people import Caller, order, request_id
from tests.integration.rewards.conftest import Ledger, message, recorded, three_levels
from tests.running import Running

BESIDE_ITEMS_BYTES = 256 * 1024
"""The most that is read beside the items of an answer: keys, counts, the program."""
BYTEA = 17
"""The type's number in PostgreSQL."""
WIDE = "я" * 256
SHORT_ROWS = {"ListCodes", "ListRewards", "ListTransfers", "ExplainConversion", "GetLeaderboard"}
"""Lists of rows that consist of ids, numbers and a short reason: a thousand of the longest take a few MB."""


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


Fill = Callable[[World], Awaitable[Asked]]
FILLS: dict[str, Fill] = {
    "GetConversion": reversals,
    "ListConversions": conversions,
    "ListDownline": downline,
    "ListInbox": inbox,
    "ListLinks": links,
    "ListPayouts": payouts,
    "ListPendingApprovals": approvals,
    "ListPlans": plans,
    "ListPrograms": programs,
    "ListReferrals": referrals,
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


def test_every_list_is_tried() -> None:
    paged = {method.name for method in METHODS if "page_size" in method.input_type.fields_by_name}
    assert paged == FILLS.keys() - {"GetConversion"} | SHORT_ROWS


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
