"""Moments and spans between the wire and Python."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.times import to_datetime, to_timestamp


@pytest.mark.parametrize(
    "moment", [datetime(2, 1, 1, tzinfo=UTC), datetime(9998, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)]
)
def test_every_time_zone_knows_the_first_and_last_moment(moment: datetime) -> None:
    assert to_datetime(to_timestamp(moment)) == moment
    for hours in (-14, 14):
        assert moment.astimezone(timezone(timedelta(hours=hours))) == moment


@pytest.mark.parametrize(
    "moment",
    [
        to_timestamp(datetime(1, 1, 1, tzinfo=UTC)),  # what .NET takes for no date
        to_timestamp(datetime(1, 12, 31, 23, 59, tzinfo=UTC)),
        to_timestamp(datetime(9999, 1, 1, tzinfo=UTC)),
        Timestamp(seconds=2**62),
        Timestamp(seconds=-(2**62)),
    ],
)
def test_what_lies_beyond_them_is_no_date(moment: Timestamp) -> None:
    with pytest.raises(ValueError, match="out of range"):
        to_datetime(moment)
