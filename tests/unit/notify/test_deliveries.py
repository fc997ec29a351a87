"""The consequences of attempts."""

import pytest

from services.notify.channels.webhook import TYPES
from services.notify.domain.cause import Kind
from services.notify.domain.delivery import (
    MAX_RETRY_AFTER_SECONDS,
    REST_SECONDS,
    RETRY_SECONDS,
    DeliveryState,
    Result,
    Verdict,
    after,
    is_rejected,
    off_reason,
    rest_seconds,
)

FAILED = Result(500, "HTTP 500")


def test_what_arrived_is_delivered() -> None:
    assert after(Result(204), 1) == Verdict(DeliveryState.DELIVERED)


def test_what_fails_is_tried_by_the_schedule_and_then_parked() -> None:
    pauses = [after(FAILED, tries) for tries in range(1, len(RETRY_SECONDS) + 1)]
    assert [each.pause_seconds for each in pauses] == list(RETRY_SECONDS)
    assert {each.state for each in pauses} == {DeliveryState.RETRYING}
    assert after(FAILED, len(RETRY_SECONDS) + 1) == Verdict(DeliveryState.PARKED)
    assert sum(RETRY_SECONDS) == 75 * 3600 + 35 * 60 + 5, "as Standard Webhooks has it"


@pytest.mark.parametrize(("asked", "pause"), [(1.0, 5.0), (60.0, 60.0), (1e9, MAX_RETRY_AFTER_SECONDS)])
def test_a_receiver_may_ask_for_a_longer_pause_and_not_for_a_shorter_one(asked: float, pause: float) -> None:
    assert after(Result(429, "HTTP 429", asked), 1).pause_seconds == pause
    assert after(Result(429, "HTTP 429", 60.0), 1, 0.8).pause_seconds == 60.0, "chance makes none shorter"
    assert rest_seconds(Result(429, "HTTP 429", asked), 1) == max(asked if asked < 1e6 else pause, REST_SECONDS[0])


def test_what_is_final_is_parked_at_once() -> None:
    assert after(Result(410, "HTTP 410", is_final=True), 1) == Verdict(DeliveryState.PARKED)


def test_an_endpoint_rests_longer_the_more_often_it_fails() -> None:
    assert [rest_seconds(FAILED, failures) for failures in range(1, 8)] == [*REST_SECONDS, 300.0, 300.0]


@pytest.mark.parametrize(
    ("status", "rejected"),
    [(400, True), (404, True), (422, True), (499, True)]
    + [(each, False) for each in (0, 204, 307, 408, 410, 425, 429, 500, 503)],
)
def test_a_refusal_is_a_fault_of_the_delivery_and_not_of_the_endpoint(status: int, rejected: bool) -> None:
    assert is_rejected(Result(status, f"HTTP {status}")) is rejected


def test_an_endpoint_is_switched_off_that_is_gone_or_hopeless() -> None:
    assert "410" in off_reason(Result(410, "HTTP 410"), is_hopeless=False)
    assert "5 days" in off_reason(FAILED, is_hopeless=True)
    assert off_reason(FAILED, is_hopeless=False) == ""


def test_every_kind_has_a_type_of_its_own() -> None:
    assert set(TYPES) == set(Kind)
    assert len(set(TYPES.values())) == len(TYPES)
