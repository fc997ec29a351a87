"""Every method with a `request_id`: the same call twice is carried out once and answered alike; another call under the
same id is refused."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

import grpc
import psycopg
import pytest
import pytest_asyncio
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from upline.attribution.v1 import link_pb2, participant_pb2, program_pb2
from upline.notify.v1 import contact_pb2, notify_pb2, webhook_pb2
from upline.rewards.v1 import plan_pb2
from upline.type.v1 import asset_pb2

from chassis.idempotency import body_hash
from chassis.ids import id_at
from tests.conftest import Servers
from tests.contract.conftest import Channels
from tests.contract.surface import METHODS, call, owner
from tests.errors import reason_of

BY_NAME = {each.full_name.removeprefix("upline."): each for each in METHODS}
REPEATABLE = sorted(name for name, each in BY_NAME.items() if "request_id" in each.input_type.fields_by_name)
CALLS_AT_ONCE = 5


def program(program_id: str, title: str = "One") -> program_pb2.Program:
    """A program."""
    policy = program_pb2.AttributionPolicy(
        touch=program_pb2.TOUCH_LAST,
        binding=program_pb2.BINDING_LIFETIME,
        bindable=program_pb2.BINDABLE_UNBOUND,
    )
    policy.window.seconds = 86_400
    return program_pb2.Program(
        program_id=program_id, title=title, currency_code="EUR", policy=policy, allowed_hosts=["shop.example"]
    )


def plan(percent: str) -> plan_pb2.Plan:
    """A plan of one rule."""
    rule = plan_pb2.Rule(
        rule_id="upline",
        on=["order"],
        to=plan_pb2.Beneficiary(upline=plan_pb2.UplineLevels(from_level=1, to_level=1)),
        amount=plan_pb2.Amount(percent=plan_pb2.PercentAmount(percent=percent)),
        asset="EUR",
    )
    return plan_pb2.Plan(assets=[asset_pb2.Asset(code="EUR", kind=asset_pb2.ASSET_KIND_MONEY)], rules=[rule])


def draft(participant_id: str, region: str = "north") -> participant_pb2.ParticipantDraft:
    """Somebody to enrol."""
    return participant_pb2.ParticipantDraft(participant_id=participant_id, attributes={"region": region})


def contact(participant_id: str) -> contact_pb2.Contact:
    """Somebody's name."""
    return contact_pb2.Contact(participant_id=participant_id, display_name=participant_id.title())


def webhook_id(program_id: str) -> str:
    """The id of the webhook that each program has from the beginning, which is switched off."""
    return str(uuid5(NAMESPACE_URL, f"webhook of {program_id}"))


def delivery_id(program_id: str) -> str:
    """The id of the delivery to it, which is parked."""
    return str(uuid5(NAMESPACE_URL, f"delivery of {program_id}"))


ENTRY = "00000000-0000-7000-8000-000000000001"
OTHER_ENTRY = "00000000-0000-7000-8000-000000000002"
DISABLED = webhook_pb2.WEBHOOK_STATE_DISABLED
Pair = Callable[[str], tuple[Message, Message]]
"""Makes, for a program's id, a request and another one with the same `request_id`."""

PAIRS: dict[str, Pair] = {
    "attribution.v1.ProgramService.CreateProgram": lambda p: (
        program_pb2.CreateProgramRequest(request_id=p, program=program(f"{p}-new")),
        program_pb2.CreateProgramRequest(request_id=p, program=program(f"{p}-new", "Two")),
    ),
    "attribution.v1.ProgramService.UpdateProgram": lambda p: (
        program_pb2.UpdateProgramRequest(request_id=p, program=program(p, "Three")),
        program_pb2.UpdateProgramRequest(request_id=p, program=program(p, "Four")),
    ),
    "attribution.v1.ParticipantService.EnrollParticipant": lambda p: (
        participant_pb2.EnrollParticipantRequest(request_id=p, program_id=p, participant=draft("carl")),
        participant_pb2.EnrollParticipantRequest(request_id=p, program_id=p, participant=draft("dora")),
    ),
    "attribution.v1.ParticipantService.EnrollParticipants": lambda p: (
        participant_pb2.EnrollParticipantsRequest(request_id=p, program_id=p, participants=[draft("emil")]),
        participant_pb2.EnrollParticipantsRequest(request_id=p, program_id=p, participants=[draft("emil", "south")]),
    ),
    "attribution.v1.ParticipantService.UpdateParticipant": lambda p: (
        participant_pb2.UpdateParticipantRequest(
            request_id=p, program_id=p, participant_id="anna", attributes={"tier": "gold"}
        ),
        participant_pb2.UpdateParticipantRequest(
            request_id=p, program_id=p, participant_id="anna", attributes={"tier": "iron"}
        ),
    ),
    "attribution.v1.ParticipantService.BindSponsor": lambda p: (
        participant_pb2.BindSponsorRequest(request_id=p, program_id=p, participant_id="ben", sponsor_id="anna"),
        participant_pb2.BindSponsorRequest(request_id=p, program_id=p, participant_id="anna", sponsor_id="ben"),
    ),
    "attribution.v1.LinkService.CreateLink": lambda p: (
        link_pb2.CreateLinkRequest(
            request_id=p, program_id=p, participant_id="anna", destination_url="https://shop.example/a"
        ),
        link_pb2.CreateLinkRequest(
            request_id=p, program_id=p, participant_id="anna", destination_url="https://shop.example/b"
        ),
    ),
    "attribution.v1.LinkService.CreateCode": lambda p: (
        link_pb2.CreateCodeRequest(request_id=p, program_id=p, participant_id="anna"),
        link_pb2.CreateCodeRequest(request_id=p, program_id=p, participant_id="ben"),
    ),
    "attribution.v1.LinkService.RecordShare": lambda p: (
        link_pb2.RecordShareRequest(request_id=p, program_id=p, participant_id="anna", channel="mail"),
        link_pb2.RecordShareRequest(request_id=p, program_id=p, participant_id="anna", channel="phone"),
    ),
    "rewards.v1.PlanService.PublishPlan": lambda p: (
        plan_pb2.PublishPlanRequest(request_id=p, program_id=p, plan=plan("5"), currency_code="EUR"),
        plan_pb2.PublishPlanRequest(request_id=p, program_id=p, plan=plan("6"), currency_code="EUR"),
    ),
    "notify.v1.TextService.PublishTexts": lambda p: (
        notify_pb2.PublishTextsRequest(request_id=p, program_id=p, texts=notify_pb2.ProgramTexts(program_title="One")),
        notify_pb2.PublishTextsRequest(request_id=p, program_id=p, texts=notify_pb2.ProgramTexts(program_title="Two")),
    ),
    "notify.v1.PreferenceService.UpdatePreferences": lambda p: (
        notify_pb2.UpdatePreferencesRequest(
            request_id=p, program_id=p, participant_id="anna", preferences=notify_pb2.Preferences(locale="ru")
        ),
        notify_pb2.UpdatePreferencesRequest(
            request_id=p, program_id=p, participant_id="anna", preferences=notify_pb2.Preferences(locale="en")
        ),
    ),
    "notify.v1.ContactService.UpdateContact": lambda p: (
        contact_pb2.UpdateContactRequest(request_id=p, program_id=p, contact=contact("anna")),
        contact_pb2.UpdateContactRequest(request_id=p, program_id=p, contact=contact("ben")),
    ),
    "notify.v1.ContactService.BatchUpdateContacts": lambda p: (
        contact_pb2.BatchUpdateContactsRequest(request_id=p, program_id=p, contacts=[contact("anna")]),
        contact_pb2.BatchUpdateContactsRequest(request_id=p, program_id=p, contacts=[contact("anna"), contact("ben")]),
    ),
    "notify.v1.ContactService.EraseContact": lambda p: (
        contact_pb2.EraseContactRequest(request_id=p, program_id=p, participant_id="anna"),
        contact_pb2.EraseContactRequest(request_id=p, program_id=p, participant_id="ben"),
    ),
    "notify.v1.InboxService.MarkInboxRead": lambda p: (
        notify_pb2.MarkInboxReadRequest(request_id=p, program_id=p, participant_id="anna", up_to_entry_id=ENTRY),
        notify_pb2.MarkInboxReadRequest(request_id=p, program_id=p, participant_id="anna", up_to_entry_id=OTHER_ENTRY),
    ),
    "notify.v1.WebhookService.CreateWebhook": lambda p: (
        webhook_pb2.CreateWebhookRequest(request_id=p, program_id=p, url="https://hooks.invalid/a"),
        webhook_pb2.CreateWebhookRequest(request_id=p, program_id=p, url="https://hooks.invalid/b"),
    ),
    "notify.v1.WebhookService.RotateWebhookSecret": lambda p: (
        webhook_pb2.RotateWebhookSecretRequest(request_id=p, program_id=p, webhook_id=webhook_id(p)),
        webhook_pb2.RotateWebhookSecretRequest(request_id=p, program_id=p, webhook_id=webhook_id(p), overlap_hours=0),
    ),
    "notify.v1.WebhookService.UpdateWebhook": lambda p: (
        webhook_pb2.UpdateWebhookRequest(request_id=p, program_id=p, webhook_id=webhook_id(p), state=DISABLED),
        webhook_pb2.UpdateWebhookRequest(
            request_id=p, program_id=p, webhook_id=webhook_id(p), filter=webhook_pb2.KindFilter()
        ),
    ),
    "notify.v1.WebhookService.DeleteWebhook": lambda p: (
        webhook_pb2.DeleteWebhookRequest(request_id=p, program_id=p, webhook_id=webhook_id(p)),
        webhook_pb2.DeleteWebhookRequest(request_id=p, program_id=p, webhook_id=ENTRY),
    ),
    "notify.v1.DeliveryService.RedeliverDelivery": lambda p: (
        webhook_pb2.RedeliverDeliveryRequest(request_id=p, program_id=p, delivery_id=delivery_id(p)),
        webhook_pb2.RedeliverDeliveryRequest(request_id=p, program_id=p, delivery_id=ENTRY),
    ),
}


NewProgram = Callable[[], Awaitable[str]]


@pytest.fixture
def new_program(channels: Channels, new_program_id: Callable[[str], str], servers: Servers) -> NewProgram:
    """Makes programs with two people who have no sponsor, a webhook that is switched off and a parked delivery to it;
    returns the program's id."""

    async def made() -> str:
        program_id = new_program_id("repeated")
        await perform(
            channels,
            "attribution.v1.ProgramService.CreateProgram",
            program_pb2.CreateProgramRequest(request_id=f"{program_id}-setup", program=program(program_id)),
        )
        await perform(
            channels,
            "attribution.v1.ParticipantService.EnrollParticipants",
            participant_pb2.EnrollParticipantsRequest(
                request_id=f"{program_id}-setup", program_id=program_id, participants=[draft("anna"), draft("ben")]
            ),
        )
        await add_delivery(servers, program_id)
        return program_id

    return made


async def add_delivery(servers: Servers, program_id: str) -> None:
    """Writes a webhook to which nothing is sent, and a delivery."""
    values = {
        "program": program_id,
        "webhook": webhook_id(program_id),
        "delivery": delivery_id(program_id),
        "disabled": DISABLED,
        "parked": webhook_pb2.DELIVERY_STATE_PARKED,
    }
    async with await psycopg.AsyncConnection.connect(servers.postgres.url, autocommit=True) as conn:
        await conn.execute(
            "INSERT INTO notify.webhook (webhook_id, program_id, url, kinds, state)"
            " VALUES (%(webhook)s, %(program)s, 'https://hooks.invalid/', '{}', %(disabled)s)",
            values,
        )
        await conn.execute(
            "INSERT INTO notify.cause (entry_id, program_id, event_id, conversion_id, event_type, buyer_id,"
            " occurred_at, assets, contest_id, reason, texts_version, create_time)"
            " VALUES (%(delivery)s, %(program)s, 'e', 'c', 'order', 'ben', now(), '[]', '', '', 0, now())",
            values,
        )
        await conn.execute(
            "INSERT INTO notify.delivery (delivery_id, program_id, entry_id, participant_id, channel, endpoint_id,"
            " kind, state) VALUES (%(delivery)s, %(program)s, %(delivery)s, 'anna', 1, %(webhook)s, 1, %(parked)s)",
            values,
        )


@pytest_asyncio.fixture
async def program_id(new_program: NewProgram) -> str:
    """One program with two people who have no sponsor."""
    return await new_program()


async def perform(channels: Channels, name: str, request: Message) -> Message:
    """Calls a method by its name without `upline.`."""
    method = BY_NAME[name]
    return await call(channels[owner(method.containing_service)], method, request)


def test_no_method_is_left_out() -> None:
    assert sorted(PAIRS) == REPEATABLE


@pytest.mark.parametrize("name", REPEATABLE)
async def test_a_repeated_call_is_carried_out_once_and_answered_alike(
    name: str, channels: Channels, program_id: str
) -> None:
    request, _ = PAIRS[name](program_id)
    # At once: a caller that lost patience repeats while the first call still runs.
    answers = await asyncio.gather(*(perform(channels, name, request) for _ in range(CALLS_AT_ONCE)))
    answers.append(await perform(channels, name, request))
    assert all(each == answers[0] for each in answers)


@pytest.mark.parametrize("name", REPEATABLE)
async def test_a_request_id_cannot_be_used_for_another_call(name: str, channels: Channels, program_id: str) -> None:
    request, other = PAIRS[name](program_id)
    answer = await perform(channels, name, request)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await perform(channels, name, other)
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert reason_of(caught.value) == "REQUEST_ID_REUSED"
    assert await perform(channels, name, request) == answer


@pytest.mark.parametrize("name", REPEATABLE)
async def test_a_request_id_is_one_programs_own(name: str, channels: Channels, new_program: NewProgram) -> None:
    programs = [await new_program(), await new_program()]
    requests = [PAIRS[name](each)[0] for each in programs]
    for each in requests:
        each.request_id = programs[0]  # type: ignore[attr-defined]
    first, second = [await perform(channels, name, each) for each in requests]
    assert [await perform(channels, name, each) for each in requests] == [first, second]
    # The other program's id protects it as the first one's does.
    _, other = PAIRS[name](programs[1])
    other.request_id = programs[0]  # type: ignore[attr-defined]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await perform(channels, name, other)
    assert reason_of(caught.value) == "REQUEST_ID_REUSED"


@pytest.mark.parametrize("name", REPEATABLE)
async def test_an_answer_stored_before_ids_were_a_programs_own_is_given_again(
    name: str, channels: Channels, new_program: NewProgram, servers: Servers
) -> None:
    programs = [await new_program(), await new_program()]
    (request, other), (foreign, _) = PAIRS[name](programs[0]), PAIRS[name](programs[1])
    foreign.request_id = request.request_id  # type: ignore[attr-defined]
    answer = await perform(channels, name, request)
    kept = {"method": request.DESCRIPTOR.full_name, "request_id": programs[0], "hash": body_hash(request)}
    # An answer that nobody would give by carrying the call out: as a service of the version before stored it.
    stored = GetMessageClass(answer.DESCRIPTOR)()
    service = owner(BY_NAME[name].containing_service)
    async with await psycopg.AsyncConnection.connect(servers.postgres.url, autocommit=True) as conn:
        await conn.execute(
            f"DELETE FROM {service}.program_request WHERE method = %(method)s AND request_id = %(request_id)s".encode(),
            kept,
        )
        await conn.execute(
            f"INSERT INTO {service}.request (method, request_id, body_hash, response)"
            " VALUES (%(method)s, %(request_id)s, %(hash)s, '')".encode(),
            kept,
        )
    assert await perform(channels, name, request) == stored
    assert await perform(channels, name, request) == stored
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await perform(channels, name, other)
    assert reason_of(caught.value) == "REQUEST_ID_REUSED"
    assert await perform(channels, name, foreign) == await perform(channels, name, foreign)


@pytest.mark.parametrize("name", REPEATABLE)
async def test_a_call_whose_answer_may_be_gone_is_refused_by_the_age_of_its_id(
    name: str, channels: Channels, program_id: str, servers: Servers
) -> None:
    request, _ = PAIRS[name](program_id)
    request.request_id = str(id_at(datetime.now(UTC) - timedelta(days=500)))  # type: ignore[attr-defined]
    service = owner(BY_NAME[name].containing_service)

    async def swept(kept_days: int) -> None:
        async with await psycopg.AsyncConnection.connect(servers.postgres.url, autocommit=True) as conn:
            await conn.execute(
                f"INSERT INTO {service}.retention VALUES ('requests', now(), now() - make_interval(days => %(days)s))"
                " ON CONFLICT (life) DO UPDATE SET removed_before = excluded.removed_before".encode(),
                {"days": kept_days},
            )

    await swept(kept_days=600)
    answer = await perform(channels, name, request)
    await swept(kept_days=400)
    assert await perform(channels, name, request) == answer, "what is still there is answered"
    async with await psycopg.AsyncConnection.connect(servers.postgres.url, autocommit=True) as conn:
        removed = await conn.execute(
            f"DELETE FROM {service}.program_request WHERE request_id = %s".encode(),
            [request.request_id],  # type: ignore[attr-defined]
        )
        assert removed.rowcount == 1
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await perform(channels, name, request)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert reason_of(caught.value) == "REQUEST_ID_TOO_OLD"


async def test_an_id_that_does_not_say_its_age_makes_a_new_call(
    channels: Channels, program_id: str, servers: Servers
) -> None:
    name = "attribution.v1.LinkService.RecordShare"
    request, _ = PAIRS[name](program_id)
    first = await perform(channels, name, request)
    async with await psycopg.AsyncConnection.connect(servers.postgres.url, autocommit=True) as conn:
        await conn.execute(
            "DELETE FROM attribution.program_request WHERE program_id = %s AND request_id = %s",
            [program_id, program_id],
        )
    assert [first.share_count, (await perform(channels, name, request)).share_count] == [1, 2]  # type: ignore[attr-defined]
