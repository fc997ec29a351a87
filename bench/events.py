"""Conversions as attribution would send them, for the payout benches."""

import random
from datetime import UTC, datetime

from upline.attribution.v1 import conversion_pb2, events_pb2
from upline.rewards.v1 import plan_pb2
from upline.type.v1 import asset_pb2, money_pb2

from chassis.times import to_timestamp

PROGRAM = "bench"
CONVERSIONS_A_BATCH = 500
PARTICIPANTS = 10_000


def ten_levels() -> plan_pb2.PublishPlanRequest:
    """A plan that pays ten levels."""
    rule = plan_pb2.Rule(
        rule_id="upline",
        on=["order"],
        asset="USD",
        to=plan_pb2.Beneficiary(upline=plan_pb2.UplineLevels(from_level=1, to_level=10)),
        amount=plan_pb2.Amount(per_level=plan_pb2.PerLevelAmount(percents=["5", "3", "2", *["1"] * 7])),
    )
    plan = plan_pb2.Plan(
        assets=[asset_pb2.Asset(code="USD", kind=asset_pb2.ASSET_KIND_MONEY)],
        rules=[rule],
        rounding=plan_pb2.ROUNDING_MODE_DOWN,
    )
    return plan_pb2.PublishPlanRequest(request_id="bench", program_id=PROGRAM, plan=plan, currency_code="USD")


def batch(
    label: str, *, count: int = CONVERSIONS_A_BATCH, seed: int = 1, program: str = PROGRAM, levels: int = 10
) -> events_pb2.ConversionEventBatch:
    """A batch of orders whose buyers have ten ancestors, or `levels`; everybody's last ancestor is the same root."""
    chance = random.Random(f"{label}-{seed}")
    now = to_timestamp(datetime.now(UTC))
    events = []
    for number in range(count):
        conversion_id = f"{label}-{number}"
        draft = conversion_pb2.ConversionDraft(
            conversion_id=conversion_id,
            event_type="order",
            amount=money_pb2.Money(currency_code="USD", amount_minor=chance.randrange(1_000, 100_000)),
            buyer_id=f"user-{chance.randrange(PARTICIPANTS)}",
            occurred_at=now,
        )
        upline = [f"user-{chance.randrange(PARTICIPANTS >> level)}" for level in range(min(levels - 1, 9))]
        upline += [f"elder-{level}-{chance.randrange(20)}" for level in range(9, levels - 1)]
        events.append(
            events_pb2.ConversionEvent(
                event_id=f"conversion:{program}/{conversion_id}",
                record_time=now,
                recorded=events_pb2.ConversionRecorded(
                    conversion=conversion_pb2.Conversion(program_id=program, draft=draft, create_time=now),
                    upline=[events_pb2.UplineMember(participant_id=each) for each in (*upline, "root")],
                ),
            )
        )
    return events_pb2.ConversionEventBatch(events=events)
