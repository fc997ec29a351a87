"""Terms of a plan: from the contract to the checks of spending, with every mistake named by its field."""

from collections.abc import Mapping
from datetime import timedelta
from fractions import Fraction

from upline.rewards.v1 import plan_pb2
from upline.type.v1 import asset_pb2

from chassis.times import to_timedelta
from services.rewards.domain.plan.asset import Asset, AssetKind
from services.rewards.domain.plan.terms import AssetTerms, Coupon, Item, PayoutMethod, PayoutTerms, Terms
from services.rewards.wire.conditions import Compiler
from services.rewards.wire.problems import Problems
from services.rewards.wire.variables import Scope

MAX_EXPIRY_DAYS = 3_660
_PAYS_ORDERS = frozenset({AssetKind.MONEY, AssetKind.CREDIT, AssetKind.POINTS, AssetKind.VIRTUAL})
_LEAVES = frozenset({AssetKind.MONEY, AssetKind.VIRTUAL})


def read_terms(
    message: plan_pb2.Plan,
    assets: Mapping[str, Asset],
    currency_code: str,
    currency_digits: int,
    compiler: Compiler,
    problems: Problems,
) -> Terms:
    """The terms of a plan whose assets were read; mistakes go to `problems`."""
    read = {
        each.code: _asset(each, index, assets, currency_code, currency_digits, problems)
        for index, each in enumerate(message.assets)
    }
    return Terms(read, _payouts(message, read, compiler, problems), _catalogue(message, read, problems))


def _asset(
    message: asset_pb2.Asset,
    index: int,
    assets: Mapping[str, Asset],
    currency_code: str,
    currency_digits: int,
    problems: Problems,
) -> AssetTerms:
    path = f"plan.assets[{index}]"
    asset = assets[message.code]
    spending = None
    if message.HasField("spending"):
        spending = _share(message.spending.max_percent_of_order, f"{path}.spending.max_percent_of_order", problems)
        if asset.kind not in _PAYS_ORDERS:
            problems.forbid(f"{path}.spending", "is of money, credit, points and virtual currencies only")
        if asset.kind is AssetKind.MONEY and message.code != currency_code:
            problems.forbid(f"{path}.spending", f"orders are paid in {currency_code}: nothing converts currencies")
    if message.withdrawable and asset.kind not in _LEAVES:
        problems.forbid(f"{path}.withdrawable", "is of money and virtual currencies only")
    return AssetTerms(
        message.code,
        asset.kind,
        asset.minor_per_currency_minor(currency_digits),
        spending,
        _coupon(message, asset, path, problems),
        _expiry(message, path, problems),
        _exchanges(message, asset, assets, path, problems),
        message.withdrawable,
        message.transferable,
    )


def _coupon(message: asset_pb2.Asset, asset: Asset, path: str, problems: Problems) -> Coupon | None:
    for field, kind in (("coupon", AssetKind.COUPON), ("gift_sku", AssetKind.GIFT)):
        is_stated = bool(message.gift_sku) if field == "gift_sku" else message.HasField("coupon")
        if is_stated and asset.kind is not kind:
            problems.forbid(f"{path}.{field}", f"is of {kind.value}s only")
        elif not is_stated and asset.kind is kind:
            problems.forbid(f"{path}.{field}", f"is missing: what one {kind.value} is")
    if not message.HasField("coupon"):
        return None
    if message.coupon.WhichOneof("worth") == "percent":
        return Coupon(_share(message.coupon.percent, f"{path}.coupon.percent", problems), 0)
    return Coupon(None, message.coupon.amount_minor)


def _expiry(message: asset_pb2.Asset, path: str, problems: Problems) -> timedelta | None:
    if not message.HasField("expires_after"):
        return None
    try:
        span = to_timedelta(message.expires_after)
    except ValueError as error:
        problems.wrong(f"{path}.expires_after", str(error))
        return None
    bounds = f"must be more than 0 and at most {MAX_EXPIRY_DAYS} days"
    if span <= timedelta():
        problems.wrong(f"{path}.expires_after", bounds)
    elif span > timedelta(days=MAX_EXPIRY_DAYS):
        problems.forbid(f"{path}.expires_after", bounds)
    return span


def _exchanges(
    message: asset_pb2.Asset, asset: Asset, assets: Mapping[str, Asset], path: str, problems: Problems
) -> dict[str, Fraction]:
    rates: dict[str, Fraction] = {}
    for index, each in enumerate(message.exchanges):
        where = f"{path}.exchanges[{index}]"
        into = assets.get(each.into)
        if into is None or each.into == message.code:
            problems.wrong(f"{where}.into", f"{each.into!r} is not another asset of the plan")
            continue
        if each.into in rates:
            problems.forbid(f"{where}.into", f"{each.into!r} is named twice")
        if Fraction(each.rate) == 0:
            problems.forbid(f"{where}.rate", "must be more than 0")
        rates[each.into] = Fraction(each.rate) * Fraction(10) ** (into.digits - asset.digits)
    return rates


def _payouts(
    message: plan_pb2.Plan, assets: Mapping[str, AssetTerms], compiler: Compiler, problems: Problems
) -> dict[str, PayoutTerms]:
    payouts: dict[str, PayoutTerms] = {}
    for index, each in enumerate(message.payouts):
        path = f"plan.payouts[{index}]"
        if each.asset not in assets:
            problems.wrong(f"{path}.asset", f"{each.asset!r} is not one of the plan's assets")
        elif not assets[each.asset].withdrawable:
            problems.forbid(f"{path}.asset", f"{each.asset!r} is not withdrawable")
        if each.asset in payouts:
            problems.forbid(f"{path}.asset", f"{each.asset!r} has terms already")
        methods: dict[str, PayoutMethod] = {}
        for position, method in enumerate(each.methods):
            where = f"{path}.methods[{position}]"
            if method.method in methods:
                problems.forbid(f"{where}.method", f"{method.method!r} is named twice")
            percent = Fraction(method.fee_percent or "0")
            if percent > 100:
                problems.forbid(f"{where}.fee_percent", "must be at most 100")
            methods[method.method] = PayoutMethod(method.method, method.fee_minor, percent)
        gate = compiler.read(each.gate, Scope.GATE, f"{path}.gate", f"payouts of {each.asset!r}", problems)
        payouts[each.asset] = PayoutTerms(each.asset, methods, each.min_amount_minor, gate, each.approval)
    return payouts


def _catalogue(message: plan_pb2.Plan, assets: Mapping[str, AssetTerms], problems: Problems) -> dict[str, Item]:
    catalogue: dict[str, Item] = {}
    for index, each in enumerate(message.catalogue):
        path = f"plan.catalogue[{index}]"
        if each.sku in catalogue:
            problems.forbid(f"{path}.sku", f"{each.sku!r} is sold already")
        if each.asset not in assets:
            problems.wrong(f"{path}.asset", f"{each.asset!r} is not one of the plan's assets")
        catalogue[each.sku] = Item(each.sku, each.asset, each.price_minor)
    return catalogue


def _share(text: str, path: str, problems: Problems) -> Fraction:
    """A percentage of an order; 100 where it is wrong."""
    value = Fraction(text)
    if not 0 < value <= 100:
        problems.wrong(path, "must be more than 0 and at most 100")
        return Fraction(100)
    return value
