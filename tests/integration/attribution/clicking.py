"""What tests of links and clicks begin with: a program, a participant and a link."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import grpc
import psycopg
from psycopg.types.json import Jsonb
from upline.attribution.v1 import click_pb2, link_pb2, link_pb2_grpc

from chassis.times import unix_ms
from services.attribution.wire.clicks import new_click_id
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


async def open_shop(servers: Servers, attribution: Running, program_id: str) -> Shop:
    """Makes the program, the participant and the link."""
    make_program(servers, program_id)
    enroll(servers, program_id, MARIA)
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


def make_program(servers: Servers, program_id: str, hosts: tuple[str, ...] = (HOST,)) -> None:
    """Makes a program whose links may lead to `hosts`."""
    rows(
        servers,
        "INSERT INTO program (program_id, title, currency_code, touch, touch_window, binding, bindable, enroll_buyers,"
        " default_sponsor_id, allowed_hosts, create_time, update_time)"
        " VALUES (%s, 'A shop', 'RUB', 2, interval '30 days', 1, 1, false, '', %s, now(), now())",
        program_id,
        list(hosts),
    )


def enroll(servers: Servers, program_id: str, participant_id: str) -> None:
    """Enrols a participant."""
    rows(
        servers,
        "INSERT INTO participant (participant_key, program_id, participant_id, attributes, upline, bind_source,"
        " bind_link_id, bind_code, bind_channel, bind_campaign, create_time)"
        " VALUES (nextval('participant_key_seq'), %s, %s, %s, '{}', 0, '', '', '', '', now())",
        program_id,
        participant_id,
        Jsonb({"display_name": participant_id.title()}),
    )


def rows(servers: Servers, query: str, *values: object) -> list[tuple[Any, ...]]:
    """What the database holds, as its owner sees it."""
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
    """Waits until something is so."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():
            await asyncio.sleep(0.02)


async def refused(call: Awaitable[Any]) -> Any:
    """The error of a call that must fail."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError(f"the call should fail, but answered {answer}")
