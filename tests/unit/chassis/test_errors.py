"""Errors fit into the metadata that clients read by default, whatever is wrong."""

from base64 import b64encode
from urllib.parse import quote

from google.rpc import code_pb2, error_details_pb2
from hypothesis import example, given
from hypothesis import strategies as st

from chassis.errors import MAX_VIOLATIONS, FieldViolation, UplineError, invalid, invalid_fields

CLIENTS_READ = 8 * 1024
ENTRY_BYTES = 32
"""The bytes that HTTP/2 counts for each entry beside its name and value."""
LENGTHS = st.sampled_from([0, 1, 30, 120, 500, 3_000, 50_000])
TEXTS = st.builds(
    lambda text, count: (text * count)[:count], st.sampled_from(["a", "%", "п", "€", "😀", "x y: "]), LENGTHS
)


def metadata_bytes(error: UplineError) -> int:
    """The bytes that an error takes of a client's bound."""
    status = error.to_status()
    entries = {
        "content-type": "application/grpc",
        "grpc-status": "3",
        "grpc-message": quote(status.message),
        "grpc-status-details-bin": b64encode(status.SerializeToString()).decode(),
    }
    return sum(len(name) + len(value) + ENTRY_BYTES for name, value in entries.items())


def bad_request(error: UplineError) -> error_details_pb2.BadRequest:
    """The fields that an error names."""
    told = error_details_pb2.BadRequest()
    assert error.to_status().details[1].Unpack(told)
    return told


@given(texts=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=200))
@example(texts=[("п" * 500, "п" * 500)] * 100)
@example(texts=[(f"conversions[{place}].amount.currency_code", "€" * 60) for place in range(1_000)])
def test_an_error_of_many_fields_can_be_read(texts: list[tuple[str, str]]) -> None:
    error = invalid_fields([FieldViolation(path, description) for path, description in texts])
    assert metadata_bytes(error) < CLIENTS_READ
    assert 1 <= len(bad_request(error).field_violations) <= MAX_VIOLATIONS


@given(message=TEXTS, name=TEXTS)
def test_an_error_about_a_name_can_be_read(message: str, name: str) -> None:
    error = UplineError(
        code_pb2.NOT_FOUND, "PROGRAM_NOT_FOUND", message, metadata={"program": name, "conversion": name}
    )
    assert metadata_bytes(error) < CLIENTS_READ


def test_twenty_usual_mistakes_are_all_told() -> None:
    mistakes = [
        FieldViolation(
            f"conversions[{place}].amount.currency_code", "must be three capital letters, such as EUR or RUB"
        )
        for place in range(20)
    ]
    error = invalid_fields(mistakes)
    assert [(each.field, each.description) for each in bad_request(error).field_violations] == [
        (each.field, each.description) for each in mistakes
    ]
    info = error_details_pb2.ErrorInfo()
    assert error.to_status().details[0].Unpack(info)
    assert not info.metadata


def test_the_count_of_more_mistakes_is_told() -> None:
    error = invalid_fields([FieldViolation(f"items[{place}]", "is missing") for place in range(1_000)])
    assert error.message.startswith("1,000 fields are at fault, among them items[0]: is missing; items[1]: ")
    info = error_details_pb2.ErrorInfo()
    assert error.to_status().details[0].Unpack(info)
    assert info.metadata == {"violation_count": "1000"}


def test_one_mistake_is_told_as_it_is() -> None:
    status = invalid("amount", "must not be negative").to_status()
    assert status.message == "amount: must not be negative"
    long = invalid("amount", "must not be negative " * 1_000).to_status()
    assert long.message.startswith("amount: must not be negative must")
    assert long.message.endswith("…")
