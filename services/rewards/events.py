"""Events of rewards: domain facts as messages of stream REWARDS."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime

from upline.rewards.v1 import events_pb2

from chassis import tracing
from chassis.comparison import Fact
from chassis.ids import new_id
from chassis.stream import Message
from chassis.times import to_timestamp
from chassis.topology import REWARDS
from services.rewards.domain.conversion import Conversion
from services.rewards.domain.ledger import Reward, Transfer
from services.rewards.domain.plan.asset import Asset
from services.rewards.domain.settle.accrual import Accrual
from services.rewards.domain.settle.clawback import Clawback
from services.rewards.domain.settle.holds import is_mark
from services.rewards.domain.settle.ids import conversion_cause
from services.rewards.domain.wallet.payout import Payout, PayoutState
from services.rewards.domain.wallet.wallet import WalletTransfer
from services.rewards.wire.assets import asset_message

EVENTS_A_MESSAGE = 500
"""The most events that the contract allows in a message: about 500 kB with ten earnings each."""
MAX_PAYLOAD_BYTES = 512 * 1024
"""Half of the length that a broker accepts by default: a longer message would stop everything behind it in the
outbox."""
_PAYOUT_CHANGES = {
    PayoutState.PAID: events_pb2.REWARD_CHANGE_PAYOUT_PAID,
    PayoutState.FAILED: events_pb2.REWARD_CHANGE_PAYOUT_FAILED,
    PayoutState.REJECTED: events_pb2.REWARD_CHANGE_PAYOUT_RETURNED,
    PayoutState.CANCELLED: events_pb2.REWARD_CHANGE_PAYOUT_RETURNED,
    PayoutState.BOUNCED: events_pb2.REWARD_CHANGE_PAYOUT_BOUNCED,
}
_WITHOUT_FEE = frozenset({PayoutState.PAID, PayoutState.BOUNCED})
_EVENTS_TAG = bytes([events_pb2.RewardEventBatch.EVENTS_FIELD_NUMBER << 3 | 2])


def accrued(accrual: Accrual, assets: Iterable[Asset]) -> events_pb2.RewardEvent:
    """Rewards were accrued."""
    conversion = accrual.conversion
    event = _event(
        conversion,
        events_pb2.REWARD_CHANGE_ACCRUED,
        conversion_cause(conversion.program_id, conversion.conversion_id),
        {each.asset for each in accrual.rewards},
        conversion.record_time,
        assets,
    )
    _add_earnings(event, ((each, each.amount_minor, each.hold_until) for each in accrual.rewards))
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
    event.trace_id = clawback.reversal.trace_id or clawback.conversion.trace_id
    _add_earnings(event, ((each.reward, -each.delta_minor, None) for each in clawback.revisions))
    return event


def rejected(
    conversion: Conversion,
    moment: datetime,
    reason: str,
    rewards: Iterable[tuple[Reward, Transfer]],
    assets: Iterable[Asset],
) -> events_pb2.RewardEvent:
    """A person rejected rewards."""
    pairs = list(rewards)
    named = {transfer.asset for _, transfer in pairs}
    cause = pairs[0][1].cause_id
    event = _event(conversion, events_pb2.REWARD_CHANGE_REJECTED, cause, named, moment, assets)
    event.reason = reason
    _add_earnings(event, ((reward, transfer.amount_minor, None) for reward, transfer in pairs))
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
    _add_earnings(event, ((reward, transfer.amount_minor, None) for reward, transfer in pairs))
    return event


def payout_answered(payout: Payout, asset: Asset) -> events_pb2.RewardEvent | None:
    """A payout reached a state that its participant is told of; None for the other states.

    The event is named after the attempt and the state, so that each is told once.
    """
    change = _PAYOUT_CHANGES.get(payout.state)
    if change is None:
        return None
    name = f"{payout.program_id}/{payout.attempts}.{int(payout.state)}/{payout.payout_id}"
    event = events_pb2.RewardEvent(
        event_id=f"payout:{name}",
        occurred_at=to_timestamp(payout.update_time),
        program_id=payout.program_id,
        buyer_id=payout.participant_id,
        assets=[asset_message(asset)],
        change=change,
        trace_id=tracing.current(),
    )
    amount_minor = payout.paid_minor if payout.state in _WITHOUT_FEE else payout.amount_minor
    event.earnings.add(beneficiary_id=payout.participant_id, asset=asset.code, amount_minor=amount_minor)
    return event


def expiring(
    program_id: str, participant_id: str, amount_minor: int, expire_time: datetime, asset: Asset
) -> events_pb2.RewardEvent:
    """Value is about to expire. The event is named after the time of that, so that it is told once."""
    moment = to_timestamp(expire_time)
    event = events_pb2.RewardEvent(
        event_id=f"expiring:{program_id}/{asset.code}/{moment.ToMicroseconds()}/{participant_id}",
        occurred_at=moment,
        program_id=program_id,
        buyer_id=participant_id,
        assets=[asset_message(asset)],
        change=events_pb2.REWARD_CHANGE_EXPIRING,
    )
    event.earnings.add(beneficiary_id=participant_id, asset=asset.code, amount_minor=amount_minor, expire_time=moment)
    return event


def prizes_won(
    contest_id: str, prizes: Sequence[tuple[int, WalletTransfer]], moment: datetime, assets: Iterable[Asset]
) -> events_pb2.RewardEvent:
    """A contest was closed with prizes, at least one, each with the rank that won it."""
    named = {each.asset for _, each in prizes}
    _, first = prizes[0]
    event = events_pb2.RewardEvent(
        event_id=first.cause_id,
        occurred_at=to_timestamp(moment),
        program_id=first.program_id,
        contest_id=contest_id,
        assets=[asset_message(each) for each in assets if each.code in named],
        change=events_pb2.REWARD_CHANGE_PRIZE_WON,
    )
    for rank, each in prizes:
        event.earnings.add(
            beneficiary_id=each.participant_id, rank=rank, asset=each.asset, amount_minor=each.amount_minor
        )
    return event


def messages(facts: Iterable[events_pb2.RewardEvent]) -> list[Message]:
    """The messages that carry the facts in their order: batches, joined end to end from their events."""
    cut: list[list[bytes]] = []
    batch_bytes = 0
    for event in (part for fact in facts for part in _entries(fact)):
        if not cut or len(cut[-1]) == EVENTS_A_MESSAGE or batch_bytes + len(event) > MAX_PAYLOAD_BYTES:
            cut.append([])
            batch_bytes = 0
        cut[-1].append(event)
        batch_bytes += len(event)
    name = events_pb2.RewardEventBatch.DESCRIPTOR.full_name
    return [Message(REWARDS.subject, str(new_id()), name, b"".join(events)) for events in cut]


def told_facts(payload: bytes) -> list[Fact]:
    """The facts that a message tells."""
    return [Fact(each.program_id, each.event_id) for each in events_pb2.RewardEventBatch.FromString(payload).events]


def only(payload: bytes, event_ids: Collection[str]) -> bytes:
    """A message with those of its events that have one of the ids."""
    batch = events_pb2.RewardEventBatch.FromString(payload)
    return events_pb2.RewardEventBatch(
        events=[each for each in batch.events if each.event_id in event_ids]
    ).SerializeToString()


def _entries(fact: events_pb2.RewardEvent) -> list[bytes]:
    """The fact as it is, or in several events where many rules pay many levels; each as an entry of a batch."""
    whole = _entry(fact)
    return [whole] if len(whole) <= MAX_PAYLOAD_BYTES else [_entry(part) for part in _parts(fact)]


def _entry(event: events_pb2.RewardEvent) -> bytes:
    """One event as field `events` of a batch: tag, length, message (protobuf encoding guide, "Message Structure")."""
    message = event.SerializeToString()
    return b"".join((_EVENTS_TAG, _varint(len(message)), message))


def _varint(number: int) -> bytes:
    """A number ≥ 0, seven of them in a byte, the lowest first (protobuf encoding guide, "Base 128 Varints")."""
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def _parts(fact: events_pb2.RewardEvent) -> Iterator[events_pb2.RewardEvent]:
    """The fact in several events; each person stands in one of them."""
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
    # Field by field: named arguments take half as long again.
    event = events_pb2.RewardEvent()
    event.event_id = cause_id
    event.occurred_at.CopyFrom(to_timestamp(moment))
    event.program_id = conversion.program_id
    event.conversion_id = conversion.conversion_id
    event.event_type = conversion.event_type
    event.buyer_id = conversion.buyer_id
    event.change = change
    event.trace_id = conversion.trace_id
    for each in assets:
        if each.code in named:
            event.assets.append(asset_message(each))
    return event


def _add_earnings(event: events_pb2.RewardEvent, earnings: Iterable[tuple[Reward, int, datetime | None]]) -> None:
    """Adds rewards with an amount and the end of the hold each."""
    add = event.earnings.add
    for reward, amount_minor, hold_until in earnings:
        # Field by field too: one batch has thousands of earnings.
        earning = add()
        earning.reward_id = reward.reward_id
        earning.rule_id = reward.rule_id
        earning.beneficiary_id = reward.beneficiary_id
        earning.level = reward.level
        earning.asset = reward.asset
        earning.amount_minor = amount_minor
        if hold_until is not None:
            if is_mark(hold_until):
                earning.waits = True
            else:
                earning.hold_until.CopyFrom(to_timestamp(hold_until))
