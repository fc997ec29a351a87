"""Participants between contract and domain."""

from datetime import datetime

from google.rpc import code_pb2
from upline.attribution.v1 import participant_pb2
from upline.type.v1 import money_pb2

from chassis.errors import UplineError
from chassis.idempotency import body_hash
from chassis.times import to_timestamp, write_timestamp
from services.attribution.domain.attribution import Bond
from services.attribution.domain.participant import Enrolment, EnrolmentDraft, Participant, Referral, TreeNode
from services.attribution.wire.conversions import conversion_message, read_past, sign_up
from services.attribution.wire.storable import require_storable, require_storable_map

INT64_MAX = 2**63 - 1


def read_enrolment(message: participant_pb2.ParticipantDraft, path: str, now: datetime) -> EnrolmentDraft:
    """A draft as the caller sends it; `path` is its place in the request."""
    attributes = dict(message.attributes)
    require_storable_map(f"{path}.attributes", attributes)
    require_storable(f"{path}.sponsor_id", message.sponsor_id)
    joined_at = read_past(message.bind_time, f"{path}.bind_time", now) if message.HasField("bind_time") else now
    return EnrolmentDraft(
        path=path,
        participant_id=message.participant_id,
        attributes=attributes,
        sponsor_id=message.sponsor_id,
        code=message.code,
        click_token=message.click_token,
        visitor_id=message.visitor_id,
        sign_up=sign_up(message.participant_id, joined_at) if message.record_sign_up else None,
        joined_at=joined_at,
        draft_hash=body_hash(message),
    )


def participant_message(program_id: str, participant: Participant) -> participant_pb2.Participant:
    """The participant as the contract has it."""
    return participant_pb2.Participant(
        program_id=program_id,
        participant_id=participant.participant_id,
        attributes=participant.attributes,
        binding=None if participant.bond is None else bond_message(participant.bond),
        create_time=to_timestamp(participant.create_time),
        unbound_reason=int(unbound_reason(participant)),  # type: ignore[arg-type]
    )


def write_enrolment(target: participant_pb2.Participant, program_id: str, enrolment: Enrolment) -> None:
    """Writes somebody who is enrolled as the contract has them from then on, within the message that is to tell it:
    putting a message into another one copies it, which takes three times as long, and a call enrols a thousand."""
    target.program_id, target.participant_id = program_id, enrolment.participant_id
    target.attributes.update(enrolment.attributes)
    write_timestamp(target.create_time, enrolment.create_time)
    if enrolment.binding is not None:
        write_bond(target.binding, enrolment.binding.bond)
    else:
        target.unbound_reason = int(enrolment.unbound_reason or 0)  # type: ignore[assignment]


def unbound_message(participant: Participant) -> participant_pb2.UnboundParticipant:
    """Somebody without a sponsor, as the contract has it."""
    return participant_pb2.UnboundParticipant(
        participant_id=participant.participant_id,
        unbound_reason=int(unbound_reason(participant)),  # type: ignore[arg-type]
    )


def unbound_reason(participant: Participant) -> int:
    """The number of the reason why they have no sponsor, as far as it is known; 0 where they have one."""
    return 0 if participant.bond is not None else participant.unbound_reason or 0


def bond_message(bond: Bond) -> participant_pb2.SponsorBinding:
    """The bond as the contract has it."""
    message = participant_pb2.SponsorBinding()
    write_bond(message, bond)
    return message


def write_bond(target: participant_pb2.SponsorBinding, bond: Bond) -> None:
    """Writes the bond as the contract has it."""
    target.sponsor_id = bond.sponsor_id
    write_timestamp(target.bind_time, bond.bound_at)
    target.source = int(bond.source)  # type: ignore[assignment]
    target.link_id, target.code, target.channel = bond.link_id, bond.code, bond.channel
    target.campaign, target.share_percent = bond.campaign, bond.share_percent


def node_message(node: TreeNode) -> participant_pb2.TreeNode:
    """The node as the contract has it."""
    return participant_pb2.TreeNode(
        participant_id=node.participant_id, level=node.level, sponsor_id=node.sponsor_id, attributes=node.attributes
    )


def referral_message(program_id: str, currency_code: str, referral: Referral) -> participant_pb2.Referral:
    """The referral as the contract has it. OUT_OF_RANGE if what the referee bought does not fit into it."""
    referee, purchases = referral.referee, referral.purchases
    if purchases.amount_minor > INT64_MAX:
        raise UplineError(
            code_pb2.OUT_OF_RANGE, "SUM_TOO_LARGE", f"purchases of {referee.participant_id!r} exceed 64 bits"
        )
    return participant_pb2.Referral(
        participant_id=referee.participant_id,
        binding=bond_message(referee.bond),
        conversion_count=purchases.conversion_count,
        amount=money_pb2.Money(currency_code=currency_code, amount_minor=purchases.amount_minor),
        recent_conversions=[
            conversion_message(program_id, currency_code, each) for each in referral.recent_conversions
        ],
    )
