"""`upline doctor`."""

import typer

from cli.options import DEFAULT_STATE, Json, State
from cli.output import out, print_json

WORDS = {"ok": "ok", "warn": "warn", "bad": "WRONG"}
"""How people are told each level."""


def doctor(state: State = DEFAULT_STATE, as_json: Json = False) -> None:
    """Check this machine and a running stack, and say what to do where something is wrong.

    Looks at Python, packages, the servers' programs, the state directory, disk, ports, clock, and, if a stack runs, at
    its services and whether they settle what waits, the broker's sync_interval and how far consumers are behind, the
    tables, outboxes, facts that a reader lacks, dead letters, the last audit, overdue holds, payouts that wait, and
    connections. Where UPLINE_ATTRIBUTION_ADDR and so on name services that run elsewhere, at those, and at the servers
    of UPLINE_NATS_MONITOR_URL and UPLINE_DATABASE_URL. Changes nothing. The exit code is 0 unless something is wrong;
    what is only worth a look (warn) leaves it so.

    Examples: upline doctor; upline doctor --state /var/lib/upline --json; docker compose run --rm cli doctor
    """
    from cli.doctor.examination import check_stack
    from cli.doctor.result import Level

    results = check_stack(state)
    well = all(each.ok for each in results)
    if as_json:
        print_json({"ok": well, "checks": [each.told() for each in results]})
    else:
        for each in results:
            out.print(f"{WORDS[each.level]:<5}  {each.check:<22} {each.found}", markup=False)
            if each.level is not Level.OK:
                out.print(f"{'':<30}→ {each.advice}", markup=False)
        out.print("all is well" if well else "something is wrong; see → above")
    raise typer.Exit(0 if well else 1)
