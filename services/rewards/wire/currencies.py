"""Currencies of ISO 4217."""

import iso4217

_CODES = {each.code for each in iso4217.Currency}


def currency_digits(code: str) -> int:
    """The minor unit of a currency; KeyError for a code that is none, or that has no minor unit (gold, …)."""
    currency = iso4217.Currency(code) if code in _CODES else None
    if currency is None or currency.exponent is None:
        raise KeyError(code)
    digits: int = currency.exponent
    return digits
