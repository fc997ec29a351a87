"""TextService and PreferenceService."""

from upline.notify.v1 import notify_pb2

from chassis.server import Context
from services.notify.commands.deps import Deps
from services.notify.commands.preferences import update_preferences
from services.notify.commands.texts import publish_texts
from services.notify.queries.texts import get_preferences, get_texts


class TextServicer:
    """The texts of a program."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    async def PublishTexts(
        self, request: notify_pb2.PublishTextsRequest, _context: Context
    ) -> notify_pb2.PublishTextsResponse:
        """See the contract."""
        return await publish_texts(self._deps, request)

    async def GetTexts(self, request: notify_pb2.GetTextsRequest, _context: Context) -> notify_pb2.GetTextsResponse:
        """See the contract."""
        return await get_texts(self._deps.database, request)


class PreferenceServicer:
    """What a participant wants."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    async def UpdatePreferences(
        self, request: notify_pb2.UpdatePreferencesRequest, _context: Context
    ) -> notify_pb2.UpdatePreferencesResponse:
        """See the contract."""
        return await update_preferences(self._deps, request)

    async def GetPreferences(
        self, request: notify_pb2.GetPreferencesRequest, _context: Context
    ) -> notify_pb2.GetPreferencesResponse:
        """See the contract."""
        return await get_preferences(self._deps.database, request)
