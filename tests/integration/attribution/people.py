"""A caller of the attribution service, with short names for the calls that tests make often."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from sqlalchemy import text
from upline.attribution.v1 import (
    click_pb2,
    click_pb2_grpc,
    conversion_pb2,
    conversion_pb2_grpc,
    events_pb2,
    link_pb2,
    link_pb2_grpc,
    participant_pb2,
    participant_pb2_grpc,
    program_pb2,
    program_pb2_grpc,
)
from upline.type.v1 import money_pb2

from chassis.ids import new_id
from chassis.secrets import derive_key
from chassis.times import to_timestamp
from chassis.topology import CONVERSIONS
from services.attribution.domain.click_token import ClickToken, sign
from tests.running import Running

TIMEOUT = 30.0
LIFETIME, PER_CONVERSION = program_pb2.BINDING_LIFETIME, program_pb2.BINDING_PER_CONVERSION
NEW_ONLY, UNBOUND = program_pb2.BINDABLE_NEW_ONLY, program_pb2.BINDABLE_UNBOUND


def request_id() -> str:
    """A fresh request id."""
    return uuid4().hex


def policy(days: float = 30, **changes: Any) -> program_pb2.AttributionPolicy:
    """A policy: the last touch, 30 days, for life, anyone unbound."""
    fields: dict[str, Any] = {
        "touch": program_pb2.TOUCH_LAST,
        "window": Duration(seconds=int(days * 86_400)),
        "binding": LIFETIME,
        "bindable": UNBOUND,
        "enroll_buyers": True,
        **changes,
    }
    return program_pb2.AttributionPolicy(**fields)


def rubles(amount_minor: int) -> money_pb2.Money:
    """An amount of money, given in kopecks."""
    return money_pb2.Money(currency_code="RUB", amount_minor=amount_minor)


def order(
    conversion_id: str, buyer_id: str, amount_minor: int = 10_000, **fields: Any
) -> conversion_pb2.ConversionDraft:
    """An order of a buyer."""
    return conversion_pb2.ConversionDraft(
        conversion_id=conversion_id, event_type="order", buyer_id=buyer_id, amount=rubles(amount_minor), **fields
    )


@dataclass(frozen=True)
class Refusal:
    """The error of a call that is refused."""

    code: grpc.StatusCode
    reason: str
    fields: list[str]


@asynccontextmanager
async def refused() -> AsyncIterator[list[Refusal]]:
    """Expects the call inside to be refused, and tells how."""
    told: list[Refusal] = []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield told
    status = status_pb2.Status()
    found = rpc_status.from_call(caught.value)
    if found is not None:
        status.CopyFrom(found)
    info, fields = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(fields)
    told.append(Refusal(caught.value.code(), info.reason, [each.field for each in fields.field_violations]))


@dataclass(frozen=True)
class Caller:
    """One program, seen through one instance of the service."""

    running: Running
    program_id: str

    @property
    def programs(self) -> program_pb2_grpc.ProgramServiceStub:
        """The client of ProgramService."""
        return program_pb2_grpc.ProgramServiceStub(self.running.channel)

    @property
    def people(self) -> participant_pb2_grpc.ParticipantServiceStub:
        """The client of ParticipantService."""
        return participant_pb2_grpc.ParticipantServiceStub(self.running.channel)

    @property
    def conversions(self) -> conversion_pb2_grpc.ConversionServiceStub:
        """The client of ConversionService."""
        return conversion_pb2_grpc.ConversionServiceStub(self.running.channel)

    async def create(self, **policy_changes: Any) -> "Caller":
        """Creates the program."""
        await self.programs.CreateProgram(
            program_pb2.CreateProgramRequest(
                request_id=request_id(),
                program=program_pb2.Program(
                    program_id=self.program_id,
                    title="Test",
                    currency_code="RUB",
                    policy=policy(**policy_changes),
                    allowed_hosts=["shop.example"],
                ),
            ),
            timeout=TIMEOUT,
        )
        return self

    async def enroll(self, participant_id: str, **fields: Any) -> participant_pb2.Participant:
        """Enrols one participant."""
        answer = await self.people.EnrollParticipant(
            participant_pb2.EnrollParticipantRequest(
                request_id=request_id(),
                program_id=self.program_id,
                participant=participant_pb2.ParticipantDraft(participant_id=participant_id, **fields),
            ),
            timeout=TIMEOUT,
        )
        return answer.participant

    async def enroll_line(self, ids: list[str], sponsor_id: str = "") -> None:
        """Enrols participants, each under the one before, a thousand a call."""
        for first in range(0, len(ids), 1000):
            drafts = []
            for each in ids[first : first + 1000]:
                drafts.append(participant_pb2.ParticipantDraft(participant_id=each, sponsor_id=sponsor_id))
                sponsor_id = each
            await self.people.EnrollParticipants(
                participant_pb2.EnrollParticipantsRequest(
                    request_id=request_id(), program_id=self.program_id, participants=drafts
                ),
                timeout=TIMEOUT,
            )

    async def bind(self, participant_id: str, sponsor_id: str, **fields: Any) -> participant_pb2.Participant:
        """Binds a participant who exists."""
        answer = await self.people.BindSponsor(
            participant_pb2.BindSponsorRequest(
                request_id=request_id(),
                program_id=self.program_id,
                participant_id=participant_id,
                sponsor_id=sponsor_id,
                **fields,
            ),
            timeout=TIMEOUT,
        )
        return answer.participant

    async def get(self, participant_id: str) -> participant_pb2.Participant:
        """Reads a participant."""
        answer = await self.people.GetParticipant(
            participant_pb2.GetParticipantRequest(program_id=self.program_id, participant_id=participant_id),
            timeout=TIMEOUT,
        )
        return answer.participant

    async def upline(self, participant_id: str, page_size: int = 1000) -> list[str]:
        """The whole upline, page by page."""
        found: list[str] = []
        token = ""
        while True:
            answer = await self.people.ListUpline(
                participant_pb2.ListUplineRequest(
                    program_id=self.program_id, participant_id=participant_id, page_size=page_size, page_token=token
                ),
                timeout=TIMEOUT,
            )
            assert [each.level for each in answer.ancestors] == list(
                range(len(found) + 1, len(found) + 1 + len(answer.ancestors))
            )
            found += [each.participant_id for each in answer.ancestors]
            if not (token := answer.next_page_token):
                return found

    async def downline(self, participant_id: str, max_level: int = 0, page_size: int = 1000) -> list[tuple[int, str]]:
        """The whole downline as (level, id), page by page."""
        found: list[tuple[int, str]] = []
        token = ""
        while True:
            answer = await self.people.ListDownline(
                participant_pb2.ListDownlineRequest(
                    program_id=self.program_id,
                    participant_id=participant_id,
                    max_level=max_level,
                    page_size=page_size,
                    page_token=token,
                ),
                timeout=TIMEOUT,
            )
            found += [(each.level, each.participant_id) for each in answer.descendants]
            if not (token := answer.next_page_token):
                return found

    async def record(self, draft: conversion_pb2.ConversionDraft) -> conversion_pb2.Conversion:
        """Records one conversion."""
        answer = await self.conversions.RecordConversion(
            conversion_pb2.RecordConversionRequest(program_id=self.program_id, conversion=draft), timeout=TIMEOUT
        )
        return answer.conversion

    async def record_all(
        self, drafts: list[conversion_pb2.ConversionDraft]
    ) -> conversion_pb2.RecordConversionsResponse:
        """Records conversions in one call."""
        return await self.conversions.RecordConversions(
            conversion_pb2.RecordConversionsRequest(program_id=self.program_id, conversions=drafts), timeout=TIMEOUT
        )

    async def reverse(self, reversal_id: str, conversion_id: str, **extent: Any) -> conversion_pb2.Reversal:
        """Takes a conversion back: the whole of it, or as `extent` says."""
        extent = extent or {"whole": conversion_pb2.WholeReversal()}
        answer = await self.conversions.ReverseConversion(
            conversion_pb2.ReverseConversionRequest(
                program_id=self.program_id,
                reversal=conversion_pb2.ReversalDraft(reversal_id=reversal_id, conversion_id=conversion_id, **extent),
            ),
            timeout=TIMEOUT,
        )
        return answer.reversal

    async def conversion(self, conversion_id: str) -> conversion_pb2.Conversion:
        """Reads one conversion."""
        answer = await self.conversions.GetConversion(
            conversion_pb2.GetConversionRequest(program_id=self.program_id, conversion_id=conversion_id),
            timeout=TIMEOUT,
        )
        return answer.conversion

    @property
    def links(self) -> link_pb2_grpc.LinkServiceStub:
        """The client of LinkService."""
        return link_pb2_grpc.LinkServiceStub(self.running.channel)

    async def code(self, participant_id: str, share_percent: str = "") -> str:
        """A fresh code of a participant."""
        answer = await self.links.CreateCode(
            link_pb2.CreateCodeRequest(
                request_id=request_id(),
                program_id=self.program_id,
                participant_id=participant_id,
                share_percent=share_percent,
            ),
            timeout=TIMEOUT,
        )
        return answer.code.code

    async def link(self, participant_id: str, share_percent: str = "") -> link_pb2.Link:
        """A fresh link of a participant."""
        answer = await self.links.CreateLink(
            link_pb2.CreateLinkRequest(
                request_id=request_id(),
                program_id=self.program_id,
                participant_id=participant_id,
                destination_url="https://shop.example/",
                channel="chat",
                campaign="spring",
                share_percent=share_percent,
            ),
            timeout=TIMEOUT,
        )
        return answer.link

    async def token(self, participant_id: str, clicked_at: datetime, share_percent: str = "") -> str:
        """The token of a click at that time on a fresh link of a participant."""
        key = derive_key(self.running.service.settings.secret, "click-token")
        link = await self.link(participant_id, share_percent)
        return sign(key, ClickToken(self.program_id, link.link_id, new_id(), clicked_at))

    async def click(self, link_id: str, visitor_id: str, clicked_at: datetime) -> None:
        """Records a click of a visitor."""
        click = click_pb2.Click(
            program_id=self.program_id, link_id=link_id, visitor_id=visitor_id, occurred_at=to_timestamp(clicked_at)
        )
        await click_pb2_grpc.ClickServiceStub(self.running.channel).RecordClick(
            click_pb2.RecordClickRequest(click=click), timeout=TIMEOUT
        )

    async def clicks_written(self, count: int) -> None:
        """Returns when so many clicks are in the database."""
        async with asyncio.timeout(TIMEOUT):
            while True:
                async with self.running.service.database.transaction() as conn:
                    values = {"program_id": self.program_id}
                    found = await conn.execute(
                        text("SELECT count(*) FROM click WHERE program_id = :program_id"), values
                    )
                    if found.scalar_one() == count:
                        return
                await asyncio.sleep(0.02)

    async def unpublished(self) -> int:
        """The number of messages that the outbox has still to send."""
        async with self.running.service.database.transaction() as conn:
            found = await conn.execute(text("SELECT count(*) FROM outbox WHERE publish_time IS NULL"))
            return int(found.scalar_one())

    async def messages(self) -> list[list[events_pb2.ConversionEvent]]:
        """All events that the outbox ever held of this program, in order, by message; each message is of one
        program."""
        values = {"subject": CONVERSIONS.subject}
        async with self.running.service.database.transaction() as conn:
            rows = await conn.execute(
                text("SELECT payload FROM outbox WHERE subject = :subject ORDER BY outbox_id"), values
            )
            batches = [events_pb2.ConversionEventBatch.FromString(bytes(row.payload)) for row in rows]
        assert all(1 <= len(each.events) <= 1_000 for each in batches)
        return [list(each.events) for each in batches if f":{self.program_id}/" in each.events[0].event_id]

    async def events(self) -> list[events_pb2.ConversionEvent]:
        """All events that the outbox ever held of this program, one after the other."""
        return [event for message in await self.messages() for event in message]


def ago(now: datetime, **span: float) -> Any:
    """A timestamp that lies back."""
    return to_timestamp(now - timedelta(**span))
