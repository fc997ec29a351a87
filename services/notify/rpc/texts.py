"""TextService: the words in which a program tells its participants."""

from dataclasses import dataclass

from upline.notify.v1 import notify_pb2

from chassis.handlers import Context
from chassis.idempotency import call_of
from services.notify.commands.deps import Deps
from services.notify.commands.texts import publish_texts
from services.notify.queries.deps import QueryDeps
from services.notify.queries.texts import get_texts
from services.notify.wire.texts import read_texts, texts_message


@dataclass(frozen=True, slots=True)
class TextServicer:
    """Texts. Methods are named as the contract names them, which says the rest."""

    service = notify_pb2.DESCRIPTOR.services_by_name["TextService"]

    deps: Deps
    queries: QueryDeps

    async def PublishTexts(
        self, request: notify_pb2.PublishTextsRequest, _context: Context
    ) -> notify_pb2.PublishTextsResponse:
        def published(version: int) -> notify_pb2.PublishTextsResponse:
            return notify_pb2.PublishTextsResponse(version=version)

        call = call_of(request, notify_pb2.PublishTextsResponse, published)
        return await publish_texts(self.deps, call, request.program_id, read_texts(request.texts))

    async def GetTexts(self, request: notify_pb2.GetTextsRequest, _context: Context) -> notify_pb2.GetTextsResponse:
        newest = await get_texts(self.queries, request.program_id)
        return notify_pb2.GetTextsResponse(texts=texts_message(newest.texts), version=newest.version)
