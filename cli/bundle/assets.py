"""Decimal places of currencies and other assets."""

from upline.type.v1.asset_pb2 import ASSET_KIND_CREDIT, ASSET_KIND_MONEY, Asset


def currency_digits(code: str) -> int:
    """Decimal places of a currency's minor unit, ISO 4217; 2 for a code that is none, which the services refuse."""
    import iso4217  # most commands need no currency

    codes = {each.code: each for each in iso4217.Currency}
    return int(codes[code].exponent or 0) if code in codes else 2


def asset_digits(asset: Asset, currency_code: str) -> int:
    """The decimal places of an asset's minor unit."""
    if asset.kind == ASSET_KIND_MONEY:
        return currency_digits(asset.code)
    return currency_digits(currency_code) if asset.kind == ASSET_KIND_CREDIT else int(asset.minor_digits)
