"""Admission to the tree, against a plain model: whole batches decide what the same calls one by one would."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.attribution.domain.admission import (
    Admissions,
    SponsorFlaw,
    deciding_touch,
    depends_on_others,
    names_touch,
    pairs_to_compare,
)
from services.attribution.domain.attribution import Attribution, BindSource, Bond, Candidate, Reason
from services.attribution.domain.conversion import AttributedConversion, ConversionDraft
from services.attribution.domain.participant import EnrolmentDraft, Participant
from services.attribution.domain.policy import Bindable, Binding, Policy
from services.attribution.domain.policy import Touch as TouchRule
from services.attribution.domain.tree import PATH_LEVELS, CycleError, Forest

NOW = datetime(2026, 3, 1, tzinfo=UTC)
POLICY = Policy(TouchRule.LAST, timedelta(days=30), Binding.LIFETIME, Bindable.UNBOUND, False, "")
FOUNDERS = [f"founder-{number}" for number in range(6)]
NEWCOMERS = [f"newcomer-{number}" for number in range(6)]


def purchase(buyer_id: str, conversion_id: str = "order", new_customer: bool | None = None) -> ConversionDraft:
    return ConversionDraft(
        path="conversion",
        conversion_id=conversion_id,
        event_type="purchase",
        buyer_id=buyer_id,
        currency_code="",
        amount_minor=0,
        line_amounts={},
        click_token="",
        code="",
        visitor_id="",
        occurred_at=NOW,
        new_customer=new_customer,
        content=b"",
        body_hash=b"",
    )


def enrolment(
    participant_id: str, *, sponsor_id: str = "", code: str = "", click_token: str = "", visitor_id: str = ""
) -> EnrolmentDraft:
    return EnrolmentDraft(
        path="participant",
        participant_id=participant_id,
        attributes={"name": participant_id},
        sponsor_id=sponsor_id,
        code=code,
        click_token=click_token,
        visitor_id=visitor_id,
        sign_up=purchase(participant_id, f"sign_up:{participant_id}"),
        joined_at=NOW,
        draft_hash=participant_id.encode(),
    )


def code_of(owner_id: str) -> Candidate:
    return Candidate(owner_id, code=owner_id.upper(), share_percent="10")


@dataclass(frozen=True)
class Call:
    """A conversion with the codes it names, or an enrolment with its sponsor or codes."""

    draft: ConversionDraft | EnrolmentDraft
    candidates: tuple[Candidate, ...] = ()


@dataclass
class Model:
    """A store in memory, and the tree as nothing but who brought whom."""

    policy: Policy = POLICY
    people: dict[str, Participant] = field(default_factory=dict)
    buyers: set[str] = field(default_factory=set)

    def add(self, participant_id: str, sponsor_id: str = "") -> None:
        """Enrols somebody as a purchase does."""
        bond = Bond(sponsor_id, NOW, BindSource.CODE) if sponsor_id else None
        key = len(self.people) + 1
        attributes = {"name": participant_id}
        self.people[participant_id] = Participant(key, participant_id, attributes, None, bond, None, NOW)

    def sponsor_of(self, participant_id: str) -> str:
        bond = self.people[participant_id].bond
        return bond.sponsor_id if bond else ""

    def ancestors(self, participant_id: str) -> list[str]:
        """The ancestors of somebody, nearest first; fails on a cycle."""
        found: list[str] = []
        while participant_id := self.sponsor_of(participant_id):
            assert participant_id not in found, "somebody is their own ancestor"
            found.append(participant_id)
        return found

    def name_of(self, key: int) -> str:
        return next(each.participant_id for each in self.people.values() if each.key == key)

    def admissions(self, newcomers: Iterable[str], recorded_sign_ups: Iterable[str] = ()) -> Admissions:
        """A batch that knows everybody, and may enrol `newcomers`."""
        keys = {name: person.key for name, person in self.people.items()}
        lines = {name: self.ancestors(name) for name in self.people}
        default_sponsor_id = self.policy.default_sponsor_id
        above = {(keys[upper], keys[name]) for name, line in lines.items() for upper in line}
        return Admissions(
            policy=self.policy,
            people=dict(self.people),
            forest=Forest(
                {keys[name]: tuple(keys[each] for each in line[:PATH_LEVELS]) for name, line in lines.items()},
                {keys[name]: keys[(line or [name])[-1]] for name, line in lines.items()},
            ),
            newcomer_keys={
                name: max(keys.values(), default=0) + 1 + place
                for place, name in enumerate(dict.fromkeys(each for each in newcomers if each not in self.people))
            },
            buyers=set(self.buyers),
            default_sponsor_id=default_sponsor_id if default_sponsor_id in self.people else "",
            above=None if self.policy.binding is Binding.LIFETIME else above,
            recorded_sign_ups=set(recorded_sign_ups),
        )

    def carry_out(self, calls: Sequence[Call]) -> list[tuple[str, AttributedConversion, list[str]]]:
        """Decides calls in one batch and stores the result; returns conversions with the names of their uplines."""
        ids = [participant_of(each) for each in calls]
        batch = self.admissions(ids)
        if calls and isinstance(calls[0].draft, EnrolmentDraft):
            batch.above = None
        attributed = []
        for call in calls:
            found = decide(batch, call)
            if found is not None:
                attributed.append(found)
        self.store(batch)
        self.buyers.update(each.draft.buyer_id for each in attributed)
        return [(each.draft.buyer_id, each, [self.name_of(key) for key in each.upline]) for each in attributed]

    def store(self, batch: Admissions) -> None:
        for each in batch.enrolments:
            self.people[each.participant_id] = Participant(
                each.key, each.participant_id, each.attributes, each.draft_hash, None, each.unbound_reason, NOW
            )
        for adoption in batch.adoptions:
            name = self.name_of(adoption.key)
            self.people[name] = replace(
                self.people[name], draft_hash=adoption.draft_hash, attributes=adoption.attributes
            )
        bonds = [each.binding for each in batch.enrolments if each.binding] + batch.bindings
        for new in bonds:
            name = self.name_of(new.key)
            assert self.people[name].bond is None, "a bond is for ever"
            assert self.name_of(new.sponsor_key) == new.bond.sponsor_id
            self.people[name] = replace(self.people[name], bond=new.bond)
        for new in bonds:
            line = [self.name_of(key) for key in new.upline]
            whole = self.ancestors(self.name_of(new.key))
            assert line == whole[: len(line)], "a stored path is a beginning of the upline"
            assert line[0] == new.bond.sponsor_id


def participant_of(call: Call) -> str:
    return call.draft.participant_id if isinstance(call.draft, EnrolmentDraft) else call.draft.buyer_id


def decide(batch: Admissions, call: Call) -> AttributedConversion | None:
    if isinstance(call.draft, ConversionDraft):
        return batch.convert(call.draft, call.candidates, NOW)
    if call.draft.sponsor_id:
        attribution = Attribution(call.draft.sponsor_id, Reason.CALLER)
    else:
        attribution = batch.attribute_enrolment(call.draft, call.candidates)
    return batch.enrol(call.draft, attribution, NOW)


def accepted(model: Model, call: Call) -> bool:
    """Carries out one call by itself, unless it has to be refused; checks that it is refused when the model says so."""
    draft = call.draft
    if isinstance(draft, ConversionDraft) or not draft.sponsor_id:
        model.carry_out([call])
        return True
    batch = model.admissions([draft.participant_id])
    flaw = batch.sponsor_flaw(draft.participant_id, draft.sponsor_id)
    own = model.sponsor_of(draft.participant_id) if draft.participant_id in model.people else ""
    if draft.sponsor_id == draft.participant_id:
        assert flaw is SponsorFlaw.SELF
    elif draft.sponsor_id not in model.people:
        assert flaw is SponsorFlaw.NOT_ENROLLED
    elif own and own != draft.sponsor_id:
        assert flaw is SponsorFlaw.OTHER_SPONSOR
    else:
        assert flaw is None
        if not own and draft.participant_id in model.ancestors(draft.sponsor_id):
            with pytest.raises(CycleError):
                model.carry_out([call])
            return False
        model.carry_out([call])
        return True
    return False


@st.composite
def models(draw: st.DrawFn) -> Model:
    """A program with some people in it, bound in whatever way."""
    model = Model(
        Policy(
            TouchRule.LAST,
            timedelta(days=30),
            draw(st.sampled_from(Binding)),
            draw(st.sampled_from(Bindable)),
            draw(st.booleans()),
            draw(st.sampled_from(["", FOUNDERS[0], "nobody"])),
        )
    )
    for number, name in enumerate(FOUNDERS):
        model.add(name, draw(st.sampled_from(["", *FOUNDERS[:number]])))
    return model


def copy_of(model: Model) -> Model:
    return Model(model.policy, dict(model.people), set(model.buyers))


def split(data: st.DataObject, calls: list[Call]) -> list[list[Call]]:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(calls)), max_size=3)))
    ends = [*cuts, len(calls)]
    return [calls[start:end] for start, end in zip([0, *cuts], ends, strict=True) if start < end]


def names_of(model: Model) -> dict[str, tuple[Bond | None, list[str]]]:
    return {name: (person.bond, model.ancestors(name)) for name, person in model.people.items()}


def compare(data: st.DataObject, model: Model, calls: list[Call]) -> None:
    single, batched = copy_of(model), copy_of(model)
    one_by_one = [found for call in calls for found in single.carry_out([call])]
    together = [found for some in split(data, calls) for found in batched.carry_out(some)]
    assert names_of(batched) == names_of(single)
    assert [replace(each, upline=()) for _, each, _ in together] == [
        replace(each, upline=()) for _, each, _ in one_by_one
    ]
    assert [line for _, _, line in together] == [line for _, _, line in one_by_one]


codes = st.lists(st.sampled_from(FOUNDERS), max_size=3).map(lambda owners: tuple(map(code_of, owners)))


@settings(deadline=None, max_examples=150)
@given(models(), st.data())
def test_conversions_in_batches_equal_one_by_one(model: Model, data: st.DataObject) -> None:
    buyers = data.draw(st.lists(st.sampled_from(FOUNDERS + NEWCOMERS), max_size=12))
    calls = [
        Call(purchase(buyer, f"order-{number}", data.draw(st.sampled_from([None, True, False]))), data.draw(codes))
        for number, buyer in enumerate(buyers)
    ]
    compare(data, model, calls)


@settings(deadline=None, max_examples=150)
@given(models(), st.data())
def test_enrolments_in_batches_equal_one_by_one_and_close_no_cycle(model: Model, data: st.DataObject) -> None:
    everybody = FOUNDERS + NEWCOMERS
    calls = []
    trial = copy_of(model)
    for name in data.draw(st.permutations(everybody)):
        sponsor_id = data.draw(st.sampled_from(["", *everybody]))
        touches = () if sponsor_id else data.draw(codes)
        call = Call(enrolment(name, sponsor_id=sponsor_id, code=touches[0].code if touches else ""), touches[:1])
        if accepted(trial, call):
            calls.append(call)
    compare(data, model, calls)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 150), st.integers(1, 150), st.data())
def test_paths_hold_the_nearest_64_ancestors(upper: int, lower: int, data: st.DataObject) -> None:
    model = Model()
    for line, length in (("upper", upper), ("lower", lower)):
        for number in range(length):
            model.add(f"{line}-{number}", f"{line}-{number - 1}" if number else "")
    sponsor_id = f"upper-{data.draw(st.integers(0, upper - 1))}"
    referrer_id = f"lower-{data.draw(st.integers(0, lower - 1))}"
    batch = model.admissions(["lower-0", "new", "newer"])
    for draft in (
        enrolment("lower-0", sponsor_id=sponsor_id),
        enrolment("new", sponsor_id=referrer_id),
        enrolment("newer", sponsor_id="new"),
    ):
        batch.enrol(draft, Attribution(draft.sponsor_id, Reason.CALLER), NOW)
    model.store(batch)
    for bond in (batch.bindings[0], *(each.binding for each in batch.enrolments)):
        assert bond is not None
        whole = model.ancestors(model.name_of(bond.key))
        assert [model.name_of(key) for key in bond.upline] == whole[:PATH_LEVELS]


def test_a_named_sponsor_below_is_a_cycle() -> None:
    model = Model()
    model.add("anna")
    model.add("boris", "anna")
    batch = model.admissions([])
    with pytest.raises(CycleError):
        batch.enrol(enrolment("anna", sponsor_id="boris"), Attribution("boris", Reason.CALLER), NOW)


def test_a_code_of_somebody_below_credits_nobody_whether_bound_for_life_or_not() -> None:
    for binding in Binding:
        model = Model(replace(POLICY, binding=binding))
        model.add("anna")
        model.add("boris", "anna")
        (converted,) = model.carry_out([Call(purchase("anna"), (code_of("boris"),))])
        assert converted[1].attribution.reason is Reason.CYCLE


def test_a_batch_binds_somebody_enrolled_before_once() -> None:
    model = Model()
    model.add("anna")
    model.add("boris")
    model.add("clara")
    orders = [Call(purchase("anna", "1"), (code_of("boris"),)), Call(purchase("anna", "2"), (code_of("clara"),))]
    first, second = model.carry_out(orders)
    assert (first[1].attribution.reason, second[1].attribution.reason) == (Reason.CODE, Reason.BOUND)
    assert second[1].bound_at == NOW
    assert second[2] == ["boris"]


def test_who_ordered_earlier_in_a_batch_is_not_new() -> None:
    model = Model(replace(POLICY, binding=Binding.PER_CONVERSION, bindable=Bindable.NEW_ONLY))
    model.add("boris")
    orders = [Call(purchase("anna", number), (code_of("boris"),)) for number in ("1", "2")]
    reasons = [each.attribution.reason for _, each, _ in model.carry_out(orders)]
    assert reasons == [Reason.CODE, Reason.NOT_NEW]


def test_the_upline_of_a_conversion_is_its_referrer_and_the_nearest_above() -> None:
    model = Model()
    for number in range(100):
        model.add(f"line-{number}", f"line-{number - 1}" if number else "")
    ((_, _, line),) = model.carry_out([Call(purchase("new"), (code_of("line-99"),))])
    assert line == [f"line-{number}" for number in range(99, 99 - PATH_LEVELS, -1)]


def test_a_sign_up_that_is_recorded_already_is_not_recorded_again() -> None:
    model = Model()
    batch = model.admissions(["anna"], recorded_sign_ups=["sign_up:anna"])
    assert batch.enrol(enrolment("anna"), Attribution("", Reason.NO_TOUCH), NOW) is None
    assert [each.participant_id for each in batch.enrolments] == ["anna"]


def test_the_default_sponsor_is_for_those_who_came_without_a_touch() -> None:
    model = Model(replace(POLICY, default_sponsor_id="anna"))
    model.add("anna")
    batch = model.admissions(["boris", "clara"])
    broken = Candidate("", code="NONE", flaw=Reason.UNKNOWN_CODE)
    assert batch.attribute_enrolment(enrolment("boris", code="NONE"), [broken]).reason is Reason.UNKNOWN_CODE
    assert batch.attribute_enrolment(enrolment("clara"), []).referrer_id == "anna"


@pytest.mark.parametrize(
    ("draft", "decides", "is_touch"),
    [
        (enrolment("a", sponsor_id="s", code="c", click_token="t", visitor_id="v"), ("", "", ""), False),
        (enrolment("a", code="c", click_token="t", visitor_id="v"), ("c", "", ""), True),
        (enrolment("a", click_token="t", visitor_id="v"), ("", "t", ""), True),
        (enrolment("a", visitor_id="v"), ("", "", "v"), False),
    ],
)
def test_what_the_caller_knows_outranks_every_touch(
    draft: EnrolmentDraft, decides: tuple[str, str, str], is_touch: bool
) -> None:
    touches = deciding_touch(draft)
    assert (touches.code, touches.click_token, touches.visitor_id) == decides
    assert names_touch(draft) is is_touch


def test_only_those_who_could_be_bound_are_compared_with_their_referrers() -> None:
    model = Model()
    model.add("anna")
    model.add("boris", "anna")
    drafts = [purchase("anna"), purchase("boris"), purchase("clara"), purchase("anna")]
    candidates = [[code_of("boris")], [code_of("anna")], [code_of("anna")], [code_of("anna")]]
    anna, boris = model.people["anna"].key, model.people["boris"].key
    for_life = pairs_to_compare(POLICY, drafts, candidates, model.people, "")
    assert for_life == {(anna, boris)}
    each_time = replace(POLICY, binding=Binding.PER_CONVERSION)
    assert pairs_to_compare(each_time, drafts, candidates, model.people, "") == {(anna, boris), (boris, anna)}


@pytest.mark.parametrize(
    ("changes", "new_customer", "depends"),
    [
        ({"binding": Binding.LIFETIME}, None, True),
        ({"binding": Binding.PER_CONVERSION, "bindable": Bindable.NEW_ONLY}, None, True),
        ({"binding": Binding.PER_CONVERSION, "bindable": Bindable.NEW_ONLY}, True, False),
        ({"binding": Binding.PER_CONVERSION, "bindable": Bindable.NEW_ONLY, "enroll_buyers": True}, None, False),
        ({"binding": Binding.PER_CONVERSION, "bindable": Bindable.UNBOUND}, None, False),
    ],
)
def test_the_tree_is_locked_where_others_could_make_a_decision_wrong(
    changes: dict[str, object], new_customer: bool | None, depends: bool
) -> None:
    policy = replace(POLICY, **changes)  # type: ignore[arg-type]
    drafts = [purchase("clara", new_customer=new_customer)]
    assert depends_on_others(policy, drafts, {}, {(1, 2)}) is depends
