"""ParticipantService."""

import grpc
from upline.attribution.v1 import participant_pb2

from services.attribution import queries
from services.attribution.commands import Deps
from services.attribution.commands.participants import (
    bind_sponsor,
    enroll_participant,
    enroll_participants,
    update_participant,
)
from services.attribution.queries.participants import get_participant, list_downline, list_referrals, list_upline

Context = grpc.aio.ServicerContext[object, object]


class ParticipantServicer:
    """Participants and the tree of sponsors. Methods are named as the contract names them, which says the rest."""

    def __init__(self, deps: Deps, reader: queries.Reader) -> None:
        self._deps = deps
        self._reader = reader

    async def EnrollParticipant(
        self, request: participant_pb2.EnrollParticipantRequest, _context: Context
    ) -> participant_pb2.EnrollParticipantResponse:
        """See the contract."""
        return await enroll_participant(self._deps, request)

    async def EnrollParticipants(
        self, request: participant_pb2.EnrollParticipantsRequest, _context: Context
    ) -> participant_pb2.EnrollParticipantsResponse:
        """See the contract."""
        return await enroll_participants(self._deps, request)

    async def GetParticipant(
        self, request: participant_pb2.GetParticipantRequest, _context: Context
    ) -> participant_pb2.GetParticipantResponse:
        """See the contract."""
        return await get_participant(self._reader, request)

    async def UpdateParticipant(
        self, request: participant_pb2.UpdateParticipantRequest, _context: Context
    ) -> participant_pb2.UpdateParticipantResponse:
        """See the contract."""
        return await update_participant(self._deps, request)

    async def BindSponsor(
        self, request: participant_pb2.BindSponsorRequest, _context: Context
    ) -> participant_pb2.BindSponsorResponse:
        """See the contract."""
        return await bind_sponsor(self._deps, request)

    async def ListUpline(
        self, request: participant_pb2.ListUplineRequest, _context: Context
    ) -> participant_pb2.ListUplineResponse:
        """See the contract."""
        return await list_upline(self._reader, request)

    async def ListDownline(
        self, request: participant_pb2.ListDownlineRequest, _context: Context
    ) -> participant_pb2.ListDownlineResponse:
        """See the contract."""
        return await list_downline(self._reader, request)

    async def ListReferrals(
        self, request: participant_pb2.ListReferralsRequest, _context: Context
    ) -> participant_pb2.ListReferralsResponse:
        """See the contract."""
        return await list_referrals(self._reader, request)
