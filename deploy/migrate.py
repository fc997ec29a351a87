"""`upline migrate` as the compose file runs it, before any service: not with secrets that everybody knows,
where other machines can reach the services.

Compose cannot say this by itself: it evaluates `${A:+${B:?…}}` from the inside out, whether A is set or not.
"""

import os
import sys
from ipaddress import ip_address

from cli.commands.migrate import migrate

SECRETS = ("UPLINE_SECRET", "UPLINE_DATABASE_PASSWORD", "UPLINE_ROLE_PASSWORD", "UPLINE_NATS_PASSWORD")
DEVELOPMENT = "development-only"


def main() -> None:
    """Migrates, or exits naming the secrets to set."""
    bind = os.environ["UPLINE_BIND"]
    known = [name for name in SECRETS if os.environ[name].startswith(DEVELOPMENT)]
    if known and not ip_address(bind).is_loopback:
        sys.exit(
            f"UPLINE_BIND is {bind}, which other machines can reach: first set {', '.join(known)}; see .env.example"
        )
    migrate()


if __name__ == "__main__":
    main()
