"""What rewards tells the world: domain facts → messages of stream REWARDS."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from upline.rewards.v1 import events_pb2

from chassis.ids import new_id
from chassis.stream import Message
from chassis.times import to_timestamp
from chassis.topology import REWARDS
from services.rewards.domain.asset import Asset
from services.rewards.domain.conversion import Conversion
from services.rewards.domain.ledger import Reward, Transfer
from services.rewards.domain.settlement import Accrual, Clawback, conversion_cause
from services.rewards.wire.plans import asset_message

EVENTS_A_MESSAGE = 500
"""As the contract says; with ten earnings each, about 500 kB."""
MAX_PAYLOAD_BYTES = 512 * 1024
"""Half of what a broker accepts by default: a message it refuses would stop everything behind it in the outbox."""


def accrued(accrual: Accrual, assets: Iterable[Asset]) -> events_pb2.RewardEvent:
    """Rewards were earned."""
    conversion = accrual.conversion
    event = _event(
        conversion,
        events_pb2.REWARD_CHANGE_ACCRUED,
        conversion_cause(conversion.program_id, conversion.conversion_id),
        {each.asset for each in accrual.rewards},
        conversion.record_time,
        assets,
    )
    for each in accrual.rewards:
        _add_earning(event, each, each.amount_minor, each.hold_until)
    return event


def taken_back(clawback: Clawback, assets: Iterable[Asset]) -> events_pb2.RewardEvent:
    """Rewards were taken back, whole or in part."""
    event = _event(
        clawback.conversion,
        events_pb2.REWARD_CHANGE_REVERSED,
        clawback.transfers[0].cause_id,
        {each.asset for each in clawback.transfers},
        clawback.reversal.record_time,
        assets,
    )
    for each in clawback.revisions:
        _add_earning(event, each.reward, -each.delta_minor, None)
    return event


def released(
    conversion: Conversion,
    due_time: datetime,
    rewards: Iterable[tuple[Reward, Transfer]],
    assets: Iterable[Asset],
) -> events_pb2.RewardEvent:
    """A hold ended."""
    pairs = list(rewards)
    cause = pairs[0][1].cause_id
    named = {transfer.asset for _, transfer in pairs}
    event = _event(conversion, events_pb2.REWARD_CHANGE_RELEASED, cause, named, due_time, assets)
    for reward, transfer in pairs:
        _add_earning(event, reward, transfer.amount_minor, None)
    return event


def messages(facts: Sequence[events_pb2.RewardEvent]) -> list[Message]:
    """The messages that carry the facts in their order."""
    cut: list[events_pb2.RewardEventBatch] = []
    batch_bytes = 0
    for event in (part for fact in facts for part in _parts(fact)):
        size = event.ByteSize()
        if not cut or len(cut[-1].events) == EVENTS_A_MESSAGE or batch_bytes + size > MAX_PAYLOAD_BYTES:
            cut.append(events_pb2.RewardEventBatch())
            batch_bytes = 0
        cut[-1].events.append(event)
        batch_bytes += size
    return [
        Message(REWARDS.subject, str(new_id()), batch.DESCRIPTOR.full_name, batch.SerializeToString()) for batch in cut
    ]


def _parts(fact: events_pb2.RewardEvent) -> Iterator[events_pb2.RewardEvent]:
    """The fact as it is, or in several events where many rules pay many levels: whom it concerns stands in one of them."""
    if fact.ByteSize() <= MAX_PAYLOAD_BYTES:
        yield fact
        return
    by_person: dict[str, list[events_pb2.Earning]] = {}
    for earning in fact.earnings:
        by_person.setdefault(earning.beneficiary_id, []).append(earning)
    kind, _, name = fact.event_id.partition(":")
    number = 1
    part = _without_earnings(fact, fact.event_id)
    for earnings in by_person.values():
        size = sum(each.ByteSize() for each in earnings)
        if part.earnings and part.ByteSize() + size > MAX_PAYLOAD_BYTES // 2:
            yield part
            number += 1
            part = _without_earnings(fact, f"{kind}.{number}:{name}")
        part.earnings.extend(earnings)
    yield part


def _without_earnings(fact: events_pb2.RewardEvent, event_id: str) -> events_pb2.RewardEvent:
    part = events_pb2.RewardEvent()
    part.CopyFrom(fact)
    part.event_id = event_id
    part.ClearField("earnings")
    return part


def _event(
    conversion: Conversion,
    change: events_pb2.RewardChange.ValueType,
    cause_id: str,
    named: set[str],
    moment: datetime,
    assets: Iterable[Asset],
) -> events_pb2.RewardEvent:
    return events_pb2.RewardEvent(
        event_id=cause_id,
        occurred_at=to_timestamp(moment),
        program_id=conversion.program_id,
        conversion_id=conversion.conversion_id,
        event_type=conversion.event_type,
        buyer_id=conversion.buyer_id,
        assets=[asset_message(each) for each in assets if each.code in named],
        change=change,
    )


def _add_earning(event: events_pb2.RewardEvent, reward: Reward, amount_minor: int, hold_until: datetime | None) -> None:
    earning = event.earnings.add(
        reward_id=reward.reward_id,
        rule_id=reward.rule_id,
        beneficiary_id=reward.beneficiary_id,
        level=reward.level,
        asset=reward.asset,
        amount_minor=amount_minor,
    )
    if hold_until is not None:
        earning.hold_until.CopyFrom(to_timestamp(hold_until))
