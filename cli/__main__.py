"""The `upline` command."""

import sys
from pathlib import Path

import typer

from cli.commands.apply import apply, export
from cli.commands.approvals import approvals
from cli.commands.audit import audit
from cli.commands.backup import backup, restore
from cli.commands.contacts import contacts
from cli.commands.dead_letters import dead_letters
from cli.commands.demo import demo
from cli.commands.doctor import doctor
from cli.commands.explain import explain
from cli.commands.health import health
from cli.commands.inbox import inbox
from cli.commands.invite import invite, links
from cli.commands.leaderboard import leaderboard
from cli.commands.migrate import migrate
from cli.commands.payouts import payouts
from cli.commands.rebuild import rebuild
from cli.commands.replay import replay
from cli.commands.report import report
from cli.commands.scenario import scenario
from cli.commands.simulate import simulate
from cli.commands.tree import tree
from cli.commands.up import up
from cli.commands.wallet import wallet
from cli.errors import describe, is_expected
from cli.output import err

app = typer.Typer(
    name="upline",
    help="Referral programs: who referred whom, what a whole upline earns, on a ledger that always balances.",
    epilog="Amounts are shown in whole units of their asset (12.50), times in UTC. Commands look for services in this"
    " order: --target or UPLINE_*_ADDR, a stack started by `upline up` on the same --state, else a stack of their own"
    " for the duration.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
for command in (
    up,
    demo,
    apply,
    export,
    replay,
    simulate,
    scenario,
    wallet,
    leaderboard,
    tree,
    invite,
    links,
    inbox,
    report,
    audit,
    rebuild,
    doctor,
    migrate,
    backup,
    restore,
    health,
):
    app.command()(command)
app.add_typer(explain, name="explain")
app.add_typer(approvals, name="approvals")
app.add_typer(payouts, name="payouts")
app.add_typer(contacts, name="contacts")
app.add_typer(dead_letters, name="dead-letters")


def main() -> None:
    """Runs the command line; errors that can be expected are told in a sentence, others with their trace."""
    try:
        app()
    except Exception as error:
        if not is_expected(error):
            raise
        lines, code = describe(error)
        for line in lines:
            err.print(line, markup=False)
        sys.exit(code)


if __name__ == "__main__":
    sys.argv[0] = Path(sys.argv[0]).with_name("upline").as_posix()
    main()
