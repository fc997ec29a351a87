"""Enrols two people, records an order of the second, and checks what each has in the wallet, with stubs made by plain
protoc."""

import os
import sys
import time
from uuid import uuid4

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from upline.attribution.v1 import conversion_pb2, conversion_pb2_grpc, participant_pb2, participant_pb2_grpc
from upline.rewards.v1 import wallet_pb2, wallet_pb2_grpc
from upline.type.v1 import money_pb2

PROGRAM = "uds"
CALL_SECONDS = 10  # the services refuse a call without a deadline
PAID_WITHIN_SECONDS = 30

attribution = grpc.insecure_channel(os.environ.get("UPLINE_ATTRIBUTION_ADDR", "127.0.0.1:7101"))
rewards = grpc.insecure_channel(os.environ.get("UPLINE_REWARDS_ADDR", "127.0.0.1:7102"))
participants = participant_pb2_grpc.ParticipantServiceStub(attribution)
conversions = conversion_pb2_grpc.ConversionServiceStub(attribution)
wallets = wallet_pb2_grpc.WalletServiceStub(rewards)


def twice(method, request):
    """Sends a request two times: the second changes nothing and gives the same answer."""
    first, again = method(request, timeout=CALL_SECONDS), method(request, timeout=CALL_SECONDS)
    require(first == again, f"the second answer is another one: {first}, {again}")
    return first


def enrol(name, sponsor=""):
    """Enrols somebody, bound for life to whoever invited them."""
    draft = participant_pb2.ParticipantDraft(participant_id=name, sponsor_id=sponsor)
    request = participant_pb2.EnrollParticipantRequest(
        request_id=f"enrol-{name}", program_id=PROGRAM, participant=draft
    )
    twice(participants.EnrollParticipant, request)
    print(f"{name}, invited by {sponsor!r}")


def order(conversion_id, buyer, referrer):
    """Records an order of 2,500.00 roubles, after one that is refused because nobody is said to have bought."""
    draft = conversion_pb2.ConversionDraft(
        conversion_id=conversion_id,
        event_type="order",
        amount=money_pb2.Money(currency_code="RUB", amount_minor=250_000),
    )
    request = conversion_pb2.RecordConversionRequest(program_id=PROGRAM, conversion=draft)
    try:
        conversions.RecordConversion(request, timeout=CALL_SECONDS)
        sys.exit("an order without a buyer was recorded")
    except grpc.RpcError as refused:
        require(refused.code() is grpc.StatusCode.INVALID_ARGUMENT, refused)
        require(fields_told(refused) == ["conversion.buyer_id"], refused)
        print(f"refused, as it should be: {refused.details()}")

    request.conversion.buyer_id = buyer
    credited = twice(conversions.RecordConversion, request).conversion.attribution.referrer_id
    require(credited == referrer, f"credited to {credited}")
    print(f"{conversion_id} of {buyer}: credited to {credited}")


def fields_told(refused):
    """The fields that the error's google.rpc.BadRequest names."""
    bad_request = error_details_pb2.BadRequest()
    for detail in rpc_status.from_call(refused).details:
        if detail.Unpack(bad_request):
            break
    return [each.field for each in bad_request.field_violations]


def holds(name, available, held):
    """Waits until a wallet holds exactly that: rewards follow a recorded order within moments."""
    request = wallet_pb2.GetWalletRequest(program_id=PROGRAM, participant_id=name)
    end = time.monotonic() + PAID_WITHIN_SECONDS
    while time.monotonic() < end:
        balances = wallets.GetWallet(request, timeout=CALL_SECONDS).balances
        if ("points", available, held) in [(each.asset, each.available_minor, each.held_minor) for each in balances]:
            print(f"{name}: {available} points available, {held} held, in hundredths")
            return
        time.sleep(0.05)
    sys.exit(f"{name} has {balances}; expected {available} available and {held} held")


def require(holds, what):
    """Ends the program where something is not as it should be."""
    if not holds:
        sys.exit(str(what))


suffix = uuid4().hex[:8]  # so that every run enrols new people
ann, ben = f"ann-{suffix}", f"ben-{suffix}"
enrol(ann)
enrol(ben, sponsor=ann)
order(f"order-{suffix}", ben, ann)
holds(ben, 12_500, 0)  # 5 % of 2,500.00 at once
holds(ann, 0, 7_500)  # 3 %, held until the goods cannot be returned any more
print("as it should be")
