"""Explanations: every outcome and step has its words, in both languages."""

from datetime import timedelta
from string import Formatter

import pytest
from google.protobuf.duration_pb2 import Duration
from upline.rewards.v1 import plan_pb2

from services.rewards.domain.conversion import Conversion
from services.rewards.domain.decide.decision import Outcome
from services.rewards.domain.decide.pay import decide
from services.rewards.domain.details import Details, Line
from services.rewards.domain.explain.decision import explain_conversion, explain_decision, rejected_decision
from services.rewards.domain.explain.steps import explain_steps
from services.rewards.domain.explain.words import LOCALES, WORDS
from services.rewards.domain.plan.limits import CapScope
from services.rewards.domain.plan.periods import Period
from services.rewards.domain.plan.plan import Plan
from services.rewards.domain.tally.snapshot import EMPTY, Snapshot
from tests.unit.rewards.plans import (
    MOMENT,
    buyer,
    conversion,
    counter,
    detailed,
    fixed,
    percent,
    plan,
    rule,
    tiers,
    upline,
)

NEXT, MARGINAL, BONUS = plan_pb2.TIER_MODE_NEXT, plan_pb2.TIER_MODE_MARGINAL, plan_pb2.TIER_MODE_BONUS
OWNER = plan_pb2.Beneficiary(link_owner=plan_pb2.LinkOwner())


def test_both_languages_say_the_same_things_with_the_same_facts() -> None:
    def fields(text: str) -> set[str]:
        return {name for _, name, _, _ in Formatter().parse(text) if name}

    assert set(WORDS) == set(LOCALES)
    english, russian = WORDS["en"], WORDS["ru"]
    assert english.keys() == russian.keys()
    for key, text in english.items():
        assert fields(text) == fields(russian[key]), key
    assert {each.value for each in Outcome} <= english.keys()
    assert {f"period_{each.value}" for each in Period} | {f"cap_{each.value}" for each in CapScope} <= english.keys()


def told(subject: Plan, order: Conversion, snapshot: Snapshot = EMPTY, locale: str = "en") -> list[str]:
    """The explanation of the first decision."""
    decision = decide(subject, order, snapshot)[0]
    return [
        explain_decision(subject, order, decision, 2, locale),
        *explain_steps(subject, order, decision, 2, locale),
    ]


def sales(value: int) -> Snapshot:
    return Snapshot({("counter:volume", "maria", ""): value})


CASES = [
    (plan(rule(when="event.amount_minor > 20000")), conversion(), ["it is not true that event.amount_minor > 20000."]),
    (plan(rule(when="buyer.attributes.tier == 'x'")), conversion(),
     ['could not be evaluated (Key not found in map : "tier")']),
    (plan(rule(when="level == 2")), conversion(),
     ["pays nothing to maria at level 1: it is not true that level == 2."]),
    (
        plan(rule(occurrence=plan_pb2.Occurrence(nth=2))),
        conversion(),
        ["Rule r pays conversion number 2 of a buyer; this one is not."],
    ),
    (
        plan(rule(occurrence=plan_pb2.Occurrence(first=3, within_of_binding=Duration(seconds=86_400)))),
        detailed(Details(bind_time=MOMENT - timedelta(days=2))),
        ["Rule r pays the first 3 conversions of a buyer from 2026-02-27 00:00 UTC and before 2026-02-28 00:00 UTC; "
         "this one is not."],
    ),
    (
        plan(rule(occurrence=plan_pb2.Occurrence(within_of_binding=Duration(seconds=86_400)))),
        conversion(),
        ["Rule r pays conversions of buyers who are bound to a sponsor; this one is not."],
    ),
    (
        plan(rule(qualification=plan_pb2.Qualification(when="'tier' in beneficiary.attributes"))),
        conversion(),
        ["maria at level 1, who is not qualified: it is not true that 'tier' in beneficiary.attributes."],
    ),
    (
        plan(
            rule(
                qualification=plan_pb2.Qualification(
                    when="beneficiary.id != 'maria'", otherwise=plan_pb2.UNQUALIFIED_COMPRESS
                )
            )
        ),
        conversion(),
        ["pays 10.00 USD to olga at level 1", "olga stands 2 levels above the buyer and takes level 1"],
    ),
    (
        plan(rule(qualification=plan_pb2.Qualification(when="false", otherwise=plan_pb2.UNQUALIFIED_COMPRESS))),
        conversion(),
        ["pays level 1, but of the 3 in the buyer's upline fewer are qualified."],
    ),
    (plan(rule(to=OWNER)), conversion(), ["the owner of the link or code behind the conversion: there is none."]),
    (plan(rule(to=OWNER)), detailed(Details(link_owner_id="anna")), ["to anna, who owns the link or code"]),
    (
        plan(rule(amount=None, tiers=tiers("volume", BONUS, (20_000, 500))), counters=[counter()]),
        conversion(),
        ["this conversion reaches none.",
         "volume of maria rises from 0.00 USD by 100.00 USD; the bounds are 200.00 USD."],
    ),
    (
        plan(rule(amount=None, tiers=tiers("volume", BONUS, (10_000, 500))), counters=[counter()]),
        conversion(),
        ["pays 5.00 USD to maria at level 1: a bonus", "by 100.00 USD and reaches 100.00 USD."],
    ),
    (
        plan(rule(amount=None, tiers=tiers("volume", BONUS, (10_000, 500))), counters=[counter()]),
        conversion(remaining_minor=5_000),
        ["reaches none.", "After the refund volume of maria no longer reaches 100.00 USD"],
    ),
    (
        plan(rule(tiers=tiers("volume", NEXT, (10_000, "20"))), counters=[counter()]),
        conversion(),
        ["10 % of 100.00 USD left of the order",
         "stood at 0.00 USD: no tier is reached, the first begins at 100.00 USD."],
    ),
    (
        plan(rule(tiers=tiers("volume", MARGINAL, (5_000, "20"))), counters=[counter()]),
        conversion(),
        ["15 % of 100.00 USD left of the order",
         "volume of maria stood at 0.00 USD: 50.00 USD at 10 %, 50.00 USD at 20 %."],
    ),
    (
        plan(rule(caps=[plan_pb2.Cap(scope=plan_pb2.CAP_SCOPE_REFEREE, amount_minor=300,
            period=plan_pb2.PERIOD_MONTH)])),
        conversion(),
        [
            "pays 3.00 USD of 10.00 USD to maria at level 1: 10 % of 100.00 USD left of the order, exactly 10 USD",
            "Cap on what a beneficiary gets by the rule for one buyer, at most 3.00 USD a month: 3.00 USD of 10.00 "
            "USD fits.",
        ],
    ),
    (
        plan(rule(), budgets=[plan_pb2.Budget(budget_id="all", asset="USD", amount_minor=5,
            overflow=plan_pb2.OVERFLOW_DROP)]),
        conversion(),
        ["owes maria at level 1 10.00 USD, but a limit leaves no room.",
         "Budget all, at most 0.05 USD: 0.00 USD of 10.00 USD fits."],
    ),
    (
        plan(rule(group="g"), rule("b", amount=fixed(2_000), group="g")),
        conversion(),
        ["another rule of group g is worth more.", "Rule b is worth more to maria."],
    ),
    (
        plan(rule(share=plan_pb2.Share(percent="100"))),
        conversion(),
        ["all of it goes to the buyer.", "100 % of 10.00 USD goes to the buyer vera, the rest stays with maria."],
    ),
    (
        plan(rule(amount=plan_pb2.Amount(table=plan_pb2.TableAmount(by="sku",
            rows=[plan_pb2.TableRow(value="x", percent="5")])))),
        detailed(Details(lines=[Line("1", "x", "", 10_000, {})])),
        ["pays 5.00 USD to maria at level 1: its table for 100.00 USD left of the lines that count, exactly 5 USD"],
    ),
    (
        plan(rule(amount=fixed(500), least_left_percent="12.5")),
        conversion(10_000, remaining_minor=1_249),
        ["Rule r owes maria at level 1 nothing any more: less than 12.5 % of the conversion is left."],
    ),
    (plan(rule(to=buyer())), conversion(), ["pays 10.00 USD to the buyer vera"]),
    (
        plan(rule(hold=plan_pb2.Hold(duration=Duration(seconds=86_400), until_event="delivered", approval=True))),
        conversion(),
        [
            "rounded down. It is on hold until 2026-03-02 00:00 UTC. It waits for the event delivered."
            " A person has to approve it."
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("subject", "order", "expected"), CASES)
def test_a_decision_is_told(subject: Plan, order: Conversion, expected: list[str]) -> None:
    said = told(subject, order)
    assert len(said) == len(expected)
    for sentence, part in zip(said, expected, strict=True):
        assert part in sentence
    russian = told(subject, order, locale="ru")
    assert len(russian) == len(said)
    assert not any("{" in sentence for sentence in said + russian)


def test_a_tier_is_told() -> None:
    subject = plan(rule(tiers=tiers("volume", NEXT, (10_000, "20"))), counters=[counter()])
    assert told(subject, conversion(), sales(12_345))[1] == (
        "volume of maria stood at 123.45 USD: the tier from 100.00 USD holds."
    )


def test_earnings_are_told() -> None:
    subject = plan(
        rule("task", to=buyer()),
        rule("match", to=upline(1, 1), amount=percent("20", plan_pb2.AMOUNT_BASE_EARNINGS), earnings_of=["task"]),
    )
    decision = decide(subject, conversion())[1]
    assert explain_decision(subject, conversion(), decision, 2, "en").startswith(
        "Rule match pays 2.00 USD to maria at level 1: 20 % of 10.00 USD earned below them, exactly 2 USD"
    )
    assert explain_steps(subject, conversion(), decision, 2, "en") == ["vera earns 10.00 USD by rule task: 20 % of it."]


def test_a_rejection_is_told_with_its_reason() -> None:
    subject, order = plan(rule("r", share=plan_pb2.Share(percent="50")), rule("b", to=OWNER)), conversion()
    decisions = decide(subject, order)
    assert [each.outcome for each in decisions] == [Outcome.PAID, Outcome.PAID, Outcome.NO_LINK_OWNER]
    decisions[:2] = [rejected_decision(each, "no {company}") for each in decisions[:2]]
    assert [explain_decision(subject, order, each, 2, "en") for each in decisions[:2]] == [
        "Rule r owes maria at level 1 nothing: a person rejected it (no {company}).",
        "Rule r owes the buyer vera as their share of level 1 nothing: a person rejected it (no {company}).",
    ]
    assert explain_decision(subject, order, decisions[0], 2, "ru").endswith("в начислении отказано (no {company}).")
    assert len(explain_steps(subject, order, decisions[0], 2, "en")) == 1  # the share: how it came about stays
    assert explain_conversion(subject, order, decisions, "en") == "Nobody earns from c1: a person rejected it."
    assert explain_conversion(subject, order, decisions, "ru") == "За c1 никто не получает: в начислении отказано."


@pytest.mark.parametrize(
    ("subject", "order", "why"),
    [
        (plan(rule(when="false")), conversion(), "no rule's condition is true."),
        (plan(rule(to=OWNER)), conversion(), "nobody owns a link or code behind it."),
        (plan(rule()), conversion(upline=()), "nobody referred the buyer."),
        (plan(rule()), detailed(Details(uncredited="no_touch"), upline=()), "nobody referred the buyer."),
        (
            plan(rule()),
            detailed(Details(uncredited="before_binding"), upline=()),
            "it happened before the buyer was bound to a sponsor, and the program credits nobody for that.",
        ),
        (plan(rule(when="false"), rule("b", to=OWNER)), conversion(), "each rule says why it pays nothing."),
        (plan(rule()), conversion(currency_code="EUR"), "it is in EUR, and the plan counts in USD."),
        (
            plan(rule(least_left_percent="50"), rule("b", to=OWNER)),
            conversion(10_000, remaining_minor=1),
            "too little of it is left.",
        ),
        (plan(rule()), conversion(remaining_minor=0, void=True), "it was taken back entirely."),
    ],
)
def test_a_conversion_that_pays_nobody_says_why(subject: Plan, order: Conversion, why: str) -> None:
    said = explain_conversion(subject, order, decide(subject, order), "en")
    assert said == f"Nobody earns from c1: {why}"
    assert "{" not in explain_conversion(subject, order, decide(subject, order), "ru")
