"""An audit of 10,000 new rewards must not cost more with five million behind them than with one."""

import time
from functools import partial

import psycopg

from bench.events import ten_levels
from bench.figures import Figure, interleaved, ratios
from bench.payout import publish, rewards_deps
from bench.servers import Servers
from services.rewards.commands.audit import audit_ledger
from services.rewards.commands.deps import Deps

SMALL = 1_000_000
LARGE = 5_000_000
NEW = 10_000
MONTHS = 24
REWARDS_A_PERSON = 10
"""So many on average: as many times the rewards are of as many times the people."""
ROUNDS = 15
PROGRAM = ten_levels().program_id

# Spread over two years, a fifth of them released from a hold, each to one of everybody.
_MONTH = """
    WITH settled AS (
        INSERT INTO reward (reward_id, program_id, conversion_id, rule_id, beneficiary_id, level, asset, amount_minor,
            hold_until, plan_version)
        SELECT (lpad(to_hex((extract(epoch FROM {time} + n * interval '1 second') * 1000)::bigint), 12, '0')
                || '8' || substr(md5(n::text || {seed}), 1, 19))::uuid,
            %(program)s, 'order-' || {seed} || n, 'upline', 'person-' || floor(random() * %(people)s)::bigint, n %% 10,
            'USD', 100 + n %% 7, CASE WHEN n %% 5 = 0 THEN now() END, 1
        FROM generate_series(1, %(count)s) AS n
        RETURNING *
    ), released AS (
        INSERT INTO transfer (transfer_id, program_id, kind, participant_id, debit, credit, asset, amount_minor,
            reward_id, cause_id)
        SELECT reward_id, program_id, 2, beneficiary_id, 2, 3, asset, amount_minor, reward_id, 'release:' || reward_id
        FROM settled WHERE hold_until IS NOT NULL
    )
    INSERT INTO balance_delta (program_id, participant_id, place, asset, delta_minor)
    SELECT program_id, beneficiary_id, 3, asset, sum(amount_minor) FROM settled GROUP BY 1, 2, 4
    UNION ALL
    SELECT program_id, '', 1, asset, -sum(amount_minor) FROM settled GROUP BY 1, 4
"""
_MONTH_BEFORE = "date_trunc('month', now()) - %(month)s * interval '1 month'"
_ROLL_UP = """
    WITH pending AS (DELETE FROM balance_delta RETURNING *)
    INSERT INTO balance (program_id, participant_id, place, asset, amount_minor)
    SELECT program_id, participant_id, place, asset, sum(delta_minor) FROM pending GROUP BY 1, 2, 3, 4 ORDER BY 1, 2
    ON CONFLICT (program_id, participant_id, place, asset) DO UPDATE
    SET amount_minor = balance.amount_minor + excluded.amount_minor
"""


async def measure(servers: Servers) -> list[Figure]:
    """Measures audit_5m_vs_1m_behind, and seconds of audits, incremental and full."""
    full, sides = [], []
    for size in (SMALL, LARGE):
        url = servers.database(f"audit_{size}")
        deps = await rewards_deps(servers, url)
        await publish(deps, ten_levels())
        load(url, size)
        full.append(await timed(deps, reads_all=True))
        sides.append(partial(audit_of_news, deps, url, size))
    small, large = await interleaved(ROUNDS, *sides)
    return [
        Figure("audit_5m_vs_1m_behind", ratios(large, small), "ratio", "≤ 1.2"),
        Figure("audit_1m_behind_10k_new", tuple(small), "s"),
        Figure("audit_5m_behind_10k_new", tuple(large), "s"),
        Figure("audit_full_1m", (full[0],), "s"),
        Figure("audit_full_5m", (full[1],), "s"),
    ]


def load(url: str, size: int) -> None:
    """Writes rewards of two years, with their transfers and balances."""
    with psycopg.connect(url, autocommit=True, options="-c search_path=rewards") as conn:
        for month in range(1, MONTHS + 1):
            values = {"month": month, "program": PROGRAM, "people": size // REWARDS_A_PERSON, "count": size // MONTHS}
            for table in ("reward", "transfer"):
                conn.execute(f"SELECT ensure_partition('{table}', {_MONTH_BEFORE})".encode(), values)
            conn.execute(_MONTH.format(time=_MONTH_BEFORE, seed=f"'{month}-'").encode(), values)
        conn.execute(_ROLL_UP.encode())
        conn.execute(b"VACUUM ANALYZE reward, transfer, balance, balance_delta")


async def audit_of_news(deps: Deps, url: str, size: int, number: int) -> float:
    """The seconds of an audit of new rewards, after the one of everything before them."""
    with psycopg.connect(url, autocommit=True, options="-c search_path=rewards") as conn:
        values = {"program": PROGRAM, "people": size // REWARDS_A_PERSON, "count": NEW}
        conn.execute(_MONTH.format(time="now()", seed=f"'new-{number}-'").encode(), values)
        conn.execute(_ROLL_UP.encode())
    return await timed(deps, reads_all=False)


async def timed(deps: Deps, *, reads_all: bool) -> float:
    """The seconds of an audit, which has to be of the kind that was asked for, and clean."""
    began = time.perf_counter()
    audit = await audit_ledger(deps, "", reads_all)
    seconds = time.perf_counter() - began
    if not audit.is_clean or (audit.coverage is None) != reads_all:
        raise RuntimeError(f"this is not the audit to measure: {audit}")
    return seconds
