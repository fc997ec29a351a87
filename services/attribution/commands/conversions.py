"""Recording conversions: who referred the buyer, decided and stored in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.errors import already_exists, invalid
from services.attribution.commands.deps import Deps
from services.attribution.commands.races import in_transaction
from services.attribution.commands.recording import keep
from services.attribution.commands.touches import NamedTouches, load_candidates
from services.attribution.domain.attribution import (
    Attribution,
    Bond,
    Buyer,
    Candidate,
    Reason,
    bond_of,
    decide,
    share_of,
)
from services.attribution.domain.conversion import AttributedConversion, Conversion, ConversionDraft
from services.attribution.domain.participant import Enrolment, NewBond, Participant
from services.attribution.domain.policy import Bindable, Binding, Program
from services.attribution.domain.tree import PATH_LEVELS, Forest
from services.attribution.store import locks
from services.attribution.store.conversions import find_earlier_buyers, load_conversions, load_hashes
from services.attribution.store.participants import (
    bind_participants,
    insert_participants,
    load_participants,
    new_keys,
)
from services.attribution.store.programs import load_program
from services.attribution.store.tree import find_above, find_roots, lengthen, walk_up


@dataclass(frozen=True, slots=True)
class RecordingResult:
    """What a call did."""

    program: Program
    fresh: list[Conversion]
    """Recorded by this call."""
    existing_count: int
    """There already, with the same content."""


async def record_conversions(
    deps: Deps, program_id: str, drafts: Sequence[ConversionDraft], now: datetime
) -> RecordingResult:
    """Records conversions of one program: all or none. Ids that are recorded with the same content are skipped.

    NOT_FOUND (program), INVALID_ARGUMENT (currency), ALREADY_EXISTS (same id, other content).
    """

    async def work(conn: AsyncConnection) -> RecordingResult:
        program = await load_program(conn, program_id)
        _check_currencies(program, drafts)
        await locks.conversions_may_arrive(conn, program_id)
        fresh = await _not_recorded(conn, program_id, drafts)
        batch = await _load(conn, deps, program, fresh)
        decided = [_decide(batch, draft, candidates, now) for draft, candidates in zip(fresh, batch.named, strict=True)]
        await insert_participants(conn, program_id, batch.enrolments)
        await bind_participants(conn, batch.bindings)
        stored = await keep(conn, program, decided, now)
        await lengthen(conn, batch.short)
        return RecordingResult(program, stored, len(drafts) - len(fresh))

    result = await in_transaction(deps.database, work)
    deps.relay.wake()
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


@dataclass(slots=True)
class _Batch:
    """What a batch of conversions looks at, as it changes while they are decided one after the other."""

    program: Program
    people: dict[str, Participant]
    """Everybody the batch speaks of who was enrolled before it."""
    forest: Forest
    above: set[tuple[int, int]]
    """(buyer, referrer) where the buyer stands above the referrer; for PER_CONVERSION."""
    earlier_buyers: set[str]
    default_sponsor_id: str
    """Empty where there is none or he is not enrolled."""
    named: list[tuple[Candidate, ...]]
    new_keys: dict[str, int]
    """Keys for buyers who may be enrolled."""
    short: dict[int, tuple[int, ...]]
    bonds: dict[str, Bond] = field(default_factory=dict)
    """Made by this batch."""
    keys: dict[str, int] = field(default_factory=dict)
    """Of everybody enrolled, by this batch too."""
    enrolments: list[Enrolment] = field(default_factory=list)
    bindings: list[NewBond] = field(default_factory=list)
    """Of those enrolled before."""


def _check_currencies(program: Program, drafts: Sequence[ConversionDraft]) -> None:
    for draft in drafts:
        if draft.currency_code not in ("", program.currency_code):
            raise invalid(f"{draft.path}.amount.currency_code", f"the program counts in {program.currency_code}")


async def _not_recorded(
    conn: AsyncConnection, program_id: str, drafts: Sequence[ConversionDraft]
) -> list[ConversionDraft]:
    """The drafts to record: each id once. ALREADY_EXISTS where an id comes with another content than before."""
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


async def _load(conn: AsyncConnection, deps: Deps, program: Program, drafts: Sequence[ConversionDraft]) -> _Batch:
    policy = program.policy
    named = await load_candidates(
        conn,
        deps.click_token_key,
        program,
        [NamedTouches(each.code, each.click_token, each.visitor_id, each.occurred_at) for each in drafts],
    )
    buyer_ids = {each.buyer_id for each in drafts}
    referrer_ids = {each.referrer_id for candidates in named for each in candidates} | {policy.default_sponsor_id}
    people = await load_participants(conn, program.program_id, buyer_ids | referrer_ids)
    default_sponsor_id = policy.default_sponsor_id if policy.default_sponsor_id in people else ""
    if _must_hold_still(program, drafts, named, people, default_sponsor_id):
        await locks.tree_stands_still(conn, program.program_id)
        people = await load_participants(conn, program.program_id, buyer_ids | referrer_ids)
    earlier_buyers: set[str] = set()
    if policy.bindable is Bindable.NEW_ONLY:
        unknown = {each.buyer_id for each in drafts if each.new_customer is None and each.buyer_id not in people}
        earlier_buyers = await find_earlier_buyers(conn, program.program_id, unknown)
    referrer_keys = {people[each].key for each in referrer_ids if each in people}
    walks = await walk_up(conn, referrer_keys | {people[each].key for each in buyer_ids if each in people})
    roots: dict[int, int] = {}
    above: set[tuple[int, int]] = set()
    pairs = _pairs(program, drafts, named, people, default_sponsor_id)
    if policy.binding is Binding.LIFETIME:
        roots = await find_roots(conn, {lower for _, lower in pairs})
    else:
        above = await find_above(conn, pairs)
    strangers = sorted(buyer_ids - people.keys())
    may_enrol = policy.enroll_buyers or policy.binding is Binding.LIFETIME
    keys = await new_keys(conn, len(strangers)) if may_enrol else []
    return _Batch(
        program=program,
        people=people,
        forest=Forest(walks.paths, roots),
        above=above,
        earlier_buyers=earlier_buyers,
        default_sponsor_id=default_sponsor_id,
        named=named,
        new_keys=dict(zip(strangers, keys, strict=False)),
        short=walks.short,
        keys={participant_id: person.key for participant_id, person in people.items()},
    )


def _must_hold_still(
    program: Program,
    drafts: Sequence[ConversionDraft],
    named: Sequence[Sequence[Candidate]],
    people: Mapping[str, Participant],
    default_sponsor_id: str,
) -> bool:
    """Whether the batch may bind somebody enrolled before, or asks who is new where nothing else keeps the answer true."""
    policy = program.policy
    if policy.binding is Binding.LIFETIME:
        return bool(_pairs(program, drafts, named, people, default_sponsor_id))
    return (
        policy.bindable is Bindable.NEW_ONLY
        and not policy.enroll_buyers
        and any(each.new_customer is None and each.buyer_id not in people for each in drafts)
    )


def _pairs(
    program: Program,
    drafts: Sequence[ConversionDraft],
    named: Sequence[Sequence[Candidate]],
    people: Mapping[str, Participant],
    default_sponsor_id: str,
) -> set[tuple[int, int]]:
    """(buyer, referrer) of those enrolled before, where the referrer could stand below the buyer."""
    found = set()
    for draft, candidates in zip(drafts, named, strict=True):
        buyer = people.get(draft.buyer_id)
        if buyer is None or (program.policy.binding is Binding.LIFETIME and buyer.bond is not None):
            continue
        for referrer_id in {each.referrer_id for each in candidates} | {default_sponsor_id}:
            if referrer_id in people and referrer_id != draft.buyer_id:
                found.add((buyer.key, people[referrer_id].key))
    return found


def _decide(
    batch: _Batch, draft: ConversionDraft, candidates: Sequence[Candidate], now: datetime
) -> AttributedConversion:
    """Decides one conversion, and enrols and binds its buyer in the batch as the policy says."""
    policy = batch.program.policy
    person = batch.people.get(draft.buyer_id)
    bond = batch.bonds.get(draft.buyer_id) or (person.bond if person else None)
    is_new = draft.new_customer
    if is_new is None:
        is_new = draft.buyer_id not in batch.keys and draft.buyer_id not in batch.earlier_buyers
    attribution = decide(
        policy,
        Buyer(draft.buyer_id, bond, is_new),
        draft.occurred_at,
        candidates,
        batch.default_sponsor_id,
        lambda referrer_id: _closes_cycle(batch, draft.buyer_id, referrer_id),
    )
    batch.earlier_buyers.add(draft.buyer_id)
    made = bond_of(policy, attribution, draft.occurred_at)
    if draft.buyer_id not in batch.keys and (made or policy.enroll_buyers):
        _enrol(batch, draft.buyer_id, made, now)
    elif made:
        key, sponsor_key = batch.keys[draft.buyer_id], batch.keys[made.sponsor_id]
        batch.forest.bind(key, sponsor_key)
        batch.bindings.append(NewBond(key, sponsor_key, batch.forest.path(key), made))
    if made:
        bond = batch.bonds[draft.buyer_id] = made
    return AttributedConversion(
        draft=draft,
        attribution=attribution,
        buyer_attributes=person.attributes if person else {},
        bound_at=bond.bound_at if bond else None,
        upline=_upline(batch, draft.buyer_id, attribution),
        share_percent=share_of(policy, attribution, bond),
        link_owner_attributes=batch.people[attribution.touch.referrer_id].attributes if attribution.touch else {},
    )


def _enrol(batch: _Batch, buyer_id: str, bond: Bond | None, now: datetime) -> None:
    key = batch.keys[buyer_id] = batch.new_keys[buyer_id]
    batch.forest.plant(key)
    binding = None
    if bond is not None:
        sponsor_key = batch.keys[bond.sponsor_id]
        batch.forest.graft(key, sponsor_key)
        binding = NewBond(key, sponsor_key, batch.forest.path(key), bond)
    batch.enrolments.append(Enrolment(key, buyer_id, {}, None, binding, None, now))


def _closes_cycle(batch: _Batch, buyer_id: str, referrer_id: str) -> bool:
    """Whether the referrer stands below the buyer. Somebody enrolled by this batch has nobody below him."""
    if buyer_id not in batch.keys:
        return False
    key, referrer_key = batch.keys[buyer_id], batch.keys[referrer_id]
    if batch.program.policy.binding is Binding.LIFETIME:
        return batch.forest.is_above(key, referrer_key)
    return (key, referrer_key) in batch.above


def _upline(batch: _Batch, buyer_id: str, attribution: Attribution) -> tuple[int, ...]:
    if not attribution.referrer_id:
        return ()
    if attribution.reason is Reason.BOUND:
        return batch.forest.path(batch.keys[buyer_id])
    key = batch.keys[attribution.referrer_id]
    return (key, *batch.forest.path(key))[:PATH_LEVELS]
