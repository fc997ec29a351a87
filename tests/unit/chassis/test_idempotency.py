"""Calls with a request id: which they are, and the digest that earlier versions stored."""

import pytest
from upline.attribution.v1 import program_pb2
from upline.notify.v1 import notify_pb2

from chassis.idempotency import Call, call_of


@pytest.fixture
def request_of_then() -> notify_pb2.UpdatePreferencesRequest:
    """A request that stands, with its digest, in the data of tests/integration/stored."""
    return notify_pb2.UpdatePreferencesRequest(
        request_id="e2c910e7210042239e2ca39376ebae02",
        program_id="admitad-share",
        participant_id="lena",
        preferences=notify_pb2.Preferences(locale="ru"),
    )


def encode(locale: str) -> notify_pb2.UpdatePreferencesResponse:
    """The answer that names a language."""
    return notify_pb2.UpdatePreferencesResponse(preferences=notify_pb2.Preferences(locale=locale))


def test_a_call_has_the_key_and_the_digest_of_its_request(request_of_then: notify_pb2.UpdatePreferencesRequest) -> None:
    call = call_of(request_of_then, notify_pb2.UpdatePreferencesResponse, encode)
    assert (call.program_id, call.method, call.request_id) == (
        "admitad-share",
        "upline.notify.v1.UpdatePreferencesRequest",
        "e2c910e7210042239e2ca39376ebae02",
    )
    assert call.digest.hex() == "ebd2b1428f66f2a559884ca9a0825aed"


def test_an_answer_is_stored_and_read_as_it_was_encoded(request_of_then: notify_pb2.UpdatePreferencesRequest) -> None:
    call = call_of(request_of_then, notify_pb2.UpdatePreferencesResponse, encode)
    stored = call.to_bytes(call.encode("ru"))
    assert stored.hex() == "0a040a027275"
    assert call.from_bytes(stored) == encode("ru")


def test_the_program_is_that_of_the_program_a_request_brings() -> None:
    request = program_pb2.CreateProgramRequest(request_id="r", program=program_pb2.Program(program_id="shop"))
    call: Call[str, program_pb2.CreateProgramResponse] = call_of(
        request, program_pb2.CreateProgramResponse, lambda _: program_pb2.CreateProgramResponse()
    )
    assert call.program_id == "shop"


def test_the_id_can_be_one_of_another_name(request_of_then: notify_pb2.UpdatePreferencesRequest) -> None:
    call = call_of(request_of_then, notify_pb2.UpdatePreferencesResponse, encode, request_id="purchase-1")
    assert call.request_id == "purchase-1"
