"""PreferenceService: how a participant wants to be told."""

from dataclasses import dataclass

from upline.notify.v1 import notify_pb2

from chassis.handlers import Context
from chassis.idempotency import call_of
from services.notify.commands.deps import Deps
from services.notify.commands.preferences import update_preferences
from services.notify.domain.inbox import Inbox
from services.notify.queries.deps import QueryDeps
from services.notify.queries.preferences import get_locale


@dataclass(frozen=True, slots=True)
class PreferenceServicer:
    """Preferences. Methods are named as the contract names them, which says the rest."""

    service = notify_pb2.DESCRIPTOR.services_by_name["PreferenceService"]

    deps: Deps
    queries: QueryDeps

    async def UpdatePreferences(
        self, request: notify_pb2.UpdatePreferencesRequest, _context: Context
    ) -> notify_pb2.UpdatePreferencesResponse:
        def updated(locale: str) -> notify_pb2.UpdatePreferencesResponse:
            return notify_pb2.UpdatePreferencesResponse(preferences=notify_pb2.Preferences(locale=locale))

        call = call_of(request, notify_pb2.UpdatePreferencesResponse, updated)
        inbox = Inbox(request.program_id, request.participant_id)
        return await update_preferences(self.deps, call, inbox, request.preferences.locale)

    async def GetPreferences(
        self, request: notify_pb2.GetPreferencesRequest, _context: Context
    ) -> notify_pb2.GetPreferencesResponse:
        locale = await get_locale(self.queries, Inbox(request.program_id, request.participant_id))
        return notify_pb2.GetPreferencesResponse(preferences=notify_pb2.Preferences(locale=locale))
