"""The container's health check: exits with 0 only if the service on UPLINE_PORT answers SERVING.

`upline health` says the same, but starts the whole command line: too much work for every few seconds.
"""

import os
import sys

from cli.stack.health import health

sys.exit(health(f"127.0.0.1:{os.environ['UPLINE_PORT']}") != "SERVING")
