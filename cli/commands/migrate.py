"""`upline migrate`."""

import os

from cli.errors import USAGE, CommandFailed
from cli.stack.layout import SERVICES


def migrate() -> None:
    """Create or update the tables and roles of all services.

    UPLINE_DATABASE_URL is the database with its owner's name and password, UPLINE_ROLE_PASSWORD the password that the
    services' roles get. `upline up` does this by itself; a deployment runs it once before the services. It is safe to
    run again.

    Example: UPLINE_DATABASE_URL=postgresql://upline:…@db/upline UPLINE_ROLE_PASSWORD=… upline migrate
    """
    from chassis.migrate import migrate as run_migrations

    settings = {name: os.environ.get(name, "") for name in ("UPLINE_DATABASE_URL", "UPLINE_ROLE_PASSWORD")}
    if missing := [name for name, text in settings.items() if not text]:
        raise CommandFailed(f"set {' and '.join(missing)}", USAGE)
    for line in run_migrations(settings["UPLINE_DATABASE_URL"], list(SERVICES), settings["UPLINE_ROLE_PASSWORD"]):
        print(line)
