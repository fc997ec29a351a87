"""Entries on which every new text is tried before it is published, so that its author meets a fault before its readers
do."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from services.notify.domain.cause import KINDS_WITHOUT_CONVERSION, Amount, Asset, Kind
from services.notify.domain.inbox import Entry, Inbox

_POINTS = Asset("points", is_money=False, minor_digits=1)
_RUB = Asset("RUB", is_money=True, minor_digits=2)
_MOMENT = datetime(2026, 3, 5, 12, tzinfo=UTC)
_QUANTITIES_MINOR = (10, 20, 50, 210, 15)


def samples(kind: Kind) -> Iterator[Entry]:
    """Own and others' conversions, one and two assets, every plural, with and without a part on hold and names; at
    last, values as long as they come."""
    for level in (0,) if kind in KINDS_WITHOUT_CONVERSION else (0, 1, 2):
        for minor in _QUANTITIES_MINOR:
            yield _entry(kind, level, (Amount("points", minor, minor if kind is Kind.HELD else 0),))
        held = {Kind.HELD: 317, Kind.EARNED: 100}.get(kind, 0)
        two = _entry(kind, level, (Amount("points", 10, 10 if kind is Kind.HELD else 0), Amount("RUB", 317, held)))
        yield two
        yield replace(two, buyer_name="Vera", reader_name="Olga", time_zone="Asia/Kathmandu")
    yield _longest(two)


def _longest(entry: Entry) -> Entry:
    """The same with values as long as they come, so that a text has space for them."""
    return replace(
        entry,
        inbox=Inbox("sample-" * 28, entry.inbox.participant_id),
        buyer_id=entry.buyer_id * 32,
        buyer_name="Вера-" * 20,
        reader_name="Ольга" * 20,
        contest_id=entry.contest_id * 10,
        reason="sample-" * 71 if entry.reason else "",
    )


def _entry(kind: Kind, level: int, amounts: tuple[Amount, ...]) -> Entry:
    return Entry(
        inbox=Inbox("sample", "olga"),
        entry_id=UUID(int=0),
        kind=kind,
        cause_id="sample",
        conversion_id="sample",
        event_type="order",
        buyer_id="olga" if level == 0 else "vera",
        level=level,
        assets={each.code: each for each in (_POINTS, _RUB)},
        amounts=amounts,
        hold_until=_MOMENT if kind is Kind.EXPIRING or any(each.held_minor for each in amounts) else None,
        contest_id="spring" if kind is Kind.PRIZE_WON else "",
        reason="sample" if kind is Kind.REJECTED else "",
        rank=2 if kind is Kind.PRIZE_WON else 0,
        occurred_at=_MOMENT,
        create_time=_MOMENT,
        read=False,
        texts_version=0,
        chosen_locale="",
    )
