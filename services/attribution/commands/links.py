"""Making links and codes, and counting shares."""

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import outbox
from chassis.errors import already_exists, invalid
from chassis.idempotency import Answer, Call, answer_once
from chassis.ids import random_token
from services.attribution import people_events
from services.attribution.commands.deps import Deps
from services.attribution.domain.codes import ENTROPY_BYTES, generate_code, generate_link_id, normalise
from services.attribution.domain.destination import DestinationError, canonical
from services.attribution.domain.links import Code, CodeDraft, Link, LinkDraft, ShareRecord, share_percent
from services.attribution.store.links import count_share, insert_code, insert_link, require_code, require_link
from services.attribution.store.participants import require_participant
from services.attribution.store.programs import load_program

MAX_DRAWS = 10
"""A drawn code is taken once in a thousand million draws; ten in a row mean that the draws are not random."""


async def create_link(deps: Deps, call: Call[Link, Answer], draft: LinkDraft) -> Answer:
    """Makes a link to a page that the program allows."""

    async def carry_out() -> Link:
        program = await load_program(conn, draft.program_id)
        await require_participant(conn, draft.program_id, draft.participant_id)
        try:
            destination_url = canonical(draft.destination_url, program.allowed_hosts)
        except DestinationError as error:
            raise invalid("destination_url", str(error), "DESTINATION_NOT_ALLOWED") from error
        link = Link(
            program_id=draft.program_id,
            link_id=generate_link_id(random_token(ENTROPY_BYTES)),
            participant_id=draft.participant_id,
            destination_url=destination_url,
            channel=draft.channel,
            campaign=draft.campaign,
            utm=draft.utm,
            create_time=deps.clock.now(),
            share_percent=_chosen_share(draft.share_percent),
        )
        await insert_link(conn, link)
        await outbox.append(conn, people_events.links_made([link], deps.link_address))
        return link

    async with deps.database.transaction() as conn:
        return await answer_once(conn, call, carry_out)


async def create_code(deps: Deps, call: Call[Code, Answer], draft: CodeDraft) -> Answer:
    """Makes the code asked for, or one that nobody can guess."""

    async def carry_out() -> Code:
        await load_program(conn, draft.program_id)
        await require_participant(conn, draft.program_id, draft.participant_id)
        code = await (_insert_wanted if draft.code else _insert_drawn)(deps, conn, draft)
        await outbox.append(conn, people_events.codes_made([code]))
        return code

    async with deps.database.transaction() as conn:
        return await answer_once(conn, call, carry_out)


async def record_share(deps: Deps, call: Call[int, Answer], share: ShareRecord) -> Answer:
    """Counts one share; the result is how many the participant now has by its channel."""

    async def carry_out() -> int:
        await load_program(conn, share.program_id)
        await require_participant(conn, share.program_id, share.participant_id)
        if share.link_id:
            await require_link(conn, share.program_id, share.link_id)
        code = (await require_code(conn, share.program_id, share.code)).code if share.code else ""
        named = replace(share, code=code)
        stored = await count_share(conn, named)
        await outbox.append(conn, people_events.all_shared([(named, stored)]))
        return stored.share_count

    async with deps.database.transaction() as conn:
        return await answer_once(conn, call, carry_out)


async def _insert_wanted(deps: Deps, conn: AsyncConnection, draft: CodeDraft) -> Code:
    code = _code(deps, draft, normalise(draft.code))
    if not await insert_code(conn, code):
        raise already_exists("CODE_TAKEN", f"the code {code.code} is taken", "code")
    return code


async def _insert_drawn(deps: Deps, conn: AsyncConnection, draft: CodeDraft) -> Code:
    for _ in range(MAX_DRAWS):
        code = _code(deps, draft, generate_code(random_token(ENTROPY_BYTES)))
        if await insert_code(conn, code):
            return code
    raise RuntimeError("every drawn code was taken")


def _code(deps: Deps, draft: CodeDraft, text: str) -> Code:
    return Code(
        program_id=draft.program_id,
        code=text,
        participant_id=draft.participant_id,
        channel=draft.channel,
        create_time=deps.clock.now(),
        share_percent=_chosen_share(draft.share_percent),
    )


def _chosen_share(written: str) -> str:
    """The share that a link or code gives away. Raises INVALID_ARGUMENT if that is more than the whole."""
    try:
        return share_percent(written)
    except ValueError as error:
        raise invalid("share_percent", str(error)) from error
