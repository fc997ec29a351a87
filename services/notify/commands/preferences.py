"""Setting a participant's preferences."""

from chassis.idempotency import Answer, Call, answer_once
from services.notify.commands.deps import Deps
from services.notify.domain.inbox import Inbox
from services.notify.store import preferences as preference_store


async def update_preferences(deps: Deps, call: Call[str, Answer], inbox: Inbox, locale: str) -> Answer:
    """Replaces a participant's language, and answers with it: from now on all entries are read in it, old ones too."""
    async with deps.database.transaction() as conn:

        async def carry_out() -> str:
            await preference_store.set_locale(conn, inbox, locale, deps.clock.now())
            return locale

        return await answer_once(conn, call, carry_out)
