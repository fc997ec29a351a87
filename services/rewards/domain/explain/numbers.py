"""Amounts and rates as people read them."""

from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Final

_DIGITS: Final = 12
"""The decimal places up to which an exact amount is written as a decimal; beyond, it is a fraction."""


def minor_text(amount_minor: int, digits: int) -> str:
    """Minor units as a plain decimal: 317 with two digits is 3.17."""
    return str(Decimal(amount_minor).scaleb(-digits)) if digits else str(amount_minor)


def exact_text(numerator: int, denominator: int, digits: int) -> str:
    """An exact amount of minor units in whole units, as a decimal where it ends soon, else as a fraction."""
    return fraction_text(Fraction(numerator, denominator * 10**digits))


def fraction_text(value: Fraction) -> str:
    """A fraction as a decimal where it ends within 12 places, else as numerator/denominator."""
    scaled = value * 10**_DIGITS
    if scaled.denominator != 1:
        return f"{value.numerator}/{value.denominator}"
    with localcontext() as context:
        context.prec = 60
        text = format(Decimal(scaled.numerator).scaleb(-_DIGITS), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
