"""The names that a template can use. Everything is always defined, so that a template that renders once renders always.

| name | meaning |
|---|---|
| `program` | the program's title; its id if it has none |
| `amount` | all amounts as one phrase: `21 points and $3.00` |
| `amounts` | a list with an item for each asset, described below |
| `held` | the part on hold as one phrase; empty for none |
| `hold_until` | the day of the end of the last hold, or of expiry; empty if there is none, or no known one |
| `hold_until_time` | the same with the hour |
| `own` | whether it was the reader's own conversion |
| `level` | distance from the buyer: 0 for the buyer, 1 for a friend, … |
| `buyer` | the buyer's name; a friend where it is not known or not for this reader; you, if that is the reader |
| `buyer_name` | the buyer's name; empty where it is not known or not for this reader |
| `buyer_id` | the buyer's id |
| `reader` | the reader's own name; empty if it is not known |
| `event_type` | `order`, `sign_up`, … |
| `event` | the same as a word of the language |
| `occurred_at` | the day it happened |
| `occurred_at_time` | the same with the hour |
| `contest` | the contest's id, with spaces for underscores; empty but for prizes |
| `rank` | the place in it, from 1; 0 but for prizes |
| `reason` | the words of whoever rejected the reward; empty for anything else |

Each item of `amounts` has `asset` (its code), `number` (of whole units, for `plural`), `text` and `held` (a text, empty
if nothing is on hold).
Filter `plural`: `{{ amounts[0].number|plural('балл', 'балла', 'баллов') }}`, forms in CLDR's order.
Days and hours are the reader's own: in their time zone, and in UTC where that is not known.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from services.notify.domain.cause import Amount
from services.notify.domain.inbox import Entry
from services.notify.rendering.builtin import EVENT_NAMES, FRIEND, YOU
from services.notify.rendering.formats import amount_text, day_text, list_text, quantity, time_text, zone_of


@dataclass(frozen=True, slots=True)
class AmountVariable:
    """One item of `amounts`."""

    asset: str
    number: Decimal
    text: str
    held: str


def variables(entry: Entry, program: str, locale: str, asset_names: Mapping[str, tuple[str, ...]]) -> dict[str, object]:
    """The values of these names for one entry. `asset_names` are the program's own, in the language `locale`."""
    zone = zone_of(entry.time_zone)
    amounts = [_amount(entry, each, locale, asset_names.get(each.asset, ())) for each in entry.amounts]
    return {
        "program": program,
        "amount": list_text([each.text for each in amounts], locale),
        "amounts": amounts,
        "held": list_text([each.held for each in amounts if each.held], locale),
        "hold_until": day_text(entry.hold_until, locale, zone) if entry.hold_until else "",
        "hold_until_time": time_text(entry.hold_until, locale, zone) if entry.hold_until else "",
        "own": entry.level == 0,
        "level": entry.level,
        "buyer": _buyer(entry, locale),
        "buyer_name": entry.buyer_name,
        "buyer_id": entry.buyer_id,
        "reader": entry.reader_name,
        "event_type": entry.event_type,
        "event": EVENT_NAMES[locale].get(entry.event_type, entry.event_type.replace("_", " ")),
        "occurred_at": day_text(entry.occurred_at, locale, zone),
        "occurred_at_time": time_text(entry.occurred_at, locale, zone),
        "contest": entry.contest_id.replace("_", " "),
        "rank": entry.rank,
        "reason": entry.reason,
    }


def _buyer(entry: Entry, locale: str) -> str:
    if entry.buyer_name or not entry.buyer_id:
        return entry.buyer_name
    return (YOU if entry.level == 0 else FRIEND)[locale]


def _amount(entry: Entry, amount: Amount, locale: str, forms: tuple[str, ...]) -> AmountVariable:
    asset = entry.assets[amount.asset]
    return AmountVariable(
        asset=asset.code,
        number=quantity(asset, amount.total_minor),
        text=amount_text(asset, amount.total_minor, locale, forms),
        held=amount_text(asset, amount.held_minor, locale, forms) if amount.held_minor else "",
    )
