"""Enrolment, binds and the tree."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from upline.attribution.v1 import conversion_pb2, participant_pb2, program_pb2

from chassis.clock import ManualClock
from chassis.times import to_timestamp
from services.attribution.queries import participants
from tests.conftest import Servers
from tests.integration.attribution.people import (
    NEW_ONLY,
    PER_CONVERSION,
    TIMEOUT,
    Caller,
    ago,
    order,
    refused,
    request_id,
)
from tests.running import Running
from tests.touching import touching

Program = Callable[..., Awaitable[Caller]]
CODE = grpc.StatusCode


async def test_three_in_a_line(program: Program) -> None:
    caller = await program()
    await caller.enroll("olga", attributes={"tier": "gold"})
    await caller.enroll("maria", sponsor_id="olga")
    vera = await caller.enroll("vera", sponsor_id="maria")
    assert (vera.binding.sponsor_id, vera.binding.source) == ("maria", participant_pb2.BIND_SOURCE_CALLER)
    assert await caller.upline("vera") == ["maria", "olga"]
    assert await caller.downline("olga") == [(1, "maria"), (2, "vera")]
    assert await caller.downline("olga", max_level=1) == [(1, "maria")]


async def test_same_data_again_is_the_same_person_and_other_data_is_refused(program: Program) -> None:
    caller = await program()
    first = await caller.enroll("olga", attributes={"tier": "gold"})
    assert await caller.enroll("olga", attributes={"tier": "gold"}) == first
    async with refused() as told:
        await caller.enroll("olga", attributes={"tier": "iron"})
    assert (told[0].code, told[0].fields) == (CODE.ALREADY_EXISTS, ["participant.participant_id"])


async def test_request_id_answers_twice_alike(program: Program) -> None:
    caller = await program()
    request = participant_pb2.EnrollParticipantsRequest(
        request_id=request_id(),
        program_id=caller.program_id,
        participants=[participant_pb2.ParticipantDraft(participant_id="olga")],
    )
    first = await caller.people.EnrollParticipants(request, timeout=TIMEOUT)
    assert await caller.people.EnrollParticipants(request, timeout=TIMEOUT) == first
    assert (first.enrolled_count, first.existing_count) == (1, 0)
    request.participants[0].attributes["tier"] = "gold"
    async with refused() as told:
        await caller.people.EnrollParticipants(request, timeout=TIMEOUT)
    assert told[0].reason == "REQUEST_ID_REUSED"


async def test_batch_enrols_sponsors_before_their_referees_only(program: Program) -> None:
    caller = await program()
    request = participant_pb2.EnrollParticipantsRequest(
        request_id=request_id(),
        program_id=caller.program_id,
        participants=[
            participant_pb2.ParticipantDraft(participant_id="maria", sponsor_id="olga"),
            participant_pb2.ParticipantDraft(participant_id="olga"),
        ],
    )
    async with refused() as told:
        await caller.people.EnrollParticipants(request, timeout=TIMEOUT)
    assert (told[0].code, told[0].fields) == (CODE.NOT_FOUND, ["participants[0].sponsor_id"])


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"sponsor_id": "nobody"}, CODE.NOT_FOUND, "participant.sponsor_id"),
        ({"sponsor_id": "vera"}, CODE.INVALID_ARGUMENT, "participant.sponsor_id"),
        ({"attributes": {"a": "\x00"}}, CODE.INVALID_ARGUMENT, "participant.attributes"),
        ({"attributes": {"a": "x" * 257}}, CODE.INVALID_ARGUMENT, "participant.attributes[a]"),
    ],
)
async def test_bad_enrolment_names_the_field(
    program: Program, fields: dict[str, object], code: grpc.StatusCode, field: str
) -> None:
    caller = await program()
    async with refused() as told:
        await caller.enroll("vera", **fields)
    assert (told[0].code, told[0].fields) == (code, [field])


async def test_code_and_click_bind_at_enrolment(program: Program, clock: ManualClock) -> None:
    caller = await program(days=1)
    await caller.enroll("olga")
    code, now = await caller.code("olga"), clock.now()
    by_code = await caller.enroll("maria", code=code.lower())
    assert (by_code.binding.sponsor_id, by_code.binding.code) == ("olga", code)
    by_click = await caller.enroll("vera", click_token=await caller.token("maria", now))
    assert (by_click.binding.sponsor_id, by_click.binding.channel) == ("maria", "chat")
    assert by_click.binding.campaign == "spring"


def why(person: participant_pb2.Participant | participant_pb2.UnboundParticipant) -> str:
    """The name of the reason why somebody has no sponsor, in short."""
    return conversion_pb2.AttributionReason.Name(person.unbound_reason).removeprefix("ATTRIBUTION_REASON_")


@dataclass(frozen=True)
class Bad:
    """Somebody who comes with something that leads to nobody."""

    participant_id: str
    touch: dict[str, Any]
    reason: str
    code: grpc.StatusCode = CODE.INVALID_ARGUMENT

    @property
    def draft(self) -> participant_pb2.ParticipantDraft:
        """The draft as it is sent."""
        return participant_pb2.ParticipantDraft(participant_id=self.participant_id, record_sign_up=True, **self.touch)


async def bad_touches(caller: Caller, foreign: Caller, now: datetime) -> list[Bad]:
    """Every kind of touch that leads to nobody; `caller`'s program binds new customers only, by touches of a day."""
    await caller.enroll("olga")
    await foreign.enroll("olga")
    for number, buyer in enumerate(("own", "above", "old")):
        await caller.record(order(f"{number}", buyer, new_customer=True))
    await caller.enroll("below", sponsor_id="above")
    code = await caller.code("olga")
    return [
        Bad("stranger", {"code": "NOSUCHCODE"}, "UNKNOWN_CODE"),
        Bad("foreign-code", {"code": await foreign.code("olga")}, "UNKNOWN_CODE"),
        Bad("forged", {"click_token": "forged"}, "INVALID_TOKEN"),
        Bad("foreign-token", {"click_token": await foreign.token("olga", now)}, "INVALID_TOKEN"),
        Bad("stale", {"click_token": await caller.token("olga", now - timedelta(days=1))}, "WINDOW_PASSED"),
        Bad("early", {"click_token": await caller.token("olga", now + timedelta(minutes=2))}, "TOUCH_TOO_LATE"),
        Bad("own", {"code": await caller.code("own")}, "SELF_REFERRAL"),
        Bad("above", {"code": await caller.code("below")}, "CYCLE", CODE.FAILED_PRECONDITION),
        Bad("old", {"code": code}, "NOT_NEW", CODE.FAILED_PRECONDITION),
    ]


async def test_a_bad_code_costs_no_sign_up(program: Program, clock: ManualClock) -> None:
    caller, foreign = await program(days=1, bindable=NEW_ONLY), await program()
    bad = await bad_touches(caller, foreign, clock.now())
    for each in bad:
        request = participant_pb2.EnrollParticipantRequest(
            request_id=request_id(), program_id=caller.program_id, participant=each.draft
        )
        first = await caller.people.EnrollParticipant(request, timeout=TIMEOUT)
        assert (first.participant.HasField("binding"), why(first.participant)) == (False, each.reason), each
        assert await caller.people.EnrollParticipant(request, timeout=TIMEOUT) == first
        request.request_id = request_id()
        assert await caller.people.EnrollParticipant(request, timeout=TIMEOUT) == first, (
            "the same draft, the same answer"
        )
        assert await caller.get(each.participant_id) == first.participant
        signed_up = await caller.conversion(f"sign_up:{each.participant_id}")
        assert signed_up.attribution.referrer_id == ""
        assert conversion_pb2.AttributionReason.Name(signed_up.attribution.reason).endswith(each.reason)
        assert len(signed_up.attribution.losers) == 1


async def test_nor_does_it_in_a_batch_which_lists_them(program: Program, clock: ManualClock) -> None:
    caller, foreign = await program(days=1, bindable=NEW_ONLY), await program()
    bad = await bad_touches(caller, foreign, clock.now())
    fine = [
        participant_pb2.ParticipantDraft(participant_id="root"),
        participant_pb2.ParticipantDraft(participant_id="good", code=await caller.code("olga")),
        participant_pb2.ParticipantDraft(participant_id="unseen", visitor_id="nobody"),
        participant_pb2.ParticipantDraft(participant_id="named", sponsor_id="olga", code="NOSUCHCODE"),
    ]
    drafts = [*fine, *(each.draft for each in bad)]
    wanted = [("unseen", "NO_TOUCH"), *((each.participant_id, each.reason) for each in bad)]
    for enrolled in (len(drafts), 0):
        answer = await caller.people.EnrollParticipants(
            participant_pb2.EnrollParticipantsRequest(
                request_id=request_id(), program_id=caller.program_id, participants=drafts
            ),
            timeout=TIMEOUT,
        )
        assert (answer.enrolled_count, answer.existing_count) == (enrolled, len(drafts) - enrolled)
        assert [(each.participant_id, why(each)) for each in answer.unbound] == wanted
    assert why(await caller.get("root")) == "NO_TOUCH"
    assert {why(await caller.get(each)) for each in ("good", "named")} == {"UNSPECIFIED"}


async def test_unless_the_caller_asks_for_refusal(program: Program, clock: ManualClock) -> None:
    caller, foreign = await program(days=1, bindable=NEW_ONLY), await program()
    for each in await bad_touches(caller, foreign, clock.now()):
        field = next(iter(each.touch))
        async with refused() as told:
            await caller.people.EnrollParticipant(
                participant_pb2.EnrollParticipantRequest(
                    request_id=request_id(), program_id=caller.program_id, participant=each.draft, refuse_bad_touch=True
                ),
                timeout=TIMEOUT,
            )
        assert (told[0].code, told[0].reason, told[0].fields) == (each.code, each.reason, [f"participant.{field}"])
        async with refused() as told:
            await caller.people.EnrollParticipants(
                participant_pb2.EnrollParticipantsRequest(
                    request_id=request_id(),
                    program_id=caller.program_id,
                    participants=[participant_pb2.ParticipantDraft(participant_id="first"), each.draft],
                    refuse_bad_touch=True,
                ),
                timeout=TIMEOUT,
            )
        assert (told[0].reason, told[0].fields) == (each.reason, [f"participants[1].{field}"])
    for absent in ("first", "stranger"):
        async with refused() as told:
            await caller.get(absent)
        assert told[0].code == CODE.NOT_FOUND


async def test_who_was_left_unbound_can_be_bound_and_then_has_no_reason(program: Program) -> None:
    caller = await program(default_sponsor_id="house")
    await caller.enroll("house")
    await caller.enroll("olga")
    left = await caller.enroll("vera", code="TYPO")
    assert (left.HasField("binding"), why(left)) == (False, "UNKNOWN_CODE"), "not the default sponsor's for life"
    bound = await caller.bind("vera", "olga")
    assert (bound.binding.sponsor_id, why(bound)) == ("olga", "UNSPECIFIED")


async def test_a_bad_code_leaves_those_bound_before_as_they_are(program: Program) -> None:
    caller = await program()
    await caller.enroll("olga")
    await caller.record(order("1", "vera", code=await caller.code("olga")))
    vera = await caller.enroll("vera", code="TYPO")
    assert (vera.binding.sponsor_id, why(vera)) == ("olga", "UNSPECIFIED")


async def test_per_conversion_binds_by_the_caller_only(program: Program) -> None:
    caller = await program(binding=PER_CONVERSION)
    await caller.enroll("olga")
    maria = await caller.enroll("maria", code=await caller.code("olga"))
    assert (maria.HasField("binding"), why(maria)) == (False, "UNSPECIFIED"), (
        "the code led to somebody; nobody is bound"
    )
    assert (await caller.enroll("vera", sponsor_id="olga")).binding.sponsor_id == "olga"


async def test_default_sponsor_takes_orphans(program: Program) -> None:
    caller = await program(default_sponsor_id="house")
    before = await caller.enroll("early")
    assert not before.HasField("binding")
    assert not (await caller.enroll("house")).HasField("binding")
    assert (await caller.enroll("late")).binding.source == participant_pb2.BIND_SOURCE_DEFAULT


async def test_sign_up_is_recorded_in_the_same_breath(program: Program) -> None:
    caller = await program()
    await caller.enroll("olga")
    await caller.enroll("maria", sponsor_id="olga", record_sign_up=True, attributes={"tier": "gold"})
    (event,) = await caller.events()
    recorded = event.recorded
    assert event.event_id == f"conversion:{caller.program_id}/sign_up:maria"
    assert recorded.conversion.draft.event_type == "sign_up"
    assert recorded.conversion.attribution.referrer_id == "olga"
    assert [each.participant_id for each in recorded.upline] == ["olga"]
    assert dict(recorded.buyer_attributes) == {"tier": "gold"}
    assert recorded.HasField("bind_time")


async def test_somebody_enrolled_by_a_purchase_is_adopted(program: Program) -> None:
    caller = await program()
    await caller.record(order("1", "vera"))
    await caller.enroll("olga")
    vera = await caller.enroll("vera", sponsor_id="olga", attributes={"tier": "gold"})
    assert (vera.binding.sponsor_id, dict(vera.attributes)) == ("olga", {"tier": "gold"})
    assert await caller.enroll("vera", sponsor_id="olga", attributes={"tier": "gold"}) == vera


async def test_new_only_does_not_bind_old_buyers_by_code(program: Program) -> None:
    caller = await program(bindable=NEW_ONLY)
    await caller.record(order("1", "vera"))
    await caller.enroll("olga")
    vera = await caller.enroll("vera", code=await caller.code("olga"))
    assert (vera.HasField("binding"), why(vera)) == (False, "NOT_NEW")


async def test_history_is_loaded_with_the_times_of_its_bindings(program: Program, clock: ManualClock) -> None:
    """Bindings are loaded in any order, also those of before the sponsor's own: what counts is when each thing
    happened."""
    caller = await program(credit_before_binding=program_pb2.CREDIT_BEFORE_BINDING_NOT_CREDITED)
    joined = ago(clock.now(), days=1_000)
    await caller.enroll("top")
    await caller.enroll("olga", sponsor_id="top")
    vera = await caller.enroll("vera", sponsor_id="olga", bind_time=joined, record_sign_up=True)
    assert vera.binding.bind_time == joined
    await caller.enroll("nina")
    assert (await caller.bind("nina", "vera", bind_time=joined)).binding.bind_time == joined
    for buyer in ("vera", "nina"):
        await caller.record(order(f"{buyer}-before", buyer, occurred_at=ago(clock.now(), days=1_001)))
        await caller.record(order(f"{buyer}-after", buyer, occurred_at=ago(clock.now(), days=999)))
    told = {each.recorded.conversion.draft.conversion_id: each.recorded for each in await caller.events()}
    assert {each.bind_time.seconds for each in told.values()} == {joined.seconds}
    assert told["sign_up:vera"].conversion.draft.occurred_at == joined
    assert {name: [each.participant_id for each in one.upline] for name, one in told.items()} == {
        "sign_up:vera": ["olga", "top"],
        "vera-before": [],
        "vera-after": ["olga", "top"],
        "nina-before": [],
        "nina-after": ["vera", "olga", "top"],
    }


async def test_touches_of_history_come_before_it(program: Program, clock: ManualClock) -> None:
    caller = await program(days=1)
    await caller.enroll("olga")
    joined = clock.now() - timedelta(days=100)
    for name, clicked_at, reason in [
        ("before", joined - timedelta(hours=23), "UNSPECIFIED"),
        ("stale", joined - timedelta(hours=24), "WINDOW_PASSED"),
        ("after", joined + timedelta(hours=1), "TOUCH_TOO_LATE"),
        ("today", clock.now(), "TOUCH_TOO_LATE"),
    ]:
        token = await caller.token("olga", clicked_at)
        found = await caller.enroll(name, click_token=token, bind_time=to_timestamp(joined))
        assert (found.HasField("binding"), why(found)) == (name == "before", reason)


async def test_history_may_be_older_than_any_window_before_it(program: Program) -> None:
    caller = await program(days=3_660, enroll_buyers=True)
    ages_ago = to_timestamp(datetime(2, 1, 1, tzinfo=UTC))
    vera = await caller.enroll("vera", visitor_id="v1", bind_time=ages_ago)
    assert (vera.HasField("binding"), why(vera)) == (False, "NO_TOUCH")
    recorded = await caller.record(order("1", "nina", visitor_id="v1", occurred_at=ages_ago))
    assert recorded.attribution.reason == conversion_pb2.ATTRIBUTION_REASON_NO_TOUCH


async def test_a_time_of_binding_that_cannot_be_names_its_field(program: Program, clock: ManualClock) -> None:
    caller = await program()
    await caller.enroll("olga")
    await caller.enroll("vera")
    await caller.enroll("ahead", sponsor_id="olga", bind_time=ago(clock.now(), minutes=-5))
    for bad in (ago(clock.now(), minutes=-5, microseconds=-1), Timestamp(seconds=2**60)):
        async with refused() as told:
            await caller.enroll("nina", sponsor_id="olga", bind_time=bad)
        assert (told[0].code, told[0].fields) == (CODE.INVALID_ARGUMENT, ["participant.bind_time"])
        async with refused() as told:
            await caller.people.EnrollParticipants(
                participant_pb2.EnrollParticipantsRequest(
                    request_id=request_id(),
                    program_id=caller.program_id,
                    participants=[
                        participant_pb2.ParticipantDraft(participant_id="first"),
                        participant_pb2.ParticipantDraft(participant_id="nina", bind_time=bad),
                    ],
                ),
                timeout=TIMEOUT,
            )
        assert told[0].fields == ["participants[1].bind_time"]
        async with refused() as told:
            await caller.bind("vera", "olga", bind_time=bad)
        assert (told[0].code, told[0].fields) == (CODE.INVALID_ARGUMENT, ["bind_time"])
    assert not (await caller.get("vera")).HasField("binding")
    async with refused() as told:
        await caller.get("first")
    assert told[0].code == CODE.NOT_FOUND


async def test_who_is_bound_keeps_the_time_of_it(program: Program, clock: ManualClock) -> None:
    caller = await program()
    await caller.enroll("olga")
    bought = ago(clock.now(), days=3)
    await caller.record(order("1", "vera", code=await caller.code("olga"), occurred_at=bought))
    vera = await caller.enroll("vera", sponsor_id="olga", bind_time=ago(clock.now(), days=9))
    assert vera.binding.bind_time == bought
    async with refused() as told:
        await caller.enroll("vera", sponsor_id="olga", bind_time=ago(clock.now(), days=8))
    assert told[0].reason == "PARTICIPANT_EXISTS"


async def test_bind_refusals(program: Program) -> None:
    caller = await program()
    await caller.enroll_line(["a", "b", "c"])
    for participant_id, sponsor_id, code, reason, fields in [
        ("a", "a", CODE.INVALID_ARGUMENT, "SELF_REFERRAL", ["sponsor_id"]),
        ("a", "c", CODE.FAILED_PRECONDITION, "CYCLE", ["sponsor_id"]),
        ("b", "c", CODE.FAILED_PRECONDITION, "ALREADY_BOUND", ["participant_id"]),
        ("a", "nobody", CODE.NOT_FOUND, "PARTICIPANT_NOT_FOUND", []),
    ]:
        async with refused() as told:
            await caller.bind(participant_id, sponsor_id)
        assert (told[0].code, told[0].reason, told[0].fields) == (code, reason, fields)


async def test_late_bind_takes_the_downline_along(program: Program) -> None:
    caller = await program()
    await caller.enroll_line(["top", "middle"])
    await caller.enroll_line(["root", *(f"n{i}" for i in range(200))])
    await caller.bind("root", "middle")
    wanted = [*(f"n{i}" for i in range(198, -1, -1)), "root", "middle", "top"]
    assert await caller.upline("n199", page_size=50) == wanted
    await caller.record(order("1", "n30"))
    (event,) = await caller.events()
    names = [each.participant_id for each in event.recorded.upline]
    assert names == [*(f"n{i}" for i in range(29, -1, -1)), "root", "middle", "top"]


async def test_uplines_built_by_binds_from_below_are_whole(program: Program) -> None:
    """Every bind leaves a prefix of one ancestor; walks over them must not stop there, and leave longer ones."""
    caller = await program()
    ids = [f"p{i}" for i in range(90)]
    for each in ids:
        await caller.enroll(each)
    for i in range(89, 0, -1):
        await caller.bind(ids[i], ids[i - 1])
    for number in range(2):
        await caller.record(order(str(number), "p89"))
        events = await caller.events()
        assert [each.participant_id for each in events[-1].recorded.upline] == [f"p{i}" for i in range(88, 24, -1)]
    assert await caller.upline("p89") == [f"p{i}" for i in range(88, -1, -1)]


async def test_two_binds_at_once_never_close_a_cycle(program: Program, second_attribution: Running) -> None:
    caller = await program()
    other = Caller(second_attribution, caller.program_id)
    for turn in range(25):
        a, b = f"a{turn}", f"b{turn}"
        await caller.enroll_line([a])
        await caller.enroll_line([b])
        results = await asyncio.gather(caller.bind(a, b), other.bind(b, a), return_exceptions=True)
        failures = [each for each in results if isinstance(each, grpc.aio.AioRpcError)]
        assert [each.code() for each in failures] == [CODE.FAILED_PRECONDITION]
        assert sorted([len(await caller.upline(a)), len(await caller.upline(b))]) == [0, 1]


async def test_first_bind_wins(program: Program, second_attribution: Running) -> None:
    caller = await program()
    other = Caller(second_attribution, caller.program_id)
    await caller.enroll_line(["s1"])
    await caller.enroll_line(["s2"])
    for turn in range(10):
        await caller.enroll(f"p{turn}")
        results = await asyncio.gather(
            caller.bind(f"p{turn}", "s1"), other.bind(f"p{turn}", "s2"), return_exceptions=True
        )
        won = [each for each in results if isinstance(each, participant_pb2.Participant)]
        assert len(won) == 1
        assert (await caller.get(f"p{turn}")).binding == won[0].binding


async def test_same_enrolment_from_two_places(program: Program, second_attribution: Running) -> None:
    caller = await program()
    other = Caller(second_attribution, caller.program_id)
    ids = [f"p{i}" for i in range(200)]
    await asyncio.gather(*(each.enroll_line(ids) for each in (caller, other, caller, other)))
    assert len(await caller.downline("p0")) == 199


async def test_chain_of_a_hundred_thousand(program: Program) -> None:
    caller = await program()
    ids = [f"p{i}" for i in range(100_000)]
    await caller.enroll_line(ids)
    assert await caller.upline("p99999") == ids[-2::-1]
    assert await caller.downline("p90000") == [(i, f"p{90_000 + i}") for i in range(1, 10_000)]
    async with refused() as told:
        await caller.bind("p0", "p99999")
    assert told[0].reason == "CYCLE"
    await caller.enroll("above")
    await caller.bind("p0", "above")
    assert (await caller.upline("p99999"))[-1] == "above"
    await caller.record(order("1", "p99999"))
    (event,) = await caller.events()
    assert [each.participant_id for each in event.recorded.upline] == ids[-2:-66:-1]


async def test_downline_of_a_broad_tree_page_by_page(program: Program) -> None:
    caller = await program()
    await caller.enroll("root")
    wanted = []
    for level, parents in enumerate([["root"], [f"1-{i}" for i in range(30)]], start=1):
        drafts = [
            participant_pb2.ParticipantDraft(participant_id=f"{level}-{i}", sponsor_id=parents[i % len(parents)])
            for i in range(30**level)
        ]
        await caller.people.EnrollParticipants(
            participant_pb2.EnrollParticipantsRequest(
                request_id=request_id(), program_id=caller.program_id, participants=drafts
            ),
            timeout=TIMEOUT,
        )
        wanted += [(level, each.participant_id) for each in drafts]
    assert await caller.downline("root", page_size=7) == wanted
    assert await caller.downline("root", page_size=1000) == wanted
    assert await caller.downline("root", max_level=1, page_size=7) == wanted[:30]


async def test_referrals_say_what_was_bought(program: Program) -> None:
    caller = await program()
    await caller.enroll("olga")
    for name in ("maria", "vera"):
        await caller.enroll(name, sponsor_id="olga")
    for number in range(25):
        await caller.record(order(str(number), "vera", 100))
    await caller.reverse("r1", "0")
    await caller.reverse("r2", "1", amount={"currency_code": "RUB", "amount_minor": 40})
    request = participant_pb2.ListReferralsRequest(program_id=caller.program_id, participant_id="olga", page_size=1)
    first = await caller.people.ListReferrals(request, timeout=TIMEOUT)
    assert [each.participant_id for each in first.referrals] == ["maria"]
    request.page_token = first.next_page_token
    second = await caller.people.ListReferrals(request, timeout=TIMEOUT)
    (vera,) = second.referrals
    assert (vera.participant_id, vera.conversion_count, vera.amount.amount_minor) == ("vera", 24, 2_360)
    assert [each.draft.conversion_id for each in vera.recent_conversions] == [str(i) for i in range(24, 4, -1)]
    assert not second.next_page_token


async def test_attributes_are_replaced(program: Program) -> None:
    caller = await program()
    await caller.enroll("olga", attributes={"a": "1"})
    answer = await caller.people.UpdateParticipant(
        participant_pb2.UpdateParticipantRequest(
            request_id=request_id(), program_id=caller.program_id, participant_id="olga", attributes={"b": "2"}
        ),
        timeout=TIMEOUT,
    )
    assert dict(answer.participant.attributes) == {"b": "2"}


async def test_batch_over_the_limit_and_call_without_a_deadline(program: Program) -> None:
    caller = await program()
    drafts = [participant_pb2.ParticipantDraft(participant_id=str(i)) for i in range(1001)]
    request = participant_pb2.EnrollParticipantsRequest(
        request_id=request_id(), program_id=caller.program_id, participants=drafts
    )
    async with refused() as told:
        await caller.people.EnrollParticipants(request, timeout=TIMEOUT)
    assert (told[0].code, told[0].fields) == (CODE.INVALID_ARGUMENT, ["participants"])
    async with refused() as told:
        await caller.people.GetParticipant(
            participant_pb2.GetParticipantRequest(program_id=caller.program_id, participant_id="0")
        )
    assert told[0].reason == "DEADLINE_REQUIRED"


async def test_unknown_program(program: Program) -> None:
    caller = Caller((await program()).running, "no-such-program")
    async with refused() as told:
        await caller.enroll("olga")
    assert (told[0].code, told[0].reason) == (CODE.NOT_FOUND, "PROGRAM_NOT_FOUND")


@pytest.mark.parametrize("seed", range(3))
async def test_downline_of_any_tree_page_by_page(program: Program, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(participants, "MAX_ANCHORS", 3)  # so that few people make wide levels
    random, caller = Random(seed), await program()
    levels = {"p0": 0}
    drafts = [participant_pb2.ParticipantDraft(participant_id="p0")]
    for number in range(1, 80):
        sponsor_id = f"p{max(0, number - random.choice([1, 1, 2, 7, 30]))}"
        levels[f"p{number}"] = levels[sponsor_id] + 1
        drafts.append(participant_pb2.ParticipantDraft(participant_id=f"p{number}", sponsor_id=sponsor_id))
    await caller.people.EnrollParticipants(
        participant_pb2.EnrollParticipantsRequest(
            request_id=request_id(), program_id=caller.program_id, participants=drafts
        ),
        timeout=TIMEOUT,
    )
    wanted = sorted([(level, each) for each, level in levels.items() if level], key=lambda each: each[0])
    for page_size in (1, 2, 3, 5, 100):
        assert await caller.downline("p0", page_size=page_size) == wanted
    assert await caller.downline("p0", max_level=3, page_size=2) == [each for each in wanted if each[0] <= 3]


async def test_a_page_of_a_wide_level_costs_no_more_than_the_page(program: Program, servers: Servers) -> None:
    caller = await program()
    await caller.enroll("root")
    await caller.enroll("star", sponsor_id="root")
    with psycopg.connect(servers.postgres.url, autocommit=True) as sql:
        sql.execute(
            """INSERT INTO attribution.participant (participant_key, program_id, participant_id, attributes,
                sponsor_key, upline, bind_time, bind_source, bind_link_id, bind_code, bind_channel, bind_campaign,
                create_time)
            SELECT nextval('attribution.participant_key_seq'), program_id, 'fan-' || n, '{}', participant_key,
                participant_key || upline, now(), 3, '', '', '', '', now()
            FROM attribution.participant, generate_series(1, 20000) AS n
            WHERE program_id = %s AND participant_id = 'star'""",
            [caller.program_id],
        )
        sql.execute("ANALYZE attribution.participant")
    found, token = list[str](), ""
    for _ in range(3):
        async with touching(caller.running, servers.postgres.url) as touched:
            page = await caller.people.ListDownline(
                participant_pb2.ListDownlineRequest(
                    program_id=caller.program_id, participant_id="root", page_size=100, page_token=token
                ),
                timeout=TIMEOUT,
            )
        assert touched.rows < 3_000
        found += [each.participant_id for each in page.descendants]
        token = page.next_page_token
    assert found == ["star", *(f"fan-{n}" for n in range(1, 300))]
