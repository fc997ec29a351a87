"""The beginning of tests of links and clicks: a program, a participant and a link."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import grpc
import psycopg
from google.protobuf.duration_pb2 import Duration
from upline.attribution.v1 import (
    click_pb2,
    link_pb2,
    link_pb2_grpc,
    participant_pb2,
    participant_pb2_grpc,
    program_pb2,
    program_pb2_grpc,
)

from chassis.times import unix_ms
from services.attribution.wire.click_rules import new_click_id
from tests.conftest import Servers
from tests.running import DEADLINE_SECONDS, Running

HOST = "shop.example"
MARIA = "maria"


@dataclass(frozen=True)
class Shop:
    """A program with one participant, maria, and her link."""

    program_id: str
    link: link_pb2.Link

    def click(self, when: datetime, **fields: Any) -> click_pb2.Click:
        """A click on the link, with an id of its own."""
        return click_pb2.Click(
            **{
                "program_id": self.program_id,
                "link_id": self.link.link_id,
                "click_id": new_click_id(unix_ms(when)),
                **fields,
            }
        )


async def open_shop(attribution: Running, program_id: str, **fields: Any) -> Shop:
    """Makes the program, with `fields` as given, the participant and the link."""
    await make_program(attribution, program_id, **fields)
    await enroll(attribution, program_id, MARIA)
    created = await link_pb2_grpc.LinkServiceStub(attribution.channel).CreateLink(
        link_pb2.CreateLinkRequest(
            request_id=str(uuid.uuid4()),
            program_id=program_id,
            participant_id=MARIA,
            destination_url=f"https://{HOST}/spring?size=m#shoes",
            channel="vk",
            campaign="spring",
            utm=link_pb2.Utm(source="upline", medium="referral"),
        ),
        timeout=DEADLINE_SECONDS,
    )
    return Shop(program_id, created.link)


async def make_program(attribution: Running, program_id: str, **fields: Any) -> None:
    """Makes a program whose links may lead to HOST."""
    await program_pb2_grpc.ProgramServiceStub(attribution.channel).CreateProgram(
        program_pb2.CreateProgramRequest(
            request_id=str(uuid.uuid4()),
            program=program_pb2.Program(
                program_id=program_id,
                title="A shop",
                currency_code="RUB",
                policy=program_pb2.AttributionPolicy(
                    touch=program_pb2.TOUCH_LAST,
                    window=Duration(seconds=30 * 86_400),
                    binding=program_pb2.BINDING_LIFETIME,
                    bindable=program_pb2.BINDABLE_NEW_ONLY,
                ),
                allowed_hosts=[HOST],
                **fields,
            ),
        ),
        timeout=DEADLINE_SECONDS,
    )


async def enroll(attribution: Running, program_id: str, participant_id: str) -> None:
    """Enrols a participant."""
    await participant_pb2_grpc.ParticipantServiceStub(attribution.channel).EnrollParticipant(
        participant_pb2.EnrollParticipantRequest(
            request_id=str(uuid.uuid4()),
            program_id=program_id,
            participant=participant_pb2.ParticipantDraft(
                participant_id=participant_id, attributes={"display_name": participant_id.title()}
            ),
        ),
        timeout=DEADLINE_SECONDS,
    )


def rows(servers: Servers, query: str, *values: object) -> list[tuple[Any, ...]]:
    """The rows of the database, as its owner sees them."""
    with psycopg.connect(servers.postgres.url, options="-c search_path=attribution", autocommit=True) as conn:
        cursor = conn.execute(query, values)
        return cursor.fetchall() if cursor.description else []


def stored(servers: Servers, program_id: str) -> list[tuple[Any, ...]]:
    """The clicks of a program in the order of their ids."""
    return rows(
        servers,
        "SELECT click_id, link_id, visitor_id, occurred_at, ip_hash, user_agent_hash, referrer_host FROM click"
        " WHERE program_id = %s ORDER BY click_id",
        program_id,
    )


async def until(condition: Callable[[], bool]) -> None:
    """Waits until something is so.

    The condition is checked in another thread: a query may wait for a lock of the service, which runs in this one.
    """
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.02)


async def refused(call: Awaitable[Any]) -> Any:
    """The error of a call that must fail."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError(f"the call should fail, but answered {answer}")
