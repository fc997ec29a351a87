"""The steps of a decision in words: from the exact amount to the one that is paid."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from services.rewards.domain.conversion import Conversion
from services.rewards.domain.decide.decision import (
    AllotmentStep,
    BonusStep,
    CompressionStep,
    ConditionFailureStep,
    Decision,
    EarningsStep,
    LimitStep,
    MarginalTiersStep,
    OutbidStep,
    RejectionStep,
    ShareStep,
    Step,
    TierStep,
)
from services.rewards.domain.explain.numbers import fraction_text, minor_text
from services.rewards.domain.explain.words import WORDS
from services.rewards.domain.plan.counters import Measure
from services.rewards.domain.plan.limits import Cap
from services.rewards.domain.plan.plan import Plan


def explain_steps(
    plan: Plan, conversion: Conversion, decision: Decision, currency_digits: int, locale: str
) -> list[str]:
    """Each step in a sentence, in their order."""
    teller = _Teller(plan, conversion, decision, currency_digits, WORDS[locale])
    return [sentence for each in decision.steps if (sentence := teller.tell(each))]


@dataclass(frozen=True, slots=True)
class _Teller:
    """Tells the steps of one decision."""

    plan: Plan
    conversion: Conversion
    decision: Decision
    currency_digits: int
    words: dict[str, str]

    def tell(self, step: Step) -> str:
        """The sentence about one step; empty where the decision's own sentence says it."""
        return "" if isinstance(step, ConditionFailureStep | RejectionStep) else _TELL[type(step)](self, step)

    def at_tier(self, step: TierStep) -> str:
        """The sentence about a tier of mode NEXT."""
        bounds = self.decision.rule.tiers.bounds if self.decision.rule.tiers else ()
        key, bound = ("step_tier", step.bound) if step.bound else ("step_below", bounds[0])
        return self._of_counter(key, step.counter_id, value=step.value, bound=bound)

    def across(self, step: MarginalTiersStep) -> str:
        """The sentence about tiers of mode MARGINAL."""
        part = self.words["step_across_part"]
        parts = ", ".join(
            part.format(amount=self._count(step.counter_id, minor), percent=fraction_text(percent or _NOTHING))
            for minor, percent in step.parts
        )
        return self._of_counter("step_across", step.counter_id, value=step.value, parts=parts) if parts else ""

    def crossed(self, step: BonusStep) -> str:
        """The sentence about tiers of mode BONUS."""
        tiers = self.decision.rule.tiers
        if tiers is None:
            return ""
        if step.lost:
            return self._of_counter("step_lost", step.counter_id, bounds=[tiers.bounds[each] for each in step.lost])
        key = "step_crossed" if step.tiers else "step_not_crossed"
        bounds = [tiers.bounds[each] for each in step.tiers] if step.tiers else list(tiers.bounds)
        return self._of_counter(key, step.counter_id, value=step.value, adds=step.adds, bounds=bounds)

    def moved(self, step: CompressionStep) -> str:
        """The sentence about a level that moved down."""
        level = self.decision.amount.level
        return self.words["step_moved"].format(who=self._whose, distance=step.distance, level=level)

    def earned(self, step: EarningsStep) -> str:
        """The sentence about a part of the base EARNINGS."""
        amount = f"{minor_text(step.amount_minor, step.digits)} {step.asset}"
        percent = fraction_text(step.percent or _NOTHING)
        return self.words["step_earned"].format(
            earner=step.earner_id, amount=amount, rule=step.rule_id, percent=percent
        )

    def allotted(self, step: AllotmentStep) -> str:
        """The sentence about a part of an allotment."""
        key = "step_allotted" if step.left_minor == step.at_first_minor else "step_allotted_left"
        return self.words[key].format(
            allotment=step.allotment_id,
            whole=self._amount(step.left_minor),
            first=self._amount(step.at_first_minor),
            weight=fraction_text(step.weight),
            weights=fraction_text(step.weights),
            part=self._amount(step.part_minor),
        )

    def limited(self, step: LimitStep) -> str:
        """The sentence about a cap or a budget."""
        limit = step.limit
        facts = {
            "limit": self._amount(limit.amount_minor),
            "period": self.words[f"period_{limit.period.value}"],
            "before": self._amount(step.before_minor),
            "after": self._amount(step.after_minor),
        }
        if isinstance(limit, Cap):
            return self.words["step_cap"].format(scope=self.words[f"cap_{limit.scope.value}"], **facts)
        return self.words["step_budget"].format(budget=limit.budget_id, **facts)

    def outbid(self, step: OutbidStep) -> str:
        """The sentence about a better rule of the group."""
        return self.words["step_outbid"].format(rule=step.by_rule_id, who=self._whose)

    def split(self, step: ShareStep) -> str:
        """The sentence about the part that goes to the buyer."""
        return self.words["step_split"].format(
            percent=fraction_text(step.percent),
            whole=self._amount(step.whole_minor),
            buyer=self.conversion.buyer_id,
            who=step.beneficiary_id,
        )

    @property
    def _whose(self) -> str:
        split = next((each for each in self.decision.steps if isinstance(each, ShareStep)), None)
        return split.beneficiary_id if split is not None else self.decision.beneficiary_id

    def _amount(self, amount_minor: int) -> str:
        asset = self.decision.rule.asset
        return f"{minor_text(amount_minor, asset.digits)} {asset.code}"

    def _count(self, counter_id: str, value: int) -> str:
        if self.plan.counters[counter_id].measure is not Measure.VOLUME:
            return str(value)
        return f"{minor_text(value, self.currency_digits)} {self.plan.currency_code}"

    def _of_counter(self, key: str, counter_id: str, **facts: int | str | list[int]) -> str:
        texts = {
            name: fact
            if isinstance(fact, str)
            else ", ".join(self._count(counter_id, each) for each in (fact if isinstance(fact, list) else [fact]))
            for name, fact in facts.items()
        }
        return self.words[key].format(counter=counter_id, who=self._whose, **texts)


_NOTHING = Fraction(0)
_TELL: dict[type, Callable[..., str]] = {
    TierStep: _Teller.at_tier,
    MarginalTiersStep: _Teller.across,
    BonusStep: _Teller.crossed,
    CompressionStep: _Teller.moved,
    EarningsStep: _Teller.earned,
    AllotmentStep: _Teller.allotted,
    LimitStep: _Teller.limited,
    OutbidStep: _Teller.outbid,
    ShareStep: _Teller.split,
}
