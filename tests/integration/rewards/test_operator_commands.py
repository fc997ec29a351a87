"""`upline rebuild`, `upline simulate` and `upline leaderboard` against the suite's own database and service."""

import asyncio
import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from tests.conftest import Servers
from tests.integration.rewards.conftest import NOON, Ledger, Published, message, recorded, reversed_, three_levels
from tests.integration.rewards.counted import contest, counter, plan, rule

DRAFT = """
program:
  program_id: {program}
  title: Draft
  currency_code: USD
  policy: {{touch: LAST, window: 30d, binding: LIFETIME, bindable: UNBOUND}}
  allowed_hosts: [shop.example]
plan:
  rounding: DOWN
  assets: [{{code: USD, kind: MONEY}}]
  rules:
    - rule_id: upline
      on: [order]
      to: {{upline: {{from_level: 1, to_level: 2}}}}
      amount: {{percent: {{percent: "10"}}}}
      asset: USD
      caps: [{{scope: PROGRAM, amount_minor: 250}}]
"""


async def upline(servers: Servers, *arguments: str) -> tuple[int, Any, str]:
    """Exit code, the JSON on stdout, and stderr."""
    environment = os.environ | {"UPLINE_DATABASE_URL": servers.postgres.url, "UPLINE_NATS_URL": servers.nats.url}
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "cli", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout.startswith("{") else done.stdout, done.stderr


async def test_a_rebuild_says_by_its_exit_code_whether_all_is_the_same(
    ledger: Ledger, published: Published, servers: Servers
) -> None:
    program = await published(three_levels(timedelta(days=3650)))
    await ledger.settle(message(recorded(program, "c1", 1000), reversed_(program, "c1", "r1", 300)))
    code, result, _ = await upline(servers, "rebuild", program, "--check", "--json", "--jobs", "1")
    assert (code, result["same"], result["conversions"], result["rewards"], result["revisions"]) == (0, True, 1, 3, 3)
    code, told, _ = await upline(servers, "rebuild", program, "--check", "--jobs", "1")
    assert (code, told.split(":")[0]) == (0, "every row is the same")
    code, _, error = await upline(servers, "rebuild", program)
    assert code == 2
    assert "--check" in error
    async with await psycopg.AsyncConnection.connect(servers.postgres.url, autocommit=True) as conn:
        damage = "UPDATE rewards.reward SET amount_minor = amount_minor {} 1 WHERE program_id = %s AND level = 2"
        await conn.execute(damage.format("+").encode(), [program])
        try:
            code, result, _ = await upline(servers, "rebuild", program, "--check", "--json", "--jobs", "1")
            assert (code, result["same"]) == (1, False)
            (found,) = result["differences"]
            assert (found["table"], found["conversion_id"]) == ("reward", "c1")
            assert json.loads(found["stored"])["amount_minor"] == json.loads(found["rebuilt"])["amount_minor"] + 1
        finally:
            await conn.execute(damage.format("-").encode(), [program])


async def test_a_simulation_shows_both_sides(
    ledger: Ledger, published: Published, servers: Servers, tmp_path: Path
) -> None:
    program = await published(three_levels())
    later = NOON + timedelta(days=2)
    await ledger.settle(
        message(
            recorded(program, "c1", 1000),
            recorded(program, "c2", 2000, occurred_at=later, record_time=later),
            reversed_(program, "c1", "r1", 500),
        )
    )
    file = tmp_path / "draft.yaml"
    file.write_text(DRAFT.format(program=program))
    code, told, error = await upline(servers, "simulate", "--plan", str(file), "--json", "--jobs", "1")
    assert code == 0, error
    # 10 % to two levels: 100 and 100, halved by the refund to 50 and 50; then 200, of which 150 fit under 250.
    assert told["total"] == [
        {"asset": "USD", "digits": 2, "paid_rewards": 6, "simulated_rewards": 3,
         "paid_minor": 25 + 10 + 5 + 100 + 40 + 20,
         "simulated_minor": 250, "difference_minor": 50},
    ]  # fmt: skip
    assert {row["participant"]: (row["paid_minor"], row["simulated_minor"]) for row in told["people"]} == {
        "maria": (125, 200), "olga": (50, 50), "petr": (25, 0),
    }  # fmt: skip
    assert [(row["rule"], row["difference_minor"]) for row in told["rules"]] == [("upline", 50)]
    window = ("--from", "2026-05-02", "--to", "2026-05-04T00:00:00Z")
    code, told, _ = await upline(servers, "simulate", "--plan", str(file), *window, "--json", "--jobs", "1")
    assert (told["conversions"], told["total"][0]["simulated_minor"]) == (1, 250)
    code, text, _ = await upline(servers, "simulate", "--plan", str(file), "--jobs", "1", "--top", "1")
    assert code == 0
    assert "maria" in text
    assert "olga" not in text
    code, _, error = await upline(servers, "simulate", "--plan", str(file), "--from", "spring")
    assert (code, "--from spring" in error) == (2, True)


async def test_a_leaderboard_tells_the_way_to_the_next_rank(
    ledger: Ledger, published: Published, servers: Servers
) -> None:
    end = NOON + timedelta(days=3650)
    made = plan(rule(), counters=[counter("n")], contests=[contest("spring", "n", NOON, end, timedelta())])
    program = await published(made)
    orders = [recorded(program, f"c{number}", 1000, upline=(name,)) for number, name in enumerate("aab")]
    await ledger.settle(message(*orders))
    target = ledger.rewards.target
    targets = [f"--target={name}={target}" for name in ("attribution", "rewards", "notify")]
    code, told, error = await upline(servers, "leaderboard", program, "spring", "--of", "b", "--json", *targets)
    assert code == 0, error
    assert [(each["rank"], each["participant_id"], each["score"]) for each in told["standings"]] == [
        (1, "a", 2),
        (2, "b", 1),
    ]
    assert told["place"]["to_next_rank"] == 2
    code, text, _ = await upline(servers, "leaderboard", program, "spring", "--of", "b", *targets)
    assert "b is number 2 of 2 with 1; 2 more and they are one ahead" in text
    code, text, _ = await upline(servers, "leaderboard", program, "spring", "--of", "c", *targets)
    assert "c is not ranked; 1 more and they are, with 2 others" in text
