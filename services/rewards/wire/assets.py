"""Assets: between the contract and the plan."""

from collections.abc import Iterable
from fractions import Fraction

from upline.type.v1 import asset_pb2

from services.rewards.domain.plan.asset import Asset, AssetKind
from services.rewards.wire.currencies import currency_digits
from services.rewards.wire.problems import Problems

_KINDS = {
    asset_pb2.ASSET_KIND_MONEY: AssetKind.MONEY,
    asset_pb2.ASSET_KIND_POINTS: AssetKind.POINTS,
    asset_pb2.ASSET_KIND_CREDIT: AssetKind.CREDIT,
    asset_pb2.ASSET_KIND_COUPON: AssetKind.COUPON,
    asset_pb2.ASSET_KIND_GIFT: AssetKind.GIFT,
    asset_pb2.ASSET_KIND_SERVICE_DAYS: AssetKind.SERVICE_DAYS,
    asset_pb2.ASSET_KIND_VIRTUAL: AssetKind.VIRTUAL,
}
_KIND_NUMBERS = {kind: number for number, kind in _KINDS.items()}
_VALUED = frozenset({AssetKind.POINTS, AssetKind.VIRTUAL})


def asset_message(asset: Asset) -> asset_pb2.Asset:
    """The asset for events."""
    return asset_pb2.Asset(code=asset.code, kind=_KIND_NUMBERS[asset.kind], minor_digits=asset.digits)


def read_assets(messages: Iterable[asset_pb2.Asset], program_digits: int, problems: Problems) -> dict[str, Asset]:
    """A plan's assets by code. `program_digits`: decimal places of the program's currency."""
    assets: dict[str, Asset] = {}
    for index, each in enumerate(messages):
        path = f"plan.assets[{index}]"
        if each.code in assets:
            problems.forbid(f"{path}.code", f"{each.code!r} is named twice")
        kind = _KINDS[each.kind]
        if kind is AssetKind.MONEY:
            assets[each.code] = _money(each, path, program_digits, problems)
        else:
            assets[each.code] = _own(each, kind, path, program_digits, problems)
    return assets


def _money(message: asset_pb2.Asset, path: str, program_digits: int, problems: Problems) -> Asset:
    try:
        digits = currency_digits(message.code)
    except KeyError:
        problems.wrong(f"{path}.code", f"{message.code} is not an ISO 4217 currency")
        digits = program_digits
    return Asset(message.code, AssetKind.MONEY, digits, Fraction(1))


def _own(message: asset_pb2.Asset, kind: AssetKind, path: str, program_digits: int, problems: Problems) -> Asset:
    rate = Fraction(message.per_currency_unit or "1")
    if rate == 0:
        problems.wrong(f"{path}.per_currency_unit", "must be more than 0")
        rate = Fraction(1)
    if message.per_currency_unit and kind not in _VALUED:
        problems.forbid(f"{path}.per_currency_unit", "is of points and virtual currencies only")
    if message.code.isupper():
        problems.forbid(f"{path}.code", f"upper case is for currencies; {kind.value} takes a lower-case name")
    digits = message.minor_digits
    if kind not in _VALUED:
        digits = program_digits if kind is AssetKind.CREDIT else 0
        if message.minor_digits not in (0, digits):
            problems.forbid(f"{path}.minor_digits", f"{kind.value} has {digits}; leave it out")
    return Asset(message.code, kind, digits, rate)
