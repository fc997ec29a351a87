"""Decisions in words, for program managers and support: English and Russian."""

from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Final

from services.rewards.domain.conversion import Conversion
from services.rewards.domain.pay import Decision, Outcome
from services.rewards.domain.plan import BUYER_LEVEL, Base, Plan
from services.rewards.domain.settlement import hold_end

LOCALES: Final = ("en", "ru")
_DIGITS: Final = 12
"""Decimal places of an exact amount that are told before it is told as a fraction."""

_WORDS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "buyer": "the buyer {who}",
        "level": "{who} at level {level}",
        "paid_percent": "Rule {rule} pays {amount} to {to}: {percent} % of {base}, exactly {exact}, {rounding}.",
        "paid_fixed": "Rule {rule} pays {amount} to {to}: a fixed amount{rounded}.",
        "rounded": " of exactly {exact}, {rounding}",
        "hold": " It is on hold until {until}.",
        "order": "{amount} left of the order",
        "margin": "{amount} left of the margin",
        "event_type": "Rule {rule} pays for {types}, not for {event}.",
        "no_ancestor": "Rule {rule} pays level {level}, but the buyer's upline has {count}.",
        "rounds_to_zero": "Rule {rule} owes {to} exactly {exact}, which rounds to nothing ({rounding}).",
        "no_base": "Rule {rule} owes {to} a percentage of {base}: nothing.",
        "no_margin": "a margin that was not reported",
        "currency_mismatch": "Rule {rule} pays nothing: the conversion is in {currency}, the plan counts in {plan}.",
        "reversed": "Rule {rule} owes {to} nothing any more: the conversion was taken back entirely.",
        "no_plan": "Nobody earns from {conversion}: no version of the plan was in force when it happened.",
        "nothing": "Nobody earns from {conversion}: {why}",
        "no_rule": "no rule pays for {event}.",
        "all_reversed": "it was taken back entirely.",
        "no_upline": "nobody referred the buyer.",
        "all_zero": "every amount is zero.",
        "total": "Version {version} of the plan pays {amounts} for {conversion}.",
        "half_even": "rounded half to even",
        "half_up": "rounded half up",
        "down": "rounded down",
    },
    "ru": {
        "buyer": "покупателю {who}",
        "level": "участнику {who} на уровне {level}",
        "paid_percent": "Правило {rule} платит {amount} {to}: {percent} % от {base}, точно {exact}, {rounding}.",
        "paid_fixed": "Правило {rule} платит {amount} {to}: фиксированная сумма{rounded}.",
        "rounded": " точно {exact}, {rounding}",
        "hold": " Начисление удерживается до {until}.",
        "order": "остатка заказа {amount}",
        "margin": "остатка маржи {amount}",
        "event_type": "Правило {rule} платит за {types}, а не за {event}.",
        "no_ancestor": "Правило {rule} платит уровню {level}, но у покупателя наверху уровней: {count}.",
        "rounds_to_zero": "Правило {rule} должно {to} точно {exact}, что округляется до нуля ({rounding}).",
        "no_base": "Правило {rule} должно {to} процент от {base}: ноль.",
        "no_margin": "маржи, которую не сообщили",
        "currency_mismatch": "Правило {rule} не платит: событие в {currency}, план считает в {plan}.",
        "reversed": "Правило {rule} больше ничего не должно {to}: событие отменено полностью.",
        "no_plan": "За {conversion} никто не получает: в то время не действовала ни одна версия плана.",
        "nothing": "За {conversion} никто не получает: {why}",
        "no_rule": "ни одно правило не платит за {event}.",
        "all_reversed": "оно отменено полностью.",
        "no_upline": "покупателя никто не приглашал.",
        "all_zero": "все суммы равны нулю.",
        "total": "Версия плана {version} платит {amounts} за {conversion}.",
        "half_even": "с округлением половины к чётному",
        "half_up": "с округлением половины вверх",
        "down": "с округлением вниз",
    },
}


def explain_decision(plan: Plan, conversion: Conversion, decision: Decision, currency_digits: int, locale: str) -> str:
    """One decision in one sentence, or two where there is a hold."""
    words = _WORDS[locale]
    rule = decision.rule
    to = _to(decision, words)
    exact = f"{exact_text(decision.numerator, decision.denominator, rule.asset.digits)} {rule.asset.code}"
    rounding = words[plan.rounding.value]
    if decision.outcome is Outcome.PAID:
        amount = f"{minor_text(decision.amount_minor, rule.asset.digits)} {rule.asset.code}"
        if decision.amount.percent is None:
            whole = decision.numerator % decision.denominator == 0
            rounded = "" if whole else words["rounded"].format(exact=exact, rounding=rounding)
            sentence = words["paid_fixed"].format(rule=rule.rule_id, amount=amount, to=to, rounded=rounded)
        else:
            sentence = words["paid_percent"].format(
                rule=rule.rule_id,
                amount=amount,
                to=to,
                percent=fraction_text(decision.amount.percent),
                base=_base(decision, conversion, currency_digits, words),
                exact=exact,
                rounding=rounding,
            )
        if (until := hold_end(rule, conversion)) is not None:
            sentence += words["hold"].format(until=f"{until:%Y-%m-%d %H:%M} UTC")
        return sentence
    return words[decision.outcome.value].format(
        rule=rule.rule_id,
        to=to,
        exact=exact,
        rounding=rounding,
        base=_base(decision, conversion, currency_digits, words),
        types=", ".join(sorted(rule.event_types)),
        event=conversion.event_type,
        level=decision.amount.level,
        count=len(conversion.upline),
        currency=conversion.currency_code,
        plan=plan.currency_code,
    )


def explain_conversion(plan: Plan | None, conversion: Conversion, decisions: list[Decision], locale: str) -> str:
    """The whole conversion in one sentence."""
    words = _WORDS[locale]
    if plan is None:
        return words["no_plan"].format(conversion=conversion.conversion_id)
    totals: dict[str, int] = {}
    digits = {each.code: each.digits for each in plan.assets}
    for each in decisions:
        if each.outcome is Outcome.PAID:
            totals[each.rule.asset.code] = totals.get(each.rule.asset.code, 0) + each.amount_minor
    if totals:
        amounts = ", ".join(f"{minor_text(amount, digits[code])} {code}" for code, amount in totals.items())
        return words["total"].format(version=plan.version, amounts=amounts, conversion=conversion.conversion_id)
    outcomes = {each.outcome for each in decisions}
    if not outcomes:
        why = words["no_rule"].format(event=conversion.event_type)
    elif Outcome.REVERSED in outcomes:
        why = words["all_reversed"]
    elif outcomes == {Outcome.NO_ANCESTOR}:
        why = words["no_upline"]
    else:
        why = words["all_zero"]
    return words["nothing"].format(conversion=conversion.conversion_id, why=why)


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


def _to(decision: Decision, words: dict[str, str]) -> str:
    key = "buyer" if decision.amount.level == BUYER_LEVEL else "level"
    return words[key].format(who=decision.beneficiary_id, level=decision.amount.level)


def _base(decision: Decision, conversion: Conversion, currency_digits: int, words: dict[str, str]) -> str:
    if decision.rule.base is Base.MARGIN and conversion.margin_minor is None:
        return words["no_margin"]
    amount = f"{minor_text(decision.base_minor, currency_digits)} {conversion.currency_code}"
    return words[decision.rule.base.value].format(amount=amount)
