"""A text that does not match its pattern is answered by what to write."""

import protovalidate
import pytest
from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from upline.rewards.v1 import plan_pb2
from upline.type.v1 import asset_pb2

from chassis.patterns import _WANTED, describe


def answer(rule: plan_pb2.Rule) -> list[str]:
    rule.rule_id, rule.asset = rule.rule_id or "r", "USD"
    rule.to.buyer.SetInParent()
    return [describe(each) for each in protovalidate.collect_violations(rule)]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("5%", "5"),
        ("5 %", "5"),
        ("2,5", "2.5"),
        (" 7.25 ", "7.25"),
        ("five", ""),
        ("-5", ""),
        ("12345", ""),
        (".5", "0.5"),
    ],
)
def test_a_percentage(written: str, meant: str) -> None:
    amount = plan_pb2.Amount(percent=plan_pb2.PercentAmount(percent=written))
    (text,) = answer(plan_pb2.Rule(on=["order"], amount=amount))
    assert text.startswith(f'"{written}" is not an exact decimal such as 5 or 2.5')
    assert text.endswith(f'; write "{meant}"' if meant else "and 6 after it")


@pytest.mark.parametrize(
    ("written", "meant"), [("Order", "order"), ("signUp", "sign_up"), ("sign-up", "sign_up"), ("1st order", "")]
)
def test_an_event_type(written: str, meant: str) -> None:
    amount = plan_pb2.Amount(percent=plan_pb2.PercentAmount(percent="5"))
    (text,) = answer(plan_pb2.Rule(on=[written], amount=amount))
    assert text.startswith(
        f'"{written}" is not a name of lower-case letters, digits and underscores that begins with a'
    )
    assert text.endswith(f'; write "{meant}"' if meant else "at most 63 long")


def test_what_is_not_given_and_what_is_long() -> None:
    amount = plan_pb2.Amount(percent=plan_pb2.PercentAmount(percent="5" * 500))
    (long,) = answer(plan_pb2.Rule(on=["order"], amount=amount))
    assert long.startswith(f'"{"5" * 60}…" is not')
    amount.percent.percent = ""
    (empty,) = answer(plan_pb2.Rule(on=["order"], amount=amount))
    assert empty.startswith("must be given: an exact decimal")


def patterns(message: Descriptor, seen: set[str]) -> set[str]:
    """The patterns of a message's fields and of all messages in it."""
    if message.full_name in seen:
        return set()
    seen.add(message.full_name)
    found = set()
    for field in message.fields:
        rules = field.GetOptions().Extensions[validate_pb2.field]
        found |= {rules.string.pattern, rules.repeated.items.string.pattern, rules.map.keys.string.pattern}
        if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
            found |= patterns(field.message_type, seen)
    return found - {""}


def test_every_pattern_of_a_plan_is_told_in_words() -> None:
    seen: set[str] = set()
    stated = patterns(plan_pb2.PublishPlanRequest.DESCRIPTOR, seen) | patterns(asset_pb2.Asset.DESCRIPTOR, seen)
    assert len(stated) > 5
    assert stated <= _WANTED.keys()
