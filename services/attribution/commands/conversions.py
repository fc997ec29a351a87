"""Recording conversions: who referred the buyer, decided and stored in one transaction."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.errors import already_exists, invalid
from services.attribution.commands.deps import Deps
from services.attribution.commands.races import in_transaction
from services.attribution.commands.recording import store_conversions
from services.attribution.commands.touches import load_candidates
from services.attribution.domain.admission import Admissions, depends_on_others, pairs_to_compare
from services.attribution.domain.attribution import Candidate, NamedTouches
from services.attribution.domain.conversion import Conversion, ConversionDraft
from services.attribution.domain.policy import Bindable, Binding, Program
from services.attribution.domain.tree import Forest
from services.attribution.people_events import people_changed
from services.attribution.store import locks
from services.attribution.store.conversions import find_earlier_buyers, load_conversions, load_hashes
from services.attribution.store.participants import (
    bind_participants,
    insert_participants,
    load_participants,
    new_keys,
)
from services.attribution.store.programs import load_program
from services.attribution.store.tree import UplineWalks, find_above, find_roots, lengthen, walk_up

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RecordingResult:
    """The result of a call that records conversions."""

    program: Program
    fresh: list[Conversion]
    """The conversions that this call recorded."""
    existing_count: int
    """The number of conversions that were recorded before, with the same content."""


async def record_conversions(
    deps: Deps, program_id: str, drafts: Sequence[ConversionDraft], now: datetime
) -> RecordingResult:
    """Records conversions of one program: all or none. Ids that are recorded with the same content are skipped.

    Raises NOT_FOUND (program), INVALID_ARGUMENT (currency) or ALREADY_EXISTS (same id, other content).
    """

    async def work(conn: AsyncConnection) -> RecordingResult:
        program = await load_program(conn, program_id)
        _check_currencies(program, drafts)
        await locks.admit_conversions(conn, program_id)
        fresh = await _not_recorded(conn, program_id, drafts)
        candidates = await load_candidates(
            conn,
            deps.click_token_key,
            program,
            [NamedTouches(each.code, each.click_token, each.visitor_id, each.occurred_at) for each in fresh],
        )
        admissions, walks = await _load(conn, program, fresh, candidates)
        attributed = [admissions.convert(draft, touches, now) for draft, touches in zip(fresh, candidates, strict=True)]
        await insert_participants(conn, program_id, admissions.enrolments)
        await bind_participants(conn, admissions.bindings)
        people = people_changed(program_id, admissions.enrolments, [], admissions.bindings, now)
        stored = await store_conversions(conn, program, attributed, now, people)
        await lengthen(conn, walks.short)
        return RecordingResult(program, stored, len(drafts) - len(fresh))

    result = await in_transaction(deps.database, work)
    deps.relay.wake()
    for each in result.fresh if log.is_enabled_for(logging.DEBUG) else ():
        log.debug("conversion recorded", program=program_id, conversion=each.conversion_id)
    return result


async def record_conversion(
    deps: Deps, program_id: str, draft: ConversionDraft, now: datetime
) -> tuple[Program, Conversion]:
    """Records one conversion; returns it as it stands, also when it was recorded before."""
    result = await record_conversions(deps, program_id, [draft], now)
    if result.fresh:
        return result.program, result.fresh[0]
    async with deps.database.transaction() as conn:
        found = await load_conversions(conn, program_id, [draft.conversion_id])
    return result.program, found[draft.conversion_id]


def _check_currencies(program: Program, drafts: Sequence[ConversionDraft]) -> None:
    for draft in drafts:
        if draft.currency_code not in ("", program.currency_code):
            raise invalid(f"{draft.path}.amount.currency_code", f"the program counts in {program.currency_code}")


async def _not_recorded(
    conn: AsyncConnection, program_id: str, drafts: Sequence[ConversionDraft]
) -> list[ConversionDraft]:
    """The drafts to record, each id once. Raises ALREADY_EXISTS where an id comes with another content than before."""
    seen = await load_hashes(conn, program_id, [each.conversion_id for each in drafts])
    fresh = []
    for draft in drafts:
        known = seen.setdefault(draft.conversion_id, draft.body_hash)
        if known != draft.body_hash:
            raise already_exists(
                "CONVERSION_EXISTS",
                f"conversion {draft.conversion_id!r} is recorded with another content",
                f"{draft.path}.conversion_id",
            )
        if known is draft.body_hash:
            fresh.append(draft)
    return fresh


async def _load(
    conn: AsyncConnection,
    program: Program,
    drafts: Sequence[ConversionDraft],
    candidates: Sequence[Sequence[Candidate]],
) -> tuple[Admissions, UplineWalks]:
    """The batch to decide the conversions with, and the walks by which their uplines were found."""
    program_id, policy = program.program_id, program.policy
    buyer_ids = {each.buyer_id for each in drafts}
    referrer_ids = {each.referrer_id for touches in candidates for each in touches} | {policy.default_sponsor_id}
    people = await load_participants(conn, program_id, buyer_ids | referrer_ids)
    default_sponsor_id = policy.default_sponsor_id if policy.default_sponsor_id in people else ""
    pairs = pairs_to_compare(policy, drafts, candidates, people, default_sponsor_id)
    if depends_on_others(policy, drafts, people, pairs):
        await locks.lock_tree(conn, program_id)
        people = await load_participants(conn, program_id, buyer_ids | referrer_ids)
        pairs = pairs_to_compare(policy, drafts, candidates, people, default_sponsor_id)
    buyers: set[str] = set()
    if policy.bindable is Bindable.NEW_ONLY:
        unknown = {each.buyer_id for each in drafts if each.new_customer is None and each.buyer_id not in people}
        buyers = await find_earlier_buyers(conn, program_id, unknown)
    walks = await walk_up(conn, {each.key for each in people.values()})
    is_for_life = policy.binding is Binding.LIFETIME
    roots = await find_roots(conn, {lower for _, lower in pairs}) if is_for_life else {}
    above = None if is_for_life else await find_above(conn, pairs)
    strangers = sorted(buyer_ids - people.keys())
    keys = await new_keys(conn, len(strangers)) if policy.enroll_buyers or is_for_life else []
    admissions = Admissions(
        policy=policy,
        people=people,
        forest=Forest(walks.paths, roots),
        newcomer_keys=dict(zip(strangers, keys, strict=False)),
        buyers=buyers,
        default_sponsor_id=default_sponsor_id,
        above=above,
    )
    return admissions, walks
