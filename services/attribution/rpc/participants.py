"""ParticipantService."""

from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from typing import Any

from upline.attribution.v1 import participant_pb2

from chassis.handlers import Context
from chassis.idempotency import call_of
from chassis.pages import Pager, page_size
from services.attribution.commands.deps import Deps
from services.attribution.commands.participants import (
    EnrolmentResult,
    bind_sponsor,
    enroll_participant,
    enroll_participants,
    update_participant,
)
from services.attribution.domain.participant import Participant, Referral
from services.attribution.domain.tree import PATH_LEVELS
from services.attribution.queries.deps import QueryDeps
from services.attribution.queries.participants import (
    DownlinePosition,
    UplinePosition,
    get_participant,
    list_downline,
    list_referrals,
    list_upline,
)
from services.attribution.wire.conversions import read_past
from services.attribution.wire.participants import (
    node_message,
    participant_message,
    read_enrolment,
    referral_message,
    unbound_message,
)
from services.attribution.wire.storable import require_storable_map

MAX_LEVEL = 2**31 - 1
_BEFORE_ALL = (datetime(1, 1, 1, tzinfo=UTC), 0)


@dataclass(frozen=True, slots=True)
class ParticipantServicer:
    """Participants and the tree of sponsors. Methods are named as the contract names them, which says the rest."""

    service = participant_pb2.DESCRIPTOR.services_by_name["ParticipantService"]

    deps: Deps
    queries: QueryDeps
    pager: Pager

    async def EnrollParticipant(
        self, request: participant_pb2.EnrollParticipantRequest, _context: Context
    ) -> participant_pb2.EnrollParticipantResponse:
        def enrolled(participant: Participant) -> participant_pb2.EnrollParticipantResponse:
            return participant_pb2.EnrollParticipantResponse(
                participant=participant_message(request.program_id, participant)
            )

        now = self.deps.clock.now()
        draft = read_enrolment(request.participant, "participant", now)
        call = call_of(request, participant_pb2.EnrollParticipantResponse, enrolled)
        return await enroll_participant(self.deps, call, draft, now, refuse_bad_touch=request.refuse_bad_touch)

    async def EnrollParticipants(
        self, request: participant_pb2.EnrollParticipantsRequest, _context: Context
    ) -> participant_pb2.EnrollParticipantsResponse:
        def enrolled(result: EnrolmentResult) -> participant_pb2.EnrollParticipantsResponse:
            return participant_pb2.EnrollParticipantsResponse(
                enrolled_count=result.enrolled_count,
                existing_count=result.existing_count,
                unbound=map(unbound_message, result.unbound),
            )

        now = self.deps.clock.now()
        drafts = [
            read_enrolment(each, f"participants[{index}]", now) for index, each in enumerate(request.participants)
        ]
        call = call_of(request, participant_pb2.EnrollParticipantsResponse, enrolled)
        return await enroll_participants(self.deps, call, drafts, now, refuse_bad_touch=request.refuse_bad_touch)

    async def GetParticipant(
        self, request: participant_pb2.GetParticipantRequest, _context: Context
    ) -> participant_pb2.GetParticipantResponse:
        participant = await get_participant(self.queries, request.program_id, request.participant_id)
        return participant_pb2.GetParticipantResponse(participant=participant_message(request.program_id, participant))

    async def UpdateParticipant(
        self, request: participant_pb2.UpdateParticipantRequest, _context: Context
    ) -> participant_pb2.UpdateParticipantResponse:
        def updated(participant: Participant) -> participant_pb2.UpdateParticipantResponse:
            return participant_pb2.UpdateParticipantResponse(
                participant=participant_message(request.program_id, participant)
            )

        require_storable_map("attributes", request.attributes)
        call = call_of(request, participant_pb2.UpdateParticipantResponse, updated)
        return await update_participant(self.deps, call, request.participant_id, dict(request.attributes))

    async def BindSponsor(
        self, request: participant_pb2.BindSponsorRequest, _context: Context
    ) -> participant_pb2.BindSponsorResponse:
        def bound(participant: Participant) -> participant_pb2.BindSponsorResponse:
            return participant_pb2.BindSponsorResponse(participant=participant_message(request.program_id, participant))

        now = self.deps.clock.now()
        bound_at = read_past(request.bind_time, "bind_time", now) if request.HasField("bind_time") else now
        call = call_of(request, participant_pb2.BindSponsorResponse, bound)
        return await bind_sponsor(self.deps, call, request.participant_id, request.sponsor_id, bound_at)

    async def ListUpline(
        self, request: participant_pb2.ListUplineRequest, _context: Context
    ) -> participant_pb2.ListUplineResponse:
        position = self.pager.position(request, request.page_token)
        size = page_size(request.page_size, PATH_LEVELS)
        after = UplinePosition(*position) if position else None
        found = await list_upline(self.queries, request.program_id, request.participant_id, after, size + 1)
        ancestors, token = self.pager.page(request, found, size, node_message, lambda last: [last.key, last.level])
        return participant_pb2.ListUplineResponse(ancestors=ancestors, next_page_token=token)

    async def ListDownline(
        self, request: participant_pb2.ListDownlineRequest, _context: Context
    ) -> participant_pb2.ListDownlineResponse:
        position = self.pager.position(request, request.page_token)
        size = page_size(request.page_size)
        after = DownlinePosition(*position) if position else None
        max_level = request.max_level or MAX_LEVEL
        page = await list_downline(self.queries, request.program_id, request.participant_id, after, max_level, size)
        descendants, token = self.pager.page(
            request, page.nodes, size, node_message, lambda last: list(astuple(page.position_after(last)))
        )
        return participant_pb2.ListDownlineResponse(descendants=descendants, next_page_token=token)

    async def ListReferrals(
        self, request: participant_pb2.ListReferralsRequest, _context: Context
    ) -> participant_pb2.ListReferralsResponse:
        position = self.pager.position(request, request.page_token)
        size = page_size(request.page_size)
        after = (datetime.fromisoformat(position[0]), position[1]) if position else _BEFORE_ALL
        page = await list_referrals(self.queries, request.program_id, request.participant_id, after, size + 1)
        referrals, token = self.pager.page(
            request,
            page.referrals,
            size,
            lambda each: referral_message(request.program_id, page.currency_code, each),
            _bond_position,
        )
        return participant_pb2.ListReferralsResponse(referrals=referrals, next_page_token=token)


def _bond_position(referral: Referral) -> list[Any]:
    """Where a referee stands among those of a sponsor."""
    referee = referral.referee
    return [referee.bond.bound_at.isoformat(), referee.key]
