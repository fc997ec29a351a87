"""Webhooks: what people are told is told to the platform's own servers, signed, in order, and again until they have
it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import grpc
import psycopg
import pytest
import pytest_asyncio
from aiohttp import web
from prometheus_client import REGISTRY
from sqlalchemy import event
from standardwebhooks import WebhookVerificationError
from upline.notify.v1 import notify_pb2, notify_pb2_grpc, webhook_pb2
from upline.rewards.v1 import events_pb2

from chassis import retention
from chassis.database import Work
from chassis.ids import new_id
from services.notify import jobs, measures
from services.notify.domain.delivery import RETRY_SECONDS
from services.notify.store import deliveries
from services.notify.store import webhooks as webhook_store
from tests.conftest import Servers
from tests.errors import reason_of
from tests.integration.notify.conftest import NotifyFactory, Publish, earning, reward_event, when_there
from tests.integration.notify.receiver import Hooks, Receiver, Taken, receiving
from tests.running import DEADLINE_SECONDS, Running

DELIVERED, PARKED = webhook_pb2.DELIVERY_STATE_DELIVERED, webhook_pb2.DELIVERY_STATE_PARKED
PENDING, RETRYING = webhook_pb2.DELIVERY_STATE_PENDING, webhook_pb2.DELIVERY_STATE_RETRYING


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A server that takes webhooks."""
    async with receiving() as one:
        yield one


@pytest.fixture
def hooks(notify: Running, new_program_id: Callable[[str], str]) -> Hooks:
    """A program's webhooks, at which the service looks all the time, and for which a day is a tenth of a second."""
    hurry(notify)
    return Hooks(notify, new_program_id("hooks"))


def hurry(service: Running) -> None:
    """Makes a service try again at once."""
    service.service.sending.pause_ratio = 1e-6
    service.service.sending.poll_seconds = 0.01


def told(hooks: Hooks, *people: str, event_id: str = "", **fields: object) -> events_pb2.RewardEvent:
    """An event by which people earn 5 points each."""
    return reward_event(hooks.program_id, [earning(each, 1, 5) for each in people], event_id=event_id, **fields)  # type: ignore[arg-type]


async def fail_once(hooks: Hooks, receiver: Receiver, publish: Publish, webhook_id: str, person: str) -> None:
    """Has one delivery about somebody fail, and its webhook be disabled before it is sent again."""
    gate, before = asyncio.Event(), len(receiver.taken)

    async def answer(_: Taken) -> web.StreamResponse:
        await gate.wait()
        return web.Response(status=500)

    receiver.answer = answer
    await publish(told(hooks, person))
    await receiver.when_taken(before + 1)
    await hooks.update(webhook_id, state=webhook_pb2.WEBHOOK_STATE_DISABLED)
    gate.set()
    await hooks.when_in(RETRYING)
    receiver.answer = None


async def statement(servers: Servers, sql: str, **values: object) -> list[tuple[object, ...]]:
    """The rows of a statement that anybody may make."""
    async with await psycopg.AsyncConnection.connect(servers.postgres.url, autocommit=True) as conn:
        cursor = await conn.execute(sql.encode(), values)
        return await cursor.fetchall() if cursor.description else []


# What is sent


async def test_what_people_are_told_is_sent_and_signed(hooks: Hooks, receiver: Receiver, publish: Publish) -> None:
    created = await hooks.create(receiver.url)
    assert created.webhook.state == webhook_pb2.WEBHOOK_STATE_ENABLED
    assert created.secret.startswith("whsec_")
    event_ = reward_event(hooks.program_id, [earning("maria", 1, 21), earning("maria", 1, 317, "RUB")], event_id="e-1")
    await publish(event_)
    [taken] = await receiver.when_taken(1)
    taken.verify(created.secret)
    [delivery] = await hooks.when_in(DELIVERED)
    assert taken.id == delivery.message_id
    assert taken.headers["content-type"] == "application/json"
    body = json.loads(taken.body)
    assert body["type"] == "reward.earned"
    assert body["timestamp"] == "2026-03-05T12:00:00+00:00"
    assert body["data"].pop("entry_id")
    assert body["data"] == {
        "program_id": hooks.program_id,
        "participant_id": "maria",
        "cause_id": "e-1",
        "level": 1,
        "amounts": [
            {"asset": "points", "amount_minor": 21, "held_minor": 0},
            {"asset": "RUB", "amount_minor": 317, "held_minor": 0},
        ],
        "conversion_id": "order-1",
        "event_type": "order",
        "buyer_id": "vera",
    }
    history = await hooks.history(delivery.delivery_id)
    assert [(each.attempt, each.http_status, each.error) for each in history.attempts] == [(1, 204, "")]


async def test_a_forged_body_is_not_verified(hooks: Hooks, receiver: Receiver, publish: Publish) -> None:
    created = await hooks.create(receiver.url)
    await publish(told(hooks, "maria"))
    [taken] = await receiver.when_taken(1)
    with pytest.raises(WebhookVerificationError):
        Taken(taken.headers, taken.body.replace(b"5", b"6")).verify(created.secret)


async def test_each_person_and_webhook_has_a_delivery_and_an_event_that_comes_again_has_none(
    hooks: Hooks, receiver: Receiver, publish: Publish
) -> None:
    for _ in range(2):
        await hooks.create(receiver.url)
    again = told(hooks, "maria", "olga", event_id="e-1")
    await publish(again, again)
    await publish(again)
    await publish(told(hooks, "last"))
    await hooks.when_in(DELIVERED, 6)
    assert len({each.id for each in receiver.taken}) == 6
    assert len(receiver.taken) == 6


async def test_only_what_a_webhook_wants_is_sent(hooks: Hooks, receiver: Receiver, publish: Publish) -> None:
    kinds = [notify_pb2.NOTIFICATION_KIND_REWARD_REVERSED]
    created = await hooks.create(receiver.url, kinds)
    await publish(told(hooks, "maria"))
    await publish(told(hooks, "olga", change=events_pb2.REWARD_CHANGE_REVERSED))
    await hooks.when_in(DELIVERED)
    assert [each.data["participant_id"] for each in receiver.taken] == ["olga"]
    changed = await hooks.update(created.webhook.webhook_id, filter=webhook_pb2.KindFilter())
    assert not changed.filter.kinds
    await publish(told(hooks, "vera"))
    await hooks.when_in(DELIVERED, 2)


async def test_a_program_without_webhooks_asks_the_database_nothing_more(
    hooks: Hooks, receiver: Receiver, publish: Publish, notify: Running, new_program_id: Callable[[str], str]
) -> None:
    await hooks.create(receiver.url)  # another program's
    other = new_program_id("unhooked")
    statements: list[str] = []
    engine = notify.service.databases[Work.CONSUMING].engine.sync_engine

    def heard(_conn: object, _cursor: object, sql: str, *_: object) -> None:
        statements.append(sql)

    event.listen(engine, "before_cursor_execute", heard)
    try:
        await publish(reward_event(other, [earning("maria", 1, 5)]))
        await when_there(notify_pb2_grpc.InboxServiceStub(notify.channel), other, "maria", 1)
    finally:
        event.remove(engine, "before_cursor_execute", heard)
    assert len([each for each in statements if "INSERT INTO cause" in each]) == 1
    assert not [each for each in statements if "INSERT INTO delivery" in each or "FOR KEY SHARE" in each]


# Trying again


async def test_what_fails_is_sent_again_under_the_same_name(hooks: Hooks, receiver: Receiver, publish: Publish) -> None:
    created = await hooks.create(receiver.url)
    receiver.answers(500, 503, 204)
    await publish(told(hooks, "maria"))
    [delivery] = await hooks.when_in(DELIVERED)
    assert len({each.id for each in receiver.taken}) == 1
    for each in receiver.taken:
        each.verify(created.secret)
    assert delivery.attempt_count == 3
    attempts = (await hooks.history(delivery.delivery_id)).attempts
    assert [(each.http_status, each.error) for each in attempts] == [(500, "HTTP 500"), (503, "HTTP 503"), (204, "")]
    [webhook] = await hooks.listed()
    assert not webhook.HasField("failing_since")


async def test_one_persons_deliveries_go_in_order_and_hold_up_nobody_elses(
    hooks: Hooks, receiver: Receiver, publish: Publish
) -> None:
    await hooks.create(receiver.url)
    failed = 0

    async def answer(taken: Taken) -> web.StreamResponse:
        nonlocal failed
        if taken.data["participant_id"] == "maria" and taken.data["cause_id"] == "e-0" and failed < 4:
            failed += 1
            return web.Response(status=500)
        return web.Response(status=204)

    receiver.answer = answer
    for number in range(5):
        await publish(told(hooks, "maria", "olga", event_id=f"e-{number}"))
    await hooks.when_in(DELIVERED, 10)
    for person in ("maria", "olga"):
        causes = [each.data["cause_id"] for each in receiver.taken if each.data["participant_id"] == person]
        assert list(dict.fromkeys(causes)) == sorted(set(causes))
        assert causes == sorted(causes)


async def test_what_fails_for_good_is_parked_and_sent_again_by_a_person(
    hooks: Hooks, receiver: Receiver, publish: Publish
) -> None:
    created = await hooks.create(receiver.url)
    receiver.answers(400)
    await publish(told(hooks, "maria"))
    [parked] = await hooks.when_in(PARKED)
    assert parked.attempt_count == len(RETRY_SECONDS) + 1
    assert parked.error == "HTTP 400"
    receiver.answers(204)
    request_id = str(new_id())
    again = await hooks.redeliver(parked.delivery_id, request_id)
    assert again.state == PENDING
    assert await hooks.redeliver(parked.delivery_id, request_id) == again
    [delivered] = await hooks.when_in(DELIVERED)
    assert delivered.message_id == parked.message_id == receiver.taken[-1].id
    receiver.taken[-1].verify(created.secret)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await hooks.redeliver(parked.delivery_id)
    assert reason_of(caught.value) == "DELIVERY_NOT_PARKED"


async def test_a_delivery_that_is_refused_holds_up_nobody_elses(
    hooks: Hooks, receiver: Receiver, publish: Publish, servers: Servers
) -> None:
    await hooks.create(receiver.url)

    async def answer(taken: Taken) -> web.StreamResponse:
        return web.Response(status=422 if taken.data["participant_id"] == "maria" else 204)

    receiver.answer = answer
    await publish(told(hooks, "maria"))
    [parked] = await hooks.when_in(PARKED)
    assert parked.attempt_count == len(RETRY_SECONDS) + 1, "it keeps its attempts"
    failing = "SELECT failure_count, failing_since, rest_until FROM notify.webhook WHERE program_id = %(program)s"
    assert await statement(servers, failing, program=hooks.program_id) == [(0, None, None)]
    await publish(told(hooks, "olga"))
    await hooks.when_in(DELIVERED)


async def test_a_clock_of_the_database_that_goes_back_holds_nobody_up(
    hooks: Hooks, receiver: Receiver, publish: Publish, servers: Servers
) -> None:
    webhook_id = (await hooks.create(receiver.url)).webhook.webhook_id
    await fail_once(hooks, receiver, publish, webhook_id, "maria")
    ahead = "clock_timestamp() + interval '30 days'"
    await statement(
        servers,
        f"UPDATE notify.delivery_lane SET due_time = {ahead} WHERE endpoint_id = %(webhook)s",
        webhook=webhook_id,
    )
    await hooks.update(webhook_id, state=webhook_pb2.WEBHOOK_STATE_ENABLED)
    await statement(
        servers,
        f"UPDATE notify.webhook SET failure_count = 1, rest_until = {ahead} WHERE webhook_id = %(webhook)s",
        webhook=webhook_id,
    )
    await hooks.when_in(DELIVERED)


async def test_a_redirect_is_not_followed(hooks: Hooks, receiver: Receiver, publish: Publish) -> None:
    async with receiving() as elsewhere:
        await hooks.create(receiver.url)
        receiver.answers(307, Location=elsewhere.url)
        await publish(told(hooks, "maria"))
        [parked] = await hooks.when_in(PARKED)
        assert parked.error == "HTTP 307, and redirects are not followed"
        assert not elsewhere.taken


async def test_one_who_is_gone_is_switched_off_and_begins_anew(
    hooks: Hooks, receiver: Receiver, publish: Publish
) -> None:
    created = await hooks.create(receiver.url)
    receiver.answers(410)
    await publish(told(hooks, "maria", event_id="e-1"))
    await hooks.when_in(PARKED)
    [webhook] = await hooks.listed()
    assert webhook.state == webhook_pb2.WEBHOOK_STATE_SWITCHED_OFF
    assert "410" in webhook.switched_off_reason
    await publish(told(hooks, "olga"))  # which it does not get
    receiver.answers(204)
    webhook = await hooks.update(created.webhook.webhook_id, state=webhook_pb2.WEBHOOK_STATE_ENABLED)
    assert (webhook.state, webhook.switched_off_reason) == (webhook_pb2.WEBHOOK_STATE_ENABLED, "")
    await publish(told(hooks, "vera"))
    await hooks.when_in(DELIVERED)
    assert [each.data["participant_id"] for each in receiver.taken] == ["maria", "vera"]


async def test_one_who_fails_for_days_is_switched_off_and_what_waits_goes_on_waiting(
    hooks: Hooks, receiver: Receiver, publish: Publish, servers: Servers
) -> None:
    created = await hooks.create(receiver.url)
    gate = asyncio.Event()

    async def answer(_: Taken) -> web.StreamResponse:
        await gate.wait()
        return web.Response(status=500)

    receiver.answer = answer
    await publish(told(hooks, "maria"))
    await receiver.when_taken(1)
    await statement(
        servers,
        "UPDATE notify.webhook SET failing_since = now() - interval '6 days' WHERE program_id = %(program)s",
        program=hooks.program_id,
    )
    gate.set()
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (await hooks.listed())[0].state != webhook_pb2.WEBHOOK_STATE_SWITCHED_OFF:
            await asyncio.sleep(0.02)
    assert "5 days" in (await hooks.listed())[0].switched_off_reason
    [waiting] = await hooks.when_in(RETRYING)
    assert waiting.HasField("next_attempt_time")
    receiver.answer = None
    await hooks.update(created.webhook.webhook_id, state=webhook_pb2.WEBHOOK_STATE_ENABLED)
    await hooks.when_in(DELIVERED)


async def test_a_slow_endpoint_holds_up_no_other(hooks: Hooks, receiver: Receiver, publish: Publish) -> None:
    gate = asyncio.Event()

    async def answer(_: Taken) -> web.StreamResponse:
        await gate.wait()
        return web.Response(status=204)

    receiver.answer = answer
    await hooks.create(receiver.url)
    await publish(told(hooks, *(f"slow-{number}" for number in range(30))))
    await receiver.when_taken(10)
    quick_hooks = Hooks(hooks.service, f"{hooks.program_id}-quick")
    async with receiving() as quick:
        await quick_hooks.create(quick.url)
        await publish(reward_event(quick_hooks.program_id, [earning(f"quick-{each}", 1, 5) for each in range(30)]))
        await quick_hooks.when_in(DELIVERED, 30)
    assert receiver.most_under_way == 10
    gate.set()
    await hooks.when_in(DELIVERED, 30)
    assert len(receiver.taken) == 30


async def test_a_flapping_endpoint_gets_everything_once(hooks: Hooks, receiver: Receiver, publish: Publish) -> None:
    await hooks.create(receiver.url)
    count, accepted = 0, []

    async def answer(taken: Taken) -> web.StreamResponse:
        nonlocal count
        count += 1
        if count % 3 == 0:
            return web.Response(status=502)
        accepted.append((taken.data["participant_id"], taken.data["cause_id"]))
        return web.Response(status=204)

    receiver.answer = answer
    for number in range(4):
        await publish(told(hooks, *(f"p-{each}" for each in range(10)), event_id=f"e-{number}"))
    await hooks.when_in(DELIVERED, 40, 3 * DEADLINE_SECONDS)
    assert len(accepted) == len(set(accepted)) == 40
    for person in {person for person, _ in accepted}:
        causes = [cause for one, cause in accepted if one == person]
        assert causes == sorted(causes)


async def test_several_processes_share_the_work(
    hooks: Hooks, receiver: Receiver, publish: Publish, notify_factory: NotifyFactory
) -> None:
    await hooks.create(receiver.url)
    async with notify_factory() as another:
        hurry(another)
        for number in range(4):
            await publish(told(hooks, *(f"p-{each}" for each in range(50)), event_id=f"e-{number}"))
        written = await hooks.when_in(DELIVERED, 200, 3 * DEADLINE_SECONDS)
    assert len({each.id for each in receiver.taken}) == len(receiver.taken) == 200
    for person in {each.data["participant_id"] for each in receiver.taken}:
        names = [each.id for each in receiver.taken if each.data["participant_id"] == person]
        assert names == [each.message_id for each in reversed(written) if each.participant_id == person]


# Webhooks and their secrets


async def test_while_a_secret_is_replaced_both_sign(hooks: Hooks, receiver: Receiver, publish: Publish) -> None:
    first = await hooks.create(receiver.url)
    second = await hooks.rotate(first.webhook.webhook_id)
    assert second.secret != first.secret
    assert second.webhook.HasField("previous_secret_until")
    await publish(told(hooks, "maria"))
    [taken] = await receiver.when_taken(1)
    taken.verify(first.secret)
    taken.verify(second.secret)
    third = await hooks.rotate(first.webhook.webhook_id, hours=0)
    assert not third.webhook.HasField("previous_secret_until")
    await publish(told(hooks, "olga"))
    _, taken = await receiver.when_taken(2)
    taken.verify(third.secret)
    for old in (first, second):
        with pytest.raises(WebhookVerificationError):
            taken.verify(old.secret)


async def test_no_secret_is_stored_and_a_repeated_call_answers_it_again(
    hooks: Hooks, receiver: Receiver, servers: Servers
) -> None:
    request_id = str(new_id())
    created = await hooks.create(receiver.url, request_id=request_id)
    assert await hooks.create(receiver.url, request_id=request_id) == created
    await hooks.rotate(created.webhook.webhook_id)
    assert await hooks.create(receiver.url, request_id=request_id) == created
    for table in ("webhook", "program_request"):
        rows = await statement(servers, f"SELECT t::text, convert_to(t::text, 'UTF8') FROM notify.{table} AS t")
        assert rows
        assert not [row for row in rows if created.secret.removeprefix("whsec_") in str(row[0])]
    stored = await statement(
        servers, "SELECT response FROM notify.program_request WHERE request_id = %(id)s", id=request_id
    )
    assert created.secret.encode() not in bytes(stored[0][0])  # type: ignore[call-overload]
    assert not [each for each in await hooks.listed() if created.secret in str(each)]


async def test_a_program_has_at_most_twenty_webhooks(hooks: Hooks, receiver: Receiver) -> None:
    calls = [hooks.create(receiver.url) for _ in range(25)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    refused = [each for each in answers if isinstance(each, grpc.aio.AioRpcError)]
    assert {reason_of(each) for each in refused} == {"TOO_MANY_WEBHOOKS"}
    assert len(refused) == 5
    assert len(await hooks.listed()) == 20


async def test_what_waits_for_a_webhook_that_is_removed_is_parked(
    hooks: Hooks, receiver: Receiver, publish: Publish
) -> None:
    created = await hooks.create(receiver.url)
    await fail_once(hooks, receiver, publish, created.webhook.webhook_id, "maria")
    assert await hooks.delete(created.webhook.webhook_id) == 1
    [parked] = await hooks.when_in(PARKED)
    assert parked.error == "its webhook was removed"
    for refused in (hooks.redeliver(parked.delivery_id), hooks.delete(created.webhook.webhook_id)):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await refused
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert reason_of(caught.value) == "WEBHOOK_NOT_FOUND"


async def test_nobody_reads_or_changes_another_programs(hooks: Hooks, receiver: Receiver, publish: Publish) -> None:
    created = await hooks.create(receiver.url)
    await publish(told(hooks, "maria"))
    [delivery] = await hooks.when_in(DELIVERED)
    other = Hooks(hooks.service, f"{hooks.program_id}-other")
    webhook_id = created.webhook.webhook_id
    for call in (
        other.rotate(webhook_id),
        other.update(webhook_id, state=webhook_pb2.WEBHOOK_STATE_DISABLED),
        other.delete(webhook_id),
        other.history(delivery.delivery_id),
        other.redeliver(delivery.delivery_id),
        other.history("no id"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert not (await other.page()).deliveries
    assert not await other.listed()


# Lists


async def test_deliveries_are_listed_by_person_cause_and_state_in_pages(
    hooks: Hooks, receiver: Receiver, publish: Publish
) -> None:
    await hooks.create(receiver.url)
    for number in range(3):
        await publish(told(hooks, "maria", "olga", event_id=f"e-{number}"))
    await hooks.when_in(DELIVERED, 6)

    async def all_of(**fields: object) -> list[tuple[str, str]]:
        found, token = [], ""
        while True:
            page = await hooks.page(page_size=2, page_token=token, **fields)
            found += [(each.participant_id, each.cause_id) for each in page.deliveries]
            if not (token := page.next_page_token):
                return found

    everything = await all_of()
    assert len(everything) == len(set(everything)) == 6
    assert await all_of(state=DELIVERED) == everything
    assert await all_of(state=PARKED) == []
    assert await all_of(participant_id="maria") == [("maria", f"e-{number}") for number in (2, 1, 0)]
    assert sorted(await all_of(cause_id="e-1")) == [("maria", "e-1"), ("olga", "e-1")]
    assert await all_of(cause_id="e-1", participant_id="olga") == [("olga", "e-1")]
    assert await all_of(cause_id="e-9") == []


# What stands, and what goes


async def test_what_waits_for_a_person_is_told_by_metrics(
    hooks: Hooks, receiver: Receiver, publish: Publish, notify: Running
) -> None:
    await hooks.create(receiver.url)
    receiver.answers(410)
    await publish(told(hooks, "maria", "olga"))
    await hooks.when_in(PARKED)
    async with notify.service.database.transaction() as conn:
        for tell in measures.all_of():
            await tell(conn)
        assert (await deliveries.parked(conn))[hooks.program_id].number >= 1
        assert (await webhook_store.switched_off(conn))[hooks.program_id] == 1
    names = {metric.name for metric in REGISTRY.collect() for sample in metric.samples if sample.value}
    assert {"upline_deliveries_parked", "upline_webhooks_switched_off"} <= names


async def test_deliveries_go_when_they_have_ended_for_their_life_and_no_cause_is_sent_again(
    hooks: Hooks, receiver: Receiver, publish: Publish, servers: Servers, notify: Running
) -> None:
    created = await hooks.create(receiver.url)
    old = told(hooks, "maria", "olga", event_id="e-1")
    await publish(old)
    await hooks.when_in(DELIVERED, 2)
    await fail_once(hooks, receiver, publish, created.webhook.webhook_id, "vera")
    await statement(
        servers,
        "UPDATE notify.delivery SET update_time = now() - interval '100 days'"
        " WHERE program_id = %(program)s AND participant_id <> 'olga'",
        program=hooks.program_id,
    )
    await statement(servers, "DELETE FROM notify.retention WHERE life = 'deliveries'")
    [life] = [each for each in jobs.lives(servers.telling(), notify.service.clock) if each.name == "deliveries"]
    await retention.sweep(notify.service.database, notify.service.clock, life)
    left = (await hooks.page()).deliveries
    assert [each.participant_id for each in left] == ["vera", "olga"], "what waits stays, and what is younger"
    await hooks.update(created.webhook.webhook_id, state=webhook_pb2.WEBHOOK_STATE_ENABLED)
    await publish(old)
    await publish(told(hooks, "last", event_id="e-3"))
    await hooks.when_in(DELIVERED, 3)
    assert sorted(each.participant_id for each in (await hooks.page()).deliveries) == ["last", "olga", "vera"]


async def test_what_is_not_kept_any_more_is_parked_and_listed(
    hooks: Hooks, receiver: Receiver, publish: Publish, servers: Servers
) -> None:
    created = await hooks.create(receiver.url)
    await fail_once(hooks, receiver, publish, created.webhook.webhook_id, "maria")
    for table in ("inbox_entry", "cause"):
        await statement(servers, f"DELETE FROM notify.{table} WHERE program_id = %(program)s", program=hooks.program_id)
    await hooks.update(created.webhook.webhook_id, state=webhook_pb2.WEBHOOK_STATE_ENABLED)
    [parked] = await hooks.when_in(PARKED)
    assert (parked.cause_id, parked.error) == ("", "what it told of is not kept any more")
    [webhook] = await hooks.listed()
    assert webhook.state == webhook_pb2.WEBHOOK_STATE_ENABLED
