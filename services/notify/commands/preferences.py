"""Setting preferences."""

from upline.notify.v1 import notify_pb2

from chassis.idempotency import once
from services.notify.commands.deps import Deps
from services.notify.domain.inbox import Inbox
from services.notify.store import preferences as preference_store


async def update_preferences(
    deps: Deps, request: notify_pb2.UpdatePreferencesRequest
) -> notify_pb2.UpdatePreferencesResponse:
    """Replaces a participant's preferences; entries are read in the new language from now on, old ones too."""
    inbox = Inbox(request.program_id, request.participant_id)
    async with deps.database.transaction() as conn:

        async def carry_out() -> notify_pb2.UpdatePreferencesResponse:
            await preference_store.set_locale(conn, inbox, request.preferences.locale, deps.clock.now())
            return notify_pb2.UpdatePreferencesResponse(preferences=request.preferences)

        return await once(conn, request, notify_pb2.UpdatePreferencesResponse, carry_out)
