"""Enrolling participants and binding them to their sponsors."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.errors import FieldViolation, UplineError, already_exists, failed_precondition, invalid, not_found
from chassis.idempotency import Answer, Call, Value, answer_once
from services.attribution.commands.deps import Deps
from services.attribution.commands.races import in_transaction
from services.attribution.commands.recording import keep
from services.attribution.commands.touches import NamedTouches, load_candidates
from services.attribution.domain.attribution import (
    Attribution,
    BindSource,
    Bond,
    Buyer,
    Candidate,
    Reason,
    bond_of,
    decide,
    share_of,
)
from services.attribution.domain.conversion import AttributedConversion
from services.attribution.domain.participant import Enrolment, EnrolmentDraft, NewBond, Participant
from services.attribution.domain.policy import Bindable, Program
from services.attribution.domain.tree import PATH_LEVELS, CycleError, Forest
from services.attribution.store import locks
from services.attribution.store.conversions import find_earlier_buyers, load_hashes
from services.attribution.store.participants import (
    adopt_participant,
    bind_participants,
    insert_participants,
    load_participant,
    load_participants,
    new_keys,
    set_attributes,
)
from services.attribution.store.programs import load_program
from services.attribution.store.tree import find_roots, lengthen, walk_up


@dataclass(frozen=True, slots=True)
class EnrolmentResult:
    """What a call that enrols many did."""

    enrolled_count: int
    existing_count: int
    unbound: list[Participant]
    """Those who came with a touch and have no sponsor."""


async def enroll_participant(
    deps: Deps, call: Call[Participant, Answer], draft: EnrolmentDraft, now: datetime, *, refuse_bad_touch: bool
) -> Answer:
    """Enrols one participant; enrolled before with the same data, they are returned as they are."""

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
        await load_participant(conn, call.program_id, participant_id)
        await set_attributes(conn, call.program_id, participant_id, attributes)
        return await load_participant(conn, call.program_id, participant_id)

    return await _answer(deps, call, carry_out)


async def bind_sponsor(
    deps: Deps, call: Call[Participant, Answer], participant_id: str, sponsor_id: str, bound_at: datetime
) -> Answer:
    """Binds somebody enrolled, with whoever stands below them."""
    if participant_id == sponsor_id:
        raise invalid("sponsor_id", "nobody can be their own sponsor", "SELF_REFERRAL")

    async def carry_out(conn: AsyncConnection) -> Participant:
        await load_program(conn, call.program_id)
        await locks.tree_stands_still(conn, call.program_id)
        person = await load_participant(conn, call.program_id, participant_id)
        sponsor = await load_participant(conn, call.program_id, sponsor_id)
        if person.bond is not None:
            raise failed_precondition(
                "ALREADY_BOUND", f"their sponsor is {person.bond.sponsor_id!r}, for life", "participant_id"
            )
        walks = await walk_up(conn, [sponsor.key])
        forest = Forest({**walks.paths, person.key: ()}, await find_roots(conn, [sponsor.key]))
        bond = Bond(sponsor_id, bound_at, BindSource.CALLER)
        _bind(forest, person.key, sponsor.key, "sponsor_id")
        await bind_participants(conn, [NewBond(person.key, sponsor.key, forest.path(person.key), bond)])
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


@dataclass(slots=True)
class _Roll:
    """What a batch of enrolments looks at, as it changes while they are decided one after the other."""

    program: Program
    people: dict[str, Participant]
    """Everybody the batch speaks of who was enrolled before it."""
    forest: Forest
    buyers: set[str]
    """Those enrolled by a purchase, or unknown, who bought before."""
    keys: dict[str, int]
    """Of everybody enrolled, by this batch too."""
    signed_up: set[str]
    """Conversion ids of sign-ups that are recorded already."""
    short: dict[int, tuple[int, ...]]
    enrolments: list[Enrolment] = field(default_factory=list)
    adopted: list[tuple[EnrolmentDraft, Reason | None]] = field(default_factory=list)
    """People enrolled by a purchase before, each with the reason why nobody was found to bind them to."""
    bonds: list[NewBond] = field(default_factory=list)
    """Of those enrolled before."""
    sign_ups: list[AttributedConversion] = field(default_factory=list)


async def _enroll(
    conn: AsyncConnection,
    deps: Deps,
    program_id: str,
    drafts: Sequence[EnrolmentDraft],
    now: datetime,
    *,
    refuse_bad_touch: bool,
) -> int:
    """Enrols those who are not; returns how many."""
    program = await load_program(conn, program_id)
    if any(each.sign_up for each in drafts):
        await locks.conversions_may_arrive(conn, program_id)
    fresh = await _not_enrolled(conn, program_id, drafts)
    named = await load_candidates(conn, deps.click_token_key, program, [_named(each) for each in fresh])
    roll = await _load(conn, program, fresh, named)
    keys = await new_keys(conn, len(fresh))
    for draft, candidates, key in zip(fresh, named, keys, strict=True):
        attribution = _attribute(roll, draft, candidates)
        if refuse_bad_touch and _names_touch(draft) and attribution.reason in _WRONG_TOUCH:
            raise _refusal(draft, attribution.reason)
        _admit(roll, draft, attribution, key, now)
    await insert_participants(conn, program_id, roll.enrolments)
    for draft, unbound_reason in roll.adopted:
        key = roll.keys[draft.participant_id]
        await adopt_participant(conn, key, draft.attributes, draft.draft_hash, unbound_reason)
    await bind_participants(conn, roll.bonds)
    await keep(conn, program, roll.sign_ups, now)
    await lengthen(conn, roll.short)
    return len(fresh)


def _named(draft: EnrolmentDraft) -> NamedTouches:
    """The one touch that counts: what the caller knows outranks the code, the code the click, the click the visitor."""
    if draft.sponsor_id:
        return NamedTouches("", "", "", draft.joined_at)
    if draft.code:
        return NamedTouches(draft.code, "", "", draft.joined_at)
    if draft.click_token:
        return NamedTouches("", draft.click_token, "", draft.joined_at)
    return NamedTouches("", "", draft.visitor_id, draft.joined_at)


async def _unbound(conn: AsyncConnection, program_id: str, drafts: Sequence[EnrolmentDraft]) -> list[Participant]:
    """People who came with a touch, of whatever kind, and have no sponsor; each once, in the order of the drafts."""
    ids = list(dict.fromkeys(each.participant_id for each in drafts if _names_touch(each) or each.visitor_id))
    people = await load_participants(conn, program_id, ids)
    found = [people[each] for each in ids]
    return [each for each in found if each.bond is None and each.unbound_reason is not None]


async def _not_enrolled(
    conn: AsyncConnection, program_id: str, drafts: Sequence[EnrolmentDraft]
) -> list[EnrolmentDraft]:
    """The drafts to carry out, each person once. ALREADY_EXISTS where somebody was enrolled with other data."""
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
    conn: AsyncConnection, program: Program, drafts: Sequence[EnrolmentDraft], named: Sequence[Sequence[Candidate]]
) -> _Roll:
    ids = {each.participant_id for each in drafts}
    sponsor_ids = {each.sponsor_id for each in drafts} | {each.referrer_id for some in named for each in some}
    wanted = ids | sponsor_ids | {program.policy.default_sponsor_id}
    people = await load_participants(conn, program.program_id, wanted)
    if any(each in people and people[each].bond is None for each in ids):
        await locks.tree_stands_still(conn, program.program_id)
        people = await load_participants(conn, program.program_id, wanted)
    walks = await walk_up(conn, {each.key for each in people.values()})
    unbound = any(each in people and people[each].bond is None for each in ids)
    roots = await find_roots(conn, {each.key for each in people.values()}) if unbound else {}
    buyers: set[str] = set()
    if program.policy.bindable is Bindable.NEW_ONLY:
        buyers = await find_earlier_buyers(conn, program.program_id, ids)
    signed_up: set[str] = set()
    if sign_ups := [each.sign_up.conversion_id for each in drafts if each.sign_up]:
        signed_up = set(await load_hashes(conn, program.program_id, sign_ups))
    keys = {each.participant_id: each.key for each in people.values()}
    return _Roll(program, people, Forest(walks.paths, roots), buyers, keys, signed_up, walks.short)


def _admit(roll: _Roll, draft: EnrolmentDraft, attribution: Attribution, key: int, now: datetime) -> None:
    """Writes one person into the roll, bound as was decided."""
    person = roll.people.get(draft.participant_id)
    unbound_reason = None if attribution.referrer_id else attribution.reason
    if attribution.reason is Reason.CALLER:
        made: Bond | None = Bond(attribution.referrer_id, draft.joined_at, BindSource.CALLER)
    else:
        made = bond_of(roll.program.policy, attribution, draft.joined_at)
    new_bond = None
    if person is None:
        roll.keys[draft.participant_id] = key
        roll.forest.plant(key)
        if made is not None:
            roll.forest.graft(key, roll.keys[made.sponsor_id])
            new_bond = NewBond(key, roll.keys[made.sponsor_id], roll.forest.path(key), made)
        roll.enrolments.append(
            Enrolment(key, draft.participant_id, draft.attributes, draft.draft_hash, new_bond, unbound_reason, now)
        )
    else:
        key = person.key
        roll.adopted.append((draft, unbound_reason))
        if made is not None and person.bond is None:
            sponsor_key = roll.keys[made.sponsor_id]
            _bind(roll.forest, key, sponsor_key, _field(draft))
            roll.bonds.append(NewBond(key, sponsor_key, roll.forest.path(key), made))
    bond = person.bond if person and person.bond else made
    if draft.sign_up and draft.sign_up.conversion_id not in roll.signed_up:
        roll.sign_ups.append(
            AttributedConversion(
                draft=draft.sign_up,
                attribution=attribution,
                buyer_attributes=draft.attributes,
                bound_at=bond.bound_at if bond else None,
                upline=_upline(roll, key, attribution),
                share_percent=share_of(roll.program.policy, attribution, bond),
                link_owner_attributes=roll.people[attribution.touch.referrer_id].attributes
                if attribution.touch
                else {},
            )
        )


def _attribute(roll: _Roll, draft: EnrolmentDraft, candidates: Sequence[Candidate]) -> Attribution:
    """Who referred a person. A sponsor whom the caller names has to be right; touches are tried, and the default
    sponsor where there is none to try: one that failed may have been meant for somebody, and a sponsor is for life."""
    person = roll.people.get(draft.participant_id)
    if draft.sponsor_id:
        return _attribute_to_caller(roll, draft, person)
    default_sponsor_id = "" if _names_touch(draft) else roll.program.policy.default_sponsor_id
    buyer = Buyer(
        draft.participant_id,
        person.bond if person else None,
        is_new=person is None and draft.participant_id not in roll.buyers,
    )
    return decide(
        roll.program.policy,
        buyer,
        draft.joined_at,
        candidates,
        default_sponsor_id if default_sponsor_id in roll.keys else "",
        lambda referrer_id: _closes_cycle(roll, draft.participant_id, referrer_id),
    )


def _attribute_to_caller(roll: _Roll, draft: EnrolmentDraft, person: Participant | None) -> Attribution:
    path = f"{draft.path}.sponsor_id"
    if draft.sponsor_id == draft.participant_id:
        raise invalid(path, "nobody can be their own sponsor", "SELF_REFERRAL")
    if draft.sponsor_id not in roll.keys:
        raise not_found("sponsor", draft.sponsor_id, [FieldViolation(path, "is not enrolled in the program")])
    if person is not None and person.bond is not None and person.bond.sponsor_id != draft.sponsor_id:
        raise already_exists("ALREADY_BOUND", f"their sponsor is {person.bond.sponsor_id!r}, for life", path)
    return Attribution(draft.sponsor_id, Reason.CALLER)


def _names_touch(draft: EnrolmentDraft) -> bool:
    """Whether a code or click is what decides who the sponsor is, rather than the caller's word or the visitor's
    past."""
    return not draft.sponsor_id and bool(draft.code or draft.click_token)


def _refusal(draft: EnrolmentDraft, reason: Reason) -> UplineError:
    """The error for a caller that asked to be refused rather than enrol somebody without a sponsor."""
    path, why = _field(draft), _WRONG_TOUCH[reason]
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


def _field(draft: EnrolmentDraft) -> str:
    """Path of the field that decides who the sponsor is."""
    name = "sponsor_id" if draft.sponsor_id else "code" if draft.code else "click_token" if draft.click_token else ""
    return f"{draft.path}.{name or 'visitor_id'}"


def _bind(forest: Forest, key: int, sponsor_key: int, path: str) -> None:
    try:
        forest.bind(key, sponsor_key)
    except CycleError as error:
        raise failed_precondition("CYCLE", str(error), path) from error


def _closes_cycle(roll: _Roll, participant_id: str, referrer_id: str) -> bool:
    """Whether the referrer stands below somebody enrolled before and unbound; nobody else can have anyone below."""
    person = roll.people.get(participant_id)
    if person is None or person.bond is not None:
        return False
    return roll.forest.is_above(person.key, roll.keys[referrer_id])


def _upline(roll: _Roll, key: int, attribution: Attribution) -> tuple[int, ...]:
    if not attribution.referrer_id:
        return ()
    if attribution.reason is Reason.BOUND:
        return roll.forest.path(key)
    referrer_key = roll.keys[attribution.referrer_id]
    return (referrer_key, *roll.forest.path(referrer_key))[:PATH_LEVELS]
