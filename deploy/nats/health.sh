#!/bin/sh
# The broker's health check. Healthy: JetStream is on, its streams and consumers are recovered, and none of them met a
# full disk.
#
# A stream that could not be written once is not written any more, whatever is freed later, and a broker may switch
# JetStream off altogether. So one that was well since it started, says itself that it no longer is, and has space again
# is ended here: its restart policy starts it anew, and nothing that it acknowledged is lost.
set -u
was_well=/tmp/was-well # on a tmpfs, which begins empty with each start of the container
min_free_kib=65536     # less would be full again at once

if said=$(wget -T 3 -O /dev/null "http://127.0.0.1:8222/healthz" 2>&1); then
  touch "$was_well"
  exit 0
fi
free_kib=$(df -kP /data | awk 'NR == 2 { print $4 }')
case $said in # one that is busy, and does not answer in time, is left alone
*503*)
  if [ -e "$was_well" ] && [ "$free_kib" -gt "$min_free_kib" ]; then
    echo "JetStream does not store and the disk has space: ending the broker, so that it is started again" >&2
    kill -TERM 1
  fi
  ;;
esac
exit 1
