"""The beginning of a run: programs that have, together, every kind of thing, and people who have earned."""

from collections.abc import Sequence
from pathlib import Path

from upline.attribution.v1 import conversion_pb2, participant_pb2

from cli.bundle.program import Bundle, load
from cli.client import Client
from cli.programs import apply_bundle
from tests.e2e.world import PROGRAMS
from tests.fuzz.pool import Pool
from tests.fuzz.sending import CALL_SECONDS

FILES = (
    "loyalty-module", "super-birds", "staged-sale", "uds", "three-levels", "kolkhoz", "bitrewards", "tinkoff",
    "shared-points", "flocktory", "task-exchange",
)  # fmt: skip
"""Shipped programs that have, together, every kind of thing."""
BAZAAR = Path(__file__).with_name("bazaar.yaml")
PEOPLE = 20


def bundles() -> list[Bundle]:
    """The programs; the first has everything."""
    return [load(BAZAAR), *(load(PROGRAMS / f"{name}.yaml") for name in FILES)]


async def set_up(client: Client, programs: Sequence[Bundle], pool: Pool) -> None:
    """Makes the programs, and some people in each of them; what they are called goes into the pool."""
    for bundle in programs:
        await apply_bundle(client, bundle)
        await _fill(client, bundle, pool)


async def _fill(client: Client, bundle: Bundle, pool: Pool) -> None:
    """People, and what makes them earn."""
    program_id = bundle.program.program_id
    people = [f"person-{number}" for number in range(PEOPLE)]
    enrolment = participant_pb2.EnrollParticipantsRequest(
        request_id="set-up",
        program_id=program_id,
        participants=[
            participant_pb2.ParticipantDraft(participant_id=each, sponsor_id=people[number // 2] if number else "")
            for number, each in enumerate(people)
        ],
    )
    await client.participants.EnrollParticipants(enrolment, timeout=CALL_SECONDS)
    orders = conversion_pb2.RecordConversionsRequest(program_id=program_id)
    assert bundle.plan is not None
    for event_type in sorted({each for rule in bundle.plan.rules for each in rule.on}):
        for person in people:
            order = orders.conversions.add(
                conversion_id=f"{event_type} of {person}", event_type=event_type, buyer_id=person
            )
            order.amount.currency_code, order.amount.amount_minor = bundle.program.currency_code, 50_000_00
    await client.conversions.RecordConversions(orders, timeout=CALL_SECONDS)
    for part in (bundle.program, bundle.plan, bundle.texts, enrolment, orders):
        if part is not None:
            pool.harvest(part, program_id)
    for person in people[: PEOPLE // 2]:  # those with somebody below
        pool.add(program_id, "rich", person)
