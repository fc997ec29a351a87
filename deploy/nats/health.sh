#!/bin/sh
# The broker's health check. Healthy: JetStream is on, and its streams and consumers are recovered.
#
# A broker that met a full disk switches JetStream off and leaves it off, whatever is freed later. So one that was well since it started,
# no longer is, and has space again is ended here: its restart policy starts it anew, and nothing that it acknowledged is lost.
set -u
was_well=/tmp/was-well # on a tmpfs, which begins empty with each start of the container
min_free_kib=65536     # less would be full again at once

answers() { wget -q -T 3 -O /dev/null "http://127.0.0.1:8222/healthz$1"; }

if answers ""; then
  touch "$was_well"
  exit 0
fi
free_kib=$(df -kP /data | awk 'NR == 2 { print $4 }')
if [ -e "$was_well" ] && ! answers "?js-enabled-only=true" && [ "$free_kib" -gt "$min_free_kib" ]; then
  echo "JetStream is switched off and the disk has space: ending the broker, so that it is started again" >&2
  kill -TERM 1
fi
exit 1
