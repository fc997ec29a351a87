"""Channels and stubs of the three services."""

from dataclasses import dataclass
from ipaddress import ip_address
from json import dumps
from types import TracebackType
from typing import Any, Self

import grpc
from upline.attribution.v1 import (
    click_pb2_grpc,
    conversion_pb2_grpc,
    link_pb2_grpc,
    participant_pb2_grpc,
    program_pb2_grpc,
)
from upline.notify.v1 import contact_pb2_grpc, notify_pb2_grpc
from upline.rewards.v1 import (
    approval_pb2_grpc,
    contest_pb2_grpc,
    payout_pb2_grpc,
    plan_pb2_grpc,
    redemption_pb2_grpc,
    reward_pb2_grpc,
    wallet_pb2_grpc,
)

CALL_SECONDS = 30.0
"""The deadline of an ordinary call; the services refuse calls without one."""
LARGEST_PAGE = 1_000
"""The most entries that the services put on one page."""
MAX_ANSWER_BYTES = 16 * 1024 * 1024

# Every call of this client is safe to repeat: by request id, by the caller's own ids, or because it only reads.
# Five tries is the most gRPC makes; with these pauses they outlast the restart of a service.
_RETRIES = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.5s",
                "maxBackoff": "5s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}


@dataclass(frozen=True, slots=True)
class Addresses:
    """The address, `host:port`, of each service."""

    attribution: str
    rewards: str
    notify: str


class Client:
    """Calls to the services. Use as an async context manager; stubs are grouped as the contracts are."""

    def __init__(self, addresses: Addresses) -> None:
        self.addresses = addresses

    async def __aenter__(self) -> Self:
        attribution, rewards, notify = (
            _channel(address) for address in (self.addresses.attribution, self.addresses.rewards, self.addresses.notify)
        )
        self._channels = (attribution, rewards, notify)
        self.programs = _stub(program_pb2_grpc.ProgramServiceStub, attribution)
        self.participants = _stub(participant_pb2_grpc.ParticipantServiceStub, attribution)
        self.links = _stub(link_pb2_grpc.LinkServiceStub, attribution)
        self.clicks = _stub(click_pb2_grpc.ClickServiceStub, attribution)
        self.conversions = _stub(conversion_pb2_grpc.ConversionServiceStub, attribution)
        self.plans = _stub(plan_pb2_grpc.PlanServiceStub, rewards)
        self.approvals = _stub(approval_pb2_grpc.ApprovalServiceStub, rewards)
        self.contests = _stub(contest_pb2_grpc.ContestServiceStub, rewards)
        self.rewards = _stub(reward_pb2_grpc.RewardServiceStub, rewards)
        self.payouts = _stub(payout_pb2_grpc.PayoutServiceStub, rewards)
        self.redemptions = _stub(redemption_pb2_grpc.RedemptionServiceStub, rewards)
        self.wallets = _stub(wallet_pb2_grpc.WalletServiceStub, rewards)
        self.contacts = _stub(contact_pb2_grpc.ContactServiceStub, notify)
        self.texts = _stub(notify_pb2_grpc.TextServiceStub, notify)
        self.preferences = _stub(notify_pb2_grpc.PreferenceServiceStub, notify)
        self.inbox = _stub(notify_pb2_grpc.InboxServiceStub, notify)
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for channel in self._channels:
            await channel.close(None)


def _stub(stub: Any, channel: grpc.aio.Channel) -> Any:
    return stub(channel)  # grpcio's generator writes no types


def _channel(address: str) -> grpc.aio.Channel:
    options: list[tuple[str, Any]] = [
        ("grpc.service_config", dumps(_RETRIES)),
        ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
        ("grpc.keepalive_time_ms", 30_000),
    ]
    if is_loopback(address):
        options.append(("grpc.enable_http_proxy", 0))
    return grpc.aio.insecure_channel(address, options=options)


def is_loopback(address: str) -> bool:
    """Whether host:port is on this machine; a proxy has no business there."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
