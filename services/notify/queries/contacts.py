"""Reading what is known of a person."""

from chassis.errors import not_found
from services.notify.domain.contact import Contact
from services.notify.domain.inbox import Inbox
from services.notify.queries.deps import QueryDeps
from services.notify.store import contacts as contact_store


async def get_contact(deps: QueryDeps, inbox: Inbox) -> Contact:
    """A participant's contact. NOT_FOUND if none is kept."""
    async with deps.database.transaction() as conn:
        contact = await contact_store.get(conn, inbox)
    if contact is None:
        raise not_found("contact", inbox.participant_id)
    return contact
