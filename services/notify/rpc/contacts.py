"""ContactService: what is known of people beside their ids."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from upline.notify.v1 import contact_pb2

from chassis.handlers import Context
from chassis.idempotency import call_of
from chassis.times import to_timestamp
from services.notify.commands.contacts import ContactChanges, erase_contact, update_contacts
from services.notify.commands.deps import Deps
from services.notify.domain.inbox import Inbox
from services.notify.queries.contacts import get_contact
from services.notify.queries.deps import QueryDeps
from services.notify.wire.contacts import contact_message, read_contacts, read_fields

Response = TypeVar("Response", contact_pb2.UpdateContactResponse, contact_pb2.BatchUpdateContactsResponse)


@dataclass(frozen=True, slots=True)
class ContactServicer:
    """Contacts. Methods are named as the contract names them, which says the rest."""

    service = contact_pb2.DESCRIPTOR.services_by_name["ContactService"]

    deps: Deps
    queries: QueryDeps

    async def UpdateContact(
        self, request: contact_pb2.UpdateContactRequest, _context: Context
    ) -> contact_pb2.UpdateContactResponse:
        return await self._update(request, [request.contact], ["contact"], contact_pb2.UpdateContactResponse)

    async def BatchUpdateContacts(
        self, request: contact_pb2.BatchUpdateContactsRequest, _context: Context
    ) -> contact_pb2.BatchUpdateContactsResponse:
        paths = [f"contacts[{place}]" for place in range(len(request.contacts))]
        return await self._update(request, request.contacts, paths, contact_pb2.BatchUpdateContactsResponse)

    async def GetContact(
        self, request: contact_pb2.GetContactRequest, _context: Context
    ) -> contact_pb2.GetContactResponse:
        contact = await get_contact(self.queries, Inbox(request.program_id, request.participant_id))
        return contact_pb2.GetContactResponse(contact=contact_message(contact))

    async def EraseContact(
        self, request: contact_pb2.EraseContactRequest, _context: Context
    ) -> contact_pb2.EraseContactResponse:
        def erased(names: Sequence[str]) -> contact_pb2.EraseContactResponse:
            return contact_pb2.EraseContactResponse(erased=names)

        call = call_of(request, contact_pb2.EraseContactResponse, erased)
        return await erase_contact(self.deps, call, Inbox(request.program_id, request.participant_id))

    async def _update(
        self,
        request: contact_pb2.UpdateContactRequest | contact_pb2.BatchUpdateContactsRequest,
        messages: Sequence[contact_pb2.Contact],
        paths: Sequence[str],
        answer_type: type[Response],
    ) -> Response:
        def updated(moment: datetime) -> Response:
            return answer_type(update_time=to_timestamp(moment))

        fields = read_fields(request.update_mask.paths)
        # In a thread: a thousand contacts take a tenth of a second, and other calls go on meanwhile.
        contacts = await asyncio.to_thread(read_contacts, messages, paths, fields, self.deps.clock.now())
        changes = ContactChanges(request.program_id, contacts, paths, fields)
        return await update_contacts(self.deps, call_of(request, answer_type, updated), changes)
