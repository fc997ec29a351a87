"""Which method is called next: often what others need, seldom what costs much, and soon what never succeeded yet."""

import random
from collections import Counter
from dataclasses import replace

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from tests.contract.surface import METHODS
from tests.fuzz.generator import Generator, Made
from tests.fuzz.sending import NO_DEADLINE

LIBRARIES = (health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR)
"""The services that libraries of gRPC serve; their errors have no details."""
NEVER_SUCCEED = frozenset({"RedeliverDelivery"})
"""Methods that find nothing to do in a run: a delivery is parked after three days of failures."""
NOT_SERVED = frozenset({"List"})
"""Of health; the library itself does not serve it yet."""
WITHOUT_DEADLINE = 0.003
"""How often a call states no deadline, for which it is refused."""
WEIGHTS = {
    "RecordConversion": 5.0, "RecordConversions": 2.0, "EnrollParticipant": 2.0, "ReverseConversion": 2.0,
    "RequestPayout": 4.0, "ApprovePayout": 2.0, "CreatePayoutBatch": 3.0, "ReportPayout": 3.0,
    "AuthorizeRedemption": 3.0, "CaptureRedemption": 2.0, "RecordClick": 2.0, "PublishPlan": 0.4, "ValidatePlan": 0.5,
    "PublishTexts": 0.5, "CreateProgram": 0.3, "AuditLedger": 0.05, "GetProgramTotals": 0.3,
    "GetSettlementReport": 0.3, "GetQrCode": 0.5, "ServerReflectionInfo": 0.3,
}  # fmt: skip
"""How often a method is called, beside others' 1: often what others need, seldom what costs much."""
NEVER_OK_WEIGHT, IMPOSSIBLE_WEIGHT = 8.0, 0.1
"""How often a method is called that never succeeded yet, and one that cannot."""


class Chooser:
    """Chooses calls by what came of those before."""

    def __init__(self, rng: random.Random, generator: Generator) -> None:
        self._rng = rng
        self._generator = generator
        libraries = [
            method
            for file in LIBRARIES
            for each in file.services_by_name.values()
            for method in each.methods
            if method.name not in NOT_SERVED
        ]
        self._methods = [*METHODS, *libraries]
        self.succeeded: Counter[str] = Counter()
        """How often each method succeeded."""

    def never_ok(self) -> list[str]:
        """The methods that never succeeded yet."""
        missing = [each for each in self._methods if not self.succeeded[each.full_name]]
        return [each.full_name for each in missing if each.name not in NEVER_SUCCEED]

    def make(self, how: str = "") -> Made:
        """The next call; `how`: in which way, by default in any."""
        method = self._rng.choices(self._methods, [self._weight(each) for each in self._methods])[0]
        if not is_ours(method):
            return Made(method, (self._library_request(method).SerializeToString(),), "", "valid", ())
        made = self._generator.make(method, how)
        is_unary = not method.server_streaming
        return replace(made, how=NO_DEADLINE) if is_unary and self._rng.random() < WITHOUT_DEADLINE else made

    def _weight(self, method: MethodDescriptor) -> float:
        weight = WEIGHTS.get(method.name, 1.0)
        if self.succeeded[method.full_name] or not is_ours(method):
            return weight
        return weight * (NEVER_OK_WEIGHT if self._generator.can_be(method) else IMPOSSIBLE_WEIGHT)

    def _library_request(self, method: MethodDescriptor) -> Message:
        if method.name == "ServerReflectionInfo":
            known = self._rng.choice(METHODS)
            name = self._rng.choice(
                (known.full_name, known.containing_service.full_name, "", "no.such\0Thing", "x" * 999)
            )
            asked = self._rng.choice(("list_services", "file_containing_symbol", "file_by_filename"))
            return reflection_pb2.ServerReflectionRequest(**{asked: name})
        request: Message = GetMessageClass(method.input_type)()
        if method.name in {"Check", "Watch"} and self._rng.random() < 0.7:
            name = self._rng.choice(METHODS).containing_service.full_name
            request.service = self._rng.choice(("broker", "nothing", "\0", name))  # type: ignore[attr-defined]
        return request


def is_ours(method: MethodDescriptor) -> bool:
    """Whether a method is of our contracts, rather than of a library of gRPC's."""
    return bool(method.full_name.startswith("upline."))
