"""Every mistake in a program file is told with its line and column, all of them at once."""

import pytest

from cli.bundle.problems import BundleError
from cli.bundle.program import decode

GOOD = """\
program:
  program_id: coffee
  currency_code: USD
  policy:
    touch: LAST
    window: 30d
    binding: LIFETIME
    bindable: UNBOUND
plan:
  assets:
    - {code: USD, kind: MONEY}
  rules:
    - rule_id: sponsor
      on: [order]
      to:
        upline: {from_level: 1, to_level: 1}
      amount:
        percent: {percent: "5"}
      asset: USD
"""


def mistakes(text: str) -> list[str]:
    """The lines a person would see, or nothing for a good file."""
    try:
        decode(text.encode(), "coffee.yaml")
    except BundleError as error:
        return str(error).splitlines()
    return []


def test_a_good_file_has_no_mistakes() -> None:
    assert mistakes(GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "        percent: {",
            "        percentt: {",
            '18:9: plan.rules[0].amount.percentt: unknown field; did you mean "percent"?',
        ),
        (
            "touch: LAST",
            "touch: LATS",
            '5:12: program.policy.touch: "LATS" is not one of FIRST, LAST; did you mean "LAST"?',
        ),
        ("touch: LAST", "touch: 2", '5:12: program.policy.touch: "2" is not one of FIRST, LAST'),
        (
            "window: 30d",
            "window: 30 days",
            "6:13: program.policy.window: expected a duration such as 30d, 12h, 1d12h or 90s",
        ),
        (
            "window: 30d",
            "window: [30]",
            "6:13: program.policy.window: expected a duration such as 30d, 12h, 1d12h or 90s, found a list",
        ),
        (
            "to_level: 1",
            "to_level: one",
            "16:43: plan.rules[0].to.upline.to_level: expected a whole number, found text",
        ),
        (
            "to_level: 1",
            "to_level: 1.0",
            "16:43: plan.rules[0].to.upline.to_level: expected a whole number, found a decimal number",
        ),
        (
            "to_level: 1",
            "to_level: 3000000000",
            "16:43: plan.rules[0].to.upline.to_level: must lie between -2147483648 and 2147483647",
        ),
        ("[order]", "order", "14:11: plan.rules[0].on: expected a list, found text"),
        (
            "[order]",
            "[order, true]",
            "14:19: plan.rules[0].on[1]: expected text, found true or false; put it in quotes if it is meant",
        ),
        (
            "[order]",
            "[Order]",
            '14:12: plan.rules[0].on[0]: "Order" is not a name of lower-case letters, digits and underscores that '
            "begins with a"
            ' letter, at most 63 long; write "order"',
        ),
        (
            'percent: "5"',
            'percent: "5%"',
            '18:19: plan.rules[0].amount.percent.percent: "5%" is not an exact decimal such as 5 or 2.5, with at most '
            "4 digits before"
            ' the point and 6 after it; write "5"',
        ),
        ("asset: USD", "asset:", "19:13: plan.rules[0].asset: has no value; expected text"),
        ("    window: 30d\n", "", "4:3: program.policy.window: value is required"),
        ("    touch: LAST\n", "", "4:3: program.policy.touch: must be given: one of FIRST, LAST"),
        (
            "    touch: LAST\n",
            "    touch: LAST\n    touch: FIRST\n",
            "6:5: program.policy.touch: stands twice; first on line 5",
        ),
        (
            "upline: {from_level: 1, to_level: 1}",
            "buyer:",
            "16:15: plan.rules[0].to.buyer: expected a mapping (an empty one is written {}), found nothing",
        ),
        (
            "upline: {from_level: 1, to_level: 1}",
            "{buyer: {}, upline: {from_level: 1, to_level: 1}}",
            "16:21: plan.rules[0].to.upline: only one of buyer and upline can be given",
        ),
        (
            "upline: {from_level: 1, to_level: 1}",
            "{}",
            "15:7: plan.rules[0].to: one of these must be given: buyer, upline, link_owner",
        ),
        (
            "      asset: USD\n",
            "      asset: USD\n      tiers: {counter: c, mode: NEXT, tiers: [{bound: 5, percent: '5'}]}\n",
            '20:48: plan.rules[0].tiers.tiers[0].bound: is called "from" in a program file',
        ),
        ("plan:", "plans:", '9:1: plans: unknown section; did you mean "plan"?'),
        (
            "program_id: coffee",
            "program_id: coffee\n  create_time: 2026-01-01T00:00:00Z",
            "3:3: program.create_time: is set by the service and cannot be given",
        ),
        (
            "plan:",
            "effective_time: 2026-01-01\nplan:",
            "9:17: effective_time: expected a time with its zone such as 2026-01-31T09:00:00Z; this one names no zone",
        ),
        (
            "plan:",
            "effective_time: soon\nplan:",
            "9:17: effective_time: expected a time with its zone such as 2026-01-31T09:00:00Z",
        ),
        (
            "currency_code: USD",
            "currency_code: [USD",
            "4:9: not valid YAML: while parsing a flow sequence, expected ',' or ']', but got ':'",
        ),
        (
            "  currency_code:",
            "   currency_code:",
            "3:17: not valid YAML: mapping values are not allowed here; what belongs to one mapping begins in one "
            "column,"
            " and a text with `: ` in it is quoted",
        ),
        (
            "  program_id:",
            "   program_id:",
            "3:3: not valid YAML: while parsing a block mapping, expected <block end>, but found '<block mapping "
            "start>'"
            "; what belongs to one mapping or list begins in one column",
        ),
        (
            "  currency_code:",
            "\tcurrency_code:",
            "3:1: not valid YAML: while scanning for the next token, found character '\\t' that cannot start any token"
            "; lines are indented with spaces, never with tabs",
        ),
        (
            "rule_id:",
            "id:",
            '13:7: plan.rules[0].id: unknown field; did you mean "rule_id"?',
        ),
    ],
)
def test_a_mistake_is_told_with_its_place(old: str, new: str, told: str) -> None:
    assert GOOD.count(old) >= 1
    assert mistakes(GOOD.replace(old, new, 1)) == [f"coffee.yaml:{told}"]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text = (
        GOOD.replace("LAST", "LATS")
        .replace("30d", "a month")
        .replace("to_level: 1}", "too_level: 1}")
        .replace("USD\n", "EUR\n", 1)
    )
    assert [line.split(": ")[1] for line in mistakes(text)] == [
        "program.policy.touch",
        "program.policy.window",
        "plan.rules[0].to.upline.too_level",
    ]


@pytest.mark.parametrize("text", ["", "# nothing\n", "[]", "coffee"])
def test_a_file_that_is_no_mapping_is_refused(text: str) -> None:
    assert len(mistakes(text)) == 1
    assert "a program file is a mapping" in mistakes(text)[0]


def test_a_file_without_a_program_is_refused() -> None:
    text = "texts:\n  program_title: Coffee\n"
    assert mistakes(text) == ["coffee.yaml:1:1: program: is missing: every file names its program"]


def test_a_file_that_refers_to_itself_is_refused() -> None:
    assert any("unknown field" in line for line in mistakes("program: &a\n  policy: *a\n"))


def test_words_that_yaml_takes_for_booleans_are_words() -> None:
    text = GOOD.replace("[order]", "[on, off, yes]").replace("program_id: coffee", "program_id: no")
    assert mistakes(text) == []


def test_a_number_in_a_text_field_keeps_its_spelling() -> None:
    bundle = decode(GOOD.replace('"5"', "2.50").encode(), "coffee.yaml")
    assert bundle.plan is not None
    assert bundle.plan.rules[0].amount.percent.percent == "2.50"
