"""Decides who is taken into the tree of sponsors, and under whom.

A batch is decided one after the other, and each decision sees those before it, so that a batch decides what the same
calls one by one would.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto

from services.attribution.domain.attribution import (
    Attribution,
    BindSource,
    Bond,
    Buyer,
    Candidate,
    NamedTouches,
    Reason,
    bond_of,
    decide,
    share_of,
)
from services.attribution.domain.conversion import AttributedConversion, ConversionDraft
from services.attribution.domain.participant import Adoption, Enrolment, EnrolmentDraft, NewBond, Participant
from services.attribution.domain.policy import Bindable, Binding, Policy
from services.attribution.domain.tree import PATH_LEVELS, Forest


class SponsorFlaw(Enum):
    """The reasons why somebody cannot be enrolled under the sponsor whom the caller names."""

    SELF = auto()
    NOT_ENROLLED = auto()
    OTHER_SPONSOR = auto()
    """They are bound to another sponsor already, for life."""


@dataclass(slots=True)
class Admissions:
    """A batch of enrolments or conversions: what it knows of people and the tree, and what it changes."""

    policy: Policy
    people: Mapping[str, Participant]
    """Everybody the batch speaks of who was enrolled before it."""
    forest: Forest
    """The tree as far as the batch needs it: it has everybody in `people`."""
    newcomer_keys: Mapping[str, int] = field(default_factory=dict)
    """Keys for those whom the batch may enrol."""
    buyers: set[str] = field(default_factory=set)
    """People who bought before, of those not enrolled or enrolled by a purchase. They are asked for only where the
    policy binds new customers only."""
    default_sponsor_id: str = ""
    """The sponsor of buyers who name nobody; empty where there is none, or none who was enrolled before the batch."""
    above: Collection[tuple[int, int]] | None = None
    """Pairs (buyer, referrer) in which the buyer stands above the referrer, for conversions whose referrals are not for
    life; None where the forest tells."""
    recorded_sign_ups: Collection[str] = ()
    """Ids of conversions that enrolments would record, and that are recorded already."""
    keys: dict[str, int] = field(init=False)
    """The keys of everybody enrolled, by this batch too."""
    enrolments: list[Enrolment] = field(default_factory=list)
    adoptions: list[Adoption] = field(default_factory=list)
    bindings: list[NewBond] = field(default_factory=list)
    """The bonds of those who were enrolled without one, before this batch or earlier in it."""
    _bonds: dict[str, Bond] = field(default_factory=dict)
    """The bonds that this batch made, by participant."""

    def __post_init__(self) -> None:
        self.keys = {participant_id: person.key for participant_id, person in self.people.items()}

    def convert(self, draft: ConversionDraft, candidates: Sequence[Candidate], now: datetime) -> AttributedConversion:
        """Credits a conversion, and enrols and binds its buyer as the policy says."""
        buyer_id = draft.buyer_id
        attribution = self._attribute(
            buyer_id, draft.occurred_at, candidates, self.default_sponsor_id, draft.new_customer
        )
        self.buyers.add(buyer_id)
        bond = bond_of(self.policy, attribution, draft.occurred_at)
        if buyer_id in self.keys:
            if bond is not None:
                self.bind(buyer_id, bond)
        elif bond is not None or self.policy.enroll_buyers:
            self._enrol(buyer_id, {}, None, bond, None, now)
        person = self.people.get(buyer_id)
        return self._attributed(draft, attribution, person.attributes if person else {})

    def enrol(self, draft: EnrolmentDraft, attribution: Attribution, now: datetime) -> AttributedConversion | None:
        """Enrols somebody under the referrer to whom they are attributed; returns the conversion that this records, if
        it records one.

        Raises CycleError if the sponsor whom the caller names stands in their downline.
        """
        participant_id = draft.participant_id
        unbound_reason = None if attribution.referrer_id else attribution.reason
        if attribution.reason is Reason.CALLER:
            bond: Bond | None = Bond(attribution.referrer_id, draft.joined_at, BindSource.CALLER)
        else:
            bond = bond_of(self.policy, attribution, draft.joined_at)
        person = self.people.get(participant_id)
        if person is None:
            self._enrol(participant_id, draft.attributes, draft.draft_hash, bond, unbound_reason, now)
        else:
            self.adoptions.append(
                Adoption(person.key, participant_id, draft.attributes, draft.draft_hash, unbound_reason)
            )
            if bond is not None and person.bond is None:
                self.bind(participant_id, bond)
        if draft.sign_up is None or draft.sign_up.conversion_id in self.recorded_sign_ups:
            return None
        return self._attributed(draft.sign_up, attribution, draft.attributes)

    def bind(self, participant_id: str, bond: Bond) -> None:
        """Binds somebody enrolled who has no sponsor. Raises CycleError."""
        key, sponsor_key = self.keys[participant_id], self.keys[bond.sponsor_id]
        self.forest.bind(key, sponsor_key)
        self.bindings.append(NewBond(key, participant_id, sponsor_key, self.forest.path(key), bond))
        self._bonds[participant_id] = bond

    def attribute_enrolment(self, draft: EnrolmentDraft, candidates: Sequence[Candidate]) -> Attribution:
        """Tells who referred a person, by the touches they came with. The default sponsor is for those who came with
        none: a touch that failed may have been meant for somebody, and a sponsor is for life."""
        default_sponsor_id = "" if names_touch(draft) else self.policy.default_sponsor_id
        if default_sponsor_id not in self.keys:
            default_sponsor_id = ""
        return self._attribute(draft.participant_id, draft.joined_at, candidates, default_sponsor_id)

    def sponsor_flaw(self, participant_id: str, sponsor_id: str) -> SponsorFlaw | None:
        """The reason why somebody cannot be enrolled under a sponsor; None if nothing but a cycle can be in the way."""
        if sponsor_id == participant_id:
            return SponsorFlaw.SELF
        if sponsor_id not in self.keys:
            return SponsorFlaw.NOT_ENROLLED
        return SponsorFlaw.OTHER_SPONSOR if self.sponsor_of(participant_id) not in ("", sponsor_id) else None

    def sponsor_of(self, participant_id: str) -> str:
        """The sponsor of somebody; empty if they have none."""
        bond = self._bond(participant_id)
        return bond.sponsor_id if bond else ""

    def _attribute(
        self,
        participant_id: str,
        at: datetime,
        candidates: Sequence[Candidate],
        default_sponsor_id: str,
        is_new: bool | None = None,
    ) -> Attribution:
        """Tells who is credited. `is_new` is None where the caller does not know; then somebody is new who is not known
        in any way."""
        if is_new is None:
            is_new = participant_id not in self.keys and participant_id not in self.buyers
        return decide(
            self.policy,
            Buyer(participant_id, self._bond(participant_id), is_new),
            at,
            candidates,
            default_sponsor_id,
            lambda referrer_id: self._closes_cycle(participant_id, referrer_id),
        )

    def _bond(self, participant_id: str) -> Bond | None:
        person = self.people.get(participant_id)
        return self._bonds.get(participant_id) or (person.bond if person else None)

    def _closes_cycle(self, participant_id: str, referrer_id: str) -> bool:
        """Whether the referrer stands below them. Somebody not enrolled has nobody below; nor need anybody be asked who
        is bound already, where referrals are for life."""
        if participant_id not in self.keys:
            return False
        key, referrer_key = self.keys[participant_id], self.keys[referrer_id]
        if self.above is not None:
            return (key, referrer_key) in self.above
        return self._bond(participant_id) is None and self.forest.is_above(key, referrer_key)

    def _enrol(
        self,
        participant_id: str,
        attributes: dict[str, str],
        draft_hash: bytes | None,
        bond: Bond | None,
        unbound_reason: Reason | None,
        now: datetime,
    ) -> None:
        key = self.keys[participant_id] = self.newcomer_keys[participant_id]
        self.forest.plant(key)
        binding = None
        if bond is not None:
            sponsor_key = self.keys[bond.sponsor_id]
            self.forest.graft(key, sponsor_key)
            binding = NewBond(key, participant_id, sponsor_key, self.forest.path(key), bond)
            self._bonds[participant_id] = bond
        self.enrolments.append(Enrolment(key, participant_id, attributes, draft_hash, binding, unbound_reason, now))

    def _attributed(
        self, draft: ConversionDraft, attribution: Attribution, buyer_attributes: dict[str, str]
    ) -> AttributedConversion:
        bond = self._bond(draft.buyer_id)
        touch = attribution.touch
        return AttributedConversion(
            draft=draft,
            attribution=attribution,
            buyer_attributes=buyer_attributes,
            bound_at=bond.bound_at if bond else None,
            upline=self._upline(draft.buyer_id, attribution),
            share_percent=share_of(self.policy, attribution, bond),
            link_owner_attributes=self.people[touch.referrer_id].attributes if touch else {},
        )

    def _upline(self, buyer_id: str, attribution: Attribution) -> tuple[int, ...]:
        """The keys of those above the buyer: the referrer and the ancestors of the referrer, nearest first."""
        if not attribution.referrer_id:
            return ()
        if attribution.reason is Reason.BOUND:
            return self.forest.path(self.keys[buyer_id])
        key = self.keys[attribution.referrer_id]
        return (key, *self.forest.path(key))[:PATH_LEVELS]


def names_touch(draft: EnrolmentDraft) -> bool:
    """Whether a code or click is what decides who the sponsor is, rather than the caller's word or the visitor's
    past."""
    return not draft.sponsor_id and bool(draft.code or draft.click_token)


def deciding_touch(draft: EnrolmentDraft) -> NamedTouches:
    """The one touch of an enrolment that counts: what the caller knows outranks the code, the code the click, the click
    the visitor."""
    if draft.sponsor_id:
        return NamedTouches("", "", "", draft.joined_at)
    if draft.code:
        return NamedTouches(draft.code, "", "", draft.joined_at)
    if draft.click_token:
        return NamedTouches("", draft.click_token, "", draft.joined_at)
    return NamedTouches("", "", draft.visitor_id, draft.joined_at)


def pairs_to_compare(
    policy: Policy,
    drafts: Sequence[ConversionDraft],
    candidates: Sequence[Sequence[Candidate]],
    people: Mapping[str, Participant],
    default_sponsor_id: str,
) -> set[tuple[int, int]]:
    """Pairs (buyer, referrer) of those enrolled before conversions, in which the referrer could stand below the
    buyer."""
    found = set()
    for draft, touches in zip(drafts, candidates, strict=True):
        buyer = people.get(draft.buyer_id)
        if buyer is None or (policy.binding is Binding.LIFETIME and buyer.bond is not None):
            continue
        for referrer_id in {each.referrer_id for each in touches} | {default_sponsor_id}:
            if referrer_id in people and referrer_id != draft.buyer_id:
                found.add((buyer.key, people[referrer_id].key))
    return found


def depends_on_others(
    policy: Policy, drafts: Sequence[ConversionDraft], people: Mapping[str, Participant], pairs: Collection[object]
) -> bool:
    """Whether conversions may bind somebody enrolled before, or ask who is new where nothing else keeps the answer
    true, so that nobody else may bind or enrol meanwhile."""
    if policy.binding is Binding.LIFETIME:
        return bool(pairs)
    return (
        policy.bindable is Bindable.NEW_ONLY
        and not policy.enroll_buyers
        and any(each.new_customer is None and each.buyer_id not in people for each in drafts)
    )
