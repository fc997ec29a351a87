"""Setting and erasing what is known of people."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.errors import FieldViolation, invalid_fields
from chassis.idempotency import Answer, Call, answer_once
from services.notify.commands.deps import Deps
from services.notify.domain.contact import Contact, changed
from services.notify.domain.inbox import Inbox
from services.notify.store import contacts as contact_store
from services.notify.store import preferences as preference_store


@dataclass(frozen=True, slots=True)
class ContactChanges:
    """Contacts of one program that a call gives, each of another participant."""

    program_id: str
    contacts: Sequence[Contact]
    paths: Sequence[str]
    """Where each stands in the request, by which an error names it."""
    fields: Collection[str]
    """The fields to change, of all of them."""


async def update_contacts(deps: Deps, call: Call[datetime, Answer], changes: ContactChanges) -> Answer:
    """Changes all contacts or none; the answer tells when."""
    async with deps.database.transaction() as conn:

        async def carry_out() -> datetime:
            now = deps.clock.now()
            ids = [each.participant_id for each in changes.contacts]
            stored = await contact_store.lock(conn, changes.program_id, ids, now)
            merged = [changed(stored[each.participant_id], each, changes.fields, now) for each in changes.contacts]
            _require_verified_addresses(changes.paths, merged)
            await contact_store.write(conn, changes.program_id, merged)
            return now

        return await answer_once(conn, call, carry_out)


def _require_verified_addresses(paths: Sequence[str], contacts: Sequence[Contact]) -> None:
    """Refuses the time of a verification where there is no address, by then, that was verified."""
    violations = [
        FieldViolation(f"{path}.email_verify_time", "there is no address to verify; write the email with it")
        for path, each in zip(paths, contacts, strict=True)
        if each.email_verify_time and not each.email
    ]
    if violations:
        raise invalid_fields(violations, "INVALID_CONTACT")


async def erase_contact(deps: Deps, call: Call[Sequence[str], Answer], inbox: Inbox) -> Answer:
    """Removes all that is known of a person; the answer tells the names of what it was."""
    async with deps.database.transaction() as conn:

        async def carry_out() -> Sequence[str]:
            contact = await contact_store.erase(conn, inbox)
            locale = await preference_store.erase(conn, inbox)
            return [*_known_fields(contact), *(["preferences.locale"] if locale else [])]

        return await answer_once(conn, call, carry_out)


def _known_fields(contact: Contact | None) -> list[str]:
    names = ("display_name", "email", "email_verify_time", "time_zone", "locale")
    return [f"contact.{name}" for name in names if getattr(contact, name, None)]
