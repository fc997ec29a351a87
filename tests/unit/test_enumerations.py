"""`tools/check_enumerations.py` finds numbers of enumerations that were copied into SQL, and nothing else."""

import pytest
from upline.attribution.v1 import click_pb2

from services.attribution.domain.click import ClickKind
from tools.check_enumerations import findings, main


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ('text("SELECT 1 FROM payout WHERE state = 3")', [("state", 3)]),
        ('text("SELECT 1 FROM payout AS p WHERE 3 = p.state")', [("state", 3)]),
        ('text("SELECT 1 FROM payout WHERE state NOT IN (1, 2)")', [("state", 1), ("state", 2)]),
        ('text("SELECT 1 FROM payout WHERE state BETWEEN 1 AND 2")', [("state", 1), ("state", 2)]),
        ('text("UPDATE payout SET reason = :reason, state = 4")', [("state", 4)]),
        ('text("SELECT CASE kind WHEN 11 THEN 2 ELSE 1 END FROM transfer")', [("kind", 11)]),
        ('text("SELECT names[kind - 9] FROM transfer")', [("kind", 9)]),
        ('text("SELECT 1 FROM transfer WHERE coalesce(kind, 0) = 7")', [("kind", 7)]),
        ('text("SELECT 1 FROM transfer WHERE kind IS DISTINCT FROM 7")', [("kind", 7)]),
        ('text("SELECT sum(a) FILTER (WHERE kind = 7) FROM transfer")', [("kind", 7)]),
        (
            'text("SELECT 1 FROM t WHERE (kind, debit) IN ((1, 2))")',
            [("debit", 1), ("debit", 2), ("kind", 1), ("kind", 2)],
        ),
        ('text("INSERT INTO payout (payout_id, state) VALUES (:payout_id, 1)")', [("state", 1)]),
        ('text("INSERT INTO payout (payout_id, state) SELECT :payout_id, 1")', [("state", 1)]),
        ('_CLAIM = b"SELECT 1 FROM payout WHERE state = 3"', [("state", 3)]),
        ('_IS_OPEN = "end_time IS NULL AND approval = 2"', [("approval", 2)]),
        ('_SENT = 3\n_CLAIM = text(f"SELECT 1 FROM payout WHERE state = {_SENT}")', [("state", 3)]),
        ('_SENT, _PAID = 3, 4\n_CLAIM = text(f"SELECT 1 FROM payout WHERE state = {_PAID}")', [("state", 4)]),
        (
            '_OPEN = "1, 2"\n_CLAIM = text(f"SELECT 1 FROM payout WHERE state IN ({_OPEN})")',
            [("state", 1), ("state", 2)],
        ),
        ('text(f"SELECT {_COLUMNS} FROM payout WHERE state = {PayoutState.SENT:d}")', []),
        ('text("SELECT 1 FROM payout WHERE state = :state LIMIT 10")', []),
        ('text("SELECT kind, 1, sum(fee_minor) FROM transfer GROUP BY 1, 2 ORDER BY 1 OFFSET 0")', []),
        ("text(\"SELECT 1 FROM reward WHERE amount_minor > 0 AND level = 1 AND rule_id <> '9'\")", []),
        ('text("INSERT INTO share_count (channel, share_count) VALUES (:channel, 1)")', []),
        ('"""Where state = 3 IS meant, WHERE is written."""', []),
        ('log.warning("a payout in state 3", state=3)', []),
    ],
)
def test_it_finds_what_was_copied(statement: str, found: list[tuple[str, int]]) -> None:
    assert [(each.column, each.number) for each in findings(statement)] == found


def test_it_says_the_line() -> None:
    module = '"""Payouts."""\n\n_CLAIM = text("""\n    SELECT payout_id\n    FROM payout WHERE state = 2\n""")\n'
    assert [each.line for each in findings(module)] == [5]


def test_no_statement_of_the_project_has_any(capsys: pytest.CaptureFixture[str]) -> None:
    assert main() == 0, capsys.readouterr().out


def test_kinds_of_clicks_have_the_numbers_of_the_contract() -> None:
    assert [int(each) for each in ClickKind] == click_pb2.ClickKind.values()
