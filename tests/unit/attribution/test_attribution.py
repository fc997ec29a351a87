"""The pure decision of who gets credit."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.attribution.domain.attribution import (
    MAX_LOSERS,
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
from services.attribution.domain.policy import Bindable, Binding, CreditBeforeBinding, Policy, Touch

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WINDOW = timedelta(days=30)
CODE = Candidate("olga", code="SPRING")
CLICK = Candidate("maria", link_id="L1", channel="chat", campaign="spring", touched_at=NOW - timedelta(days=1))
OLDER_CLICK = Candidate("anna", link_id="L2", touched_at=NOW - timedelta(days=2))


def policy(
    touch: Touch = Touch.LAST,
    binding: Binding = Binding.LIFETIME,
    bindable: Bindable = Bindable.UNBOUND,
    before: CreditBeforeBinding = CreditBeforeBinding.UNSPECIFIED,
) -> Policy:
    return Policy(
        touch, WINDOW, binding, bindable, enroll_buyers=True, default_sponsor_id="", credit_before_binding=before
    )


def outcome(
    *candidates: Candidate,
    policy: Policy = policy(),  # noqa: B008 - frozen
    bond: Bond | None = None,
    is_new: bool = True,
    default_sponsor_id: str = "",
    below: tuple[str, ...] = (),
) -> Attribution:
    buyer = Buyer("vera", bond, is_new)
    return decide(policy, buyer, NOW, candidates, default_sponsor_id, lambda referrer_id: referrer_id in below)


def losers(attribution: Attribution) -> list[tuple[str, Reason]]:
    return [(each.candidate.referrer_id, each.reason) for each in attribution.losers]


def test_code_outranks_click() -> None:
    found = outcome(CLICK, CODE)
    assert (found.referrer_id, found.reason, found.code) == ("olga", Reason.CODE, "SPRING")
    assert losers(found) == [("maria", Reason.OUTRANKED)]


@pytest.mark.parametrize(("touch", "wanted"), [(Touch.FIRST, "anna"), (Touch.LAST, "maria")])
@pytest.mark.parametrize("candidates", [(CLICK, OLDER_CLICK), (OLDER_CLICK, CLICK)])
def test_touch(touch: Touch, wanted: str, candidates: tuple[Candidate, ...]) -> None:
    assert outcome(*candidates, policy=policy(touch=touch)).referrer_id == wanted


def test_a_click_hands_on_its_link_channel_and_campaign() -> None:
    found = outcome(CLICK)
    assert (found.link_id, found.channel, found.campaign) == ("L1", "chat", "spring")


def test_window_is_half_open() -> None:
    edge = Candidate("maria", link_id="L", touched_at=NOW - WINDOW)
    inside = Candidate("maria", link_id="L", touched_at=NOW - WINDOW + timedelta(microseconds=1))
    assert outcome(edge).reason is Reason.WINDOW_PASSED
    assert outcome(inside).reason is Reason.CLICK


AFTER = Candidate("late", link_id="L3", touched_at=NOW + timedelta(minutes=1, microseconds=1))


@pytest.mark.parametrize("binding", list(Binding))
def test_a_touch_that_came_after_is_not_credited(binding: Binding) -> None:
    for touch in Touch:
        terms = policy(touch=touch, binding=binding)
        assert outcome(AFTER, policy=terms).reason is Reason.TOUCH_TOO_LATE
        found = outcome(CLICK, AFTER, policy=terms)
        assert (found.referrer_id, losers(found)) == ("maria", [("late", Reason.TOUCH_TOO_LATE)])
    taken = outcome(AFTER, default_sponsor_id="house", policy=policy(binding=binding))
    assert (taken.referrer_id, losers(taken)) == ("house", [("late", Reason.TOUCH_TOO_LATE)])
    assert led_by(outcome(AFTER, bond=BOND)) == ""


def test_clocks_may_differ_by_a_minute() -> None:
    assert outcome(Candidate("maria", link_id="L", touched_at=NOW + timedelta(minutes=1))).reason is Reason.CLICK


def test_first_touch_is_the_first_inside_the_window() -> None:
    outside = Candidate("old", link_id="L0", touched_at=NOW - WINDOW)
    found = outcome(outside, OLDER_CLICK, CLICK, policy=policy(touch=Touch.FIRST))
    assert found.referrer_id == "anna"
    assert losers(found) == [("old", Reason.WINDOW_PASSED), ("maria", Reason.OUTRANKED)]


BOND = Bond("olga", NOW - timedelta(days=4000), BindSource.CLICK, link_id="L9", channel="mail")


def test_bound_for_life_stays_bound_whatever_is_touched() -> None:
    found = outcome(CODE, CLICK, bond=BOND, is_new=False, policy=policy(bindable=Bindable.NEW_ONLY))
    assert (found.referrer_id, found.reason, found.link_id, found.channel) == ("olga", Reason.BOUND, "L9", "mail")
    assert {reason for _, reason in losers(found)} == {Reason.OUTRANKED}


@pytest.mark.parametrize("before", list(CreditBeforeBinding))
def test_what_is_of_before_the_bond_credits_whom_the_policy_says(before: CreditBeforeBinding) -> None:
    later = replace(BOND, bound_at=NOW + timedelta(days=1_000))
    found = outcome(CODE, CLICK, bond=later, is_new=False, policy=policy(before=before), default_sponsor_id="house")
    if before is CreditBeforeBinding.NOT_CREDITED:
        assert (found.referrer_id, found.reason, found.link_id) == ("", Reason.BEFORE_BINDING, "")
    else:
        assert (found.referrer_id, found.reason, found.link_id) == ("olga", Reason.BOUND, "L9")
    assert led_by(found) == "olga", "who led to it is told all the same"
    assert losers(found) == [("olga", Reason.OUTRANKED), ("maria", Reason.OUTRANKED)]


@pytest.mark.parametrize(
    ("later", "reason"),
    [(timedelta(0), Reason.BOUND), (timedelta(minutes=1), Reason.BOUND),
     (timedelta(minutes=1, microseconds=1), Reason.BEFORE_BINDING)],
)  # fmt: skip
def test_what_comes_with_the_bond_is_not_of_before_it(later: timedelta, reason: Reason) -> None:
    strict = policy(before=CreditBeforeBinding.NOT_CREDITED)
    assert outcome(bond=replace(BOND, bound_at=NOW + later), policy=strict).reason is reason


def test_per_conversion_nothing_is_of_before_a_bond() -> None:
    by_itself = policy(binding=Binding.PER_CONVERSION, before=CreditBeforeBinding.NOT_CREDITED)
    later = replace(BOND, bound_at=NOW + timedelta(days=1_000))
    assert outcome(CLICK, bond=later, policy=by_itself).referrer_id == "maria"


def test_per_conversion_looks_at_touches_only() -> None:
    by_itself = policy(binding=Binding.PER_CONVERSION)
    assert outcome(CLICK, bond=BOND, policy=by_itself).referrer_id == "maria"
    assert outcome(bond=BOND, policy=by_itself).reason is Reason.NO_TOUCH


@pytest.mark.parametrize("binding", list(Binding))
def test_new_only(binding: Binding) -> None:
    new_only = policy(binding=binding, bindable=Bindable.NEW_ONLY)
    assert outcome(CODE, policy=new_only).reason is Reason.CODE
    assert outcome(CODE, policy=new_only, is_new=False).reason is Reason.NOT_NEW
    assert outcome(policy=new_only, is_new=False, default_sponsor_id="house").reason is Reason.NOT_NEW
    assert outcome(policy=new_only, is_new=False).reason is Reason.NO_TOUCH
    assert outcome(CODE, policy=policy(binding=binding), is_new=False).reason is Reason.CODE


def test_default_sponsor_takes_those_whom_nobody_referred() -> None:
    forged = Candidate("", flaw=Reason.INVALID_TOKEN)
    found = outcome(forged, default_sponsor_id="house")
    assert (found.referrer_id, found.reason) == ("house", Reason.DEFAULT_SPONSOR)
    assert losers(found) == [("", Reason.INVALID_TOKEN)]
    assert outcome(default_sponsor_id="vera").reason is Reason.NO_TOUCH
    assert outcome(default_sponsor_id="house", below=("house",)).reason is Reason.NO_TOUCH


@pytest.mark.parametrize(
    ("candidates", "wanted"),
    [
        ([], Reason.NO_TOUCH),
        ([Candidate("vera", code="MINE")], Reason.SELF_REFERRAL),
        ([Candidate("", code="X", flaw=Reason.UNKNOWN_CODE)], Reason.UNKNOWN_CODE),
        ([Candidate("", flaw=Reason.INVALID_TOKEN)], Reason.INVALID_TOKEN),
        ([Candidate("below", code="C")], Reason.CYCLE),
        ([Candidate("", flaw=Reason.INVALID_TOKEN), Candidate("vera", code="MINE")], Reason.SELF_REFERRAL),
    ],
)
def test_why_nobody(candidates: list[Candidate], wanted: Reason) -> None:
    found = outcome(*candidates, below=("below",))
    assert (found.referrer_id, found.reason) == ("", wanted)
    assert len(found.losers) == len(candidates)


def test_a_click_wins_where_the_code_fails() -> None:
    found = outcome(Candidate("", code="X", flaw=Reason.UNKNOWN_CODE), CLICK)
    assert (found.referrer_id, found.reason) == ("maria", Reason.CLICK)
    assert losers(found) == [("", Reason.UNKNOWN_CODE)]


def test_bonds() -> None:
    assert bond_of(policy(), outcome(CLICK), NOW) == Bond("maria", NOW, BindSource.CLICK, "L1", "", "chat", "spring")
    assert bond_of(policy(), outcome(bond=BOND), NOW) is None
    assert bond_of(policy(), outcome(), NOW) is None
    assert bond_of(policy(binding=Binding.PER_CONVERSION), outcome(CLICK), NOW) is None


def led_by(attribution: Attribution) -> str:
    return attribution.touch.referrer_id if attribution.touch else ""


def test_who_led_a_bound_buyer_here_is_told_though_his_sponsor_is_credited() -> None:
    forged = Candidate("", flaw=Reason.INVALID_TOKEN)
    mine = Candidate("vera", code="MINE")
    old = Candidate("old", link_id="L0", touched_at=NOW - WINDOW)
    assert led_by(outcome(OLDER_CLICK, CLICK, bond=BOND)) == "maria"
    assert led_by(outcome(OLDER_CLICK, CLICK, bond=BOND, policy=policy(touch=Touch.FIRST))) == "anna"
    assert led_by(outcome(CLICK, CODE, bond=BOND)) == "olga"
    assert led_by(outcome(CLICK, mine, forged, bond=BOND)) == "maria"
    assert led_by(outcome(mine, forged, old, bond=BOND)) == ""


def test_who_may_be_bound_does_not_change_who_led_here() -> None:
    new_only = policy(bindable=Bindable.NEW_ONLY)
    assert led_by(outcome(CODE, policy=new_only, is_new=False)) == "olga"
    assert led_by(outcome(CLICK, below=("maria",), default_sponsor_id="house")) == "maria"
    assert led_by(outcome(CLICK, CODE, below=("olga",))) == "maria", "what binds is what led here"


def test_per_conversion_only_who_is_credited_led_here() -> None:
    by_itself = policy(binding=Binding.PER_CONVERSION, bindable=Bindable.NEW_ONLY)
    assert led_by(outcome(CODE, CLICK, policy=by_itself)) == "olga"
    assert led_by(outcome(CODE, policy=by_itself, is_new=False)) == ""
    assert led_by(outcome(CODE, policy=by_itself, below=("olga",), default_sponsor_id="house")) == ""


HALF = Candidate("olga", code="HALF", share_percent="50")


def test_a_share_is_pinned_at_the_bind() -> None:
    bond = bond_of(policy(), outcome(HALF, CLICK), NOW)
    assert bond is not None
    assert bond.share_percent == "50"
    later = outcome(Candidate("olga", code="ALL", share_percent="100"), bond=bond, is_new=False)
    assert share_of(policy(), later, bond) == "50"
    assert share_of(policy(), outcome(), None) == ""


def test_a_default_sponsor_has_chosen_nothing() -> None:
    found = outcome(HALF, below=("olga",), default_sponsor_id="house")
    bond = bond_of(policy(), found, NOW)
    assert bond is not None
    assert (bond.sponsor_id, bond.share_percent, led_by(found)) == ("house", "", "olga")


def test_per_conversion_the_share_is_the_links() -> None:
    by_itself = policy(binding=Binding.PER_CONVERSION)
    pinned = Bond("olga", NOW, BindSource.CODE, share_percent="10")
    assert share_of(by_itself, outcome(HALF, bond=pinned, policy=by_itself), pinned) == "50"
    assert share_of(by_itself, outcome(CLICK, bond=pinned, policy=by_itself), pinned) == ""
    assert share_of(by_itself, outcome(bond=pinned, policy=by_itself), pinned) == ""


NAMES = st.sampled_from(["vera", "olga", "maria", "anna", "below"])
CANDIDATES = st.one_of(
    st.builds(Candidate, NAMES, code=st.sampled_from(["A", "B"])),
    st.builds(
        Candidate,
        NAMES,
        link_id=st.sampled_from(["L1", "L2"]),
        touched_at=st.integers(-1, 40).map(lambda days: NOW - timedelta(days=days)),
    ),
    st.just(Candidate("", flaw=Reason.INVALID_TOKEN)),
)
POLICIES = st.builds(
    policy,
    st.sampled_from(Touch),
    st.sampled_from(Binding),
    st.sampled_from(Bindable),
    st.sampled_from(CreditBeforeBinding),
)


@settings(deadline=None)
@given(
    candidates=st.lists(CANDIDATES, max_size=30),
    policy=POLICIES,
    bond=st.none() | st.just(BOND),
    is_new=st.booleans(),
    default_sponsor_id=st.sampled_from(["", "vera", "below", "house"]),
)
def test_credit_is_always_fair(
    candidates: list[Candidate], policy: Policy, bond: Bond | None, is_new: bool, default_sponsor_id: str
) -> None:
    found = outcome(
        *candidates,
        policy=policy,
        bond=bond,
        is_new=is_new,
        default_sponsor_id=default_sponsor_id,
        below=("below",),
    )
    assert found.referrer_id not in ("vera", "below")
    credited = {Reason.BOUND, Reason.CODE, Reason.CLICK, Reason.DEFAULT_SPONSOR}
    assert bool(found.referrer_id) == (found.reason in credited)
    won = found.reason in (Reason.CODE, Reason.CLICK)
    assert len(found.losers) == min(len(candidates) - won, MAX_LOSERS)
    assert not credited & {each.reason for each in found.losers}
    if won:
        assert is_new or policy.bindable is Bindable.UNBOUND
        assert all(
            each.candidate.touched_at != NOW + timedelta(days=1)
            for each in found.losers
            if each.reason is Reason.OUTRANKED
        )
        assert found.touch is not None
        assert found.touch.touched_at is None or found.touch.touched_at <= NOW
        reversed_order = outcome(*reversed(candidates), policy=policy, bond=bond, is_new=is_new, below=("below",))
        assert reversed_order.reason == found.reason
