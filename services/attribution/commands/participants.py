"""Enrolling participants and binding them to their sponsors."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import outbox
from chassis.errors import FieldViolation, UplineError, already_exists, failed_precondition, invalid, not_found
from chassis.idempotency import Answer, Call, Value, answer_once
from services.attribution.commands.deps import Deps
from services.attribution.commands.races import in_transaction
from services.attribution.commands.recording import store_conversions
from services.attribution.commands.touches import load_candidates
from services.attribution.domain.admission import Admissions, SponsorFlaw, deciding_touch, names_touch
from services.attribution.domain.attribution import Attribution, BindSource, Bond, Candidate, Reason
from services.attribution.domain.participant import EnrolmentDraft, Participant
from services.attribution.domain.policy import Bindable, Program
from services.attribution.domain.tree import CycleError, Forest
from services.attribution.people_events import people_changed
from services.attribution.store import locks
from services.attribution.store.conversions import find_earlier_buyers, load_hashes
from services.attribution.store.participants import (
    adopt_participants,
    bind_participants,
    insert_participants,
    load_participant,
    load_participants,
    new_keys,
    set_attributes,
)
from services.attribution.store.programs import load_program
from services.attribution.store.tree import UplineWalks, find_roots, lengthen, walk_up


@dataclass(frozen=True, slots=True)
class EnrolmentResult:
    """The result of a call that enrols many."""

    enrolled_count: int
    existing_count: int
    unbound: list[Participant]
    """Those who came with a touch and have no sponsor."""


async def enroll_participant(
    deps: Deps, call: Call[Participant, Answer], draft: EnrolmentDraft, now: datetime, *, refuse_bad_touch: bool
) -> Answer:
    """Enrols one participant. Somebody who was enrolled before with the same data is returned as they are."""

    async def carry_out(conn: AsyncConnection) -> Participant:
        await _enroll(conn, deps, call.program_id, [draft], now, refuse_bad_touch=refuse_bad_touch)
        return await load_participant(conn, call.program_id, draft.participant_id)

    return await _answer(deps, call, carry_out)


async def enroll_participants(
    deps: Deps,
    call: Call[EnrolmentResult, Answer],
    drafts: Sequence[EnrolmentDraft],
    now: datetime,
    *,
    refuse_bad_touch: bool,
) -> Answer:
    """Enrols participants in their order: all or none."""

    async def carry_out(conn: AsyncConnection) -> EnrolmentResult:
        enrolled_count = await _enroll(conn, deps, call.program_id, drafts, now, refuse_bad_touch=refuse_bad_touch)
        unbound = await _unbound(conn, call.program_id, drafts)
        return EnrolmentResult(enrolled_count, len(drafts) - enrolled_count, unbound)

    return await _answer(deps, call, carry_out)


async def update_participant(
    deps: Deps, call: Call[Participant, Answer], participant_id: str, attributes: dict[str, str]
) -> Answer:
    """Replaces a participant's attributes."""

    async def carry_out(conn: AsyncConnection) -> Participant:
        await load_program(conn, call.program_id)
        person = await load_participant(conn, call.program_id, participant_id)
        changes = await set_attributes(conn, person, attributes)
        await outbox.append(conn, people_changed(call.program_id, [], changes, [], deps.clock.now()))
        return await load_participant(conn, call.program_id, participant_id)

    return await _answer(deps, call, carry_out)


async def bind_sponsor(
    deps: Deps, call: Call[Participant, Answer], participant_id: str, sponsor_id: str, bound_at: datetime
) -> Answer:
    """Binds somebody who is enrolled, and with them whoever stands below them."""
    if participant_id == sponsor_id:
        raise invalid("sponsor_id", "nobody can be their own sponsor", "SELF_REFERRAL")

    async def carry_out(conn: AsyncConnection) -> Participant:
        program = await load_program(conn, call.program_id)
        await locks.lock_tree(conn, call.program_id)
        person = await load_participant(conn, call.program_id, participant_id)
        sponsor = await load_participant(conn, call.program_id, sponsor_id)
        if person.bond is not None:
            raise failed_precondition(
                "ALREADY_BOUND", f"their sponsor is {person.bond.sponsor_id!r}, for life", "participant_id"
            )
        walks = await walk_up(conn, [sponsor.key])
        forest = Forest({**walks.paths, person.key: ()}, await find_roots(conn, [sponsor.key]))
        admissions = Admissions(program.policy, {participant_id: person, sponsor_id: sponsor}, forest)
        try:
            admissions.bind(participant_id, Bond(sponsor_id, bound_at, BindSource.CALLER))
        except CycleError as error:
            raise failed_precondition("CYCLE", str(error), "sponsor_id") from error
        await bind_participants(conn, admissions.bindings)
        await outbox.append(conn, people_changed(call.program_id, [], [], admissions.bindings, deps.clock.now()))
        person = await load_participant(conn, call.program_id, participant_id)
        await lengthen(conn, walks.short)
        return person

    return await _answer(deps, call, carry_out)


async def _answer(
    deps: Deps, call: Call[Value, Answer], carry_out: Callable[[AsyncConnection], Awaitable[Value]]
) -> Answer:
    """Carries a call out once, in a transaction of its own, and sends its events on their way."""

    async def work(conn: AsyncConnection) -> Answer:
        return await answer_once(conn, call, lambda: carry_out(conn))

    answer = await in_transaction(deps.database, work)
    deps.relay.wake()
    return answer


async def _enroll(
    conn: AsyncConnection,
    deps: Deps,
    program_id: str,
    drafts: Sequence[EnrolmentDraft],
    now: datetime,
    *,
    refuse_bad_touch: bool,
) -> int:
    """Enrols those who are not enrolled yet, and returns how many they were."""
    program = await load_program(conn, program_id)
    if any(each.sign_up for each in drafts):
        await locks.admit_conversions(conn, program_id)
    fresh = await _not_enrolled(conn, program_id, drafts)
    candidates = await load_candidates(conn, deps.click_token_key, program, [deciding_touch(each) for each in fresh])
    admissions, walks = await _load(conn, program, fresh, candidates)
    sign_ups = []
    for draft, touches in zip(fresh, candidates, strict=True):
        attribution = _attribute(admissions, draft, touches)
        if refuse_bad_touch and names_touch(draft) and attribution.reason in _WRONG_TOUCH:
            raise _bad_touch(draft, attribution.reason)
        try:
            sign_up = admissions.enrol(draft, attribution, now)
        except CycleError as error:
            raise failed_precondition("CYCLE", str(error), _sponsor_field(draft)) from error
        if sign_up is not None:
            sign_ups.append(sign_up)
    await insert_participants(conn, program_id, admissions.enrolments)
    changes = await adopt_participants(conn, admissions.adoptions)
    await bind_participants(conn, admissions.bindings)
    people = people_changed(program_id, admissions.enrolments, changes, admissions.bindings, now)
    await store_conversions(conn, program, sign_ups, now, people)
    await lengthen(conn, walks.short)
    return len(fresh)


async def _unbound(conn: AsyncConnection, program_id: str, drafts: Sequence[EnrolmentDraft]) -> list[Participant]:
    """People who came with a touch, of whatever kind, and have no sponsor; each once, in the order of the drafts."""
    ids = list(dict.fromkeys(each.participant_id for each in drafts if names_touch(each) or each.visitor_id))
    people = await load_participants(conn, program_id, ids)
    found = [people[each] for each in ids]
    return [each for each in found if each.bond is None and each.unbound_reason is not None]


async def _not_enrolled(
    conn: AsyncConnection, program_id: str, drafts: Sequence[EnrolmentDraft]
) -> list[EnrolmentDraft]:
    """The drafts to carry out, each person once. Raises ALREADY_EXISTS where somebody was enrolled with other data."""
    people = await load_participants(conn, program_id, [each.participant_id for each in drafts])
    seen = {each.participant_id: each.draft_hash for each in people.values() if each.draft_hash is not None}
    fresh = []
    for draft in drafts:
        known = seen.setdefault(draft.participant_id, draft.draft_hash)
        if known != draft.draft_hash:
            raise already_exists(
                "PARTICIPANT_EXISTS",
                f"participant {draft.participant_id!r} was enrolled with other data",
                f"{draft.path}.participant_id",
            )
        if known is draft.draft_hash:
            fresh.append(draft)
    return fresh


async def _load(
    conn: AsyncConnection,
    program: Program,
    drafts: Sequence[EnrolmentDraft],
    candidates: Sequence[Sequence[Candidate]],
) -> tuple[Admissions, UplineWalks]:
    """The batch to decide the enrolments with, and the walks by which the uplines were found."""
    program_id, policy = program.program_id, program.policy
    ids = {each.participant_id for each in drafts}
    sponsor_ids = {each.sponsor_id for each in drafts} | {
        each.referrer_id for touches in candidates for each in touches
    }
    wanted = ids | sponsor_ids | {policy.default_sponsor_id}
    people = await load_participants(conn, program_id, wanted)
    if any(each in people and people[each].bond is None for each in ids):
        await locks.lock_tree(conn, program_id)
        people = await load_participants(conn, program_id, wanted)
    person_keys = {each.key for each in people.values()}
    walks = await walk_up(conn, person_keys)
    may_bind = any(each in people and people[each].bond is None for each in ids)
    roots = await find_roots(conn, person_keys) if may_bind else {}
    buyers: set[str] = set()
    if policy.bindable is Bindable.NEW_ONLY:
        buyers = await find_earlier_buyers(conn, program_id, ids)
    recorded_sign_ups: set[str] = set()
    if sign_ups := [each.sign_up.conversion_id for each in drafts if each.sign_up]:
        recorded_sign_ups = set(await load_hashes(conn, program_id, sign_ups))
    keys = await new_keys(conn, len(drafts))
    admissions = Admissions(
        policy=policy,
        people=people,
        forest=Forest(walks.paths, roots),
        newcomer_keys={draft.participant_id: key for draft, key in zip(drafts, keys, strict=True)},
        buyers=buyers,
        recorded_sign_ups=recorded_sign_ups,
    )
    return admissions, walks


def _attribute(admissions: Admissions, draft: EnrolmentDraft, candidates: Sequence[Candidate]) -> Attribution:
    """Tells who referred a person. A sponsor whom the caller names has to be right; touches are only tried."""
    if not draft.sponsor_id:
        return admissions.attribute_enrolment(draft, candidates)
    path = f"{draft.path}.sponsor_id"
    match admissions.sponsor_flaw(draft.participant_id, draft.sponsor_id):
        case SponsorFlaw.SELF:
            raise invalid(path, "nobody can be their own sponsor", "SELF_REFERRAL")
        case SponsorFlaw.NOT_ENROLLED:
            raise not_found("sponsor", draft.sponsor_id, [FieldViolation(path, "is not enrolled in the program")])
        case SponsorFlaw.OTHER_SPONSOR:
            sponsor_id = admissions.sponsor_of(draft.participant_id)
            raise already_exists("ALREADY_BOUND", f"their sponsor is {sponsor_id!r}, for life", path)
    return Attribution(draft.sponsor_id, Reason.CALLER)


def _bad_touch(draft: EnrolmentDraft, reason: Reason) -> UplineError:
    """The error for a caller who asked to be refused rather than to enrol somebody without a sponsor."""
    path, why = _sponsor_field(draft), _WRONG_TOUCH[reason]
    if reason in (Reason.CYCLE, Reason.NOT_NEW):
        return failed_precondition(reason.name, why, path)
    return invalid(path, why, reason.name)


_WRONG_TOUCH = {
    Reason.UNKNOWN_CODE: "there is no such code",
    Reason.INVALID_TOKEN: "is not a click token of this program",
    Reason.WINDOW_PASSED: "the click is older than the program's window",
    Reason.TOUCH_TOO_LATE: "the click came after the enrolment",
    Reason.SELF_REFERRAL: "nobody can be their own sponsor",
    Reason.CYCLE: "its owner stands in the participant's own downline",
    Reason.NOT_NEW: "the participant is not new, and the program binds new customers only",
}


def _sponsor_field(draft: EnrolmentDraft) -> str:
    """The path of the field that decides who the sponsor is."""
    name = "sponsor_id" if draft.sponsor_id else "code" if draft.code else "click_token" if draft.click_token else ""
    return f"{draft.path}.{name or 'visitor_id'}"
