"""The bound of a cache, and the weight of a compiled plan."""

from upline.rewards.v1 import plan_pb2

from services.rewards.domain.plan.versions import PART_BYTES, VERSION_BYTES, PlanOutline, PlanVersions, outline
from services.rewards.store.bounded import BoundedCache
from services.rewards.wire.conditions import ENVIRONMENT_BYTES
from services.rewards.wire.plans import compile_plan, read_uncompiled, stored_bytes
from tests.unit.rewards.plans import counter, fixed, rule, usd


def test_those_not_used_for_the_longest_leave_first() -> None:
    cache = BoundedCache[str, int](10)
    for key in ("a", "b", "c"):
        cache.put(key, 1, 3)
    assert cache.get("a") == 1
    cache.put("d", 1, 3)
    assert [cache.get(each) for each in ("a", "b", "c", "d")] == [1, None, 1, 1]
    assert (cache.weight, len(cache)) == (9, 3)
    cache.put("c", 2, 4)
    assert (cache.weight, cache.get("c")) == (10, 2)
    cache.put("heavy", 1, 100)
    assert (len(cache), cache.get("heavy")) == (1, 1)
    cache.put("light", 1, 1)
    assert (cache.weight, cache.get("heavy")) == (1, None)


def weight(*conditions: str, counters: int = 0) -> int:
    """The memory that a plan takes, as it is estimated, with a rule for each condition."""
    rules = [rule(f"r{index}", when=each, amount=fixed(1)) for index, each in enumerate(conditions)]
    counted = [counter(f"c{index}") for index in range(counters)]
    message = plan_pb2.Plan(assets=[usd()], rules=rules, counters=counted)
    plan, size = compile_plan("shop", 1, "USD", stored_bytes(message), None)
    assert len(plan.rules) == len(conditions)
    return size


def test_a_plan_weighs_what_its_conditions_say() -> None:
    light, heavy = "level > 1", " || ".join("level > 1" for _ in range(200))
    assert weight(light) < 10_000
    assert 200_000 < weight(heavy) < 600_000
    assert weight(*[heavy] * 10) > 9 * weight(heavy)
    # What only plans with the same counters share counts as its own.
    assert ENVIRONMENT_BYTES < weight(light, counters=1) < ENVIRONMENT_BYTES + 10_000


def test_outlines_weigh_what_their_versions_do_not_share() -> None:
    def outlines(*budgets: int) -> PlanVersions:
        """Versions with so many budgets."""
        made: list[PlanOutline] = []
        for count in budgets:
            message = plan_pb2.Plan(assets=[usd()], rules=[rule(amount=fixed(1))])
            for number in range(count):
                message.budgets.add(budget_id=f"b{number}", asset="USD", amount_minor=1)
            plan = read_uncompiled("shop", len(made) + 1, "USD", stored_bytes(message), None)
            made.append(outline(plan, made[-1] if made else None))
        return PlanVersions(tuple(made))

    one, same, other = outlines(40), outlines(40, 40), outlines(40, 41)
    assert same.memory_bytes == one.memory_bytes + VERSION_BYTES
    assert other.memory_bytes == same.memory_bytes + 41 * PART_BYTES
