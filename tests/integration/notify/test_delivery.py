"""Delivery: everyone who earned is told, once."""

import asyncio
from collections.abc import Callable
from datetime import UTC, timedelta

import psycopg
import pytest
from upline.notify.v1 import notify_pb2, notify_pb2_grpc
from upline.rewards.v1 import events_pb2

from chassis.consumer import SomeFailedError
from chassis.ids import new_id
from chassis.stream import Message, Stream
from chassis.topology import REWARDS
from services.notify.commands.deps import Deps
from services.notify.consumer import RewardEvents
from tests.conftest import Servers
from tests.integration.notify.conftest import (
    MOMENT,
    NotifyFactory,
    Publish,
    earning,
    listed,
    reward_event,
    when_settled,
    when_there,
)
from tests.running import DEADLINE_SECONDS, Running

Inboxes = notify_pb2_grpc.InboxServiceStub
NewProgram = Callable[[str], str]


async def test_the_whole_upline_is_told(inboxes: Inboxes, publish: Publish, new_program_id: NewProgram) -> None:
    program = new_program_id("told")
    await publish(
        reward_event(program, [earning("vera", 0, 50), earning("maria", 1, 21), earning("olga", 2, 5)], event_id="e-1")
    )
    for level, (person, amount) in enumerate([("vera", 50), ("maria", 21), ("olga", 5)]):
        [entry] = await when_there(inboxes, program, person, 1)
        assert (entry.level, entry.cause_id, entry.buyer_id, entry.conversion_id) == (level, "e-1", "vera", "order-1")
        assert [(each.asset, each.amount_minor) for each in entry.amounts] == [("points", amount)]
        assert entry.kind == notify_pb2.NOTIFICATION_KIND_REWARD_EARNED
        assert not entry.read


async def test_several_amounts_for_one_person_make_one_entry(
    inboxes: Inboxes, publish: Publish, new_program_id: NewProgram
) -> None:
    program = new_program_id("summed")
    later = MOMENT + timedelta(days=14)
    await publish(
        reward_event(
            program,
            [
                earning("maria", 1, 20),
                earning("maria", 1, 1, hold_until=later),
                earning("maria", 2, 317, "RUB", MOMENT + timedelta(days=7)),
            ],
        )
    )
    [entry] = await when_there(inboxes, program, "maria", 1)
    assert [(each.asset, each.amount_minor) for each in entry.amounts] == [("points", 21), ("RUB", 317)]
    assert (entry.kind, entry.level) == (notify_pb2.NOTIFICATION_KIND_REWARD_EARNED, 1)
    assert entry.hold_until.ToDatetime(MOMENT.tzinfo) == later
    assert "On hold until March 19, 2026: 1 point and RUB3.17." in entry.body


async def test_each_change_of_a_conversion_is_told(
    inboxes: Inboxes, publish: Publish, new_program_id: NewProgram
) -> None:
    program = new_program_id("changes")
    await publish(
        reward_event(program, [earning("maria", 1, 5, hold_until=MOMENT + timedelta(days=14))]),
        reward_event(program, [earning("maria", 1, 5)], events_pb2.REWARD_CHANGE_RELEASED),
        reward_event(program, [earning("maria", 1, 5)], events_pb2.REWARD_CHANGE_REVERSED),
    )
    entries = await when_there(inboxes, program, "maria", 3)
    assert [each.kind for each in entries] == [
        notify_pb2.NOTIFICATION_KIND_REWARD_REVERSED,
        notify_pb2.NOTIFICATION_KIND_REWARD_RELEASED,
        notify_pb2.NOTIFICATION_KIND_REWARD_HELD,
    ]
    assert [each.entry_id for each in entries] == sorted((each.entry_id for each in entries), reverse=True)


async def test_duplicates_and_reordering_change_nothing(
    inboxes: Inboxes, publish: Publish, broker: Stream, new_program_id: NewProgram
) -> None:
    program = new_program_id("dup")
    events = [reward_event(program, [earning("maria", 1, n + 1), earning("olga", 2, n + 1)]) for n in range(20)]
    await publish(*events, *events)
    await publish(*reversed(events))
    for each in events:
        await publish(each)
    await when_settled(broker)
    for person in ("maria", "olga"):
        entries = (await listed(inboxes, program, person)).entries
        assert sorted(each.cause_id for each in entries) == sorted(each.event_id for each in events)


async def test_two_instances_race_for_the_same_events(
    inboxes: Inboxes, publish: Publish, broker: Stream, notify_factory: NotifyFactory, new_program_id: NewProgram
) -> None:
    program = new_program_id("race")
    events = [reward_event(program, [earning("maria", 1, 1), earning(f"p{n}", 2, 1)]) for n in range(200)]
    async with notify_factory():
        for start in range(0, 200, 20):
            portion = events[start : start + 40]
            await asyncio.gather(publish(*portion), publish(*reversed(portion)), *(publish(each) for each in portion))
        await when_settled(broker)
    entries = (await listed(inboxes, program, "maria", page_size=1000)).entries
    assert sorted(each.cause_id for each in entries) == sorted(each.event_id for each in events)
    for n in (0, 100, 199):
        assert len((await listed(inboxes, program, f"p{n}")).entries) == 1


async def test_the_same_commands_at_once_write_once(servers: Servers, new_program_id: NewProgram) -> None:
    """The commands are called directly: the broker would hardly hand the same message to two workers at the same
    instant."""
    from chassis.clock import SystemClock
    from chassis.database import Database
    from services.notify.commands.deliver import deliver
    from services.notify.commands.deps import Deps
    from services.notify.wire.events import read_cause

    program = new_program_id("instant")
    settings = servers.settings("notify")
    databases = [Database(settings.database_url, "notify") for _ in range(4)]
    stream = await Stream.connect(settings.nats_url, "race")
    causes = [read_cause(reward_event(program, [earning("maria", 1, 1)])) for _ in range(300)]
    orders = [causes, causes[::-1], causes[150:] + causes[:150], causes[::2] + causes[1::2]]
    await asyncio.gather(
        *(
            deliver(Deps(database, stream, SystemClock()), order)
            for database, order in zip(databases, orders, strict=True)
        )
    )
    with psycopg.connect(servers.postgres.url) as conn:
        found = conn.execute(
            "SELECT count(*), count(DISTINCT entry_id) FROM notify.inbox_entry WHERE program_id = %s", [program]
        ).fetchone()
    assert found == (300, 300)
    for database in databases:
        await database.close()
    await stream.close()


async def test_a_broken_event_harms_only_itself(
    inboxes: Inboxes,
    publish: Publish,
    broker: Stream,
    servers: Servers,
    new_program_id: NewProgram,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chassis.dead_letters.MAX_ATTEMPTS", 2)  # for the stream is shared, and has to become empty
    program = new_program_id("broken")
    broken = reward_event(program, [earning("maria", 1, 7, asset="unheard_of")])
    await publish(
        reward_event(program, [earning("maria", 1, 1)]), broken, reward_event(program, [earning("olga", 2, 1)])
    )
    await broker.publish(Message(REWARDS.subject, str(new_id()), "upline.rewards.v1.RewardEventBatch", b"\xff\xff"))
    assert len(await when_there(inboxes, program, "maria", 1)) == 1
    assert len(await when_there(inboxes, program, "olga", 1)) == 1
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            with psycopg.connect(servers.postgres.url) as conn:
                failures = [
                    row[0] for row in conn.execute("SELECT error FROM notify.dead_letter WHERE park_time IS NOT NULL")
                ]
            if any(broken.event_id in each for each in failures) and any("DecodeError" in each for each in failures):
                break
            await asyncio.sleep(0.05)
    assert len((await listed(inboxes, program, "maria")).entries) == 1


async def test_names_with_any_character_arrive_whole(
    inboxes: Inboxes, publish: Publish, new_program_id: NewProgram
) -> None:
    program = new_program_id("names")
    name = 'a\\N\tb\nc"\\.\r{}'
    await publish(reward_event(program, [earning(name, 1, 1)]))
    assert len(await when_there(inboxes, program, name, 1)) == 1


async def test_refusals_and_what_expires_are_told_in_both_languages(
    inboxes: Inboxes,
    preferences: notify_pb2_grpc.PreferenceServiceStub,
    publish: Publish,
    new_program_id: NewProgram,
) -> None:
    program = new_program_id("warned")
    await prefers_russian(preferences, program, "olga")
    refused = reward_event(program, [earning("maria", 1, 21), earning("olga", 2, 5)], event_id="rejection:1")
    refused.change = events_pb2.REWARD_CHANGE_REJECTED
    expiring = reward_event(program, [earning("olga", 0, 70)], event_id="expiring:1")
    expiring.change = events_pb2.REWARD_CHANGE_EXPIRING
    expiring.conversion_id = expiring.event_type = ""
    expiring.earnings[0].expire_time.FromDatetime(MOMENT + timedelta(days=7))
    await publish(refused, expiring)
    [told] = await when_there(inboxes, program, "maria", 1)
    assert told.kind == notify_pb2.NOTIFICATION_KIND_REWARD_REJECTED
    assert told.title == "Not granted: 21 points"
    by_kind = {each.kind: each for each in await when_there(inboxes, program, "olga", 2)}
    assert "Отказано" in by_kind[notify_pb2.NOTIFICATION_KIND_REWARD_REJECTED].title
    warning = by_kind[notify_pb2.NOTIFICATION_KIND_EXPIRING]
    assert warning.title == "Скоро сгорит: 70 баллов"
    assert warning.hold_until.ToDatetime(tzinfo=UTC) == MOMENT + timedelta(days=7)


async def test_who_is_refused_is_told_why(
    inboxes: Inboxes,
    preferences: notify_pb2_grpc.PreferenceServiceStub,
    publish: Publish,
    new_program_id: NewProgram,
) -> None:
    program = new_program_id("refused")
    await prefers_russian(preferences, program, "olga")
    event = reward_event(program, [earning("maria", 1, 21), earning("olga", 2, 2)], events_pb2.REWARD_CHANGE_REJECTED)
    event.reason = "not a {company}, \u00abvera\u00bb\t\\N"
    await publish(event)
    [english] = await when_there(inboxes, program, "maria", 1)
    assert english.reason == event.reason
    assert english.body == (
        f"The purchase of a friend in {program} was checked, and 21 points for it will not be credited. Reason: "
        f"{event.reason}"
    )
    [russian] = await when_there(inboxes, program, "olga", 1)
    assert russian.body.endswith(f"начисления не будет: 2 балла. Причина: {event.reason}")


async def test_winners_are_told_their_rank_and_prize_in_both_languages(
    inboxes: Inboxes,
    preferences: notify_pb2_grpc.PreferenceServiceStub,
    publish: Publish,
    new_program_id: NewProgram,
) -> None:
    program = new_program_id("won")
    await prefers_russian(preferences, program, "olga")
    prizes = [earning("maria", 0, 500), earning("maria", 0, 3000, "RUB"), earning("olga", 0, 100)]
    for rank, each in zip((1, 1, 2), prizes, strict=True):
        each.rank = rank
    won = reward_event(program, prizes, events_pb2.REWARD_CHANGE_PRIZE_WON, f"contest:{program}/spring_race", buyer="")
    won.conversion_id, won.event_type, won.contest_id = "", "", "spring_race"
    await publish(won, won)
    await publish(won, reward_event(program, [earning("maria", 1, 1)]))
    _later, first = await when_there(inboxes, program, "maria", 2)
    assert (first.kind, first.contest_id, first.rank) == (notify_pb2.NOTIFICATION_KIND_PRIZE_WON, "spring_race", 1)
    assert first.title == "You won 500 points and RUB30.00"
    assert first.body == (
        f"Congratulations! Place 1 in the contest “spring race” of {program} brings you 500 points and RUB30.00."
    )
    [second] = await when_there(inboxes, program, "olga", 1)
    assert (second.rank, second.title) == (2, "Ваш приз: 100 баллов")
    assert f"в конкурсе «spring race» программы {program} — 2-е, и за него вы получаете 100 баллов." in second.body


async def prefers_russian(preferences: notify_pb2_grpc.PreferenceServiceStub, program: str, participant: str) -> None:
    """Sets a participant's language."""
    request = notify_pb2.UpdatePreferencesRequest(
        request_id=program,
        program_id=program,
        participant_id=participant,
        preferences=notify_pb2.Preferences(locale="ru"),
    )
    await preferences.UpdatePreferences(request, timeout=DEADLINE_SECONDS)


async def test_an_event_that_waits_holds_up_no_other_that_came_with_it(
    notify: Running, inboxes: Inboxes, servers: Servers, new_program_id: NewProgram
) -> None:
    slow, quick = new_program_id("slow"), new_program_id("quick")

    def told(program: str, event_id: str) -> events_pb2.RewardEvent:
        return reward_event(program, [earning("maria", 1, 1)], event_id=event_id)

    def batch(*events: events_pb2.RewardEvent) -> bytes:
        return events_pb2.RewardEventBatch(events=events).SerializeToString()

    unusable = told(quick, "unusable")
    unusable.earnings[0].amount_minor = 0
    deps = Deps(notify.service.database, notify.service.stream, notify.service.clock)
    payloads = [
        batch(told(slow, "waits"), told(quick, "0")),
        batch(told(quick, "1")),
        batch(told(quick, "2"), unusable, told(quick, "3")),
        b"\xff",
    ]
    async with await psycopg.AsyncConnection.connect(servers.postgres.url) as conn:
        # Another process that is about to write the same cause, and does not get on.
        await conn.execute(
            """INSERT INTO notify.cause (entry_id, program_id, event_id, conversion_id, event_type, buyer_id,
                occurred_at, assets, texts_version, create_time)
            VALUES (gen_random_uuid(), %s, 'waits', 'order-1', 'order', 'vera', now(), '[]', 0, now())""",
            [slow],
        )
        with pytest.raises(SomeFailedError) as failed:
            await RewardEvents(deps).handle(payloads)
        await conn.rollback()
    assert failed.value.failures.keys() == {0, 2, 3}
    assert {each.cause_id for each in (await listed(inboxes, quick, "maria")).entries} == {"0", "1", "2", "3"}
    await RewardEvents(deps).handle(payloads[:2])
    assert [each.cause_id for each in (await listed(inboxes, slow, "maria")).entries] == ["waits"]
